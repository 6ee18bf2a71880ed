"""What a registry holds: checkpoints that never change, seen whole or not at all, and held against their digests."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from iterqr_proto.manifest import ManifestError
from iterqr_proto.registry import (
    CheckpointDamagedError,
    CheckpointExistsError,
    CheckpointNotFoundError,
    CheckpointRegistry,
    RegistryState,
    RegistryUnreachableError,
    Split,
    SplitError,
    StateConflictError,
    StateUnreadableError,
)
from iterqr_proto.registry.storage import Storage
from support.checkpoints import checkpoint_folder


@pytest.fixture(params=["folder", "object store"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A registry's address; fsspec's memory file system has what matters of an object store."""
    return str(tmp_path / "registry") if request.param == "folder" else f"memory://registry-{uuid.uuid4().hex}"


def test_publish_list_fetch(url: str, tmp_path: Path) -> None:
    registry = CheckpointRegistry(url)
    assert registry.list_checkpoints() == ()
    old = checkpoint_folder(tmp_path, "it1", created_at="2026-11-27T20:00:00+00:00")
    new = checkpoint_folder(tmp_path, "it2", {"onnx/model.onnx": b"graph", "onnx/model.json": b"{}"})
    (new / "MODEL_CARD.md").write_text("# it2\n", "utf-8")
    assert [registry.publish(new), registry.publish(old)] == ["it2", "it1"]
    assert [checkpoint.checkpoint_id for checkpoint in registry.list_checkpoints()] == ["it2", "it1"]
    fetched = CheckpointRegistry(url).fetch("it2", tmp_path / "cache", kinds=["onnx-int4"])
    assert fetched.folder == tmp_path / "cache" / "it2"
    assert (fetched.folder / "onnx/model.onnx").read_bytes() == b"graph"
    assert [file.path for file in fetched.files] == ["onnx/model.onnx", "onnx/model.json"]
    assert json.loads((fetched.folder / "manifest.json").read_text("utf-8")) == registry.manifest("it2")
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["it2"]
    assert Storage(url).read("checkpoints/it2/MODEL_CARD.md") == b"# it2\n"


def test_an_id_is_taken_once(url: str, tmp_path: Path) -> None:
    registry = CheckpointRegistry(url)
    registry.publish(checkpoint_folder(tmp_path, "it1"))
    other = checkpoint_folder(tmp_path / "other", "it1", {"onnx/model.onnx": b"other"})
    with pytest.raises(CheckpointExistsError, match="it1"):
        registry.publish(other)
    assert registry.fetch("it1", tmp_path / "cache").folder.joinpath("onnx/model.onnx").read_bytes() == b"graph of it1"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _alter(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def _prolong(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


FAULTS = [(_truncate, "truncated"), (_alter, "altered"), (_prolong, "too long"), (Path.unlink, "missing")]


@pytest.mark.parametrize(("damage", "reason"), FAULTS)
def test_a_damaged_folder_is_not_published(
    url: str, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    folder = checkpoint_folder(tmp_path, "it1")
    damage(folder / "onnx/model.onnx")
    with pytest.raises(CheckpointDamagedError, match=rf"onnx/model\.onnx: {reason}"):
        CheckpointRegistry(url).publish(folder)
    assert CheckpointRegistry(url).list_checkpoints() == ()


@pytest.mark.parametrize(("damage", "reason"), FAULTS)
def test_a_damaged_artifact_is_not_fetched(tmp_path: Path, damage: Callable[[Path], None], reason: str) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    registry.publish(checkpoint_folder(tmp_path, "it1"))
    damage(tmp_path / "registry/checkpoints/it1/onnx/model.onnx")
    with pytest.raises(CheckpointDamagedError, match=rf"it1: onnx/model\.onnx: {reason}"):
        registry.fetch("it1", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("damage", "reason"), FAULTS)
def test_a_damaged_cache_is_fetched_again(tmp_path: Path, damage: Callable[[Path], None], reason: str) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    registry.publish(checkpoint_folder(tmp_path, "it1"))
    cached = registry.fetch("it1", tmp_path / "cache").folder / "onnx/model.onnx"
    damage(cached)
    registry.fetch("it1", tmp_path / "cache")
    assert cached.read_bytes() == b"graph of it1"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["it1"]


def test_processes_that_share_a_cache_may_fetch_at_once(tmp_path: Path) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    registry.publish(checkpoint_folder(tmp_path, "it1", {"a": b"1" * 10_000, "b": b"2" * 10_000}))
    start = threading.Barrier(6)

    def fetch(_number: int) -> bytes:
        start.wait()
        return (CheckpointRegistry(registry.url).fetch("it1", tmp_path / "cache").folder / "b").read_bytes()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(fetch, range(6))) == {b"2" * 10_000}
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["it1"]


def test_what_is_not_there(url: str, tmp_path: Path) -> None:
    registry = CheckpointRegistry(url)
    registry.publish(checkpoint_folder(tmp_path, "it1", kind="lora-adapter"))
    with pytest.raises(CheckpointNotFoundError, match="it9: not in the registry"):
        registry.manifest("it9")
    with pytest.raises(CheckpointNotFoundError, match=r"\.\./it1"):
        registry.manifest("../it1")
    with pytest.raises(CheckpointNotFoundError, match="no artifact of kind onnx-int4, only lora-adapter"):
        registry.fetch("it1", tmp_path / "cache", kinds=["onnx-int4"])


def test_a_broken_manifest_is_listed_with_its_problem(tmp_path: Path) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    for name in ("it1", "it2", "it3"):
        registry.publish(checkpoint_folder(tmp_path, name))
    (tmp_path / "registry/checkpoints/it1/manifest.json").write_text("{", "utf-8")
    taken = (tmp_path / "registry/checkpoints/it3/manifest.json").read_bytes()
    (tmp_path / "registry/checkpoints/it2/manifest.json").write_bytes(taken)
    problems = {checkpoint.checkpoint_id: checkpoint.problem for checkpoint in registry.list_checkpoints()}
    assert problems["it3"] == ""
    assert "not JSON" in problems["it1"]
    assert "is that of it3" in problems["it2"]
    broken = checkpoint_folder(tmp_path, "it4")
    (broken / "manifest.json").write_text("[]", "utf-8")
    with pytest.raises(ManifestError):
        registry.publish(broken)


def test_the_state_is_written_by_generation(url: str) -> None:
    registry = CheckpointRegistry(url, clock=lambda: 1_764_360_000.0)
    assert registry.read_state() == RegistryState()
    first = registry.write_state(Split("it1"), expected_generation=0, writer="a", reason="first")
    second = registry.write_state(Split("it1", "it2", 5), expected_generation=1, writer="b")
    assert (first.generation, second.generation) == (1, 2)
    assert CheckpointRegistry(url).read_state() == second
    assert (second.split, second.writer) == (Split("it1", "it2", 5), "b")
    assert second.written_at == "2025-11-28T20:00:00.000+00:00"
    with pytest.raises(StateConflictError, match="generation 2, not 1"):
        registry.write_state(Split("it3"), expected_generation=1)
    assert registry.read_state() == second


@pytest.mark.parametrize(
    ("split", "field"),
    [
        (Split("../x"), "champion"),
        (Split("a", "b", 101), "canary_percent: must be 0 to 100, got 101"),
        (Split("a", "b", -1), "canary_percent"),
        (Split("a", "", 1), "canary_percent: must be 0 without a canary"),
        (Split("a", "a", 1), "canary: must be another"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused_by_field(url: str, split: Split, field: str) -> None:
    with pytest.raises(SplitError, match=field):
        CheckpointRegistry(url).write_state(split, expected_generation=0)
    assert CheckpointRegistry(url).read_state() == RegistryState()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"generation": "7"}, "generation: must be int"),
        ({"generation": 0}, "generation: must be at least 1"),
        ({"state_version": 2}, "state_version"),
        ({"canary_percent": 7}, "canary_percent"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_unreadable_state_is_refused_by_field(tmp_path: Path, change: dict[str, object], field: str) -> None:
    registry = CheckpointRegistry(str(tmp_path))
    registry.write_state(Split("it1"), expected_generation=0)
    path = tmp_path / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change), "utf-8")
    damaged = path.read_text("utf-8")
    with pytest.raises(StateUnreadableError, match=field):
        registry.read_state()
    with pytest.raises(StateUnreadableError, match=field):
        registry.write_state(Split("it2"), expected_generation=1)
    assert path.read_text("utf-8") == damaged


def test_an_unknown_scheme_and_a_store_that_fails(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnreachableError, match="nosuch"):
        CheckpointRegistry("nosuch://bucket")
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(RegistryUnreachableError, match="file"):
        CheckpointRegistry(str(tmp_path / "file")).write_state(Split("it1"), expected_generation=0)
