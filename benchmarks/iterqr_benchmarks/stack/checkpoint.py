"""A tuned checkpoint for a stack to serve: one that was exported, or an adapter, which is exported here once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from iterqr_training.errors import TrainingError
from iterqr_training.export.run import run_export
from iterqr_training.export.settings import ExportSettings
from iterqr_training.export.training_run import RUN_FILE
from rich.console import Console

from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.progress import StepDisplay, step

_ADAPTER_CONFIG, _MANIFEST = "adapter_config.json", "manifest.json"


@dataclass(frozen=True, slots=True)
class ServedCheckpoint:
    """What the server's `model.name` and `rewrite.template` must be."""

    model: str
    template: str


def served_checkpoint(folder: Path, base: str, exported: Path, console: Console) -> ServedCheckpoint:
    """Returns what serves a checkpoint.

    Args:
        folder: A checkpoint's (with manifest.json), an adapter's, or that of the run that trained one.
        base: Model that an adapter is of.
        exported: Where an adapter's checkpoint is kept; what is there of the same adapter is not made again.
        console: For people.

    Raises:
        BenchmarkError: It is none of these, or cannot be exported.
    """
    if (folder / _MANIFEST).is_file():
        return _served(folder)
    adapter = next((each for each in (folder, folder / "adapter") if (each / _ADAPTER_CONFIG).is_file()), None)
    if adapter is None:
        raise BenchmarkError(
            f"--checkpoint {folder} has no {_MANIFEST} of a checkpoint, and no {_ADAPTER_CONFIG} of an adapter"
        )
    name = f"adapter-{_digest(adapter, base)}"
    with StepDisplay(console) as steps, step(steps, "checkpoint") as work:
        if not (exported / name).is_dir():
            settings = ExportSettings(
                base=base, out=exported, adapter=adapter, checkpoint_id=name, serving_check=False
            )  # the stack's server is the check
            try:
                run_export(settings, _Stages(work.detail), datetime.now(UTC))
            except TrainingError as error:
                raise BenchmarkError(f"--checkpoint {folder}: {error}") from error
        work.result = str(exported / name)
    return _served(exported / name)


def _served(folder: Path) -> ServedCheckpoint:
    models = sorted(folder.glob("onnx-*"))
    template = folder / "prompt" / "template.toml"
    if not models or not template.is_file():
        raise BenchmarkError(f"--checkpoint {folder} has no ONNX model with its prompt template: export it with one")
    return ServedCheckpoint(str(models[0].resolve()), str(template.resolve()))


class _Stages:
    """Tells a step of the stages of an export."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._name, self._total, self._done = "", 1.0, 0.0

    def stage(self, name: str, total: float) -> None:
        self._name, self._total, self._done = name, total or 1.0, 0.0
        self._tell(name)

    def advance(self, amount: float) -> None:
        self._done += amount
        self._tell(f"{self._name}: {self._done / self._total:.0%}")


def _digest(adapter: Path, base: str) -> str:
    digest = hashlib.sha256(base.encode())
    for file in sorted([*adapter.iterdir(), adapter.parent / RUN_FILE]):
        if file.is_file():
            digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
