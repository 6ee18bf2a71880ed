import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from iterqr_dev_node.cache import build_once, cache_folder


def test_builds_what_is_not_there_and_only_then(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(partial: Path) -> None:
        built.append(partial)
        (partial / "file").write_text("content")

    target = tmp_path / "cache" / "thing"
    assert build_once(target, build) == target
    assert build_once(target, build) == target
    assert len(built) == 1
    assert (target / "file").read_text() == "content"


def test_a_failed_build_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    target = tmp_path / "thing"

    def fail(partial: Path) -> None:
        (partial / "half").write_text("")
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        build_once(target, fail)
    assert [each.name for each in tmp_path.iterdir() if not each.name.endswith(".lock")] == []
    assert build_once(target, lambda partial: (partial / "whole").touch()).is_dir()
    assert [each.name for each in target.iterdir()] == ["whole"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".thing.partial-x1" / "half").mkdir(parents=True)
    build_once(tmp_path / "thing", lambda partial: (partial / "whole").touch())
    assert sorted(each.name for each in tmp_path.iterdir()) == [".thing.lock", "thing"]


def test_concurrent_callers_build_once_and_all_see_it_whole(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    started = threading.Event()
    builds: list[int] = []

    def build(partial: Path) -> None:
        builds.append(1)
        started.set()
        for number in range(50):
            (partial / str(number)).write_text("x")

    def ask() -> int:
        return len(list(build_once(target, build).iterdir()))

    with ThreadPoolExecutor(max_workers=8) as pool:
        seen = [each.result() for each in [pool.submit(ask) for _ in range(8)]]
    assert started.is_set()
    assert seen == [50] * 8
    assert len(builds) == 1


def test_the_cache_folder_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder({"ITERQR_CACHE": str(tmp_path)}) == tmp_path
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder({}) == Path("/home/someone/.cache/iterqr")
