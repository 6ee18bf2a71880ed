"""Builds this checkout's plugin with Maven when its sources are newer than its zip."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from iterqr_dev_node.components import DEFAULT_VERSION
from iterqr_dev_node.errors import MavenError
from iterqr_dev_node.maven import ProgressListener, error_lines, run_maven


def plugin_folder() -> Path:
    """The Maven project this package lies in.

    Raises:
        MavenError: If the package is installed apart from a checkout.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "pom.xml").is_file():
        raise MavenError(f"no plugin sources at {folder}: the plugin is built from a checkout")
    return folder


def plugin_zip(version: str = DEFAULT_VERSION) -> Path:
    """Where the zip for an OpenSearch version lies once it is built."""
    return plugin_folder() / "target" / version / f"iterqr-opensearch-{version}.zip"


def build_plugin(
    version: str = DEFAULT_VERSION, *, force: bool = False, on_progress: ProgressListener | None = None
) -> Path:
    """Returns the plugin's zip for a version, built first if a source is newer. Does not run the plugin's own tests.

    Raises:
        MavenError: If the build fails.
    """
    folder = plugin_folder()
    target = plugin_zip(version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent.parent / f".{version}.lock"):
        if not force and is_fresh(target, _sources(folder)):
            return target
        started_ns = time.time_ns()
        run = run_maven(folder, ["-q", f"-Dopensearch.version={version}", "-DskipTests", "package"], on_progress)
        if run.returncode:
            raise MavenError(f"Maven could not build the plugin for OpenSearch {version}\n{error_lines(run)}")
        if not target.is_file():
            raise MavenError(f"Maven built no {target}")
        # As old as the sources it was built from: one that was edited during the build is newer.
        os.utime(target, ns=(started_ns, started_ns))
    return target


def is_fresh(target: Path, sources: Iterator[Path]) -> bool:
    """Tells whether `target` exists and is newer than every source."""
    if not target.is_file():
        return False
    built_ns = target.stat().st_mtime_ns
    return all(source.stat().st_mtime_ns < built_ns for source in sources)


def _sources(folder: Path) -> Iterator[Path]:
    yield folder / "pom.xml"
    for sources in (folder / "src" / "main", folder.parent / "proto" / "iterqr"):
        yield from (
            path for path in sources.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyi", ".pyc")
        )
