"""Merging a LoRA adapter without torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iterqr_server.models.hf_files import hf_files
from iterqr_server.models.progress import Silent
from iterqr_server.models.weights import open_weights
from iterqr_training.errors import ExportError
from iterqr_training.export.adapter import Adapter, read_adapter
from iterqr_training.export.hf_folder import write_hf_folder
from iterqr_training.export.lora_config import read_lora_config
from iterqr_training.export.merged_weights import MergedWeights
from iterqr_training.export.qwen2_tensors import qwen2_tensors
from safetensors.numpy import load_file
from support.lora_adapters import lora_tensors, save_adapter
from support.tiny_qwen2 import Shape, TinyQwen2, tiny_qwen2

TARGETS = "q_proj|v_proj|down_proj"
TOKENS = [7, 200, 31, 31, 4, 90, 150]


def shapes_of(tiny: TinyQwen2) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in tiny.weights.items()}


@pytest.fixture
def tiny() -> TinyQwen2:
    return tiny_qwen2(tied=True)


def read(folder: Path, tiny: TinyQwen2) -> Adapter:
    return read_adapter(folder, shapes_of(tiny))


def test_the_tensors_of_the_architecture_are_those_of_a_checkpoint(tmp_path: Path) -> None:
    for tied in (True, False):
        tiny = tiny_qwen2(tied=tied)
        weights = open_weights(tiny.save(tmp_path / str(tied)))
        assert qwen2_tensors(weights.architecture, own_head=not tied) == shapes_of(tiny)


def test_merged_weights_compute_what_base_and_adapter_compute_side_by_side(tmp_path: Path, tiny: TinyQwen2) -> None:
    """W x + alpha / r B (A x), written out for each module, against the logits of the merged weights."""
    tensors = lora_tensors(shapes_of(tiny), TARGETS)
    adapter = read(save_adapter(tmp_path / "adapter", tensors), tiny)
    merged = MergedWeights(open_weights(tiny.save(tmp_path / "hf")), adapter)
    together = TinyQwen2({name: merged.tensor(name) for name in tiny.weights}, tiny.tied, tiny.shape)
    beside = dict(tiny.weights)
    x = np.random.default_rng(1).normal(size=(5, 96)).astype(np.float32)
    for module in adapter.modules:
        a, b = (tensors[f"base_model.model.{module}.lora_{part}.weight"] for part in "AB")
        inputs = x[:, : a.shape[1]]
        apart = inputs @ beside[f"{module}.weight"].T + 8 / 4 * ((inputs @ a.T) @ b.T)
        np.testing.assert_allclose(inputs @ merged.tensor(f"{module}.weight").T, apart, atol=1e-5)
    assert len(adapter.modules) == 6
    assert np.abs(together.logits(TOKENS) - tiny.logits(TOKENS)).max() > 0.1
    for name in tiny.weights.keys() - {f"{module}.weight" for module in adapter.modules}:
        np.testing.assert_array_equal(merged.tensor(name), tiny.weights[name])


def test_an_adapter_of_zeros_changes_nothing(tmp_path: Path, tiny: TinyQwen2) -> None:
    tensors = {name: np.zeros_like(values) for name, values in lora_tensors(shapes_of(tiny), TARGETS).items()}
    merged = MergedWeights(
        open_weights(tiny.save(tmp_path / "hf")), read(save_adapter(tmp_path / "adapter", tensors), tiny)
    )
    for name, values in tiny.weights.items():
        np.testing.assert_array_equal(merged.tensor(name), values)


@pytest.mark.parametrize(
    ("config", "module", "scale"),
    [
        ({}, "model.layers.0.self_attn.q_proj", 2.0),
        ({"use_rslora": True}, "model.layers.0.self_attn.q_proj", 8 / math.sqrt(4)),
        ({"alpha_pattern": {"q_proj": 32}}, "model.layers.0.self_attn.q_proj", 8.0),
        ({"alpha_pattern": {"q_proj": 32}}, "model.layers.0.self_attn.v_proj", 2.0),
        ({"alpha_pattern": {"proj": 32}}, "model.layers.0.self_attn.q_proj", 2.0),  # a whole part of the name only
        ({"rank_pattern": {"layers.1.self_attn.q_proj": 2}}, "model.layers.1.self_attn.q_proj", 4.0),
        ({"rank_pattern": {r"layers\.[01]\..*q_proj": 16, "q_proj": 2}}, "model.layers.1.self_attn.q_proj", 0.5),
        ({"rank_pattern": {"q_proj": 16}, "use_rslora": True}, "model.layers.0.self_attn.q_proj", 2.0),
    ],
)
def test_scales_follow_patterns(tmp_path: Path, config: dict[str, Any], module: str, scale: float) -> None:
    folder = save_adapter(tmp_path / "adapter", {}, **config)
    assert read_lora_config(folder).scale_of(module) == pytest.approx(scale)


def test_a_module_with_a_rank_of_its_own_is_merged(tmp_path: Path, tiny: TinyQwen2) -> None:
    tensors = lora_tensors(shapes_of(tiny), "v_proj") | lora_tensors(shapes_of(tiny), "q_proj", rank=2)
    with pytest.raises(ExportError, match=r"q_proj\.lora_A\.weight is \[2, 64\].* must be \[4, 64\]"):
        read(save_adapter(tmp_path / "wrong", tensors), tiny)
    adapter = read(save_adapter(tmp_path / "right", tensors, rank_pattern={"q_proj": 2}), tiny)
    name = "model.layers.0.self_attn.q_proj"
    a, b = (tensors[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    np.testing.assert_allclose(adapter.update(name), 8 / 2 * b @ a, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_dora": True}, "use_dora is set"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out is set"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is set"),
        ({"a_field_of_the_future": {"x": 1}}, "a_field_of_the_future is set"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which changes the base"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"r": 0}, "r is 0, it must be a whole number above 0"),
        ({"lora_alpha": "8"}, "lora_alpha is '8'"),
        ({"rank_pattern": {"q_proj": 1.5}}, r"rank_pattern\.q_proj is 1\.5"),
        ({"alpha_pattern": {"(": 1}}, "alpha_pattern: '\\(' is no regular expression"),
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        read_lora_config(save_adapter(tmp_path / "adapter", {}, **config))


def test_damaged_and_foreign_adapters_are_refused(tmp_path: Path, tiny: TinyQwen2) -> None:
    tensors = lora_tensors(shapes_of(tiny), TARGETS)
    q = "base_model.model.model.layers.0.self_attn.q_proj"
    folder = save_adapter(tmp_path / "adapter", tensors)
    file = folder / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExportError, match=r"adapter_model\.safetensors is truncated"):
        read(folder, tiny)
    file.unlink()
    with pytest.raises(ExportError, match=r"adapter_model\.safetensors is missing"):
        read(folder, tiny)
    (folder / "adapter_model.bin").touch()
    with pytest.raises(ExportError, match="a pickle"):
        read(folder, tiny)
    (folder / "adapter_config.json").unlink()
    with pytest.raises(ExportError, match=r"adapter_config\.json is missing"):
        read(folder, tiny)

    def refused(name: str, change: dict[str, Any], message: str) -> None:
        changed = {key: value for key, value in (tensors | change).items() if value is not None}
        with pytest.raises(ExportError, match=message):
            read(save_adapter(tmp_path / name, changed), tiny)

    refused("half", {f"{q}.lora_B.weight": None}, r"q_proj\.lora_B\.weight is missing")
    refused("dora", {f"{q}.lora_magnitude_vector": np.ones(4, np.float32)}, "lora_magnitude_vector is no LoRA weight")
    refused(
        "head",
        lora_tensors({"lm_head.weight": (266, 64)}, "lm_head"),
        "no weight of its own for lm_head",
    )
    refused("wide", {f"{q}.lora_A.weight": np.ones((4, 65), np.float32)}, r"is \[4, 65\].*it is of another base")
    with pytest.raises(ExportError, match="holds no LoRA weights"):
        read(save_adapter(tmp_path / "empty", {}), tiny)
    bad = tensors | {f"{q}.lora_A.weight": np.full((4, 64), np.nan, np.float32)}
    with pytest.raises(ExportError, match="not finite"):
        read(save_adapter(tmp_path / "nan", bad), tiny).update("model.layers.0.self_attn.q_proj")


PEFT_SHAPE = Shape(hidden=16, heads=2, kv_heads=1, head_size=8, intermediate=24)
PEFT_OPTIONS: dict[str, Any] = {
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 6},
    "alpha_pattern": {"v_proj": 3},
    "use_rslora": True,
    "init_lora_weights": False,
    "task_type": "CAUSAL_LM",
}
RECORDED = Path(__file__).parents[2] / "data/peft_merge"


def test_the_merge_is_the_one_recorded_of_peft(tmp_path: Path) -> None:
    """Adapter and merged weights in data/peft_merge are PEFT 0.21.2's own, of `PEFT_OPTIONS` on this base."""
    tiny = tiny_qwen2(tied=True, shape=PEFT_SHAPE)
    merged = MergedWeights(open_weights(tiny.save(tmp_path / "hf")), read(RECORDED, tiny))
    recorded = load_file(RECORDED / "merged.safetensors")
    changed = {name for name, values in tiny.weights.items() if not np.array_equal(merged.tensor(name), values)}
    assert changed == recorded.keys()
    for name, values in recorded.items():
        np.testing.assert_allclose(merged.tensor(name), values, atol=1e-6)


@pytest.mark.filterwarnings("default")  # of libraries that are not this project's
def test_the_merge_is_that_of_the_installed_peft(tmp_path: Path) -> None:
    """Where torch, transformers and PEFT are installed; they load the folder that export writes."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    tiny = tiny_qwen2(tied=True, shape=PEFT_SHAPE)
    gguf = tiny.save_gguf(tmp_path / "tiny.gguf")
    source = tmp_path / "hf"
    write_hf_folder(source, open_weights(gguf), hf_files(gguf), precision="float32", listener=Silent())
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS])).logits[0].numpy()
    np.testing.assert_allclose(logits, tiny.logits(TOKENS), atol=1e-4)
    torch.manual_seed(0)
    tuned = peft.get_peft_model(model, peft.LoraConfig(**PEFT_OPTIONS))
    tuned.save_pretrained(tmp_path / "adapter")
    expected = {name: value.numpy() for name, value in tuned.merge_and_unload().state_dict().items()}
    merged = MergedWeights(open_weights(source), read(tmp_path / "adapter", tiny))
    for name in tiny.weights:
        np.testing.assert_allclose(merged.tensor(name), expected[name], atol=1e-6)
