"""Checkpoint manifests."""

import copy
from pathlib import Path
from typing import Any

import pytest
from iterqr_proto.manifest import ManifestError, check_manifest, read_manifest, write_manifest

MANIFEST: dict[str, Any] = {
    "manifest_version": 1,
    "checkpoint_id": "qwen2.5-0.5b-it3",
    "parent_checkpoint_id": "qwen2.5-0.5b-it2",
    "base_model": {"name": "Qwen2.5-0.5B-Instruct", "sha256": "a" * 64},
    "format_version": "v1",
    "artifacts": [
        {"kind": "onnx-int4", "files": [{"path": "onnx/model.onnx", "size_bytes": 1, "sha256": "b" * 64}]},
    ],
    "gate_report": None,
    "data_sha256": "c" * 64,
    "created_at": "2026-11-23T20:00:00Z",
}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, MANIFEST)
    assert read_manifest(path) == MANIFEST
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"checkpoint_id": "../up"}, "checkpoint_id"),
        ({"manifest_version": 2}, "manifest_version"),
        ({"base_model": {"name": "x", "sha256": "short"}}, r"base_model\.sha256"),
        ({"artifacts": []}, "artifacts"),
        ({"artifacts": [{"kind": "pickle", "files": MANIFEST["artifacts"][0]["files"]}]}, r"artifacts\.0\.kind"),
        ({"surprise": 1}, "surprise"),
        ({"policy": "strict"}, "policy"),
        ({"policy": {"policy_version": 1, "policy_id": "x", "strength_factor": [[0, 0], [1, 1]]}}, "strength_factor"),
    ],
)
def test_broken_manifest_is_refused_by_name(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    path = tmp_path / "manifest.json"
    with pytest.raises(ManifestError, match=field):
        write_manifest(path, MANIFEST | change)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/etc/passwd", "../../secret", "a/../../b", "c:\\x"])
def test_artifact_paths_stay_inside_the_checkpoint(path: str) -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["artifacts"][0]["files"][0]["path"] = path
    with pytest.raises(ManifestError, match=r"artifacts\.0\.files\.0\.path"):
        check_manifest(manifest)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_not_a_manifest(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ManifestError):
        read_manifest(path)


def test_a_manifest_may_carry_a_policy() -> None:
    check_manifest(MANIFEST | {"policy": {"policy_version": 1, "policy_id": "it3"}})
    check_manifest(MANIFEST | {"policy": None})


def test_a_manifest_may_name_the_prompt_template_and_artifacts_of_eight_bits() -> None:
    template = {"name": "food_delivery_tuned", "sha256": "d" * 64}
    files = MANIFEST["artifacts"][0]["files"]
    artifacts = [{"kind": kind, "files": files} for kind in ("onnx-int8", "prompt-template")]
    check_manifest(MANIFEST | {"prompt_template": template, "artifacts": artifacts})
    check_manifest(MANIFEST | {"prompt_template": None})
    with pytest.raises(ManifestError, match=r"prompt_template.*'sha256' is a required property"):
        check_manifest(MANIFEST | {"prompt_template": {"name": "terse"}})
