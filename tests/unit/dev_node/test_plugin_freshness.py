import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from iterqr_dev_node.plugin_build import is_fresh


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Source.java"
    path.touch()
    os.utime(path, (1000, 1000))
    return path


def made_at(tmp_path: Path, second: int) -> Path:
    path = tmp_path / "plugin.zip"
    path.touch()
    os.utime(path, (second, second))
    return path


def sources(*paths: Path) -> Iterator[Path]:
    return iter(paths)


def test_fresh_only_if_newer_than_every_source(tmp_path: Path, source: Path) -> None:
    assert is_fresh(made_at(tmp_path, 1001), sources(source))
    assert not is_fresh(made_at(tmp_path, 999), sources(source))


def test_what_is_not_there_is_not_fresh(tmp_path: Path, source: Path) -> None:
    assert not is_fresh(tmp_path / "missing.zip", sources(source))
