"""What `--checkpoint` serves: an exported checkpoint, or an adapter that is exported once."""

from __future__ import annotations

from pathlib import Path

import pytest
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.stack.checkpoint import ServedCheckpoint, served_checkpoint
from rich.console import Console
from support.lora_adapters import lora_tensors, save_adapter
from support.tiny_qwen2 import tiny_qwen2

SILENT = Console(quiet=True)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITERQR_CACHE", str(tmp_path / "cache"))


def served(folder: Path, tmp_path: Path, base: str = "base") -> ServedCheckpoint:
    return served_checkpoint(folder, base, tmp_path / "exported", SILENT)


def test_an_adapter_is_exported_once_and_served_with_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_qwen2(tied=True)
    base = str(tiny.save(tmp_path / "tiny"))
    run = tmp_path / "run"
    save_adapter(run / "adapter", lora_tensors({name: v.shape for name, v in tiny.weights.items()}, "q_proj"))
    first = served(run, tmp_path, base)
    assert Path(first.model, "model.onnx").is_file()
    assert "You rewrite food delivery searches" in Path(first.template).read_text("utf-8")
    monkeypatch.setattr("iterqr_benchmarks.stack.checkpoint.run_export", None)  # not called again
    assert served(run / "adapter", tmp_path, base) == first
    assert served(tmp_path / "exported" / Path(first.model).parent.name, tmp_path) == first


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"has no manifest.json of a checkpoint, and no adapter_config.json"):
        served(tmp_path, tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BenchmarkError, match="has no ONNX model with its prompt template"):
        served(tmp_path, tmp_path)


def test_an_adapter_of_another_base_is_told(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tied=True)
    base = str(tiny.save(tmp_path / "tiny"))
    other = lora_tensors({"model.layers.0.self_attn.q_proj.weight": (9, 9)}, "q_proj")
    adapter = save_adapter(tmp_path / "adapter", other)
    with pytest.raises(BenchmarkError, match=r"--checkpoint .*adapter: "):
        served(adapter, tmp_path, base)
