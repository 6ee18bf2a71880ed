"""The servers that `SwapConformance` is run against, each over an engine, with room for two models or for one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import write_manifest
from iterqr_proto.registry import CheckpointRegistry
from iterqr_server.backends import onnxruntime, tensorrt_llm
from iterqr_server.backends.onnx_checkpoints import OnnxCheckpointEngines
from iterqr_server.backends.tensorrt_llm_checkpoints import TensorRtLlmCheckpointEngines
from iterqr_server.config import ModelConfig
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.models.built_model import DATA_FILE, read_built_model
from iterqr_server.models.cache import sha256_of
from support.checkpoint_server import BASE_ID, BEHAVIOUR, CheckpointServer, checkpoint_server, publish
from support.checkpoints import checkpoint_folder
from support.engines_under_test import script as judging_script
from support.predictable import last_query
from support.rewrite_server import answer
from support.swap_conformance import GOOD, SwapUnderTest
from support.tensorrt_llm_double.installing import HOPPER, Double, installed_double, settings_for_double

ANOTHER = {"name": "another", "sha256": "b" * 64}
SETTINGS: Mapping[str, Any] = {"alarm_latency_ratio": 100, "drain_s": 20}
"""A busy machine is no alarm."""


@contextmanager
def predictable_swap(folder: Path, *, holds_two: bool) -> Iterator[SwapUnderTest]:
    """Predictable tokens; each checkpoint's rewrites end in its id."""
    registry = CheckpointRegistry(str(folder / "registry"))
    for name in (*GOOD, "damaged"):
        publish(registry, name, folder)
    publish(registry, "wrong-base", folder, manifest={"base_model": ANOTHER})
    _cut(registry, "damaged", BEHAVIOUR)
    settings = {"checkpoints": {**SETTINGS, "swap": "auto" if holds_two else "reload"}}
    with checkpoint_server(registry, folder / "cache", settings) as server:
        yield SwapUnderTest(server, BASE_ID, holds_two, is_marked=True)


@contextmanager
def tensorrt_llm_swap(folder: Path, *, holds_two: bool) -> Iterator[SwapUnderTest]:
    """TensorRT-LLM's double on a GPU that has room for one or for two."""
    with double_server(folder, free_beside=lambda _alive: 40 << 30 if holds_two else 2 << 30) as (server, _, base_id):
        yield SwapUnderTest(server, base_id, holds_two, is_marked=True)


@contextmanager
def double_server(
    folder: Path,
    free_beside: Callable[[int], int | None],
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[tuple[CheckpointServer, Double, str]]:
    """A server over the double, and its base's id. `free_beside`: bytes free while so many models are in memory."""
    registry = CheckpointRegistry(str(folder / "registry"))
    with installed_double(folder, _marked("base")) as double:
        base = {"name": "checkpoint", "sha256": _digest_of_folder(double.checkpoint)}
        files = {f"hf/{path.name}": path.read_bytes() for path in sorted(double.checkpoint.iterdir())}
        for name in (*GOOD, "damaged", "wrong-base"):
            double.behaviour.scripts[name] = _marked(name)
            base_of = ANOTHER if name == "wrong-base" else base
            source = checkpoint_folder(folder, name, files, kind="hf-safetensors", base_model=base_of)
            registry.publish(source)
        _cut(registry, "damaged", "hf/model.safetensors")
        sections = {name: dict(fields) for name, fields in (settings or {}).items()}
        sections["checkpoints"] = {**SETTINGS, **sections.get("checkpoints", {})}
        of_engine = settings_for_double(**{k: v for k, v in sections.items() if k != "checkpoints"})

        def open_engine(model: Path) -> GenerationEngine:
            return tensorrt_llm.create_engine(model, of_engine)

        def free(_gpu: object) -> int | None:
            alive = sum(not llm.is_shut_down for llm in double.llms)
            return free_beside(alive) if alive else HOPPER.memory_bytes

        engines = TensorRtLlmCheckpointEngines(
            open_engine, lambda: double.checkpoint, of_engine, gpus=lambda: (HOPPER,), free_of=free
        )
        overrides = {
            name: fields
            for name, fields in of_engine.model_dump().items()
            if name in ("engine", "tensorrt_llm", "rewrite")
        }
        with checkpoint_server(
            registry,
            folder / "cache",
            {**overrides, "checkpoints": sections["checkpoints"]},
            engines=engines,
            open_base=lambda: open_engine(double.checkpoint),
        ) as server:
            yield server, double, open_engine(double.checkpoint).model_id


@contextmanager
def onnxruntime_swap(folder: Path, model_folder: Path) -> Iterator[SwapUnderTest]:
    """ONNX Runtime with a built model, and room for one; its checkpoints are the same weights."""
    registry = CheckpointRegistry(str(folder / "registry"))
    for name in GOOD:
        publish_built(registry, name, model_folder, folder)
    base = {"name": ModelConfig().name, "sha256": read_built_model(model_folder).source_sha256}
    for name in ("damaged", "wrong-base"):  # which is found before anything is loaded
        files = {f"onnx/{DATA_FILE}": b"weights"}
        base_of = ANOTHER if name == "wrong-base" else base
        registry.publish(checkpoint_folder(folder, name, files, kind="onnx-int8", base_model=base_of))
    _cut(registry, "damaged", f"onnx/{DATA_FILE}")
    limits = EngineSettings(max_running=4, max_waiting=64)

    def open_engine(model: Path) -> GenerationEngine:
        return onnxruntime.create_engine(model, limits)

    engines = OnnxCheckpointEngines(open_engine, lambda: model_folder, limits.arena_positions, lambda: 1 << 40)
    checkpoints = {**SETTINGS, "swap": "reload", "probe_max_ms": 170_000}
    overrides = {
        "engine": {"max_running": 4},
        "checkpoints": checkpoints,
        "rewrite": {"template": "", "max_new_tokens": 96, "default_deadline_ms": 180_000},
    }
    with checkpoint_server(
        registry,
        folder / "cache",
        overrides,
        engines=engines,
        open_base=lambda: open_engine(model_folder),
        timeout_s=200,
    ) as server:
        base_id = server.state().traffic_split.champion_checkpoint_id
        yield SwapUnderTest(server, base_id, holds_two=False, is_marked=False, load_threads=1, calls=2)


def _marked(mark: str) -> Callable[[str], str]:
    def script(prompt: str) -> str:
        if "\nrewrite: " in prompt:
            return judging_script(prompt)
        query = last_query(prompt)
        return answer(query, [f"{query} {mark}"])

    return script


def _cut(registry: CheckpointRegistry, checkpoint_id: str, path: str) -> None:
    """A file loses its last bytes in the registry."""
    file = Path(registry.url) / "checkpoints" / checkpoint_id / path
    content = file.read_bytes()
    file.unlink()  # it may be a link to another's
    file.write_bytes(content[:-3])


def publish_built(
    registry: CheckpointRegistry, checkpoint_id: str, built: Path, parent: Path, kind: str = "onnx-int8"
) -> None:
    """Publishes a built model's folder as it is."""
    folder = parent / checkpoint_id
    shutil.copytree(built, folder / "onnx")
    files = [
        {"path": f"onnx/{path.name}", "size_bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted((folder / "onnx").iterdir())
    ]
    manifest = {
        "manifest_version": 1,
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": None,
        "base_model": {"name": ModelConfig().name, "sha256": read_built_model(built).source_sha256},
        "format_version": "v1",
        "artifacts": [{"kind": kind, "files": files}],
        "gate_report": None,
        "data_sha256": None,
        "created_at": "2026-11-28T20:00:00Z",
    }
    write_manifest(folder / "manifest.json", manifest)
    registry.publish(folder)
    shutil.rmtree(folder)


def _digest_of_folder(folder: Path) -> str:
    """As export digests a base of several files: their names and digests, sorted."""
    names = ("config.json", "model.safetensors", "tokenizer.json")
    listed = "".join(f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n" for name in names)
    return hashlib.sha256(listed.encode()).hexdigest()
