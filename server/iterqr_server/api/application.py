"""One server from start to stop, whatever its engine is.

start: listen (health NOT_SERVING) -> load and warm the model -> SERVING. stop: NOT_SERVING -> calls in flight finish
within the grace -> generations end -> engine closes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from iterqr_proto.policy import MAX_POLICY_CHARACTERS, read_policy
from iterqr_proto.rewrite_format import Template, TemplateError, load_template, template_path
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

from iterqr_server.api.checkpoint_servicer import CheckpointServicer
from iterqr_server.api.grpc_server import GrpcServer, ListenError
from iterqr_server.api.interceptor import CallInterceptor
from iterqr_server.api.query_rewrite_servicer import QueryRewriteServicer
from iterqr_server.checkpoints.base_model import BaseModel
from iterqr_server.checkpoints.loading import CheckpointEngines
from iterqr_server.checkpoints.manager import CheckpointManager
from iterqr_server.checkpoints.router import TrafficRouter
from iterqr_server.checkpoints.wiring import open_manager, open_registry, read_probes
from iterqr_server.config import ConfigError, Settings
from iterqr_server.engine.errors import EngineFatalError
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.hints.interface import HintSource
from iterqr_server.rewrite.errors import NotReadyError
from iterqr_server.rewrite.scoring import RewriteScorer
from iterqr_server.rewrite.served_model import ServedModel
from iterqr_server.rewrite.service import RewriteService
from iterqr_server.telemetry.metrics import Metrics, MetricsEndpoint
from iterqr_server.telemetry.traces import tracer_provider

_TRACER_NAME = "iterqr_server"
_log = structlog.get_logger(__name__)


class Application:
    """All methods are called on one event loop.

    `open_engine` finds the model and returns its engine, not started yet; it is awaited by `serve`, when the server
    answers health checks already. `traces` replaces the provider that the settings describe. `checkpoint_engines` opens
    what comes from the configured registry; it is needed where there is one.
    """

    def __init__(
        self,
        settings: Settings,
        open_engine: Callable[[], Awaitable[GenerationEngine]],
        hints: HintSource,
        traces: TracerProvider | NoOpTracerProvider | None = None,
        checkpoint_engines: CheckpointEngines | None = None,
    ) -> None:
        self._settings = settings
        self._hints = hints
        self._traces = traces or tracer_provider(settings.telemetry.otlp_endpoint)
        self.metrics = Metrics()
        self._fatal = asyncio.Event()
        self._endpoint: MetricsEndpoint | None = None
        tracer = self._traces.get_tracer(_TRACER_NAME)
        self._base = BaseModel(open_engine, read_template(settings), read_policy_json(settings))
        self._checkpoint_engines = checkpoint_engines
        if checkpoint_engines:  # a wrong configuration is told before the model is loaded
            open_registry(settings.checkpoints)
            read_probes(settings.checkpoints)
        self._manager: CheckpointManager | None = None
        self._router = TrafficRouter(self.metrics, self._on_broken, settings.checkpoints.alarm_window_s)
        self._service = RewriteService(
            config=settings.rewrite,
            cache_config=settings.cache,
            models=self._router,
            hints=hints,
            metrics=self.metrics,
            tracer=tracer,
        )
        self._server = GrpcServer(
            config=settings.grpc,
            interceptor=CallInterceptor(tracer=tracer, metrics=self.metrics),
            query_rewrite=QueryRewriteServicer(
                service=self._service,
                scorer=RewriteScorer(
                    models=self._router,
                    reply_margin_ms=settings.rewrite.reply_margin_ms,
                    prompts_at_once=settings.engine.max_running,
                    metrics=self.metrics,
                    tracer=tracer,
                ),
                config=settings.rewrite,
                max_bulk_in_flight=settings.rewrite.max_bulk_in_flight or 2 * settings.engine.max_running,
                metrics=self.metrics,
                tracer=tracer,
                log_queries=settings.telemetry.log_queries,
            ),
            checkpoint=CheckpointServicer(self._ready_manager),
        )
        self._background: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where gRPC listens, once `listen` returned."""
        return self._server.port

    async def listen(self) -> None:
        """Answers health, reflection and metrics; rewriting is UNAVAILABLE yet.

        Raises:
            ListenError: an address cannot be used.
        """
        telemetry = self._settings.telemetry
        await self._server.start()
        if telemetry.prometheus_port:
            address = f"{telemetry.prometheus_host}:{telemetry.prometheus_port}"
            try:
                self._endpoint = MetricsEndpoint(self.metrics, telemetry.prometheus_host, telemetry.prometheus_port)
            except OSError as error:
                reason = error.strerror or error
                raise ListenError(f"telemetry.prometheus_port: cannot listen on {address}: {reason}") from error
        self.metrics.add_gauges(asyncio.get_running_loop(), self._gauges)
        _log.info("listening", host=self._settings.grpc.host, port=self.port, metrics_port=telemetry.prometheus_port)

    async def serve(self) -> None:
        """Loads the model; when it returns, rewriting is served.

        Raises:
            EngineError: the model does not load; besides what `open_engine` raises.
        """
        await self._hints.start()
        base_id = await self._base.find()
        if self._checkpoint_engines is None:
            self._router.set(await self._base.open())
        else:
            self._manager = open_manager(
                self._settings,
                self._base,
                base_id,
                self._checkpoint_engines,
                self._router,
                self.metrics,
                self.port,
                self._tell_serving,
            )
            await self._manager.start()
        await self._server.set_serving(True, checkpoints=self._manager is not None)
        _log.info("serving", port=self.port)

    async def failed(self) -> None:
        """Returns when the engine is broken for good, so that the process should end."""
        await self._fatal.wait()

    async def stop(self) -> None:
        """Drains and frees everything. Also right after `listen` or `serve` failed."""
        _log.info("stopping")
        await self._server.stop(self._settings.grpc.shutdown_grace_ms / 1000)
        alone = self._router.routed if self._manager is None else []
        self._router.set(None)
        await self._service.close()
        for model in alone:
            await model.engine.close()
        if self._manager:
            await self._manager.close()
        await self._base.close()
        await self._hints.close()
        if self._endpoint:
            await asyncio.to_thread(self._endpoint.close)
        if isinstance(self._traces, TracerProvider):
            await asyncio.to_thread(self._traces.shutdown)
        _log.info("stopped")

    def _ready_manager(self) -> CheckpointManager | None:
        if self._checkpoint_engines and not (self._manager and self._router.routed):
            raise NotReadyError
        return self._manager

    def _gauges(self) -> dict[str, float]:
        values = self._service.gauges() | self._router.gauges()
        return values | self._manager.gauges() if self._manager else values

    async def _tell_serving(self, serving: bool) -> None:
        """Whether rewriting is served, while the manager goes on."""
        await self._server.set_serving(serving and not self._fatal.is_set(), checkpoints=not self._fatal.is_set())

    def _on_broken(self, model: ServedModel, error: EngineFatalError) -> None:
        if self._fatal.is_set() or (self._manager and self._manager.broken(model, error)):
            return
        _log.error("engine_failed", reason=str(error))
        self._fatal.set()
        task = asyncio.create_task(self._server.set_serving(False))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def read_template(settings: Settings) -> Template:
    """Reads the configured template.

    Raises:
        ConfigError: it cannot be read or is not a template.
    """
    name = settings.rewrite.template
    try:
        return load_template(template_path(name) if name else None)
    except OSError as error:
        raise ConfigError(f"rewrite.template: {name}: {error.strerror or error}") from error
    except TemplateError as error:
        raise ConfigError(f"rewrite.template: {error}") from error


def read_policy_json(settings: Settings) -> str:
    """Reads the configured policy and returns it in one line; empty if there is none.

    Raises:
        ConfigError: it cannot be read, is not a policy, or is too long for a reply.
    """
    if not settings.rewrite.policy:
        return ""
    path = Path(settings.rewrite.policy)
    try:
        document = json.loads(path.read_text("utf-8"))
        read_policy(document)
    except OSError as error:
        raise ConfigError(f"rewrite.policy: {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"rewrite.policy: {path}: {error}") from error
    line = json.dumps(document, separators=(",", ":"))
    if len(line) > MAX_POLICY_CHARACTERS:
        raise ConfigError(f"rewrite.policy: {path}: longer than {MAX_POLICY_CHARACTERS} characters")
    return line
