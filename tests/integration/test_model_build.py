"""The builder and the ONNX backend against a reference in numpy, on a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from iterqr_server.backends.onnxruntime import OnnxStepExecutor, check_provider
from iterqr_server.config import ConfigError
from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.models.builder import DEFAULT_QUANTIZATION, build_model
from iterqr_server.models.built_model import BuiltModel
from iterqr_server.models.output_vocabulary import OutputVocabulary
from iterqr_server.models.progress import Silent
from iterqr_server.models.quantization import Quantization, WeightFormat
from iterqr_server.models.store import FoundWeights
from numpy.typing import NDArray
from support.step_plans import packed, running_sequence
from support.tiny_qwen2 import BF16, Shape, tiny_qwen2

ARENA = 256
FLOAT = Quantization(WeightFormat(32), WeightFormat(32))
TOKENS = [7, 200, 31, 31, 4, 90, 150, 260, 8, 77, 12, 64, 199]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITERQR_CACHE", str(tmp_path / "cache"))


def build(path: Path, quantization: Quantization, output_vocabulary: OutputVocabulary = "full") -> BuiltModel:
    found = FoundWeights(path)
    return build_model(
        found, name="tiny", quantization=quantization, output_vocabulary=output_vocabulary, listener=Silent()
    )


def executor_of(model: BuiltModel) -> OnnxStepExecutor:
    return OnnxStepExecutor(model, arena_positions=ARENA, threads=2)


def logits_after(executor: OnnxStepExecutor, tokens: list[int]) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = executor.run(packed((running_sequence(PrefixCache(ARENA, 16), tokens), len(tokens))))[
        0
    ]
    return logits


@pytest.mark.parametrize("tied", [True, False])
def test_float_build_computes_what_the_reference_does(tmp_path: Path, tied: bool) -> None:
    tiny = tiny_qwen2(tied=tied)
    executor = executor_of(build(tiny.save(tmp_path / "hf"), FLOAT))
    expected = tiny.logits(TOKENS)
    for length in range(1, len(TOKENS) + 1):
        np.testing.assert_allclose(logits_after(executor, TOKENS[:length]), expected[length - 1], atol=2e-4)


# Tiny in width, but with the heads, head size and head of the real ones.
FAMILY = {
    "0.5B": (Shape(hidden=64, heads=14, kv_heads=2, head_size=64, intermediate=304), True),
    "1.5B": (Shape(hidden=96, heads=12, kv_heads=2, head_size=128, intermediate=560), True),
    "3B": (Shape(hidden=128, heads=16, kv_heads=2, head_size=128, intermediate=688), True),
    "7B": (Shape(hidden=128, heads=28, kv_heads=4, head_size=128, intermediate=592), False),
}


@pytest.mark.parametrize("size", FAMILY)
@pytest.mark.parametrize("is_gguf", [False, True], ids=["safetensors", "gguf"])
def test_shapes_of_the_family_compute_what_the_reference_does(tmp_path: Path, size: str, is_gguf: bool) -> None:
    shape, tied = FAMILY[size]
    tiny = tiny_qwen2(tied=tied, shape=shape)
    expected = tiny.logits(TOKENS)[-1]
    source = tiny.save_gguf(tmp_path / "tiny.gguf") if is_gguf else tiny.save(tmp_path / "hf")
    model = build(source, FLOAT)
    assert (model.architecture.heads, model.architecture.kv_heads) == (shape.heads, shape.kv_heads)
    np.testing.assert_allclose(logits_after(executor_of(model), TOKENS), expected, atol=5e-4)
    got = logits_after(executor_of(build(source, DEFAULT_QUANTIZATION)), TOKENS)
    assert np.abs(got - expected).max() < 0.07 * np.ptp(expected)


def test_a_latin_output_vocabulary_leaves_the_logits_of_its_tokens_as_they_are(tmp_path: Path) -> None:
    folder = tiny_qwen2(tied=True).save(tmp_path / "hf")
    full = build(folder, DEFAULT_QUANTIZATION)
    latin = build(folder, DEFAULT_QUANTIZATION, "latin")
    assert latin.model_id != full.model_id
    executor = executor_of(latin)
    assert executor.output_ids is not None
    assert executor.output_ids.size == full.architecture.vocabulary  # the tiny one is all Latin
    assert executor_of(full).output_ids is None
    np.testing.assert_array_equal(logits_after(executor, TOKENS), logits_after(executor_of(full), TOKENS))


@pytest.mark.parametrize("tied", [True, False])
def test_default_quantization_stays_close(tmp_path: Path, tied: bool) -> None:
    tiny = tiny_qwen2(tied=tied)
    got = logits_after(executor_of(build(tiny.save(tmp_path / "hf"), DEFAULT_QUANTIZATION)), TOKENS)
    expected = tiny.logits(TOKENS)[-1]
    assert np.abs(got - expected).max() < 0.05 * np.ptp(expected)
    assert got.argmax() == expected.argmax()


def test_four_bits_are_coarser_than_eight_but_related(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tied=False)
    folder, expected = tiny.save(tmp_path / "hf"), tiny.logits(TOKENS)[-1]
    errors = {}
    for bits in (4, 8):
        stored = WeightFormat(bits, 32)
        got = logits_after(executor_of(build(folder, Quantization(stored, stored))), TOKENS)
        errors[bits] = float(np.abs(got - expected).mean())
        assert np.corrcoef(got, expected)[0, 1] > 0.9
    assert errors[8] < errors[4]


def test_bf16_shards_are_read(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tied=False)
    executor = executor_of(build(tiny.save(tmp_path / "hf", shards=3, dtype=BF16), FLOAT))
    expected = tiny.logits(TOKENS)[-1]
    assert np.abs(logits_after(executor, TOKENS) - expected).max() < 0.1 * np.ptp(expected)


@pytest.mark.parametrize("quantization", [FLOAT, DEFAULT_QUANTIZATION], ids=["float32", "default"])
def test_numbers_do_not_depend_on_chunks_neighbours_or_slots(tmp_path: Path, quantization: Quantization) -> None:
    """Bit for bit: otherwise a request's text would depend on the load."""
    executor = executor_of(build(tiny_qwen2(tied=True).save(tmp_path / "hf"), quantization))
    alone = logits_after(executor, TOKENS)

    cache = PrefixCache(ARENA, 4)
    first = running_sequence(cache, [1, 2, 3])
    executor.run(packed((first, 2)))
    neighbours = [running_sequence(cache, [9 + i, 8, 7, 6, 5]) for i in range(3)]
    sequence = running_sequence(cache, TOKENS)
    executor.run(packed((neighbours[0], 2), (sequence, 3), (neighbours[1], 1)))
    assert first.lease is not None
    first.lease.release()  # so that the sequence's last block lies before its first
    executor.run(packed((sequence, 1)))
    executor.run(packed((neighbours[1], 3), (neighbours[2], 5), (sequence, 5)))
    executor.run(packed((neighbours[0], 3), (sequence, 3)))
    step = packed((sequence, 1), (neighbours[1], 1))
    assert step.group_slots[0].tolist() != sorted(step.group_slots[0].tolist())
    np.testing.assert_array_equal(executor.run(step)[0], alone)


def test_a_step_without_wanted_rows_still_writes_keys_and_values(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tied=True)
    executor = executor_of(build(tiny.save(tmp_path / "hf"), FLOAT))
    sequence = running_sequence(PrefixCache(ARENA, 16), TOKENS)
    assert executor.run(packed((sequence, 6))).shape == (0, tiny.weights["model.embed_tokens.weight"].shape[0])
    got = executor.run(packed((sequence, len(TOKENS) - 6)))[0]
    np.testing.assert_allclose(got, tiny.logits(TOKENS)[-1], atol=2e-4)


def test_a_closed_executor_refuses(tmp_path: Path) -> None:
    executor = executor_of(build(tiny_qwen2(tied=True).save(tmp_path / "hf"), FLOAT))
    executor.close()
    with pytest.raises(RuntimeError, match="closed"):
        logits_after(executor, TOKENS)


def test_a_gpu_that_the_runtime_cannot_use_is_refused_before_anything_is_built() -> None:
    check_provider("cpu")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        check_provider("cuda")
    else:
        with pytest.raises(ConfigError, match=r"^engine\.provider: .*pip install onnxruntime-gpu$"):
            check_provider("cuda")
