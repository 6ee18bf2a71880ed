"""Whole runs on a tiny model: learning, going on after a kill, and what a run leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from iterqr_server.models.cache import sha256_of
from iterqr_server.models.progress import Silent
from iterqr_server.models.weights import open_weights
from iterqr_training.dataset.rows import Task
from iterqr_training.errors import BaseModelError, RunError
from iterqr_training.train.base_model import best_precision, find_base, load_base
from iterqr_training.train.progress import Quiet
from iterqr_training.train.run import train
from iterqr_training.train.settings import Method, Precision, Weighting
from peft import PeftModel
from safetensors.torch import load_file
from support.tiny_qwen2 import tiny_qwen2
from support.tiny_training import rows, tiny_settings, write_split


class _KilledAfter(Quiet):
    """Ends the run as a kill would: nothing is saved after the step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def stepped(self, step: int, loss: float, tokens_per_second: float) -> None:  # noqa: ARG002
        if step == self._step:
            raise KeyboardInterrupt


class _Heard(Quiet):
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.steps: list[int] = []

    def says(self, message: str) -> None:
        self.messages.append(message)

    def stepped(self, step: int, loss: float, tokens_per_second: float) -> None:  # noqa: ARG002
        self.steps.append(step)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's own
def test_lora_learns_all_tasks_and_its_adapter_loads_into_the_base(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=8, lora_dropout=0.0)
    record = train(settings, Quiet()).record
    first, best = (record["result"]["metrics"][name] for name in ("first", "best"))
    for task in Task:
        assert best[f"validation/loss/{task}"] < 0.7 * first[f"validation/loss/{task}"]
    base = load_base(find_base(settings.base, Silent()), torch.float32, Silent())
    tuned = PeftModel.from_pretrained(base, str(settings.out / "adapter"))
    assert tuned.peft_config["default"].base_model_name_or_path == settings.base
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        changed = tuned(ids).logits
        with tuned.disable_adapter():
            plain = tuned(ids).logits
    assert (changed - plain).abs().max() > 0.1


@pytest.mark.parametrize("killed_after", [1, 3])
@pytest.mark.parametrize("changed", [{"weighting": Weighting.DWA, "dwa_window": 1}, {"method": Method.FULL}])
def test_a_run_that_was_killed_gives_the_same_weights_to_the_last_bit(
    tmp_path: Path, changed: dict[str, Any], killed_after: int
) -> None:
    settings = tiny_settings(tmp_path, learning_rate=1e-3, **changed)
    straight = train(settings, Quiet()).record["result"]
    again = replace(settings, out=tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        train(again, _KilledAfter(killed_after))
    heard = _Heard()
    resumed = train(again, heard).record["result"]
    assert heard.steps[0] == killed_after // 2 * 2 + 1 or heard.steps[0] == killed_after + 1
    assert resumed["best_step"] == straight["best_step"] == 6
    kind = "weights" if settings.method is Method.FULL else "adapter"
    assert resumed[kind]["sha256"] == straight[kind]["sha256"]
    assert _losses(again.out) == _losses(settings.out)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=1)
    digests = set()
    for seed in (7, 7, 8):
        run = train(replace(settings, seed=seed), Quiet(), restart=True)
        digests.add(run.record["result"]["adapter"]["sha256"])
    assert len(digests) == 2


def test_full_tuning_from_gguf_writes_a_folder_that_the_server_reads(tmp_path: Path) -> None:
    gguf = tiny_qwen2(tied=False).save_gguf(tmp_path / "tiny.gguf")
    settings = tiny_settings(tmp_path, method=Method.FULL, base=str(gguf), learning_rate=1e-3)
    record = train(settings, Quiet()).record
    assert record["base_model"]["sha256"] == sha256_of(gguf)
    before, after = open_weights(gguf), open_weights(settings.out / "weights")
    assert after.architecture == before.architecture
    assert after.has_own_head
    name = "model.layers.0.mlp.up_proj.weight"
    assert abs(after.tensor(name) - before.tensor(name)).max() > 1e-4


def test_kl_keeps_the_model_nearer_to_the_base(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=4, lora_dropout=0.0, validate_every=0)
    divergence = []
    for weight in (1e-6, 3.0):
        train(replace(settings, kl_weight=weight), Quiet(), restart=True)
        divergence.append(_metrics(settings.out)[-1]["kl"])
    assert divergence[0] > 0.5
    assert divergence[1] < 0.3 * divergence[0]


def test_bf16_trains_a_float32_adapter(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, precision=Precision.BF16, epochs=4)
    result = train(settings, Quiet()).record["result"]["metrics"]
    assert result["best"]["validation/loss"] < 0.9 * result["first"]["validation/loss"]
    adapter = load_file(settings.out / "adapter" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("on_gpu", "multiplies", "best"),
    [
        (None, (), Precision.FP32),
        (None, ("_is_avx512_bf16_supported",), Precision.BF16),
        (None, ("_is_amx_tile_supported",), Precision.BF16),
        (True, (), Precision.BF16),
        (False, ("_is_avx512_bf16_supported",), Precision.FP32),  # that only converts it, whatever the CPU does
    ],
)
def test_the_best_precision_is_what_the_hardware_multiplies_in(
    monkeypatch: pytest.MonkeyPatch, on_gpu: bool | None, multiplies: tuple[str, ...], best: Precision
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_gpu is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: on_gpu or including_emulation)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in multiplies)
    assert best_precision() is best


def test_a_run_notes_the_precision_that_auto_stood_for_and_goes_on_in_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(tmp_path, precision=Precision.AUTO, epochs=1)
    monkeypatch.setattr("iterqr_training.train.run.best_precision", lambda: Precision.FP32)
    assert train(settings, Quiet()).record["settings"]["precision"] == "fp32"
    monkeypatch.setattr("iterqr_training.train.run.best_precision", lambda: Precision.BF16)
    AcceleratorState._reset_state(reset_partial_state=True)
    with pytest.raises(RunError, match="holds a run with other precision"):
        train(settings, Quiet())


def test_a_run_that_no_longer_improves_stops_and_keeps_its_best_weights(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=10, validate_every=1, patience=2, min_improvement=50.0)
    result = train(settings, Quiet()).record["result"]
    assert result["stopped_early"]
    assert (result["best_step"], result["steps"], result["planned_steps"]) == (0, 2, 30)
    adapter = load_file(settings.out / "adapter" / "adapter_model.safetensors")
    updates = [tensor for name, tensor in adapter.items() if "lora_B" in name]
    assert updates
    assert not any(tensor.any() for tensor in updates)  # those before the first step


def test_gradient_checkpointing_gives_the_same_loss(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=1, lora_dropout=0.0, validate_every=0)
    losses = []
    for checkpointing in (False, True):
        train(replace(settings, gradient_checkpointing=checkpointing), Quiet(), restart=True)
        losses.append([each["loss"] for each in _metrics(settings.out)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_run_json_says_what_was_learned_from_what(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, tasks=(Task.GENERATION, Task.QUALITY), max_example_tokens=330, max_too_long=0.9)
    heard = _Heard()
    finished = train(settings, heard)
    record = json.loads((settings.out / "run.json").read_text("utf-8"))
    assert record == finished.record
    assert record["prompt_template"] == {"name": "terse", "sha256": sha256_of(Path(settings.template))}
    assert record["dataset"]["sha256"]["train"] == sha256_of(settings.dataset / "train.parquet")
    assert record["dataset"]["left_out"]["train"]["other_tasks"] == 8
    too_long = record["dataset"]["left_out"]["train"]["too_long"]
    assert sum(record["dataset"]["examples"]["train"].values()) + len(too_long) == 16
    assert "relevance" not in record["dataset"]["examples"]["train"]
    assert record["result"]["adapter"]["sha256"] == sha256_of(settings.out / "adapter" / "adapter_model.safetensors")
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert bool(too_long) == any("left out" in message for message in heard.messages)
    assert sorted(each.name for each in settings.out.iterdir() if not each.name.startswith(".")) == [
        "adapter",
        "learning_rate.svg",
        "loss.svg",
        "metrics.jsonl",
        "run.json",
        "task_weights.svg",
    ]
    assert "generation (validation)" in (settings.out / "loss.svg").read_text("utf-8")


def test_a_finished_run_is_not_trained_again_and_one_of_other_settings_is_refused(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=1)
    train(settings, Quiet())
    assert train(settings, _KilledAfter(1)).already
    with pytest.raises(RunError, match=r"run with other lora_rank, seed; give another --out"):
        train(replace(settings, seed=8, lora_rank=2), Quiet())
    write_split(settings.dataset, "train", rows(21))
    with pytest.raises(RunError, match="run with other dataset;"):
        train(settings, Quiet())


@pytest.mark.filterwarnings("default")  # MLflow calls SQLAlchemy in ways that it has deprecated
def test_metrics_go_to_mlflow_once_each_even_if_the_run_was_interrupted(tmp_path: Path) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - seconds to import

    settings = tiny_settings(tmp_path, epochs=1, mlflow="")
    with pytest.raises(KeyboardInterrupt):
        train(settings, _KilledAfter(2))
    train(settings, Quiet())
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("iterqr-train")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["lora_rank"] == "4"
    history = {each.step: each.value for each in client.get_metric_history(run.info.run_id, "loss/generation")}
    assert history == {each["step"]: each["loss/generation"] for each in _metrics(settings.out) if each["step"]}
    assert {each.path for each in client.list_artifacts(run.info.run_id)} >= {"run.json", "loss.svg"}


def test_a_base_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="'no-such-model' is no known model"):
        train(tiny_settings(tmp_path, base="no-such-model"), Quiet())


def _metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def _losses(folder: Path) -> list[dict[str, float]]:
    timed = "tokens_per_second"
    return [{name: value for name, value in each.items() if name != timed} for each in _metrics(folder)]
