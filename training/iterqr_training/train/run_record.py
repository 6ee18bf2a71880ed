"""run.json: what a run is made of, and how it ended. Written when it begins, and again when it is finished."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import FORMAT_VERSION, SCORING_VERSION

from iterqr_training.errors import RunError
from iterqr_training.files import write_json
from iterqr_training.machine import this_machine
from iterqr_training.train.settings import TrainSettings, differing, settings_json

RUN_FILE = "run.json"
_SCHEMA = "iterqr-run/v1"
_PACKAGES = ("iterqr-training", "torch", "transformers", "peft", "accelerate", "tokenizers", "numpy")
_DIGESTS = ("base_model", "prompt_template", "dataset")


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a run learns from and starts at: names and SHA-256 digests, and counts of examples."""

    base_name: str
    base_sha256: str
    template_name: str
    template_sha256: str
    dataset_sha256: Mapping[str, str]
    examples: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, Mapping[str, Any]]


def begun_record(settings: TrainSettings, parts: Ingredients, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record of a run that begins."""
    return {
        "schema": _SCHEMA,
        "status": "running",
        "base_model": {"name": parts.base_name, "sha256": parts.base_sha256},
        "prompt_template": {"name": parts.template_name, "sha256": parts.template_sha256},
        "format_version": FORMAT_VERSION,
        "scoring_version": SCORING_VERSION,
        "dataset": {
            "folder": str(settings.dataset),
            "sha256": dict(parts.dataset_sha256),
            "examples": {split: dict(counts) for split, counts in parts.examples.items()},
            "left_out": {split: dict(counts) for split, counts in parts.left_out.items()},
        },
        "settings": settings_json(settings),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES},
        "machine": {**asdict(this_machine()), **machine},
    }


def read_record(folder: Path) -> dict[str, Any] | None:
    """Returns the record of the run in `folder`; None if there is none.

    Raises:
        RunError: It is damaged or of another version.
    """
    file = folder / RUN_FILE
    try:
        record: dict[str, Any] = json.loads(file.read_text("utf-8"))
        schema = record["schema"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error!r}); start anew with --restart") from error
    if schema != _SCHEMA:
        raise RunError(f"{file} is of version {schema!r}, and this reads {_SCHEMA!r}; start anew with --restart")
    return record


def check_same_run(record: Mapping[str, Any], begun: Mapping[str, Any], settings: TrainSettings, folder: Path) -> None:
    """Raises RunError where the run in `folder` is of other settings, data, base or template than those asked for."""
    changed = differing(record["settings"], settings)
    for name in _DIGESTS:
        if record[name]["sha256"] != begun[name]["sha256"]:
            changed.append(name)
    if changed:
        raise RunError(
            f"{folder} holds a run with other {', '.join(changed)}; give another --out, or start anew with --restart"
        )


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes run.json as a whole."""
    write_json(folder / RUN_FILE, record)
