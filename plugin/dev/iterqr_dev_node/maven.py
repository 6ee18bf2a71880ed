"""Runs Maven, checksums strict, its progress handed on line by line."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iterqr_dev_node.errors import MavenError
from iterqr_dev_node.java import find_jdk

DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"

_DOWNLOADED = re.compile(r"Downloaded from \S+: (?P<url>\S+) \((?P<size>[\d.]+) (?P<unit>k?B|MB)")
_PROJECT = re.compile(r"^\[INFO\] Building (?P<name>\S+) .*\[(?P<index>\d+)/(?P<count>\d+)\]")
_UNIT_BYTES = {"B": 1, "kB": 1_000, "MB": 1_000_000}


@dataclass(frozen=True, slots=True)
class MavenProgress:
    """How far a run of Maven is: its project of the reactor, and what it downloaded until now."""

    project: str = ""
    project_index: int = 0
    project_count: int = 0
    files: int = 0
    downloaded_bytes: int = 0


ProgressListener = Callable[[MavenProgress], None]


@dataclass(frozen=True, slots=True)
class MavenRun:
    """A finished run."""

    returncode: int
    output: str


def advance(progress: MavenProgress, line: str) -> MavenProgress:
    """The progress after one more line of Maven's output."""
    if downloaded := _DOWNLOADED.search(line):
        size = round(float(downloaded["size"]) * _UNIT_BYTES[downloaded["unit"]])
        return MavenProgress(
            project=progress.project,
            project_index=progress.project_index,
            project_count=progress.project_count,
            files=progress.files + 1,
            downloaded_bytes=progress.downloaded_bytes + size,
        )
    if project := _PROJECT.match(line):
        return MavenProgress(
            project=project["name"],
            project_index=int(project["index"]),
            project_count=int(project["count"]),
            files=progress.files,
            downloaded_bytes=progress.downloaded_bytes,
        )
    return progress


def run_maven(
    folder: Path,
    arguments: Sequence[str],
    on_progress: ProgressListener | None = None,
    *,
    strict_checksums: bool = True,
) -> MavenRun:
    """Runs Maven in a folder to its end.

    Uses the JDK of `find_jdk` and, where set, the local repository that `MAVEN_REPO_LOCAL` names. With
    `strict_checksums`, a download whose published checksum is missing or differs fails.

    Raises:
        MavenError: If Maven is not installed. A run that fails is returned, not raised.
        JavaNotFoundError: If there is no JDK.
    """
    executable = shutil.which("mvn")
    if executable is None:
        raise MavenError("Maven (mvn) is not on PATH; install it to assemble OpenSearch or build the plugin")
    environ = {**os.environ, "JAVA_HOME": str(find_jdk().home)}
    checksums = "--strict-checksums" if strict_checksums else "--lax-checksums"
    command = [executable, "-B", checksums, *_local_repository(environ), *arguments]
    lines: list[str] = []
    progress = MavenProgress()
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None  # noqa: S101 - requested above
        for line in process.stdout:
            lines.append(line)
            advanced = advance(progress, line)
            if on_progress is not None and advanced is not progress:
                on_progress(advanced)
            progress = advanced
    return MavenRun(returncode=process.returncode, output="".join(lines))


def error_lines(run: MavenRun, limit: int = 15) -> str:
    """The lines of a failed run that say why."""
    errors = [line for line in run.output.splitlines() if line.startswith("[ERROR]")]
    return "\n".join((errors or run.output.splitlines())[:limit])


def copy_artifact(
    coordinates: str, folder: Path, on_progress: ProgressListener | None = None, *, sha256: str | None = None
) -> Path:
    """Puts one artifact, without what it depends on, into an empty folder.

    Args:
        coordinates: `group:artifact:version:packaging`.
        folder: Empty; gets one file.
        on_progress: Told about downloads.
        sha256: The digest it must have, for an artifact that Central publishes without checksums.

    Raises:
        MavenError: If it cannot be resolved or has another digest.
    """
    goal = f"{DEPENDENCY_PLUGIN}:copy"
    arguments = [goal, f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}"]
    run = run_maven(folder, arguments, on_progress, strict_checksums=sha256 is None)
    files = list(folder.iterdir())
    if run.returncode or len(files) != 1:
        raise MavenError(f"Maven could not fetch {coordinates}\n{error_lines(run)}")
    if sha256 is not None:
        found = hashlib.sha256(files[0].read_bytes()).hexdigest()
        if found != sha256:
            raise MavenError(f"{coordinates} has digest {found}, not {sha256}; remove it from Maven's local repository")
    return files[0]


def _local_repository(environ: Mapping[str, str]) -> list[str]:
    local = environ.get("MAVEN_REPO_LOCAL")
    return [f"-Dmaven.repo.local={local}"] if local else []
