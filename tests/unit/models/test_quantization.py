from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.models.quantization import WeightFormat, dequantize, quantize, quantize_by_channel
from numpy.typing import NDArray


def restored(matrix: NDArray[np.float32], weight_format: WeightFormat) -> NDArray[np.float32]:
    return dequantize(quantize(matrix, weight_format), weight_format, matrix.shape[1])


@given(st.integers(0, 1000), st.sampled_from([4, 8]), st.sampled_from([16, 32]), st.integers(1, 70))
def test_every_weight_is_within_half_a_step(seed: int, bits: int, block: int, columns: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(5, columns)).astype(np.float32)
    quantized = quantize(matrix, WeightFormat(bits, block))
    error = np.abs(dequantize(quantized, WeightFormat(bits, block), columns) - matrix)
    steps = np.repeat(np.abs(quantized.scales), block, axis=1)[:, :columns]
    # at the far end of a block the highest code falls one step short of the lowest one's opposite; 4 bits may clip
    assert (error <= steps * (1.001 if bits == 8 else 3)).all()
    assert np.mean(error <= steps * 0.501) > 0.7


def test_codes_have_the_layout_of_the_runtime() -> None:
    matrix = np.array([[-8, *range(-7, 8)]], np.float32)
    quantized = quantize(matrix, WeightFormat(4, 16))
    assert quantized.codes.shape == (1, 1, 8)
    assert quantized.scales.tolist() == [[1.0]]
    assert quantized.codes[0, 0].tolist() == [low | (low + 1) << 4 for low in range(0, 16, 2)]


def test_weights_that_fit_the_codes_are_exact() -> None:
    matrix = np.array([[0.5 * code for code in range(-128, 128)]], np.float32)
    np.testing.assert_array_equal(restored(matrix, WeightFormat(8, 256)), matrix)


def test_zeros_stay_zeros() -> None:
    assert not restored(np.zeros((3, 32), np.float32), WeightFormat(4, 32)).any()


def test_four_bits_search_beats_the_plain_range() -> None:
    matrix = np.random.default_rng(1).standard_t(df=4, size=(64, 128)).astype(np.float32)
    plain = np.abs(matrix.reshape(64, 4, 32)).max(axis=-1) / 8
    rounded = np.clip(np.rint(matrix.reshape(64, 4, 32) / plain[..., None]), -8, 7) * plain[..., None]
    best = restored(matrix, WeightFormat(4, 32))
    assert np.square(best - matrix).sum() < 0.95 * np.square(rounded.reshape(64, 128) - matrix).sum()


def test_many_rows_are_quantized_as_few_are() -> None:
    matrix = np.random.default_rng(2).normal(size=(5000, 32)).astype(np.float32)
    whole, part = quantize(matrix, WeightFormat(8, 32)), quantize(matrix[4990:], WeightFormat(8, 32))
    np.testing.assert_array_equal(whole.codes[4990:], part.codes)


@pytest.mark.parametrize(("bits", "block"), [(3, 32), (4, 0), (4, 24), (8, 8)])
def test_formats_the_runtime_lacks_are_refused(bits: int, block: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        WeightFormat(bits, block)


def test_by_channel_every_weight_is_within_half_a_step_of_its_output() -> None:
    matrix = np.random.default_rng(3).normal(size=(5000, 40)).astype(np.float32)
    quantized = quantize_by_channel(matrix)
    assert quantized.codes.shape == (40, 5000)
    assert quantized.codes.min() == -127  # so that no code lacks an opposite
    steps = quantized.scales[:, None]
    assert (np.abs(quantized.codes.T * steps - matrix) <= steps * 0.501).all()


def test_by_channel_an_output_of_zeros_stays_zero() -> None:
    quantized = quantize_by_channel(np.zeros((2, 32), np.float32))
    assert not quantized.codes.any()
    assert not quantized.scales.any()


@pytest.mark.parametrize(
    ("weight_format", "text"),
    [(WeightFormat(32), "float32"), (WeightFormat(8), "int8-channel"), (WeightFormat(4, 32), "int4-block32")],
)
def test_formats_are_named_in_folder_names(weight_format: WeightFormat, text: str) -> None:
    assert str(weight_format) == text
