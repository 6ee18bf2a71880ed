"""The simulated marketplace as what `iterqr-train loop` learns from: see `iterqr_training.loop.traffic_source`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from iterqr_dev_node import DevNodeError
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SourceError
from iterqr_training.labels.label_files import label_line
from iterqr_training.loop.traffic_source import CONTROL, EXPERIMENT, TREATMENT, OnProgress, Played, Site
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.tables import HIT_CHANNELS, IMPRESSIONS, REWRITES, TableSpec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException
from rich.console import Console

from iterqr_benchmarks.errors import BenchmarkError, MarketplaceError
from iterqr_benchmarks.index import DISHES_INDEX, HINTS_INDEX
from iterqr_benchmarks.marketplace.learning import STACK, command_flags, learning_stack
from iterqr_benchmarks.marketplace.ledger import Ledger
from iterqr_benchmarks.marketplace.live import run_against
from iterqr_benchmarks.marketplace.node import EVENTS_INDEX, settle
from iterqr_benchmarks.marketplace.node import IMPRESSIONS as IMPRESSIONS_INDEX
from iterqr_benchmarks.marketplace.rewrite_truth import label_truth
from iterqr_benchmarks.marketplace.running import CLIENT_ID_KEY, running_market, running_node, server_address
from iterqr_benchmarks.marketplace.settings import Arm, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.traffic import Progress
from iterqr_benchmarks.marketplace.truth_command import TruthOptions, run_truth
from iterqr_benchmarks.progress import StepDisplay
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.stack.lifecycle import exclusive
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder

HELDOUT = {Band.TAIL: 200, Band.TORSO: 50, Band.HEAD: 50}
VALIDATION = {Band.TAIL: 40, Band.TORSO: 10, Band.HEAD: 10}
USERS = TrafficSettings(users=200, searches=400, days=1, threads=8)  # in one day, many search at the same time
CANARY_SEARCHES = 60
EXPLORATION = "exploration"
_ARMS: Mapping[str, Arm] = {
    EXPLORATION: "exploration",
    TREATMENT: "treatment",
    EXPERIMENT: "split",
    CONTROL: "control",
}
_CANARY_SEEDS = 100_000  # after those of the iterations
_LOGS = (f"{IMPRESSIONS_INDEX}*", EVENTS_INDEX, "ubi_queries")
_LONGEST_CACHE_S = 3_600  # what a node allows
_PATIENCE_S = 60.0
_MAX_TIMES = 100


@dataclass(frozen=True, slots=True)
class LoopTraffic:
    """What to simulate. `traffic`: of each iteration and arm; its seed and start are the first iteration's.

    `canary_searches`: of each trial. `heldout` and `validation`: queries of each band. `times`: of an iteration, how
    many times as many users and needs it has; 1 where not told.

    Raises:
        MarketplaceError: A number of `times` is out of its limits.
    """

    world: WorldSettings
    traffic: TrafficSettings
    stack: StackSettings
    canary_searches: int = CANARY_SEARCHES
    heldout: Mapping[Band, int] = field(default_factory=lambda: dict(HELDOUT))
    validation: Mapping[Band, int] = field(default_factory=lambda: dict(VALIDATION))
    times: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for iteration, times in self.times.items():
            if not 1 <= times <= _MAX_TIMES:
                told = f"iteration {iteration} has {times:,} times the users and needs"
                raise MarketplaceError(f"{told}; it must be from 1 to {_MAX_TIMES:,}")

    def of_iteration(self, iteration: int, arm: Arm) -> TrafficSettings:
        """Other users and needs in each iteration, later than those before; the same in all its arms."""
        first, times = self.traffic, self.times.get(iteration, 1)
        start = first.start + timedelta(days=(iteration - 1) * (first.days + 1))
        users, searches = first.users * times, first.searches * times
        return replace(first, users=users, searches=searches, seed=first.seed + iteration, start=start, arm=arm)

    def arms(self, iteration: int) -> Mapping[str, Arm]:
        """By name, in the order they are played; labels come from the first. Where only is measured, none explores."""
        return {name: arm for name, arm in _ARMS.items() if name != EXPLORATION or iteration not in self.times}

    def of_canary(self, iteration: int) -> TrafficSettings:
        """Others again."""
        played = self.of_iteration(iteration, "treatment")
        return replace(played, seed=played.seed + _CANARY_SEEDS, searches=self.canary_searches)


def small_market(folder: Path, console: Console) -> SimulatedTraffic:
    """A marketplace that a loop on two cores can learn from: what `iterqr-bench loop` plays by default."""
    stack = learning_stack(STACK)
    world = WorldSettings(merchants=200, dishes=4_000, regions=4)
    return SimulatedTraffic(folder, LoopTraffic(world, USERS, stack), console)


class SimulatedTraffic:
    """See `TrafficSource`. Its folder has the stack in `run`, truth sets in `truth`, and each iteration's ledgers."""

    def __init__(self, folder: Path, options: LoopTraffic, console: Console) -> None:
        self._folder = folder.resolve()
        self._options = options
        self._console = console

    @property
    def identity(self) -> str:
        """See `TrafficSource`. Which iteration has how many times the users depends on which is the last."""
        told = {
            "world": asdict(self._options.world),
            "traffic": {**asdict(self._options.traffic), "threads": 0},
            "stack": self._options.stack.without_ports(),
            "canary": self._options.canary_searches,
            "truth": [dict(self._options.heldout), dict(self._options.validation)],
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `TrafficSource`."""
        told: Mapping[str, Any] = json.loads(json.dumps(asdict(self._options), default=str))
        return told

    @property
    def flags(self) -> Mapping[str, tuple[str, ...]]:
        """See `TrafficSource`."""
        return command_flags(self._options.stack)

    @contextmanager
    def running(self, registry: Path) -> Iterator[Site]:
        """See `TrafficSource`."""
        stack = replace(self._options.stack, registry=str(registry.resolve()))
        registry.mkdir(parents=True, exist_ok=True)
        with self._opened() as (folder, running):
            with StepDisplay(self._console) as steps:
                started = running.enter_context(running_market(folder, self._options.world, stack, steps))
            yield self._site(started.url, started.server_address)

    @contextmanager
    def without_server(self) -> Iterator[Site]:
        """Has the node alone run while it is open, for what brings servers of its own: the site's is ""."""
        stack = self._options.stack
        with self._opened() as (folder, running):
            with StepDisplay(self._console) as steps:
                node = running_node(folder, self._options.world, stack, server_address(stack), steps)
                url = running.enter_context(node)
            yield self._site(url, "")

    def play(self, site: Site, iteration: int, on_progress: OnProgress) -> Played:
        """See `TrafficSource`. Labels come from the exploration, where users saw what only rewrites retrieve."""
        needs = self._options.of_iteration(iteration, "treatment").searches
        arms = self._options.arms(iteration)
        applications, searches = {}, 0
        with _told():
            for number, (name, arm) in enumerate(arms.items()):
                applications[name] = f"loop-{iteration}-{name}"
                traffic = self._options.of_iteration(iteration, arm)

                def told(now: Progress, before: int = number * needs) -> None:
                    on_progress(before + now.needs, needs * len(arms))

                summary = run_against(
                    site.url,
                    self._options.world,
                    traffic,
                    self._of(iteration) / name,
                    told,
                    application=applications[name],
                    cache_ttl=_cache_ttl(2 * iteration),
                )
                searches += summary.searches
            _wait_for_logs(site.url)
        return Played(applications, next(iter(arms)), self._options.traffic.treatment_percent, searches)

    def play_canary(self, site: Site, iteration: int, on_progress: OnProgress) -> None:
        """See `TrafficSource`."""
        traffic = self._options.of_canary(iteration)
        with _told():
            run_against(
                site.url,
                self._options.world,
                traffic,
                self._of(iteration) / "canary",
                lambda now: on_progress(now.needs, traffic.searches),
                application=f"loop-{iteration}-canary",
                cache_ttl=_cache_ttl(2 * iteration + 1),
            )

    def judgments(self, iteration: int, signals: Path, out: Path) -> Path:
        """See `TrafficSource`."""
        raw = raw_files_of(signals)

        def table(spec: TableSpec, rows: pc.Expression | None = None) -> pa.Table:
            stored = ds.dataset([str(file) for file in raw.of(spec)], format="parquet")
            return stored.to_table(columns=spec.schema.names, filter=rows).cast(spec.schema)

        pages = table(IMPRESSIONS, pc.field("application") == f"loop-{iteration}-{EXPLORATION}")
        ledger = Ledger(self._of(iteration) / EXPLORATION)
        known = label_truth(ledger, pages, table(REWRITES), table(HIT_CHANNELS))
        file = out / "rewrite_relevance.jsonl"
        write_whole(file, "".join(f"{label_line(each)}\n" for each in known))
        return file

    def draw_truth(self) -> tuple[Path, Path]:
        """Draws what is not there, and returns the held-out queries and validation's, which are apart from them."""
        folder, world = self._folder / "truth", self._options.world
        heldout, validation = folder / "heldout.jsonl", folder / "validation.jsonl"
        if not heldout.is_file():
            run_truth(TruthOptions(heldout, world, dict(self._options.heldout), 1, ()), self._console)
        if not validation.is_file():
            excluded = (heldout,)
            run_truth(TruthOptions(validation, world, dict(self._options.validation), 2, excluded), self._console)
        return heldout, validation

    @contextmanager
    def _opened(self) -> Iterator[tuple[StackFolder, ExitStack]]:
        folder = StackFolder(self._folder / "run")
        with _told():
            self.draw_truth()
            write_whole(self._key, CLIENT_ID_KEY + "\n")
        with _told(), exclusive(folder), ExitStack() as running:
            yield folder, running

    @property
    def _key(self) -> Path:
        return self._folder / "client.key"

    def _of(self, iteration: int) -> Path:
        return self._folder / "iterations" / str(iteration)

    def _site(self, url: str, server: str) -> Site:
        truth = self._folder / "truth"
        return Site(
            url=url,
            server=server,
            catalog=DISHES_INDEX,
            search=truth / "search.json",
            heldout=truth / "heldout.jsonl",
            validation=truth / "validation.jsonl",
            vocabulary=truth / "titles.txt",
            base_model=self._options.stack.model,
            client_key_file=self._key,
            server_flags={
                **({"rewrite.template": template} if (template := self._options.stack.template) else {}),
                "rewrite.min_rewrites": str(self._options.stack.min_rewrites),
                "hints.url": url,
                "hints.index": HINTS_INDEX,
                "hints.catalog_index": DISHES_INDEX,
                "hints.budget_ms": str(self._options.stack.hints_budget_ms),
            },
        )


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong in the marketplace is an error of the loop's source."""
    try:
        yield
    except (BenchmarkError, DevNodeError) as error:
        raise SourceError(str(error)) from error
    except OpenSearchException as error:
        raise SourceError(f"the node does not answer as it should: {str(error)[:300]}") from error


def _cache_ttl(number: int) -> str:
    """Another for each number, which empties the node's cache: it does not know which checkpoint served."""
    return f"{_LONGEST_CACHE_S - number}s"


def _wait_for_logs(url: str) -> None:
    """Waits until all that was logged can be collected: a shard tells a little later what it has."""
    with OpenSearch(url, timeout=60) as client:
        settle(client)
        deadline = time.monotonic() + _PATIENCE_S
        while _is_behind(client):
            if time.monotonic() > deadline:
                raise MarketplaceError(f"the logs' shards were still behind after {_PATIENCE_S:.0f} s")
            time.sleep(0.2)


def _is_behind(client: OpenSearch) -> bool:
    told = client.indices.stats(index=",".join(_LOGS), params={"level": "shards"})
    return any(
        copy["seq_no"]["global_checkpoint"] < copy["seq_no"]["max_seq_no"]
        for index in told["indices"].values()
        for copies in index["shards"].values()
        for copy in copies
        if copy["routing"]["primary"]
    )
