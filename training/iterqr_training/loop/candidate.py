"""A checkpoint that was exported and not yet judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iterqr_training.errors import RunError


def only_folder(path: Path) -> Path:
    """Returns the one checkpoint's folder in a folder.

    Raises:
        RunError: There is none, or there are several.
    """
    found = [each for each in path.glob("*") if each.is_dir() and not each.name.startswith(".")]
    if len(found) != 1:
        raise RunError(f"{path} has {len(found)} checkpoints, and must have one")
    return found[0]


def candidate_flags(candidate: Path) -> Mapping[str, str]:
    """Returns the flags of `iterqr-server serve` by which a checkpoint's folder is served."""
    return {
        "model.name": str(next(candidate.glob("onnx-*"))),
        "rewrite.template": str(candidate / "prompt" / "template.toml"),
    }
