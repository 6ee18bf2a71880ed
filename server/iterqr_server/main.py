"""`iterqr-server`: composition root and command line. The only place that chooses a backend."""

from __future__ import annotations

import argparse
import asyncio
import platform
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import structlog

from iterqr_server.api.application import Application, read_template
from iterqr_server.api.grpc_server import ListenError
from iterqr_server.backends import tensorrt_llm
from iterqr_server.backends.onnx_checkpoints import OnnxCheckpointEngines
from iterqr_server.backends.tensorrt_llm_arguments import check_settings
from iterqr_server.backends.tensorrt_llm_checkpoints import TensorRtLlmCheckpointEngines
from iterqr_server.checkpoints import memory
from iterqr_server.checkpoints.loading import CheckpointEngines
from iterqr_server.checkpoints.swap_rules import swap_rules
from iterqr_server.checkpoints_command import CHECKPOINT_EXAMPLES, add_checkpoint_commands, run_checkpoint_command
from iterqr_server.config import BACKENDS, ConfigError, ConfigFlags, Settings
from iterqr_server.engine.admission import AdmissionPolicy
from iterqr_server.engine.errors import EngineError
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine_check.command import check_engine
from iterqr_server.engine_check.report import CheckLine
from iterqr_server.engine_check.second_model import SecondModel
from iterqr_server.engine_runner import only_events_on_stdout, run_engine
from iterqr_server.hints.interface import HintSource, NoHints
from iterqr_server.hints.opensearch_source import OpenSearchHints
from iterqr_server.models.builder import prepare_model
from iterqr_server.models.errors import ModelError
from iterqr_server.models.hf_checkpoint import prepare_hf_checkpoint
from iterqr_server.models.progress import quiet_unless
from iterqr_server.telemetry.logs import configure_logs

T = TypeVar("T")
_log = structlog.get_logger(__name__)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_ENGINE_FAILED = 70  # EX_SOFTWARE: the supervisor should start the process again

_EXAMPLES = """\
examples:
  iterqr-server serve
  iterqr-server serve --config server.toml --grpc.port 50052 --telemetry.log_level debug
  iterqr-server serve --hints.url "" --model.name ./Qwen2.5-0.5B-Instruct
  iterqr-server model build
  iterqr-server engine run < requests.jsonl
  iterqr-server engine-check
  iterqr-server config show --config server.toml > effective.toml
  iterqr-server checkpoints list --target 127.0.0.1:50051
"""
_SERVE_EXAMPLES = """\
examples:
  iterqr-server serve
  iterqr-server serve --config server.toml
  iterqr-server serve --grpc.host 0.0.0.0 --hints.url http://opensearch:9200 --hints.catalog_index dishes
  iterqr-server serve --engine.max_running 32 --rewrite.default_deadline_ms 500

The server is ready when grpc.health.v1 says SERVING; the first start downloads and builds the model. SIGTERM drains.
Exit codes: 0 stopped, 1 could not start, 2 wrong configuration, 70 the engine failed (start the process again).
"""
_BUILD_EXAMPLES = """\
examples:
  iterqr-server model build
  iterqr-server model build --name Qwen/Qwen2.5-1.5B-Instruct
  iterqr-server model build --name ./model.gguf

Downloads and builds the model into the cache (ITERQR_CACHE, default ~/.cache/iterqr) ahead of serving. An interrupted
download goes on where it stopped. The last line printed is the folder of the built model.
"""
_RUN_EXAMPLES = """\
examples:
  iterqr-server engine run < requests.jsonl > events.jsonl
  iterqr-server engine run --config server.toml --engine.threads 2 --engine.max_running 32

Runs the engine alone, without gRPC, caches and hints. Reads requests on standard input and writes events on standard
output, one JSON object a line, until the input ends:
  {"op": "run", "concurrency": 4, "max_rewrites": 3, "max_new_tokens": 96, "prompts": [{"id": "1", "query": "chiken",
   "hints": ["Chicken Wings"], "prefix": [["<|im_start|>...", false]], "suffix": [[" chiken", true], ...]}, ...]}
"""
_CHECK_EXAMPLES = """\
examples:
  iterqr-server engine-check
  iterqr-server engine-check --engine tensorrt_llm --config server.toml --swap
  iterqr-server engine-check --engine onnxruntime --json > engine-check.json

Starts the engine alone, asks it for rewrites and scores, and prints what was found: prefix-cache hits, whether outputs
keep to the format, draft acceptance, time to first token, tokens/s. With tensorrt_llm, every name and default that is
used is compared with the installed package first. With --swap, a second model of the same weights is loaded as a
checkpoint would be, beside the first where there is memory.
Exit codes: 0 nothing is off, 1 something is, 2 wrong configuration.
"""
_SHOW_EXAMPLES = """\
examples:
  iterqr-server config show
  iterqr-server config show --config server.toml --grpc.port 50052
"""


def main() -> None:
    """Entry point."""
    parser, commands = _parser()
    arguments = parser.parse_args()
    try:
        sys.exit(commands[arguments.command](arguments))
    except ConfigError as error:
        _complain(error)
        sys.exit(EXIT_USAGE)
    except (ModelError, EngineError, ListenError) as error:
        _complain(error)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def open_engine(settings: Settings, model_folder: Path) -> GenerationEngine:
    """Returns the configured backend's engine, not started yet.

    Raises:
        ConfigError: the backend is not available.
        ModelError: the folder is not a model that the backend runs.
    """
    check_backend(settings)
    config = settings.engine
    if config.backend == "tensorrt_llm":
        return tensorrt_llm.create_engine(model_folder, settings)
    from iterqr_server.backends import onnxruntime  # noqa: PLC0415 - only the chosen backend's library is loaded

    limits = EngineSettings(
        max_running=config.max_running,
        max_waiting=config.max_waiting,
        arena_positions=config.arena_positions,
        max_step_rows=config.max_step_rows,
        max_draft_rows=config.max_draft_rows,
        threads=config.threads,
        admission=AdmissionPolicy(config.admission_safety, config.always_admitted),
    )
    device = onnxruntime.Device(config.provider, config.device_id, config.gpu_memory_mb)
    return onnxruntime.create_engine(model_folder, limits, device)


def check_backend(settings: Settings) -> None:
    """Raises ConfigError if the backend is one that this host cannot run, or not as configured."""
    if settings.engine.backend == "tensorrt_llm":
        tensorrt_llm.check_available()
        check_settings(settings)
        return
    from iterqr_server.backends import onnxruntime  # noqa: PLC0415 - only the chosen backend's library is loaded

    onnxruntime.check_provider(settings.engine.provider)


def _prepare(settings: Settings, *, show_progress: bool) -> Path:
    """Returns the folder of the configured model, built for the configured backend and device where it needs that."""
    if settings.engine.backend == "tensorrt_llm":
        with quiet_unless(show_progress) as listener:
            return prepare_hf_checkpoint(settings.model.name, listener)
    return prepare_model(
        settings.model.name,
        output_vocabulary=settings.model.output_vocabulary,
        for_gpu=settings.engine.provider == "cuda",
        show_progress=show_progress,
    )


def hint_source(settings: Settings) -> HintSource:
    """Returns the configured source of hints."""
    return OpenSearchHints(settings.hints) if settings.hints.url else NoHints()


def checkpoint_engines(settings: Settings, base_folder: Callable[[], Path]) -> CheckpointEngines | None:
    """Returns what opens checkpoints of the configured registry, if there is one."""
    return _backend_engines(settings, base_folder) if settings.checkpoints.registry else None


def _backend_engines(settings: Settings, base_folder: Callable[[], Path]) -> CheckpointEngines:
    def open_folder(folder: Path) -> GenerationEngine:
        return open_engine(settings, folder)

    if settings.engine.backend == "tensorrt_llm":
        return TensorRtLlmCheckpointEngines(open_folder, base_folder, settings)
    return OnnxCheckpointEngines(open_folder, base_folder, settings.engine.arena_positions, memory.available_bytes)


async def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, or until the engine fails. Returns the process's exit code.

    Raises:
        ListenError: an address cannot be used.
        ModelError: the model cannot be found, downloaded or built.
        EngineError: the model does not load.
    """

    folders: list[Path] = []

    async def open_configured_engine() -> GenerationEngine:
        _log.info("preparing_model", name=settings.model.name)
        folder = await _in_daemon_thread(
            lambda: _prepare(settings, show_progress=sys.stderr.isatty())  # the log stays JSON
        )
        folders.append(folder)
        _log.info("loading_model", folder=str(folder))
        return await _in_daemon_thread(lambda: open_engine(settings, folder))  # reads a large tokenizer

    engines = checkpoint_engines(settings, lambda: folders[-1])
    application = Application(settings, open_configured_engine, hint_source(settings), checkpoint_engines=engines)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    failing = asyncio.create_task(application.failed())
    serving: asyncio.Task[None] | None = None
    try:
        await application.listen()
        serving = asyncio.create_task(application.serve())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
            await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        return EXIT_ENGINE_FAILED if failing.done() else 0
    finally:
        unfinished = [task for task in (stopping, failing, serving) if task and not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await application.stop()


def _parser() -> tuple[argparse.ArgumentParser, dict[str, Callable[[argparse.Namespace], int]]]:
    parser = _new_parser("iterqr-server", "Rewrites search queries with a language model, over gRPC.", _EXAMPLES)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('iterqr-server')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve_parser = _add(commands, "serve", "run the server", _SERVE_EXAMPLES)
    serve_flags = ConfigFlags(serve_parser)
    serve_parser.set_defaults(command="serve")

    model = _add(commands, "model", "download and build models", _BUILD_EXAMPLES)
    model_commands = model.add_subparsers(title="commands", required=True, metavar="COMMAND")
    build_parser = _add(model_commands, "build", "download and build a model ahead of serving", _BUILD_EXAMPLES)
    default_name = Settings().model.name
    build_parser.add_argument(
        "--name", default=default_name, help=f"name, local folder or file, or hub id (default: {default_name})"
    )
    build_parser.set_defaults(command="model build")

    engine = _add(commands, "engine", "run the engine alone, to measure it", _RUN_EXAMPLES)
    engine_commands = engine.add_subparsers(title="commands", required=True, metavar="COMMAND")
    run_parser = _add(engine_commands, "run", "answer prompts from standard input", _RUN_EXAMPLES)
    run_flags = ConfigFlags(run_parser)
    run_parser.set_defaults(command="engine run")

    check_parser = _add(
        commands,
        "engine-check",
        "check that the engine does what the server needs",
        _CHECK_EXAMPLES,
        conflict_handler="resolve",  # the section's own flag --engine, which would take JSON, is of no use
    )
    check_flags = ConfigFlags(check_parser)
    check_parser.add_argument(
        "--engine", dest="checked_engine", choices=BACKENDS, help="in place of the configured engine.backend"
    )
    check_parser.add_argument(
        "--swap", action="store_true", help="load a second model too, beside the first or after it, as a swap does"
    )
    check_parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object")
    check_parser.set_defaults(command="engine-check")

    config = _add(commands, "config", "look at the configuration", _SHOW_EXAMPLES)
    config_commands = config.add_subparsers(title="commands", required=True, metavar="COMMAND")
    show_parser = _add(config_commands, "show", "print the configuration that serve would use", _SHOW_EXAMPLES)
    show_flags = ConfigFlags(show_parser)
    show_parser.set_defaults(command="config show")

    add_checkpoint_commands(_add(commands, "checkpoints", "look at checkpoints and move traffic", CHECKPOINT_EXAMPLES))

    return parser, {
        "serve": lambda arguments: _run_serve(serve_flags.settings(arguments)),
        "model build": _run_model_build,
        "engine run": lambda arguments: _run_engine(run_flags.settings(arguments)),
        "engine-check": lambda arguments: _run_engine_check(check_flags.settings(arguments), arguments),
        "config show": lambda arguments: _run_config_show(show_flags.settings(arguments)),
        "checkpoints": run_checkpoint_command,
    }


def _new_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        name, description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    description: str,
    examples: str,
    *,
    conflict_handler: str = "error",
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        conflict_handler=conflict_handler,
    )


def _run_serve(settings: Settings) -> int:
    check_backend(settings)
    configure_logs(settings.telemetry.log_level)
    return asyncio.run(serve(settings))


def _run_model_build(arguments: argparse.Namespace) -> int:
    print(prepare_model(arguments.name))
    return 0


def _run_engine(settings: Settings) -> int:
    check_backend(settings)
    template = read_template(settings)
    with only_events_on_stdout() as sink:
        engine = open_engine(settings, _prepare(settings, show_progress=True))
        about = {
            "versions": {"python": platform.python_version(), "iterqr-server": version("iterqr-server")},
            "settings": settings.engine.model_dump(mode="json"),
        }
        asyncio.run(run_engine(engine, template, about, sys.stdin, sink))
    return 0


def _run_engine_check(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.checked_engine:
        engine_config = settings.engine.model_copy(update={"backend": arguments.checked_engine})
        settings = settings.model_copy(update={"engine": engine_config})
    check_backend(settings)
    template = read_template(settings)
    with only_events_on_stdout() as sink:
        names = tensorrt_llm.compare_installed(settings) if settings.engine.backend == "tensorrt_llm" else ()
        folder = _prepare(settings, show_progress=True)
        engine = open_engine(settings, folder)
        report = asyncio.run(
            check_engine(
                engine,
                template,
                name=settings.engine.backend,
                max_new_tokens=settings.rewrite.max_new_tokens,
                before=[CheckLine(finding.name, "compared", finding.fault) for finding in names],
                second=_second_model(settings, folder) if arguments.swap else None,
            )
        )
        print(report.to_json() if arguments.as_json else report.to_text(), file=sink)
    return EXIT_FAILED if report.faults else 0


def _second_model(settings: Settings, folder: Path) -> SecondModel:
    engines = _backend_engines(settings, lambda: folder)
    reserve = settings.checkpoints.memory_reserve_mb << 20
    return SecondModel(
        lambda: engines.open(folder),
        lambda: memory.Room(engines.needed_bytes(None), engines.available_bytes(), reserve, engines.memory_name),
        swap_rules(settings),
    )


def _run_config_show(settings: Settings) -> int:
    print(settings.to_toml(), end="")
    return 0


def _complain(error: Exception) -> None:
    for line in str(error).splitlines():
        print(f"iterqr-server: {line}", file=sys.stderr)


async def _in_daemon_thread(function: Callable[[], T]) -> T:
    """Runs a blocking function on a thread that a stop need not wait for: downloads go on where they stopped."""
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="model", daemon=True).start()
    return await asyncio.wrap_future(future)
