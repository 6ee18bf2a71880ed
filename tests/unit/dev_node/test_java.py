from pathlib import Path

import pytest
from iterqr_dev_node import JavaNotFoundError, java
from iterqr_dev_node.java import find_jdk, read_jdk


@pytest.fixture(autouse=True)
def _only_the_tests_jdks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_INSTALL_FOLDERS", ("~/jdks/*",))


def make_jdk(home: Path, version: str, *, compiler: bool = True) -> Path:
    (home / "bin").mkdir(parents=True)
    for name in ("java", "javac") if compiler else ("java",):
        (home / "bin" / name).write_text("#!/bin/sh\n")
        (home / "bin" / name).chmod(0o755)
    (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.mark.parametrize(("version", "major"), [("25.0.3", 25), ("21", 21), ("17.0.15", 17), ("1.8.0_412", 8)])
def test_reads_the_major_version(tmp_path: Path, version: str, major: int) -> None:
    jdk = read_jdk(make_jdk(tmp_path / "jdk", version))
    assert jdk is not None
    assert jdk.major == major


def test_a_runtime_without_compiler_is_no_jdk(tmp_path: Path) -> None:
    assert read_jdk(make_jdk(tmp_path / "jre", "25", compiler=False)) is None


def test_java_home_wins(tmp_path: Path) -> None:
    chosen = make_jdk(tmp_path / "chosen", "21.0.1")
    make_jdk(tmp_path / "jdks" / "newer", "25.0.1")
    assert find_jdk({"JAVA_HOME": str(chosen), "HOME": str(tmp_path)}).home == chosen


def test_java_on_the_path_is_found_through_links(tmp_path: Path) -> None:
    home = make_jdk(tmp_path / "jdk-22", "22.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_jdk({"PATH": str(tmp_path / "bin")}).home == home


def test_one_that_is_too_old_is_passed_over_for_the_newest_installed(tmp_path: Path) -> None:
    old = make_jdk(tmp_path / "old", "17.0.15")
    make_jdk(tmp_path / "jdks" / "a", "21.0.2")
    newest = make_jdk(tmp_path / "jdks" / "b", "25.0.3")
    found = find_jdk({"JAVA_HOME": str(old), "HOME": str(tmp_path)})
    assert (found.home, found.major) == (newest, 25)


def test_the_error_names_what_was_too_old(tmp_path: Path) -> None:
    old = make_jdk(tmp_path / "jdks" / "old", "17.0.15")
    with pytest.raises(JavaNotFoundError, match=f"21 or later found.*17 in {old}.*JAVA_HOME"):
        find_jdk({"HOME": str(tmp_path)})
