"""Makes a GGUF file of Q4_0 tensors from one of any quantization: OpenVINO's reader refuses some kinds, such as Q5_0.

python -m iterqr_benchmarks.engine_comparison.peers.q4_0 SOURCE TARGET
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

_BLOCK = 32
_OWN_KEYS = {"general.architecture", "general.quantization_version", "general.file_type"}


def to_q4_0(source: Path, target: Path) -> None:
    """Writes `target`: every matrix dequantized and quantized again to Q4_0, vectors as float32, metadata as they were.

    Raises:
        ValueError: `source` is not a GGUF file, or a matrix's rows are not of whole blocks.
    """
    reader = gguf.GGUFReader(source)
    architecture = reader.get_field("general.architecture")
    if architecture is None:
        raise ValueError(f"{source}: metadata key 'general.architecture' is missing")
    writer = gguf.GGUFWriter(target, architecture.contents())
    for name, kept in reader.fields.items():
        if name in _OWN_KEYS or name.startswith("GGUF."):
            continue
        sub_type = kept.types[1] if kept.types[0] is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, kept.contents(), kept.types[0], sub_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        if values.ndim < 2:
            writer.add_tensor(tensor.name, values)
            continue
        if values.shape[-1] % _BLOCK:
            raise ValueError(f"{source}: {tensor.name}: rows of {values.shape[-1]} are not whole blocks of {_BLOCK}")
        packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_0)
        writer.add_tensor(tensor.name, packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    to_q4_0(Path(sys.argv[1]), Path(sys.argv[2]))
