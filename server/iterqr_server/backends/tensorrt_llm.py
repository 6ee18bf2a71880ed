"""Runs requests on TensorRT-LLM's LLM API (PyTorch backend). The only file that imports it, when the engine starts.

Its facts that shape this file: one `RequestOutput` is the same object at each step, so what is new is copied out;
`abort` only asks, and the end comes as "cancelled"; there is no deadline and no queue limit, so `RequestLevelEngine`
has them; a `RequestError` is one request's, any other error the executor's end; statistics are one stream that ends
when nothing comes for a while, and is opened again.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import structlog

from iterqr_server.backends.iteration_stats import IterationTotals
from iterqr_server.backends.nvidia_gpu import find_gpus
from iterqr_server.backends.tensorrt_llm_arguments import (
    Made,
    Member,
    check_checkpoint,
    check_settings,
    generate_arguments,
    llm_arguments,
)
from iterqr_server.backends.tensorrt_llm_names import NameFinding, compare_names
from iterqr_server.config import ConfigError, Settings
from iterqr_server.engine.errors import RequestFailedError, RequestRefusedError
from iterqr_server.engine.interface import FinishReason
from iterqr_server.engine.request_level import RequestLevelEngine, RequestLimits
from iterqr_server.engine.request_runner import RunnerOutput, RunnerRequest, RunnerStats
from iterqr_server.engine.tokenizer import BytePairTokenizer
from iterqr_server.models.hf_checkpoint import HfCheckpoint, read_hf_checkpoint
from iterqr_server.models.progress import Silent

PACKAGE = "tensorrt_llm"
TARGET_VERSION = "1.2.1"
_STATS_TIMEOUT_S = 2.0
_STATS_PAUSE_S = 1.0
_REPEATED = 8  # characters of a guide in an error's words that are no chance
_MOST_WORDS = 300
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "cancelled": FinishReason.ABORTED,
}
_log = structlog.get_logger(__name__)


class Library:
    """The imported package: finds its classes and makes the objects that the arguments describe."""

    def __init__(self) -> None:
        self._modules = [importlib.import_module(name) for name in (PACKAGE, f"{PACKAGE}.llmapi")]
        self.version: str = getattr(self._modules[0], "__version__", "unknown")

    def find(self, name: str) -> Any:  # noqa: ANN401 - a class of an untyped library
        """Returns a class by its name, nested ones by names with dots.

        Raises:
            AttributeError: this version has none; the message says which and of what version.
        """
        first, *nested = name.split(".")
        found = next((getattr(module, first) for module in self._modules if hasattr(module, first)), None)
        for part in nested:
            found = getattr(found, part, None)
        if found is None:
            raise AttributeError(f"{PACKAGE} {self.version} has no {name}; this server needs {TARGET_VERSION}")
        return found

    def make(self, value: object) -> Any:  # noqa: ANN401
        """Returns a value with every `Made` and `Member` in it replaced by the library's object."""
        match value:
            case Made(name, arguments, positional):
                return self.find(name)(*self.make(list(positional)), **self.make(dict(arguments)))
            case Member(enumeration, name):
                return getattr(self.find(enumeration), name)
            case list():
                return [self.make(each) for each in value]
            case dict():
                return {name: self.make(each) for name, each in value.items()}
            case _:
                return value


class TensorRtLlmRunner:
    """A `RequestRunner` over one `LLM`."""

    def __init__(self, checkpoint: HfCheckpoint, settings: Settings, end_id: int, stop_ids: frozenset[int]) -> None:
        self._checkpoint = checkpoint
        self._settings = settings
        self._end_id = end_id
        self._stop_ids = stop_ids
        self._library: Library | None = None
        self._llm: Any = None
        self._request_error: type[Exception] = RequestFailedError
        self._running: dict[int, Any] = {}
        self._totals = IterationTotals(settings.tensorrt_llm.max_draft_len)
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See `RequestRunner`. Loads on another thread; the library starts its own processes."""
        library, self._llm = await asyncio.to_thread(self._load)
        self._request_error = library.find("RequestError")
        self._library = library

    def _load(self) -> tuple[Library, Any]:
        library = Library()
        if library.version != TARGET_VERSION:
            _log.warning("tensorrt_llm_version", found=library.version, written_for=TARGET_VERSION)
        arguments = llm_arguments(self._checkpoint, self._settings.engine, self._settings.tensorrt_llm)
        return library, library.find("LLM")(**library.make(arguments))

    async def run(self, request: RunnerRequest) -> AsyncIterator[RunnerOutput]:
        """See `RequestRunner`."""
        result = self._submit(request)
        self._running[request.number] = result
        seen, is_first = 0, True
        try:
            async for state in result:
                completion = state.outputs[0]
                token_ids = tuple(completion.token_ids[seen:])
                listed = (completion.logprobs or [])[seen : seen + len(token_ids)]  # there may be more than tokens
                likeliest = tuple(map(_log_probabilities, listed))
                seen += len(token_ids)
                reason = _finish_reason(completion.finish_reason, is_finished=state.finished)
                yield RunnerOutput(token_ids, likeliest, state.cached_tokens if is_first else 0, reason)
                is_first = False
        except self._request_error as error:
            raise RequestFailedError(f"TensorRT-LLM failed on the request: {_words(error, request)}") from error
        except RequestFailedError:  # an output that was not understood
            result.abort()
            raise
        finally:
            del self._running[request.number]
        self._totals.request_ended(tokens=seen, steps=result.decoding_iter)

    def _submit(self, request: RunnerRequest) -> Any:  # noqa: ANN401
        if self._library is None or self._llm is None:
            raise RuntimeError("the model is not loaded")
        try:
            arguments = self._library.make(generate_arguments(request, self._end_id, self._stop_ids))
            result = self._llm.generate_async(**arguments)
        except ValueError as error:  # its words may repeat the guide, which may hold a user's text
            raise RequestRefusedError(f"TensorRT-LLM does not take the request ({type(error).__name__})") from error
        except self._request_error as error:
            raise RequestFailedError(f"TensorRT-LLM did not queue the request: {_words(error, request)}") from error
        if self._reader is None:  # there are no statistics before the first request
            self._reader = asyncio.create_task(self._read_statistics(), name="tensorrt-llm-statistics")
        return result

    def abort(self, number: int) -> None:
        """See `RequestRunner`."""
        if (result := self._running.get(number)) is not None:
            result.abort()

    def stats(self) -> RunnerStats:
        """See `RequestRunner`."""
        return self._totals.stats()

    async def close(self) -> None:
        """See `RequestRunner`."""
        llm, self._llm = self._llm, None
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if llm is not None:
            await asyncio.to_thread(llm.shutdown)

    async def _read_statistics(self) -> None:
        """The one reader of the library's one stream of statistics."""
        try:
            while True:
                async for iteration in self._llm.get_stats_async(timeout=_STATS_TIMEOUT_S):
                    self._totals.iteration(iteration)
                await asyncio.sleep(_STATS_PAUSE_S)
        except Exception as error:  # requests go on without; if the executor has died, the next request tells
            _log.warning("engine_statistics_ended", error=type(error).__name__, reason=str(error))


def _words(error: Exception, request: RunnerRequest) -> str:
    """An error's words for the log, unless they repeat the guide, in which a user's text may be."""
    words, guide = str(error), request.guide
    repeated = any(guide[i : i + _REPEATED] in words for i in range(len(guide) - _REPEATED + 1))
    return type(error).__name__ if repeated or guide in words.split() else words[:_MOST_WORDS]


def _log_probabilities(listed: Mapping[int, Any] | float) -> Mapping[int, float]:
    """One token's alternatives by id. Some samplers give the token's own probability alone, as a number.

    Raises:
        RequestFailedError: there are none.
    """
    if isinstance(listed, Mapping) and listed:
        return {token_id: float(each.logprob) for token_id, each in listed.items()}
    raise RequestFailedError(f"TensorRT-LLM gave no token's log probabilities by id, but a {type(listed).__name__}")


def _finish_reason(name: str | None, *, is_finished: bool) -> FinishReason | None:
    if name is None and not is_finished:
        return None
    if name not in _FINISH_REASONS:
        raise RequestFailedError(f"TensorRT-LLM ended the request for the reason {name!r}")
    return _FINISH_REASONS[name]


def check_available() -> None:
    """Raises ConfigError, in one sentence, if this host lacks the package or a GPU."""
    package = importlib.util.find_spec(PACKAGE) is not None
    gpus = find_gpus()
    if package and gpus:
        return
    missing = " and ".join(
        name
        for name, found in ((f"the package {PACKAGE}", package), ("an NVIDIA GPU with its driver", gpus))
        if not found
    )
    raise ConfigError(
        f"engine.backend: tensorrt_llm needs {missing}, which this host lacks; on a Linux host with a GPU of compute "
        f"capability 8.0 or later run this server in the image nvcr.io/nvidia/tensorrt-llm/release:{TARGET_VERSION} "
        f"(or pip install {PACKAGE}=={TARGET_VERSION} --extra-index-url https://pypi.nvidia.com), "
        "or use engine.backend onnxruntime, which needs neither"
    )


def installed_version() -> str:
    """Returns the package's version without importing it; "unknown" if it has no metadata."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def compare_installed(settings: Settings) -> tuple[NameFinding, ...]:
    """Compares what the engine asks for, as configured, with the installed package. See `compare_names`.

    Raises:
        ConfigError: this host lacks the package or a GPU, or the package does not import.
    """
    check_available()
    try:
        library = Library()
    except Exception as error:  # it loads many compiled parts, any of which may not fit the driver
        raise ConfigError(f"engine.backend: {PACKAGE} {installed_version()} does not import: {error}") from error
    sample = HfCheckpoint(Path("checkpoint"), "checkpoint", settings.tensorrt_llm.max_seq_len, None)
    request = RunnerRequest(1, (1,), 1, 1, guide="a", salt="a")
    return compare_names(
        library,
        llm=llm_arguments(sample, settings.engine, settings.tensorrt_llm),
        generate=generate_arguments(request, 1, frozenset({1, 2})),
    )


def create_engine(model_folder: Path, settings: Settings) -> RequestLevelEngine:
    """Returns an engine, not started yet, for a Hugging Face folder; reads its weights once, for their digest.

    Raises:
        ConfigError: this host lacks the package or a GPU, or settings do not fit together.
        UnsupportedModelError: the folder is not one that runs here as configured.
    """
    check_available()
    check_settings(settings)
    config = settings.tensorrt_llm
    checkpoint = read_hf_checkpoint(model_folder, Silent())
    check_checkpoint(checkpoint, config, find_gpus())
    tokenizer = BytePairTokenizer(checkpoint.tokenizer_path.read_text("utf-8"))
    end_id = tokenizer.end_of_turn_id
    others = sorted(tokenizer.stop_ids - {end_id})
    filler_id = others[0] if config.pad_prefix and others else None
    padding = f"-pad{config.tokens_per_block}" if filler_id is not None else ""  # it changes what the model says
    return RequestLevelEngine(
        model_id=f"{checkpoint.name}-trtllm{installed_version()}-kv-{config.kv_cache_dtype}{padding}",
        tokenizer=tokenizer,
        runner=TensorRtLlmRunner(checkpoint, settings, end_id, tokenizer.stop_ids),
        limits=RequestLimits(
            max_running=settings.engine.max_running,
            max_waiting=settings.engine.max_waiting,
            max_positions=config.max_seq_len,
            block_tokens=config.tokens_per_block,
            filler_id=filler_id,
            stall_timeout_s=config.stall_timeout_s,
        ),
    )
