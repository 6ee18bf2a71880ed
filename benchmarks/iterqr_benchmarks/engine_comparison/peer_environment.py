"""The peers' environments and models: made once, in the cache, apart from the project's own environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iterqr_dev_node.cache import build_once, cache_folder

from iterqr_benchmarks.errors import BenchmarkError

_PEERS = Path(__file__).parent / "peers"
_PACKAGE_ROOT = Path(__file__).parents[2]
_MODULE = "iterqr_benchmarks.engine_comparison.peers"
_READ_BYTES = 1 << 22
_KEY_DIGITS = 12
# Its vision models are not used here, and their part takes a third of the compilation.
_BUILD_ENVIRON = {"CMAKE_ARGS": "-DLLAVA_BUILD=OFF", "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)}


class PeerUnavailableError(BenchmarkError):
    """A peer cannot be had on this machine; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """A virtual environment with one peer, made from its locked requirements."""

    peer: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables for its processes: they see this package and nothing else of the project."""
        return {**os.environ, "PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONUNBUFFERED": "1"}

    def command(self, module: str, *arguments: str) -> list[str]:
        """The command line that runs a module of `peers/`."""
        return [str(self.python), "-m", f"{_MODULE}.{module}", *arguments]


def find_uv(given: Path | None) -> Path:
    """Returns the uv to install with: the given one, else the one `make` installed, else that on the path.

    Raises:
        PeerUnavailableError: There is none.
    """
    tools = sorted(cache_folder().glob("tools/uv-*/bin/uv"))
    found = given or (tools[-1] if tools else None) or shutil.which("uv")
    if found is None:
        raise PeerUnavailableError("uv is not there; run `make bench-engine`, which installs it")
    return Path(found)


def environment_of(peer: str) -> PeerEnvironment:
    """Where a peer's environment is or will be; another lock file means another folder."""
    key = hashlib.sha256(_requirements(peer).read_bytes() + sys.version.encode()).hexdigest()[:_KEY_DIGITS]
    return PeerEnvironment(peer, cache_folder() / "peers" / f"{peer}-{key}")


def ensure_environment(peer: str, uv: Path, log: Path) -> PeerEnvironment:
    """Installs a peer from its locked requirements, if it is not there yet.

    Raises:
        PeerUnavailableError: It cannot be installed.
    """
    environment = environment_of(peer)

    def install(folder: Path) -> None:
        uv_cache = os.environ.get("UV_CACHE_DIR", str(cache_folder() / "uv"))  # as in the Makefile
        environ = {**os.environ, **_BUILD_ENVIRON, "UV_CACHE_DIR": uv_cache, "UV_PYTHON_DOWNLOADS": "never"}
        # Relocatable: it is made under another name and moved when it is whole.
        _call(
            [str(uv), "venv", "--quiet", "--relocatable", "--python", sys.executable, str(folder)], environ, log, peer
        )
        sync = ["pip", "sync", "--quiet", "--require-hashes", "--python", str(folder / "bin" / "python")]
        _call([str(uv), *sync, str(_requirements(peer))], environ, log, peer)

    build_once(environment.folder, install)
    return environment


def ensure_q4_0(environment: PeerEnvironment, source: Path, log: Path) -> Path:
    """Returns the GGUF file of Q4_0 tensors made from `source`.

    Raises:
        PeerUnavailableError: It cannot be made.
    """

    def make(folder: Path) -> None:
        command = environment.command("q4_0", str(source), str(folder / "model.gguf"))
        _call(command, environment.environ, log, environment.peer)

    return build_once(_model_folder(source, "q4_0"), make) / "model.gguf"


def ensure_onnxruntime_genai_model(environment: PeerEnvironment, source: Path, log: Path) -> Path:
    """Returns the folder that ONNX Runtime GenAI loads, made from `source`.

    Raises:
        PeerUnavailableError: It cannot be made.
    """

    def make(folder: Path) -> None:
        command = environment.command("onnxruntime_genai_model", str(source), str(folder))
        _call(command, environment.environ, log, environment.peer)

    return build_once(_model_folder(source, "onnxruntime_genai_model"), make)


def _requirements(peer: str) -> Path:
    return _PEERS / f"{peer}.txt"


def _model_folder(source: Path, maker: str) -> Path:
    """Named for what it is made of and by: another source or another maker means another folder."""
    digest = hashlib.sha256((_PEERS / f"{maker}.py").read_bytes())
    with source.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return cache_folder() / "peers" / "models" / f"{maker}-{digest.hexdigest()[:_KEY_DIGITS]}"


def _call(command: Sequence[str], environ: Mapping[str, str], log: Path, peer: str) -> None:
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, env=dict(environ), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # with the compiler it may have started
            process.wait()
            raise
    if status:
        raise PeerUnavailableError(f"{peer} cannot be installed or prepared here; the reason is at the end of {log}")
