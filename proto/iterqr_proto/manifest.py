"""Reads and writes checkpoint manifests (schemas/checkpoint_manifest_v1.schema.json)."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from iterqr_proto.policy import PolicyError, read_policy


class ManifestError(ValueError):
    """A manifest breaks its schema; the message names the field."""


def schema() -> dict[str, Any]:
    """Returns the JSON schema of version 1."""
    text = (resources.files("iterqr_proto") / "schemas/checkpoint_manifest_v1.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raises ManifestError naming the first field that breaks the schema."""
    validator = Draft202012Validator(schema(), format_checker=FormatChecker())
    for error in sorted(validator.iter_errors(manifest), key=lambda e: list(map(str, e.absolute_path))):
        where = ".".join(map(str, error.absolute_path)) or "manifest"
        raise ManifestError(f"{where}: {error.message}")
    if manifest.get("policy") is not None:
        try:
            read_policy(manifest["policy"])
        except PolicyError as error:
            raise ManifestError(f"policy.{error}") from error


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads and checks a manifest.

    Raises:
        ManifestError: not JSON, or it breaks the schema.
        OSError: the file cannot be read.
    """
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}: not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise ManifestError(f"{path}: must be a JSON object")
    check_manifest(manifest)
    return manifest


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Checks a manifest and writes it whole or not at all.

    Raises:
        ManifestError: it breaks the schema; nothing is written.
    """
    check_manifest(manifest)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", "utf-8")
    os.replace(partial, path)  # noqa: PTH105 - atomic
