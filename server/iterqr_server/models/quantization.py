"""Quantization of weight matrices, symmetric: weights that share a float32 scale are small integers times it.

- By block, in the layout of ONNX Runtime's MatMulNBits and GatherBlockQuantized: a block of consecutive weights of one
  output shares a scale, and code c stands for (c - 2^(bits - 1)) * scale.
- By channel, in that of MatMulIntegerToFloat: all weights of one output share a scale, and code c stands for c * scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Shrinking a block's range a little clips its largest weight but places all others better; the candidate with the
# least squared error is kept. Matters at 4 bits only.
_RANGES_4_BITS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
_ROWS_AT_ONCE = 2048  # bounds the memory of intermediate results


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How a matrix is stored: `bits` 4 or 8 in blocks of `block`, 8 by channel (`block` 0), or 32 for plain float32."""

    bits: int
    block: int = 0

    def __post_init__(self) -> None:
        is_block = self.block >= 16 and not self.block & (self.block - 1)
        if self.bits not in (4, 8, 32) or not (is_block or (self.block == 0 and self.bits != 4)):
            raise ValueError(f"bits must be 4, 8 or 32 and block a power of two from 16 on (not 4: or 0), got {self}")

    @property
    def is_quantized(self) -> bool:
        """Whether it has codes and scales."""
        return self.bits != 32

    @property
    def is_by_channel(self) -> bool:
        """Whether each output has one scale, and each row of activations too."""
        return self.bits == 8 and self.block == 0

    def __str__(self) -> str:
        if not self.is_quantized:
            return "float32"
        return f"int{self.bits}-{f'block{self.block}' if self.block else 'channel'}"


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a model's matrices are stored. The embedding table follows the head: quantized if that is."""

    body: WeightFormat
    head: WeightFormat

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Quantization:
        """Reads what `dataclasses.asdict` wrote."""
        return cls(WeightFormat(**data["body"]), WeightFormat(**data["head"]))


@dataclass(frozen=True, slots=True)
class QuantizedMatrix:
    """`codes` [rows, blocks, block * bits / 8] uint8, low nibble first; `scales` [rows, blocks] float32."""

    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]


def quantize(matrix: NDArray[np.float32], weight_format: WeightFormat) -> QuantizedMatrix:
    """Quantizes `matrix` [rows, columns]; the last block of a row is padded with zeros if need be."""
    rows, columns = matrix.shape
    blocks = -(-columns // weight_format.block)
    codes = np.empty((rows, blocks, weight_format.block * weight_format.bits // 8), np.uint8)
    scales = np.empty((rows, blocks), np.float32)
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        codes[some], scales[some] = _quantize_rows(matrix[some], blocks, weight_format)
    return QuantizedMatrix(codes, scales)


@dataclass(frozen=True, slots=True)
class ChannelQuantizedMatrix:
    """`codes` [columns, rows] int8, transposed for a product from the left; `scales` [rows] float32."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]


def quantize_by_channel(matrix: NDArray[np.float32]) -> ChannelQuantizedMatrix:
    """Quantizes `matrix` [rows, columns] to codes -127 to 127 with one scale a row."""
    rows, columns = matrix.shape
    codes = np.empty((columns, rows), np.int8)
    scales = np.empty(rows, np.float32)
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        scales[some] = np.abs(matrix[some]).max(axis=-1) / 127
        codes[:, some] = _round(matrix[some], scales[some], -127).T
    return ChannelQuantizedMatrix(codes, scales)


def _quantize_rows(
    matrix: NDArray[np.float32], blocks: int, weight_format: WeightFormat
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    bits, block = weight_format.bits, weight_format.block
    values = np.pad(matrix, ((0, 0), (0, blocks * block - matrix.shape[1]))).reshape(len(matrix), blocks, block)
    low = -(2 ** (bits - 1))
    extreme = _extremes(values)
    if bits == 8:
        scales = extreme / low
        codes = _round(values, scales, low)
    else:
        codes, scales = _best_of_ranges(values, extreme, low)
    unsigned = (codes - low).astype(np.uint8)
    return (unsigned[..., 0::2] | (unsigned[..., 1::2] << 4) if bits == 4 else unsigned), scales


def _best_of_ranges(
    values: NDArray[np.float32], extreme: NDArray[np.float32], low: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    best_codes, best_scales = np.zeros_like(values), np.zeros_like(extreme)
    best_error = np.full_like(extreme, np.inf)
    for part in _RANGES_4_BITS:
        scales = extreme * np.float32(part / low)
        codes = _round(values, scales, low)
        error = np.square(codes * scales[..., None] - values).sum(axis=-1)
        better = error < best_error
        best_codes[better], best_scales[better], best_error[better] = codes[better], scales[better], error[better]
    return best_codes, best_scales


def dequantize(matrix: QuantizedMatrix, weight_format: WeightFormat, columns: int) -> NDArray[np.float32]:
    """Returns the [rows, columns] that the codes stand for."""
    codes = matrix.codes
    if weight_format.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*codes.shape[:2], -1)
    centred = codes.astype(np.float32) - np.float32(2 ** (weight_format.bits - 1))
    values: NDArray[np.float32] = (centred * matrix.scales[..., None]).reshape(codes.shape[0], -1)
    return values[:, :columns]


def _extremes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weight furthest from zero in each block, with its sign: it gets the lowest code, which has no opposite."""
    top: NDArray[np.float32] = values.max(axis=-1)
    bottom: NDArray[np.float32] = values.min(axis=-1)
    return np.where(top > -bottom, top, bottom)


def _round(values: NDArray[np.float32], scales: NDArray[np.float32], low: int) -> NDArray[np.float32]:
    """The nearest codes from `low` to 127, or to 7 for 4 bits, for the given scales."""
    divisors = np.where(scales == 0, np.float32(1), scales)[..., None]
    codes: NDArray[np.float32] = np.clip(np.rint(values / divisors), low, 7 if low == -8 else 127)
    return codes
