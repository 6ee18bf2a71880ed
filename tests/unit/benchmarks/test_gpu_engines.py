"""The comparison on a GPU, as it is on a host without one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from iterqr_benchmarks.engine_comparison.engines import ENGINES, ENGINES_OF, OURS, REMARKS, needs_built_model
from iterqr_benchmarks.engine_comparison.gpu_engines import (
    TENSORRT_LLM,
    VLLM,
    check_tensorrt_llm,
    vllm_command,
    vllm_environ,
)
from iterqr_benchmarks.engine_comparison.peer_environment import PeerUnavailableError
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.main import main
from iterqr_benchmarks.stack.server_process import server_command
from iterqr_server.backends.nvidia_gpu import find_gpus

NO_GPU = pytest.mark.skipif(bool(find_gpus()), reason="this host has a GPU")


def server(tmp_path: Path, script: str) -> Path:
    command = tmp_path / "iterqr-server"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return command


def test_every_engine_is_ours_or_a_peer_and_says_what_it_is() -> None:
    assert set(ENGINES) == REMARKS.keys()
    assert set(OURS) < set(ENGINES)
    assert ENGINES_OF["tensorrt_llm"] == (TENSORRT_LLM, VLLM)
    assert not needs_built_model(ENGINES_OF["tensorrt_llm"])
    assert needs_built_model((TENSORRT_LLM, "iterqr"))
    assert needs_built_model(ENGINES_OF["onnxruntime"])


def test_the_servers_refusal_is_told_and_other_faults_are_left_to_the_run(tmp_path: Path) -> None:
    refusing = 'test "$4" = tensorrt_llm && echo "iterqr-server: engine.backend: tensorrt_llm needs a GPU" >&2; exit 2'
    with pytest.raises(BenchmarkError, match=r"^engine\.backend: tensorrt_llm needs a GPU$"):
        check_tensorrt_llm(server(tmp_path, refusing))
    check_tensorrt_llm(server(tmp_path, "exit 1"))  # it got as far as looking for the model


@NO_GPU
def test_without_a_gpu_one_sentence_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError) as refused:
        check_tensorrt_llm(server_command())
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "tensorrt_llm" in sentence
    assert "GPU" in sentence


@NO_GPU
def test_the_command_ends_with_that_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["engine", "--backend", "tensorrt_llm", "--folder", str(tmp_path)])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("iterqr-bench: engine.backend: tensorrt_llm needs ")
    assert told.count("\n") == 1


def test_vllm_is_left_out_where_no_python_has_it(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailableError, match="vllm is not installed here"):
        vllm_command(None, str(tmp_path))
    python = tmp_path / "env/bin/python"
    with pytest.raises(PeerUnavailableError, match="vllm needs the model as a folder"):
        vllm_command(python, "model.gguf")
    command = vllm_command(python, str(tmp_path))
    assert command[0] == str(python)
    assert command[1:] == [
        "-m",
        "iterqr_benchmarks.engine_comparison.peers.vllm_worker",
        "--model",
        str(tmp_path),
    ]
    environ = vllm_environ()
    assert environ["PATH"] == os.environ["PATH"]
    assert (Path(environ["PYTHONPATH"]) / "iterqr_benchmarks/engine_comparison/peers/vllm_worker.py").is_file()
