"""The engines that can be compared, and how each is prepared and started."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from iterqr_dev_node.cache import cache_folder

from iterqr_benchmarks.engine_comparison.gpu_engines import (
    TENSORRT_LLM,
    VLLM,
    check_tensorrt_llm,
    vllm_command,
    vllm_environ,
)
from iterqr_benchmarks.engine_comparison.peer_environment import (
    PeerEnvironment,
    PeerUnavailableError,
    ensure_environment,
    ensure_onnxruntime_genai_model,
    ensure_q4_0,
    environment_of,
    find_uv,
)
from iterqr_benchmarks.engine_comparison.worker_process import EngineProcess
from iterqr_benchmarks.stack.server_process import server_command

OURS: Mapping[str, tuple[str, ...]] = {
    "iterqr": (),
    "iterqr-latin": ("--model.output_vocabulary", "latin"),
    TENSORRT_LLM: ("--engine.backend", "tensorrt_llm"),
}
"""Our engine by name: as it is by default, and with the settings given."""
ENGINES_OF: Mapping[str, tuple[str, ...]] = {
    "onnxruntime": ("iterqr", "iterqr-latin", "openvino-genai", "llama.cpp", "onnxruntime-genai"),
    "tensorrt_llm": (TENSORRT_LLM, VLLM),
}
"""Who is compared by default, by what our engine runs on."""
ENGINES = tuple(name for names in ENGINES_OF.values() for name in names)
REMARKS: Mapping[str, str] = {
    "iterqr": "as `iterqr-server serve` runs it: format held by grammar, drafts, shared prompt blocks",
    "iterqr-latin": "the same, writing only tokens of Latin script (model.output_vocabulary = latin)",
    TENSORRT_LLM: "the same on TensorRT-LLM: format held by grammar, n-gram drafts, shared prompt blocks",
    VLLM: "its asynchronous engine with prefix caching; the same folder of weights",
    "openvino-genai": "continuous batching pipeline with prefix caching; Q4_0 made from the same GGUF file",
    "llama.cpp": "the GGUF file itself; one decode call a step over 16 slots that share prompt beginnings",
    "onnxruntime-genai": "int4 blocks of 32; one generator rewound to the shared beginning, requests one after another",
}
_PACKAGES = {
    "openvino-genai": "openvino-genai",
    "llama.cpp": "llama-cpp-python",
    "onnxruntime-genai": "onnxruntime-genai",
}
_COMPILED = "llama.cpp"


def needs_built_model(names: Collection[str]) -> bool:
    """Whether any of the engines runs on the model that `iterqr-server model build` makes."""
    return not set(names) <= set(ENGINES_OF["tensorrt_llm"])


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What all engines run with: `threads` each. Ours takes a configuration file and flags of `iterqr-server`."""

    model: str
    threads: int
    server_config: Path | None
    uv: Path | None
    may_compile: bool = True
    vllm_python: Path | None = None
    flags: tuple[str, ...] = ()


def prepare_engine(name: str, options: EngineOptions, built_model: Path, logs: Path) -> EngineProcess:
    """Installs and builds what an engine needs, and returns its process, not started yet.

    Args:
        name: One of `ENGINES`.
        options: What to run with.
        built_model: Folder that `iterqr-server model build` printed; not looked at by the engines of a GPU.
        logs: Folder for logs.

    Raises:
        PeerUnavailableError: A peer cannot be had here.
        BenchmarkError: This host does not run our engine on TensorRT-LLM.
    """
    log = logs / f"{name}.log"
    if name == VLLM:
        return EngineProcess(name, vllm_command(options.vllm_python, options.model), vllm_environ(), log)
    if name == TENSORRT_LLM:
        check_tensorrt_llm(server_command())
    if name in OURS:
        command = [str(server_command()), "engine", "run", "--model.name", options.model, *OURS[name], *options.flags]
        command += ["--engine.threads", str(options.threads)]
        if options.server_config is not None:
            command += ["--config", str(options.server_config)]
        return EngineProcess(name, command, os.environ, log)
    source = gguf_file(options.model)
    package = _PACKAGES[name]
    if name == _COMPILED and not options.may_compile and not environment_of(package).folder.is_dir():
        raise PeerUnavailableError(
            f"{name} is left out: it has to be compiled first, for some ten minutes; run without QUICK once"
        )
    install_log = logs / f"{name}-install.log"
    install_log.unlink(missing_ok=True)
    environment = ensure_environment(package, find_uv(options.uv), install_log)
    module, arguments = _ARGUMENTS[name](environment, source, built_model, install_log)
    command = environment.command(module, *arguments, "--threads", str(options.threads))
    return EngineProcess(name, command, environment.environ, log)


def gguf_file(model: str) -> Path:
    """Returns the model's weights as one GGUF file, which is what the peers run or are built from.

    Raises:
        PeerUnavailableError: There is no such file.
    """
    if Path(model).suffix == ".gguf" and Path(model).is_file():
        return Path(model).resolve()
    found = sorted((cache_folder() / "weights").glob(f"{model}*.gguf")) if "/" not in model else []
    if len(found) != 1:
        raise PeerUnavailableError(f"the peers need the model as one GGUF file; there is none of {model} in the cache")
    return found[0]


def _openvino(environment: PeerEnvironment, source: Path, _built: Path, log: Path) -> tuple[str, list[str]]:
    return "openvino_genai_worker", ["--model", str(ensure_q4_0(environment, source, log))]


def _llama_cpp(_environment: PeerEnvironment, source: Path, _built: Path, _log: Path) -> tuple[str, list[str]]:
    return "llama_cpp_worker", ["--model", str(source)]


def _onnxruntime(environment: PeerEnvironment, source: Path, built: Path, log: Path) -> tuple[str, list[str]]:
    model = ensure_onnxruntime_genai_model(environment, source, log)
    return "onnxruntime_genai_worker", ["--model", str(model), "--tokenizer", str(built / "tokenizer.json")]


_ARGUMENTS: Mapping[str, Callable[[PeerEnvironment, Path, Path, Path], tuple[str, list[str]]]] = {
    "openvino-genai": _openvino,
    "llama.cpp": _llama_cpp,
    "onnxruntime-genai": _onnxruntime,
}
