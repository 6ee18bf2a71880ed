"""The peers' GGUF file of Q4_0 tensors."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from iterqr_benchmarks.engine_comparison.peers.q4_0 import to_q4_0

Q5_0 = gguf.GGMLQuantizationType.Q5_0


def source_file(path: Path, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    matrix = np.random.default_rng(1).normal(size=(8, width)).astype(np.float32)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(3)
    writer.add_token_list(["a", "b"])
    if width % 32:
        writer.add_tensor("token_embd.weight", matrix)
    else:
        writer.add_tensor("token_embd.weight", gguf.quantize(matrix, Q5_0), raw_dtype=Q5_0)
    writer.add_tensor("output_norm.weight", np.arange(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return matrix


def test_matrices_become_q4_0_and_all_else_stays(tmp_path: Path) -> None:
    matrix = source_file(tmp_path / "source.gguf")
    to_q4_0(tmp_path / "source.gguf", tmp_path / "target.gguf")
    reader = gguf.GGUFReader(tmp_path / "target.gguf")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    embedding = tensors["token_embd.weight"]
    assert embedding.tensor_type is gguf.GGMLQuantizationType.Q4_0
    values = gguf.dequantize(embedding.data, embedding.tensor_type)
    assert np.abs(values - matrix).max() < 0.5  # a step of four bits over a range of about six
    assert tensors["output_norm.weight"].tensor_type is gguf.GGMLQuantizationType.F32
    np.testing.assert_array_equal(tensors["output_norm.weight"].data, np.arange(5))
    fields = {name: reader.get_field(name) for name in ("qwen2.block_count", "tokenizer.ggml.tokens")}
    assert [field.contents() for field in fields.values() if field] == [3, ["a", "b"]]


def test_rows_that_are_no_whole_blocks_are_refused(tmp_path: Path) -> None:
    source_file(tmp_path / "source.gguf", width=40)
    with pytest.raises(ValueError, match=r"token_embd\.weight: rows of 40 are not whole blocks of 32"):
        to_q4_0(tmp_path / "source.gguf", tmp_path / "target.gguf")
