"""The engines that need a GPU: ours on TensorRT-LLM, and vLLM where a Python has it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from iterqr_benchmarks.engine_comparison.peer_environment import PeerEnvironment, PeerUnavailableError
from iterqr_benchmarks.errors import BenchmarkError

TENSORRT_LLM, VLLM = "iterqr-tensorrt-llm", "vllm"
_WRONG_CONFIGURATION = 2  # exit code of `iterqr-server`
_TIMEOUT_S = 120
_NO_MODEL = "./no-such-model"  # what a host that could run it complains of instead


def check_tensorrt_llm(server: Path) -> None:
    """Asks `iterqr-server` whether it would run TensorRT-LLM here, without loading a model.

    Raises:
        BenchmarkError: It would not; the message is the server's own sentence.
    """
    command = [str(server), "engine", "run", "--engine.backend", "tensorrt_llm", "--model.name", _NO_MODEL]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode == _WRONG_CONFIGURATION:
        raise BenchmarkError(done.stderr.strip().removeprefix("iterqr-server: "))


def vllm_command(python: Path | None, model: str) -> list[str]:
    """The command line of vLLM's worker.

    Raises:
        PeerUnavailableError: No Python with vLLM is known, or the weights are not a folder that it loads.
    """
    if python is None and importlib.util.find_spec("vllm") is None:
        raise PeerUnavailableError("vllm is not installed here; give the Python of an environment that has it")
    if not Path(model).is_dir():
        raise PeerUnavailableError(f"vllm needs the model as a folder of safetensors; {model} is none")
    environment = PeerEnvironment(VLLM, (python or Path(sys.executable)).parents[1])
    return environment.command("vllm_worker", "--model", model)


def vllm_environ() -> Mapping[str, str]:
    """Environment variables of vLLM's worker; nothing is sent home."""
    return {**PeerEnvironment(VLLM, Path()).environ, "VLLM_NO_USAGE_STATS": "1", "PATH": os.environ.get("PATH", "")}
