"""The whole way of a simulation, stage by stage: traffic, collection, attribution, hints, truth, health, experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from iterqr_training.errors import TrainingError
from iterqr_training.signals.hints_index import WrittenHints
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException
from rich.console import Console

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.channel_windows import IndexState, freeze
from iterqr_benchmarks.marketplace.live import run_against
from iterqr_benchmarks.marketplace.run_state import run_name
from iterqr_benchmarks.marketplace.settings import Arm, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.signal_stages import (
    ArmMarts,
    Collected,
    Health,
    Judged,
    SimFolders,
    attribute_arm,
    check_health,
    collect,
    decode_hints,
    decode_truth,
    hold_against_truth,
    judge,
    write_back_hints,
)
from iterqr_benchmarks.marketplace.stage_log import StageLog
from iterqr_benchmarks.marketplace.summary import TrafficSummary
from iterqr_benchmarks.marketplace.traffic_progress import progress_bar
from iterqr_benchmarks.marketplace.truth import TruthReport
from iterqr_benchmarks.progress import Step, StepDisplay, step

T = TypeVar("T")
_CONNECTIONS = 16
_PAIR: tuple[Arm, ...] = ("control", "treatment")


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """`folder`: for all that is kept. `paired`: both arms are replayed by the same users after the main traffic."""

    folder: Path
    world: WorldSettings
    traffic: TrafficSettings
    paired: bool = False

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The main arm first, then those that are replayed."""
        return (self.traffic.arm, *(arm for arm in _PAIR if self.paired and arm != self.traffic.arm))

    def traffic_of(self, arm: Arm) -> TrafficSettings:
        """The same users in another arm."""
        return replace(self.traffic, arm=arm)


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What came of all stages. `seconds` by stage, when it was done."""

    traffic: Mapping[Arm, TrafficSummary]
    collected: Collected
    marts: Mapping[Arm, ArmMarts]
    hints: WrittenHints
    truth: TruthReport
    health: Health
    judged: Judged
    seconds: Mapping[str, float]


def run_chain(
    options: ChainOptions, market: Callable[[], AbstractContextManager[str]], console: Console
) -> ChainResult:
    """Does the stages that are not done yet.

    Args:
        options: What and where.
        market: Starts a node with the world, pipelines and a rewrite server and gives its address; called once, if a
            stage needs it, and left when none does any more.
        console: Told of the progress.

    Raises:
        MarketplaceError: A stage could not be done. What was done before is kept, and not done again.
    """
    folders = SimFolders(options.folder)
    log = StageLog(options.folder, run_name(options.world, options.traffic))
    main = options.traffic.arm
    try:
        with ExitStack() as running:
            node = _Market(running, market)
            frozen = log.do("freeze", lambda: node.ask(freeze), lambda told: IndexState(**told))
            traffic = {arm: _traffic(options, arm, log, node, console) for arm in options.arms}
            with StepDisplay(console) as steps:
                done = _Stages(log, steps)
                collected = done.do(
                    "collect",
                    lambda work: node.ask(lambda client: collect(client, folders, options.arms, work.detail)),
                    Collected.decode,
                    _collected_told,
                )
                marts = {arm: _attribute(done, folders, arm) for arm in options.arms}
                hints = done.do(
                    "hints",
                    lambda work: node.ask(lambda client: write_back_hints(client, folders, main, work.detail)),
                    decode_hints,
                    lambda hints: f"{hints.documents:,} queries with {hints.titles:,} titles",
                )
                truth = done.do(
                    "truth",
                    lambda work: node.ask(
                        lambda client: hold_against_truth(client, folders, options.traffic, frozen, work.detail)
                    ),
                    decode_truth,
                    _truth_told,
                )
        with StepDisplay(console) as steps:
            done = _Stages(log, steps)
            health = done.do(
                "health", lambda _work: check_health(folders, main), Health.decode, lambda health: health.state
            )
            judged = done.do(
                "experiment",
                lambda _work: judge(folders, options.traffic, paired=options.paired),
                Judged.decode,
                lambda judged: judged.problem or f"{len(judged.conclusions)} conclusions",
            )
    except TrainingError as error:
        raise MarketplaceError(str(error)) from error
    return ChainResult(traffic, collected, marts, hints, truth, health, judged, log.seconds())


class _Market:
    """A node that is started when it is first needed."""

    def __init__(self, running: ExitStack, market: Callable[[], AbstractContextManager[str]]) -> None:
        self._running = running
        self._market = market
        self._url = ""

    @property
    def url(self) -> str:
        """Its address."""
        if not self._url:
            self._url = self._running.enter_context(self._market())
        return self._url

    def ask(self, work: Callable[[OpenSearch], T]) -> T:
        """Does something with a client."""
        with OpenSearch(self.url, timeout=120, maxsize=_CONNECTIONS) as client:
            try:
                return work(client)
            except OpenSearchException as error:
                raise MarketplaceError(f"the node does not answer as it should: {str(error)[:300]}") from error


@dataclass(frozen=True, slots=True)
class _Stages:
    log: StageLog
    steps: StepDisplay

    def do(
        self,
        stage: str,
        work: Callable[[Step], T],
        decode: Callable[[Mapping[str, Any]], T],
        tell: Callable[[T], str],
    ) -> T:
        with step(self.steps, stage) as shown:
            result = self.log.do(stage, lambda: work(shown), decode)
            shown.result = tell(result)
        return result


def _traffic(options: ChainOptions, arm: Arm, log: StageLog, node: _Market, console: Console) -> TrafficSummary:
    traffic = options.traffic_of(arm)

    def run() -> TrafficSummary:
        url = node.url
        console.print(f"traffic of {traffic.users:,} users, arm {arm}", highlight=False)
        with progress_bar(console, traffic.searches) as on_progress:
            return run_against(url, options.world, traffic, options.folder / arm, on_progress)

    return log.do(f"traffic {arm}", run, lambda told: TrafficSummary(**told))


def _attribute(done: _Stages, folders: SimFolders, arm: Arm) -> ArmMarts:
    return done.do(
        f"attribute {arm}",
        lambda work: attribute_arm(folders, arm, work.detail),
        ArmMarts.decode,
        lambda marts: ", ".join(f"{name} {rows:,}" for name, rows in marts.rows.items()),
    )


def _collected_told(collected: Collected) -> str:
    documents = ", ".join(f"{name} {count:,}" for name, count in collected.documents.items())
    held = all(each.holds for each in collected.audits)
    return f"{documents}; {'nothing lost, nothing twice' if held else 'NOT what the ledger has'}"


def _truth_told(truth: TruthReport) -> str:
    return ", ".join(
        f"{each.kind}s precision {each.precision:.4f} recall {each.recall:.4f}"
        for each in truth.scores
        if not each.touched
    )
