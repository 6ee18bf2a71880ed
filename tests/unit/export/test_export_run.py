"""A whole export of a tiny model: what is in the checkpoint, and what is refused before anything is there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iterqr_proto.manifest import read_manifest
from iterqr_proto.registry import CheckpointRegistry
from iterqr_server.models.builder import prepare_model, weights_digest
from iterqr_server.models.built_model import read_built_model
from iterqr_server.models.progress import Silent
from iterqr_server.models.store import FoundWeights
from iterqr_server.models.weights import open_weights
from iterqr_training.errors import ExportError, SettingError, TrainingError
from iterqr_training.export.publishing import publish
from iterqr_training.export.run import ExportedCheckpoint, run_export
from iterqr_training.export.settings import ExportSettings
from iterqr_training.main import main
from support.lora_adapters import lora_tensors, save_adapter
from support.modelopt_folders import modelopt_folder
from support.tiny_qwen2 import tiny_qwen2

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
TARGETS = "q_proj|o_proj|up_proj"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITERQR_CACHE", str(tmp_path / "cache"))


class World:
    """A base, an adapter trained on it, and the settings that export both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tiny = tiny_qwen2(tied=True)
        self.base = self.tiny.save(folder / "tiny")
        self.tensors = lora_tensors({name: v.shape for name, v in self.tiny.weights.items()}, TARGETS)
        self.adapter = save_adapter(folder / "run/adapter", self.tensors)
        self.settings = ExportSettings(
            base=str(self.base), out=folder / "out", adapter=self.adapter, precision="float32", serving_check=False
        )

    def export(self, **changes: Any) -> ExportedCheckpoint:  # noqa: ANN401
        return run_export(replace(self.settings, **changes), Silent(), NOW)

    def write(self, name: str, document: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(document), "utf-8")
        return path

    def left(self) -> list[str]:
        out = self.folder / "out"
        return sorted(path.name for path in out.iterdir()) if out.is_dir() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_checkpoint_holds_what_its_manifest_says(world: World) -> None:
    gates = [{"name": "harm_rate", "value": 0.031, "limit": 0.05}]
    gate = world.write("gate.json", {"passed": True, "verdict": "it may serve", "gates": gates})
    datasheet = world.write("datasheet.json", {"counts": {"generation": 411, "quality": 97}})
    policy = world.write("policy.json", {"policy_version": 1, "policy_id": "fitted"})
    exported = world.export(gate_report=gate, datasheet=datasheet, policy=policy, parent="tiny-first")
    manifest = read_manifest(exported.folder / "manifest.json")
    assert manifest == exported.manifest
    assert manifest["checkpoint_id"] == exported.folder.name
    assert re.fullmatch(r"tiny-[0-9a-f]{12}", exported.folder.name)
    assert manifest["parent_checkpoint_id"] == "tiny-first"
    assert manifest["base_model"] == {"name": "tiny", "sha256": weights_digest(FoundWeights(world.base), Silent())}
    assert manifest["created_at"] == "2026-11-28T20:00:00Z"
    assert manifest["policy"]["policy_id"] == "fitted"
    assert manifest["data_sha256"] == hashlib.sha256(datasheet.read_bytes()).hexdigest()
    assert manifest["gate_report"] == {
        "path": "reports/gate.json",
        "sha256": hashlib.sha256(gate.read_bytes()).hexdigest(),
        "passed": True,
        "verdict": "it may serve",
    }
    kinds = {artifact["kind"] for artifact in manifest["artifacts"]}
    assert kinds == {"hf-safetensors", "onnx-int8", "lora-adapter", "prompt-template"}
    listed = {file["path"]: file for artifact in manifest["artifacts"] for file in artifact["files"]}
    for path, file in listed.items():
        content = (exported.folder / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size_bytes"], file["sha256"])
    there = {path.relative_to(exported.folder).as_posix() for path in exported.folder.rglob("*") if path.is_file()}
    assert there - listed.keys() == {"manifest.json", "MODEL_CARD.md", "reports/gate.json", "reports/datasheet.json"}
    assert manifest["prompt_template"] == {"name": "food_delivery", "sha256": listed["prompt/template.toml"]["sha256"]}
    assert world.left() == [exported.folder.name]


def test_the_built_model_is_of_the_merged_weights_and_names_them(world: World) -> None:
    exported = world.export()
    hf, onnx = exported.folder / "hf", exported.folder / "onnx-int8"
    built = read_built_model(onnx)
    assert built.source_sha256 != _digest(world)
    assert built.source_name == exported.folder.name
    assert built.architecture == open_weights(world.base).architecture
    assert prepare_model(str(onnx), show_progress=False) == onnx
    name = "model.layers.1.mlp.up_proj"
    a, b = (world.tensors[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    expected = world.tiny.weights[f"{name}.weight"] + 8 / 4 * b @ a
    np.testing.assert_allclose(open_weights(hf).tensor(f"{name}.weight"), expected, atol=1e-5)


def test_the_onnx_model_of_the_base_alone_is_the_one_that_the_server_builds_itself(world: World) -> None:
    """Bit for bit, whatever the precision of hf/: tokens that nearly tie would change otherwise."""
    exported = world.export(adapter=None, precision="bfloat16")
    own = prepare_model(str(world.base), show_progress=False)
    for name in ("model.onnx", "model.onnx.data", "tokenizer.json"):
        assert (exported.folder / "onnx-int8" / name).read_bytes() == (own / name).read_bytes()
    assert read_built_model(exported.folder / "onnx-int8").source_sha256 == read_built_model(own).source_sha256


def test_the_base_alone_and_full_weights_are_exported_too(world: World) -> None:
    base = world.export(adapter=None)
    for name, values in world.tiny.weights.items():
        np.testing.assert_array_equal(open_weights(base.folder / "hf").tensor(name), values)
    tuned = tiny_qwen2(tied=True, seed=1)
    folder = tuned.save(world.folder / "full/model")
    (world.folder / "full/run.json").write_text(json.dumps({"base_model": base.manifest["base_model"]}))
    full = world.export(adapter=None, weights=folder, onnx="int4")
    assert full.manifest["base_model"] == base.manifest["base_model"]
    assert {artifact["kind"] for artifact in full.manifest["artifacts"]} == {
        "hf-safetensors",
        "onnx-int4",
        "prompt-template",
    }
    name = "model.layers.0.mlp.down_proj.weight"
    np.testing.assert_array_equal(open_weights(full.folder / "hf").tensor(name), tuned.weights[name])
    assert read_built_model(full.folder / "onnx-int4").quantization.body.bits == 4


def test_the_same_inputs_give_the_same_name_and_a_checkpoint_never_changes(world: World) -> None:
    exported = world.export()
    before = (exported.folder / "manifest.json").read_bytes()
    with pytest.raises(ExportError, match=f"{exported.folder} exists: a checkpoint never changes"):
        world.export()
    assert (exported.folder / "manifest.json").read_bytes() == before
    again = world.export(out=world.folder / "elsewhere")
    assert again.manifest == exported.manifest
    others = {world.export(onnx="int4").folder.name, world.export(precision="bfloat16").folder.name}
    save_adapter(world.adapter, world.tensors, lora_alpha=16)
    others.add(world.export().folder.name)
    assert len(others | {exported.folder.name}) == 4
    assert world.export(checkpoint_id="it3").folder.name == "it3"


def _wrong_run(world: World) -> None:
    world.write("run/run.json", {"base_model": {"name": "other-model", "sha256": "f" * 64}})


def _truncated_base(world: World) -> None:
    file = next(world.base.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-64])


def _other_shape(world: World) -> None:
    (world.folder / "full").mkdir()
    wide = tiny_qwen2(tied=True, shape=replace(world.tiny.shape, intermediate=128)).save(world.folder / "full/model")
    world.write("full/run.json", {"base_model": {"name": "tiny", "sha256": _digest(world)}})
    world.settings = replace(world.settings, adapter=None, weights=wide)


def _without_run(world: World) -> None:
    world.settings = replace(world.settings, adapter=None, weights=world.tiny.save(world.folder / "untold"))


def _digest(world: World) -> str:
    return weights_digest(FoundWeights(world.base), Silent())


def _run_says(world: World, **record: object) -> None:
    world.write("run/run.json", {"base_model": {"name": "tiny", "sha256": _digest(world)}, **record})


def _other_datasheet(world: World) -> None:
    _run_says(world, dataset={"sha256": {"datasheet": "e" * 64}})
    world.settings = replace(world.settings, datasheet=world.write("d.json", {}))


REFUSED: dict[str, tuple[Callable[[World], object], str]] = {
    "adapter of another base, by digest": (
        _wrong_run,
        r"was trained on other-model \(SHA-256 f{64}\), --base is tiny \(SHA-256 [0-9a-f]{64}\)",
    ),
    "adapter of another base, by name": (
        lambda w: save_adapter(w.adapter, w.tensors, base_model_name_or_path="Qwen/Qwen2.5-7B-Instruct"),
        r"was trained on Qwen/Qwen2\.5-7B-Instruct, --base is tiny \(SHA-256 ",
    ),
    "adapter that names no base": (
        lambda w: save_adapter(w.adapter, w.tensors, base_model_name_or_path=None),
        "does not say which base",
    ),
    "unfinished run": (
        lambda w: w.write("run/run.json", {"status": "running", "base_model": {"name": "tiny", "sha256": _digest(w)}}),
        r"run\.json: the run is running, not finished",
    ),
    "another adapter than the run wrote": (
        lambda w: _run_says(w, result={"adapter": {"sha256": "e" * 64}}),
        r"adapter_model\.safetensors: SHA-256 is [0-9a-f]{64}, by .*run\.json it must be e{64}",
    ),
    "another template than it was trained with": (
        lambda w: _run_says(w, prompt_template={"name": "food_delivery", "sha256": "e" * 64}),
        r"--template: food_delivery has SHA-256 [0-9a-f]{64}, and .*run\.json was trained with food_delivery",
    ),
    "another datasheet than it was trained on": (
        _other_datasheet,
        r"--datasheet: SHA-256 is [0-9a-f]{64}, by .*run\.json it was trained on that of e{64}",
    ),
    "a gate that refused": (
        lambda w: setattr(
            w, "settings", replace(w.settings, gate_report=w.write("g.json", {"passed": False, "verdict": "harm"}))
        ),
        "the gate did not let it through: harm",
    ),
    "damaged run": (lambda w: w.write("run/run.json", {"base": "tiny"}), r"run\.json: base_model must have name"),
    "a base without the tokenizer's settings": (
        lambda w: (w.base / "tokenizer_config.json").unlink(),
        r"tokenizer_config\.json is missing, and transformers",
    ),
    "truncated base": (_truncated_base, r"\.safetensors: truncated"),
    "weights of another shape": (_other_shape, "intermediate is 128, that of the base is 96"),
    "weights that name no base": (_without_run, "does not say which base"),
    "a template that is not there": (
        lambda w: setattr(w, "settings", replace(w.settings, template="tapas")),
        "'tapas' is no .toml file and no template of the package",
    ),
    "a policy that is none": (
        lambda w: setattr(w, "settings", replace(w.settings, policy=w.write("p.json", {"policy_version": 1}))),
        r"--policy .*p\.json: .*policy_id",
    ),
    "a datasheet that is no JSON": (
        lambda w: setattr(w, "settings", replace(w.settings, datasheet=w.base / "model-00001-of-00001.safetensors")),
        "is not JSON",
    ),
    "quantized weights that are not": (
        lambda w: setattr(w, "settings", replace(w.settings, quantized=w.base)),
        "'architectures' is a required property",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason_and_nothing_left_behind(world: World, name: str) -> None:
    damage, message = REFUSED[name]
    damage(world)
    with pytest.raises(TrainingError, match=message):
        run_export(world.settings, Silent(), NOW)
    assert world.left() == []


def test_a_digest_beats_a_name(world: World) -> None:
    save_adapter(world.adapter, world.tensors, base_model_name_or_path="/some/where/else")
    world.write("run/run.json", {"base_model": {"name": "renamed", "sha256": _digest(world)}})
    assert world.export().manifest["base_model"]["name"] == "tiny"


def test_a_finished_run_names_its_template_and_what_it_wrote(world: World) -> None:
    template = Path(str(resources.files("iterqr_proto.rewrite_format") / "food_delivery.toml"))
    own = world.folder / "tapas.toml"
    own.write_bytes(template.read_bytes() + b"\n")
    digest = hashlib.sha256((world.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
    _run_says(
        world,
        status="finished",
        prompt_template={"name": "tapas", "sha256": hashlib.sha256(own.read_bytes()).hexdigest()},
        result={"adapter": {"folder": "adapter", "sha256": digest}},
    )
    with pytest.raises(ExportError, match=r"--template: 'tapas' is no \.toml file"):
        world.export()
    exported = world.export(template=str(own))
    assert exported.manifest["prompt_template"]["name"] == "tapas"
    assert (exported.folder / "prompt/template.toml").read_bytes() == own.read_bytes()


def test_a_candidate_is_sealed_with_what_let_it_through(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    datasheet = world.write("datasheet.json", {"counts": {"generation": 411}})
    candidate = world.export(datasheet=datasheet, checkpoint_id="candidate")
    gate = world.write("gate.json", {"passed": True, "candidate_identity": "candidate-1a2b-int8/v1/3", "gates": []})
    policy = world.write("policy.json", {"policy_version": 1, "policy_id": "fitted"})
    out, registry = world.folder / "sealed", CheckpointRegistry(str(world.folder / "registry"))
    arguments = ["export", "--candidate", str(candidate.folder), "--out", str(out), "--parent", "champion"]
    arguments += ["--gate-report", str(gate), "--policy", str(policy), "--publish", registry.url]
    main(arguments)
    (folder,) = out.iterdir()
    manifest = registry.manifest(folder.name)
    assert manifest == read_manifest(folder / "manifest.json")
    assert manifest["checkpoint_id"] != "candidate"
    assert manifest["artifacts"] == candidate.manifest["artifacts"]
    assert manifest["parent_checkpoint_id"] == "champion"
    assert manifest["policy"]["policy_id"] == "fitted"
    assert manifest["gate_report"]["sha256"] == hashlib.sha256(gate.read_bytes()).hexdigest()
    assert manifest["data_sha256"] == hashlib.sha256(datasheet.read_bytes()).hexdigest()
    assert "| counts.generation | 411 |" in (folder / "MODEL_CARD.md").read_text()
    assert (folder / "onnx-int8/model.onnx.data").samefile(candidate.folder / "onnx-int8/model.onnx.data")

    def refused(message: str, *more: str) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main([*arguments, *more])
        assert re.search(message, capsys.readouterr().err)
        assert [path.name for path in out.iterdir()] == [folder.name]

    refused("exists: a checkpoint never changes")
    other = world.write("other.json", {"passed": True, "candidate_identity": "another-1/v1"})
    refused("it is of another-1/v1, and the candidate is candidate", "--gate-report", str(other))
    refused("--id is 'a/b'", "--id", "a/b")
    data = candidate.folder / "onnx-int8/model.onnx.data"
    content = data.read_bytes()
    data.unlink()
    data.write_bytes(content[:-1])
    refused(r"--candidate .*onnx-int8/model\.onnx\.data: truncated", "--id", "again")


def test_quantized_weights_become_an_artifact(world: World) -> None:
    first = world.export(adapter=None, base=str(world.tiny.save_gguf(world.folder / "tiny.gguf")))
    quantized = modelopt_folder(world.folder / "fp8", first.folder / "hf", "FP8")
    second = world.export(adapter=None, quantized=quantized, onnx=None)
    kinds = {
        artifact["kind"]: [file["path"] for file in artifact["files"]] for artifact in second.manifest["artifacts"]
    }
    assert kinds.keys() == {"hf-safetensors", "trtllm", "prompt-template"}
    assert "trtllm/hf_quant_config.json" in kinds["trtllm"]
    with pytest.raises(ExportError, match=r"--quantized .*hf: hf_quant_config\.json is missing"):
        world.export(quantized=first.folder / "hf")
    other = tiny_qwen2(tied=True, shape=replace(world.tiny.shape, intermediate=128))
    plain = world.export(adapter=None, base=str(other.save_gguf(world.folder / "wide.gguf")), onnx=None).folder / "hf"
    with pytest.raises(ExportError, match="intermediate is 128"):
        world.export(quantized=modelopt_folder(world.folder / "fp8-wide", plain, "FP8"))


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at most one"):
        ExportSettings(base="x", out=tmp_path, adapter=tmp_path, weights=tmp_path)
    with pytest.raises(SettingError, match="--id is 'a b'"):
        ExportSettings(base="x", out=tmp_path, checkpoint_id="a b")
    with pytest.raises(SettingError, match=r"--adapter .* is no folder"):
        ExportSettings(base="x", out=tmp_path, adapter=tmp_path / "none")
    with pytest.raises(SettingError, match=r"--policy .* is no file"):
        ExportSettings(base="x", out=tmp_path, policy=tmp_path)


def test_a_published_checkpoint_is_fetched_whole(world: World) -> None:
    exported = world.export()
    registry = CheckpointRegistry(str(world.folder / "registry"))
    assert publish(exported.folder, registry.url) == exported.folder.name
    with pytest.raises(ExportError, match=r"--publish .*is in the registry already"):
        publish(exported.folder, registry.url)
    fetched = registry.fetch(exported.folder.name, world.folder / "fetched", {"onnx-int8"})
    model = read_built_model(fetched.folder / "onnx-int8")
    assert model.model_id == read_built_model(exported.folder / "onnx-int8").model_id
    data = exported.folder / "onnx-int8/model.onnx.data"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ExportError, match=r"onnx-int8/model\.onnx\.data: truncated"):
        publish(exported.folder, str(world.folder / "second"))


def test_the_command_prints_what_it_made(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", "--base", str(world.base), "--adapter", str(world.adapter), "--out", str(world.folder / "o")]
    arguments += ["--id", "it1", "--no-serving-check", "--publish", str(world.folder / "registry")]
    main(arguments)
    printed = capsys.readouterr().out
    assert "onnx-int8" in printed
    assert str(world.folder / "o/it1") in printed.replace("\n", "")
    assert CheckpointRegistry(str(world.folder / "registry")).manifest("it1")["checkpoint_id"] == "it1"
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert "exists: a checkpoint never changes" in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert "iterqr-train export --adapter runs/it1/adapter --out candidates" in capsys.readouterr().out
