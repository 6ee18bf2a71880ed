"""Prometheus metrics. Every outcome has a counter; every stage a histogram."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_ERROR_BUCKETS_S = (-5, -2, -1, -0.5, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_READ_TIMEOUT_S = 1.0


class Metrics:
    """The server's own metrics, in a registry of their own so that several servers fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "iterqr_calls", "Calls by method and status code", ["method", "code"], registry=self.registry
        )
        self.rewrites = Counter(
            "iterqr_rewrite_outcomes",
            "RewriteQuery replies by outcome and source",
            ["outcome", "source"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "iterqr_stage_seconds",
            "Time of the stages: total of every RewriteQuery reply; hints, first_token, generation once each "
            "generation; score of every ScoreRewrites reply",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.hints = Counter("iterqr_hints", "Hint reads by outcome", ["outcome"], registry=self.registry)
        self.cache = Counter("iterqr_cache_lookups", "Result cache lookups", ["result"], registry=self.registry)
        self.generations = Counter(
            "iterqr_generations", "Generations by how they ended", ["end"], registry=self.registry
        )
        self.refused = Counter(
            "iterqr_refused_generations",
            "Generations that the engine did not start, by reason; part of those that failed",
            ["reason"],
            registry=self.registry,
        )
        self.estimate_error_seconds = Histogram(
            "iterqr_engine_estimate_error_seconds",
            "Time by which first rewrites came later than was estimated when the engine took the request",
            buckets=_ERROR_BUCKETS_S,
            registry=self.registry,
        )
        self.rejected = Counter(
            "iterqr_rejected_lines",
            "Lines of the model that were not served, by reason",
            ["reason"],
            registry=self.registry,
        )

        self.bulk_items = Counter(
            "iterqr_bulk_items",
            "Answered items of RewriteQueries streams by outcome: complete, no_rewrites, or the failure's code",
            ["outcome"],
            registry=self.registry,
        )
        self.bulk_in_flight = Gauge(
            "iterqr_bulk_in_flight", "Items of RewriteQueries streams read and not answered", registry=self.registry
        )
        self.bulk_retries = Counter(
            "iterqr_bulk_retries",
            "Times a bulk item waited because the engine's queue was full",
            registry=self.registry,
        )
        self.scored_rewrites = Counter(
            "iterqr_scored_rewrites", "Rewrites that ScoreRewrites scored", registry=self.registry
        )
        self.checkpoint_calls = Counter(
            "iterqr_checkpoint_calls",
            "Interactive calls by the checkpoint that took them, those from the cache apart",
            ["checkpoint_id", "result"],
            registry=self.registry,
        )
        self.checkpoint_percent = Gauge(
            "iterqr_checkpoint_traffic_percent",
            "Share of clients by checkpoint",
            ["checkpoint_id"],
            registry=self.registry,
        )
        self.checkpoint_loads = Counter(
            "iterqr_checkpoint_loads", "Checkpoints loaded, staged or refused", ["result"], registry=self.registry
        )
        self.registry_reads = Counter(
            "iterqr_registry_reads", "Reads of the registry's state", ["result"], registry=self.registry
        )
        self.swaps = Counter(
            "iterqr_checkpoint_swaps", "Changes of which checkpoints take traffic", registry=self.registry
        )
        self.reloads = Counter(
            "iterqr_checkpoint_reloads",
            "Times the champion was shut down for the next one: replaced, brought back as it failed, or none left",
            ["result"],
            registry=self.registry,
        )
        self.alarms = Counter(
            "iterqr_canary_alarms", "Canaries rolled back, by what was wrong", ["kind"], registry=self.registry
        )
        self.rollback_seconds = Histogram(
            "iterqr_rollback_seconds",
            "From a canary's alarm, when it gets no more calls, until the registry says so",
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def add_gauges(self, loop: asyncio.AbstractEventLoop, read: Callable[[], Mapping[str, float]]) -> None:
        """Adds values read at every scrape. `read` runs on `loop`, which owns what it reads.

        Names that end in `_total` are counters.
        """
        self.registry.register(_LoopCollector(loop, read))


class _LoopCollector(Collector):
    """Reads values on the event loop from the scrape's thread; a loop that is stuck or gone gives no values."""

    def __init__(self, loop: asyncio.AbstractEventLoop, read: Callable[[], Mapping[str, float]]) -> None:
        self._loop = loop
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Names nothing, so that registering does not read."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Called by the scrape."""
        if self._loop.is_closed():
            return

        async def read() -> Mapping[str, float]:
            return self._read()

        future = asyncio.run_coroutine_threadsafe(read(), self._loop)
        try:
            values = future.result(_READ_TIMEOUT_S)
        except TimeoutError:
            future.cancel()
            return
        for name, value in values.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(name, name.replace("_", " "), value)


class MetricsEndpoint:
    """Serves a registry over HTTP on a thread of its own."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Starts to listen. Raises OSError if the address cannot be used."""
        self._server: WSGIServer
        self._server, self._thread = start_http_server(port, host, metrics.registry)

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
