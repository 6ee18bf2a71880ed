"""The stages between traffic and report: what users did is collected, audited, attributed, learned from and judged.

Each is done with the parts of `iterqr_training` that a real marketplace uses, and returns what the report tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from iterqr_training.errors import SettingError
from iterqr_training.experiments.aa import MIN_USERS, SPLITS
from iterqr_training.experiments.analysis import AnalysisSettings, analyse
from iterqr_training.experiments.arms import CONTROL, TREATMENT
from iterqr_training.experiments.funnel import Funnel, Step, funnel
from iterqr_training.experiments.inputs import ExperimentFolders, read_experiment
from iterqr_training.experiments.report_files import write_report
from iterqr_training.experiments.report_model import Conclusion
from iterqr_training.experiments.rewrite_exposure import REWRITE_TRUTH
from iterqr_training.labels.label_files import label_line
from iterqr_training.signals.attribute_signals import SignalRules, attribute_signals
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.summary import EventCount
from iterqr_training.signals.cleaning import LeftOut
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.collector import Collector
from iterqr_training.signals.collect.node import Node
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.engines import DEFAULT_ENGINE, open_engine
from iterqr_training.signals.health.counts import Signals, health_counts
from iterqr_training.signals.health.report import write_health
from iterqr_training.signals.health.settings import HealthSettings
from iterqr_training.signals.health.verdict import Count, findings, worst
from iterqr_training.signals.hints_index import HintRow, HintsTarget, WrittenHints, write_hints
from iterqr_training.signals.marts import read_marts
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import (
    ATTRIBUTED_EVENTS,
    EVENTS,
    HINTS,
    HIT_CHANNELS,
    IMPRESSIONS,
    QUERIES,
    QUERY_OUTCOMES,
    REWRITES,
    TableSpec,
)
from opensearchpy import OpenSearch

from iterqr_benchmarks.index import DISHES_INDEX, HINTS_INDEX
from iterqr_benchmarks.marketplace.audit import Audited, audit
from iterqr_benchmarks.marketplace.channel_windows import IndexState, ask_windows, unchanged
from iterqr_benchmarks.marketplace.ledger import Ledger
from iterqr_benchmarks.marketplace.live import EXPERIMENT, application_of
from iterqr_benchmarks.marketplace.node import settle
from iterqr_benchmarks.marketplace.rewrite_truth import label_truth, rewrite_truth
from iterqr_benchmarks.marketplace.running import CLIENT_ID_KEY
from iterqr_benchmarks.marketplace.settings import Arm, TrafficSettings
from iterqr_benchmarks.marketplace.truth import (
    CreditScore,
    TruthReport,
    compare_with_truth,
    credited_rows,
    logged_searches,
    true_events,
)

COVERAGE_MS = (100, 300, 1_000, 3_000)
_PATIENCE_S = 30.0
_POLL_S = 0.5
Detail = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SimFolders:
    """Where a simulation keeps what: a folder for each arm's ledger, `signals`, and `marts` for each arm."""

    path: Path

    @property
    def signals(self) -> Path:
        """The store of collected signals, of all arms."""
        return self.path / "signals"

    def ledger(self, arm: Arm) -> Ledger:
        """What truly happened in an arm."""
        return Ledger(self.path / arm)

    def marts(self, arm: Arm) -> Path:
        """Of an arm's application alone: the same users search in all arms."""
        return self.path / "marts" / arm


@dataclass(frozen=True, slots=True)
class Collected:
    """What was collected. `documents` and `rejected` by source, this time; `audits` of all arms."""

    documents: Mapping[str, int]
    rejected: int
    audits: tuple[Audited, ...]

    @classmethod
    def decode(cls, told: Mapping[str, Any]) -> Collected:
        """Reads its JSON."""
        return cls(told["documents"], told["rejected"], tuple(Audited(**each) for each in told["audits"]))


@dataclass(frozen=True, slots=True)
class ArmMarts:
    """What attribution says of one arm. `rows`: of the marts, by name."""

    events: tuple[EventCount, ...]
    left_out: tuple[LeftOut, ...]
    rows: Mapping[str, int]

    @classmethod
    def decode(cls, told: Mapping[str, Any]) -> ArmMarts:
        """Reads its JSON."""
        events = tuple(EventCount(**each) for each in told["events"])
        return cls(events, tuple(LeftOut(**each) for each in told["left_out"]), told["rows"])


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of the signals' health, for the reader."""

    name: str
    state: str
    value: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Health:
    """The signals' health: the worst state, and every measure."""

    state: str
    measures: tuple[Measure, ...]

    @classmethod
    def decode(cls, told: Mapping[str, Any]) -> Health:
        """Reads its JSON."""
        return cls(told["state"], tuple(Measure(**each) for each in told["measures"]))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of searches that asked for rewrites: how many had them in the page within a budget, and of tail queries."""

    budget_ms: int
    searches: int
    in_time: int
    tail_searches: int
    tail_in_time: int


@dataclass(frozen=True, slots=True)
class Judged:
    """The experiment: its conclusions, or why it could not be analysed; the way from search to order by arm."""

    conclusions: tuple[Conclusion, ...]
    problem: str
    funnels: tuple[Funnel, ...]
    coverage: tuple[Coverage, ...]

    @classmethod
    def decode(cls, told: Mapping[str, Any]) -> Judged:
        """Reads its JSON."""
        funnels = (Funnel(each["arm"], tuple(Step(**step) for step in each["steps"])) for each in told["funnels"])
        return cls(
            tuple(Conclusion(**each) for each in told["conclusions"]),
            told["problem"],
            tuple(funnels),
            tuple(Coverage(**each) for each in told["coverage"]),
        )


def decode_truth(told: Mapping[str, Any]) -> TruthReport:
    """Reads the JSON of a `TruthReport`."""
    scores = tuple(CreditScore(**each) for each in told["scores"])
    return TruthReport(scores, told["levels"], told["unexplained"], told["searches_asked"], tuple(told["wrong"]))


def collect(client: OpenSearch, folders: SimFolders, arms: Iterable[Arm], on_detail: Detail) -> Collected:
    """Takes all that the node has logged into the store, and compares it with the ledgers.

    Raises:
        TrainingError: The node or the disk refuses.
    """
    settings, arms = CollectSettings(), tuple(arms)
    settle(client)
    deadline = time.monotonic() + _PATIENCE_S
    with SignalStore(folders.signals) as store:
        collector = Collector(Node(client, settings.page_documents), store, ClientIdHasher(CLIENT_ID_KEY), settings)
        documents: dict[str, int] = {}
        rejected = 0
        while True:
            collection = collector.collect(_CollectDetail(on_detail))
            for counts in collection.sources:
                documents[str(counts.source)] = documents.get(str(counts.source), 0) + counts.documents
                rejected += counts.rejected.total()
            audits = tuple(each for arm in arms for each in _audits(folders, arm))
            # A shard tells a little later what it has.
            if not any(each.lost for each in audits) or time.monotonic() > deadline:
                return Collected(documents, rejected, audits)
            time.sleep(_POLL_S)


def attribute_arm(folders: SimFolders, arm: Arm, on_detail: Detail) -> ArmMarts:
    """Writes the marts of an arm.

    Raises:
        TrainingError: They cannot be computed or written.
    """
    rules = SignalRules(AttributionSettings(min_clients=1), applications=(application_of(arm),))
    with open_engine(DEFAULT_ENGINE) as engine:
        done = attribute_signals(engine, raw_files_of(folders.signals), folders.marts(arm), rules, on_detail)
    return ArmMarts(done.events, done.left_out, done.marts.about["rows"])


def write_back_hints(client: OpenSearch, folders: SimFolders, arm: Arm, on_detail: Detail) -> WrittenHints:
    """Writes what users clicked to the index that the rewrite server reads; it takes the place of the history.

    Raises:
        TrainingError: The node refuses.
    """
    columns = ["region", "normalized_query", "object_id", "clicks", "clients"]
    rows = (HintRow(**row) for row in _mart(folders.marts(arm), HINTS).select(columns).to_pylist())
    return write_hints(client, tuple(rows), HintsTarget(alias=HINTS_INDEX, catalog=DISHES_INDEX), on_detail)


def decode_hints(told: Mapping[str, Any]) -> WrittenHints:
    """Reads the JSON of `WrittenHints`."""
    return WrittenHints(**{**told, "deleted": tuple(told["deleted"])})


def hold_against_truth(
    client: OpenSearch, folders: SimFolders, traffic: TrafficSettings, frozen: IndexState, on_detail: Detail
) -> TruthReport:
    """Asks the node what each channel retrieves for every search that was clicked, and compares the marts with it.

    Args:
        client: Of the node; used from several threads.
        folders: Of the simulation.
        traffic: Of the run.
        frozen: How the index of dishes was when users searched it.
        on_detail: Called with news.

    Raises:
        MarketplaceError: The index has changed, or the node does not answer.
    """
    ledger = folders.ledger(traffic.arm)
    events = true_events(ledger)
    raw = raw_files_of(folders.signals)
    of_app = pc.field("application") == application_of(traffic.arm)
    searches = logged_searches(
        ledger, _table(raw.of(IMPRESSIONS), IMPRESSIONS, of_app), _table(raw.of(REWRITES), REWRITES)
    )
    touched = {event.query_id for event in events}
    asked = {
        window
        for query_id, search in searches.items()
        if query_id in touched
        for window in search.windows_asked().values()
    }
    with unchanged(client, frozen):
        windows = ask_windows(client, asked, traffic.threads, on_detail)
    sent = ledger.read("events").select(["document_id", "event_id"]).to_pydict()
    documents = dict(zip(sent["document_id"], sent["event_id"], strict=True))
    credited = credited_rows(_mart(folders.marts(traffic.arm), ATTRIBUTED_EVENTS), documents)
    return compare_with_truth(events, searches, windows, credited)


def check_health(folders: SimFolders, arm: Arm) -> Health:
    """Judges an arm's signals; all days are in `health.json`.

    Raises:
        TrainingError: They cannot be counted.
    """
    files, marts, settings = raw_files_of(folders.signals), read_marts(folders.marts(arm)), HealthSettings()
    with open_engine(DEFAULT_ENGINE) as engine:
        raw = [engine.read(spec, files.of(spec)) for spec in (IMPRESSIONS, QUERIES, EVENTS)]
        own = [table.filter(table.application == application_of(arm)) for table in raw]
        judged = [engine.read(spec, marts.files(spec)) for spec in (ATTRIBUTED_EVENTS, QUERY_OUTCOMES)]
        counted = engine.collect(health_counts(Signals(*own, *judged), settings)).to_pylist()
    found = findings([Count(**row) for row in counted], settings)
    write_health(folders.path / "health.json", found)
    return Health(
        worst(found).value, tuple(Measure(each.measure, each.state.value, each.value, each.words) for each in found)
    )


def judge(folders: SimFolders, traffic: TrafficSettings, *, paired: bool) -> Judged:
    """Analyses the experiment and writes `experiment.html` and `experiment.json` beside the report.

    Raises:
        TrainingError: The marts cannot be read or the report cannot be written.
    """
    outcomes = _mart(folders.marts(traffic.arm), QUERY_OUTCOMES)
    arms = sorted({bucket for bucket in outcomes["bucket"].to_pylist() if bucket}) or [""]
    funnels = tuple(
        funnel(arm or traffic.arm, rows)
        for arm in arms
        if (rows := outcomes.filter(pc.equal(outcomes["bucket"], arm))).num_rows
    )
    coverage = _coverage(folders, traffic.arm)
    if traffic.arm != "split":
        return Judged((), "only one arm searched", funnels, coverage)
    percent = traffic.treatment_percent
    in_control = outcomes.filter(pc.equal(outcomes["bucket"], CONTROL))
    users = len(set(in_control["client_id"].to_pylist()) - {""})
    settings = AnalysisSettings(
        experiment=EXPERIMENT,
        shares=((CONTROL, 100.0 - percent), (TREATMENT, float(percent))),
        aa_splits=SPLITS if users >= MIN_USERS else 0,
        seed=traffic.seed,
    )
    read = ExperimentFolders(
        folders.marts("split"),
        replays=[folders.path / "marts"] if paired else (),
        signals=folders.signals,
        judgments=_write_truth(folders, traffic.arm),
    )
    try:
        report = analyse(read_experiment(read), settings, datetime.now(UTC))
    except SettingError as error:  # so few users that an arm has none
        return Judged((), str(error), funnels, coverage)
    write_report(report, folders.path)
    return Judged(report.conclusions, "", funnels, coverage)


def _write_truth(folders: SimFolders, arm: Arm) -> Path:
    """Writes what is known of rewrites where the experiment looks for it; returns the folder."""
    raw = raw_files_of(folders.signals)
    pages = _table(raw.of(IMPRESSIONS), IMPRESSIONS, pc.field("application") == application_of(arm))
    rewrites, channels = (_table(raw.of(spec), spec) for spec in (REWRITES, HIT_CHANNELS))
    known = rewrite_truth(folders.ledger(arm), pages, rewrites, channels)
    relevance = label_truth(folders.ledger(arm), pages, rewrites, channels)
    folder = folders.path / "judgments"
    folder.mkdir(exist_ok=True)
    pq.write_table(known, folder / f"{REWRITE_TRUTH.name}.parquet")
    (folder / "rewrite_relevance.jsonl").write_text("".join(f"{label_line(each)}\n" for each in relevance), "utf-8")
    return folder


class _CollectDetail:
    """See `collector.Progress`."""

    def __init__(self, on_detail: Detail) -> None:
        self._on_detail = on_detail
        self._planned = 0
        self._seen = 0

    def planned(self, operations: int) -> None:
        self._planned = operations

    def seen(self, operations: int, documents: int) -> None:  # noqa: ARG002 - of the protocol
        self._seen += operations
        self._on_detail(f"{self._seen:,} of {self._planned:,} operations")


def _audits(folders: SimFolders, arm: Arm) -> tuple[Audited, ...]:
    ledger, raw = folders.ledger(arm), raw_files_of(folders.signals)
    searches = ledger.read("searches")["query_id"].to_pylist()
    sent = ledger.read("events")["document_id"].to_pylist()
    own = pc.field("application") == application_of(arm)

    def ids(spec: TableSpec, column: str) -> list[str]:
        found: list[str] = _table(raw.of(spec), spec, own)[column].to_pylist()
        return found

    return (
        audit(f"{arm}: searches with an impression", searches, ids(IMPRESSIONS, "query_id")),
        audit(f"{arm}: searches with a UBI query", searches, ids(QUERIES, "query_id")),
        audit(f"{arm}: UBI events", sent, ids(EVENTS, "event_id")),
    )


def _coverage(folders: SimFolders, arm: Arm) -> tuple[Coverage, ...]:
    """By the plugin's own timings of each page, under this run's load."""
    raw = raw_files_of(folders.signals)
    pages = _table(raw.of(IMPRESSIONS), IMPRESSIONS, pc.field("application") == application_of(arm))
    ledger = folders.ledger(arm).read("searches").select(["query_id", "band"]).to_pydict()
    bands = dict(zip(ledger["query_id"], ledger["band"], strict=True))
    asked = [
        (bands.get(row["query_id"], ""), row["outcome"], row["total_ms"])
        for row in pages.select(["query_id", "outcome", "total_ms"]).to_pylist()
        if row["outcome"] not in ("control", "disabled")
    ]

    def within(band: str, budget_ms: int) -> int:
        return sum(
            outcome == "fused" and total_ms is not None and total_ms <= budget_ms
            for each, outcome, total_ms in asked
            if not band or each == band
        )

    tail = sum(band == "tail" for band, _, _ in asked)
    return tuple(
        Coverage(budget_ms, len(asked), within("", budget_ms), tail, within("tail", budget_ms))
        for budget_ms in COVERAGE_MS
    )


def _mart(folder: Path, spec: TableSpec) -> pa.Table:
    return _table(read_marts(folder).files(spec), spec)


def _table(files: tuple[Path, ...], spec: TableSpec, rows: pc.Expression | None = None) -> pa.Table:
    if not files:
        return spec.schema.empty_table()
    stored = ds.dataset([str(file) for file in files], format="parquet")
    return stored.to_table(columns=spec.schema.names, filter=rows).cast(spec.schema)
