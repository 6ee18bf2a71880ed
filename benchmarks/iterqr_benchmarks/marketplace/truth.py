"""Attribution held against what really happened: the ledger says which hit of which search an event is of, the node
says which channels retrieve that hit, the rules of DESIGN (section 2) say whom it is credited to; pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import pyarrow as pa
from iterqr_training.signals.attribution_check.channels import ChannelWindow, credit_of

from iterqr_benchmarks.marketplace.channel_windows import WindowAsked
from iterqr_benchmarks.marketplace.ledger import Ledger
from iterqr_benchmarks.marketplace.settings import AdversitySettings

Kind = Literal["click", "order"]
KINDS: tuple[Kind, ...] = ("click", "order")
BOTS, UNTOUCHED = "bots", "untouched"
_IN_THE_PAGE = frozenset({"fused"})  # of other outcomes the page is the original's alone
_PPB = 10**9
# Shares are of reciprocal ranks in whole billionths, so each is off a little; a rank more or less is 10,000 times that.
_ROUNDING_PPB = 200
_WRONG_TOLD = 20


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """A click or an order that a user or bot truly made, of a hit of a search.

    Attributes:
        event_id: As in the ledger; documents of it may have other ids.
        kind: Of the two.
        query_id: The search that led to it.
        object_id: The hit.
        position: Of the hit on the page.
        touched: Adversities of any of its documents, and `BOTS`.
    """

    event_id: str
    kind: Kind
    query_id: str
    object_id: str
    position: int
    touched: frozenset[str]


@dataclass(frozen=True, slots=True)
class LoggedSearch:
    """A search as the ledger has it, with the rewrites (id and text) and window that its impression tells."""

    query_id: str
    region: str
    text: str
    rewritten: bool
    window_size: int
    rewrites: tuple[tuple[str, str], ...]

    def windows_asked(self) -> Mapping[str, WindowAsked]:
        """The plain search of each channel that made the page: by rewrite id, "" for the original."""
        channels = {"": self.text} | (dict(self.rewrites) if self.rewritten else {})
        return {name: WindowAsked(self.region, text, self.window_size) for name, text in channels.items()}


@dataclass(frozen=True, slots=True)
class CreditRow:
    """One share of one event: a row of `ATTRIBUTED_EVENTS`, or what it must be. `rewrite_id` "": the original."""

    event_id: str
    kind: str
    query_id: str
    object_id: str
    position: int
    level: int
    rewrite_id: str
    share_ppb: int

    def agrees(self, other: CreditRow) -> bool:
        """Whether two rows say the same, but for the rounding of shares."""
        same = all(getattr(self, each.name) == getattr(other, each.name) for each in fields(self)[:-1])
        return same and abs(self.share_ppb - other.share_ppb) <= _ROUNDING_PPB


@dataclass(frozen=True, slots=True)
class CreditScore:
    """Of one kind of event, and of those that one adversity touched ("": all).

    `events` truly happened; `expected` shares follow from them, bots' excepted, who must earn nobody anything;
    `credited` shares are in the mart, of which so many are `right`.
    """

    kind: str
    touched: str
    events: int
    expected: int
    credited: int
    right: int

    @property
    def precision(self) -> float:
        """Share of what is credited that is right; 1 of nothing."""
        return self.right / self.credited if self.credited else 1.0

    @property
    def recall(self) -> float:
        """Share of what must be credited that is; 1 of nothing."""
        return self.right / self.expected if self.expected else 1.0


@dataclass(frozen=True, slots=True)
class TruthReport:
    """How attribution compares with the truth.

    Attributes:
        scores: All events of a kind first, then by adversity.
        levels: Events that must be credited, by kind and level: `order level 1`.
        unexplained: Events of hits that no channel retrieves; none, on a frozen index.
        searches_asked: Plain searches made to know it.
        wrong: Some of what is wrong, in words.
    """

    scores: tuple[CreditScore, ...]
    levels: Mapping[str, int]
    unexplained: int
    searches_asked: int
    wrong: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether all and only what must be credited is."""
        return not self.unexplained and all(
            each.right == each.expected == each.credited for each in self.scores if not each.touched
        )


def true_events(ledger: Ledger) -> tuple[TrueEvent, ...]:
    """Returns the clicks and orders of a ledger, bots' among them."""
    bots = {row["query_id"] for row in _rows(ledger.read("searches"), "query_id", "bot") if row["bot"]}
    touched: dict[str, set[str]] = defaultdict(set)
    for row in _rows(ledger.read("events"), "event_id", "touched"):
        touched[row["event_id"]] |= {name for name in row["touched"].split(",") if name}
    clicks = [row for row in ledger.read("actions").to_pylist() if row["action"] == "click"]
    orders = [{**row, "event_id": row["order_id"]} for row in ledger.read("orders").to_pylist()]
    kinds: tuple[tuple[Kind, list[dict[str, Any]]], ...] = (("click", clicks), ("order", orders))
    return tuple(
        TrueEvent(
            event_id=row["event_id"],
            kind=kind,
            query_id=row["query_id"],
            object_id=row["object_id"],
            position=row["position"],
            touched=frozenset(touched[row["event_id"]] | ({BOTS} if row["query_id"] in bots else set())),
        )
        for kind, rows in kinds
        for row in rows
    )


def logged_searches(ledger: Ledger, impressions: pa.Table, rewrites: pa.Table) -> Mapping[str, LoggedSearch]:
    """Returns the ledger's searches whose impressions were collected, by query id.

    Args:
        ledger: Of the run.
        impressions: `IMPRESSIONS`.
        rewrites: `REWRITES`.
    """
    texts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in _rows(rewrites, "impression_id", "rewrite_id", "text"):
        texts[row["impression_id"]].append((row["rewrite_id"], row["text"]))
    pages = {row["query_id"]: row for row in _rows(impressions, "query_id", "impression_id", "window_size")}
    return {
        row["query_id"]: LoggedSearch(
            query_id=row["query_id"],
            region=row["region"],
            text=row["text"],
            rewritten=row["outcome"] in _IN_THE_PAGE,
            window_size=page["window_size"],
            rewrites=tuple(texts[page["impression_id"]]),
        )
        for row in _rows(ledger.read("searches"), "query_id", "region", "text", "outcome")
        if (page := pages.get(row["query_id"])) is not None
    }


def expected_rows(
    event: TrueEvent, search: LoggedSearch, windows: Mapping[WindowAsked, tuple[str, ...]]
) -> tuple[CreditRow, ...]:
    """Returns to whom an event must be credited: nobody, if no channel retrieves its hit."""
    channels = [ChannelWindow(name, windows[asked]) for name, asked in search.windows_asked().items()]
    credit = credit_of(channels, event.object_id)
    if credit is None:
        return ()
    return tuple(
        CreditRow(
            event_id=event.event_id,
            kind=event.kind,
            query_id=event.query_id,
            object_id=event.object_id,
            position=event.position,
            level=credit.level,
            rewrite_id=share.rewrite_id,
            share_ppb=round(share.part * _PPB),
        )
        for share in credit.shares
    )


def credited_rows(attributed: pa.Table, documents: Mapping[str, str]) -> tuple[CreditRow, ...]:
    """Returns what the mart credits.

    Args:
        attributed: `ATTRIBUTED_EVENTS`.
        documents: The true event of each document id; documents that are not there are of other runs.
    """
    names = [each.name for each in fields(CreditRow)]
    return tuple(
        CreditRow(**{**{name: row[name] for name in names}, "event_id": documents[row["event_id"]]})
        for row in _rows(attributed, "status", *names)
        if row["status"] == "credited" and row["kind"] in KINDS and row["event_id"] in documents
    )


def compare_with_truth(
    events: Sequence[TrueEvent],
    searches: Mapping[str, LoggedSearch],
    windows: Mapping[WindowAsked, tuple[str, ...]],
    credited: Sequence[CreditRow],
) -> TruthReport:
    """Compares share by share; what is credited twice is wrong the second time."""
    expected: dict[str, tuple[CreditRow, ...]] = {}
    unexplained, levels, wrong = 0, dict[str, int](), list[str]()
    for event in events:
        search = searches.get(event.query_id)
        rows = expected_rows(event, search, windows) if search else ()
        if not rows:
            unexplained += 1
            wrong.append(f"{event.kind} {event.event_id}: no channel retrieves {event.object_id}")
        if BOTS in event.touched:
            rows = ()
        elif rows:
            name = f"{event.kind} level {rows[0].level}"
            levels[name] = levels.get(name, 0) + 1
        expected[event.event_id] = rows
    tally = _Tally(events)
    for event in events:
        tally.expect(event, len(expected[event.event_id]))
    by_id = {event.event_id: event for event in events}
    open_rows = {event_id: list(rows) for event_id, rows in expected.items()}
    for row in credited:
        left = open_rows[row.event_id]
        match = next((each for each in left if row.agrees(each)), None)
        if match is not None:
            left.remove(match)
        else:
            wrong.append(f"{row.kind} {row.event_id}: credited {_told(row)}, not to be")
        tally.credit(by_id[row.event_id], right=match is not None)
    wrong += [f"{row.kind} {row.event_id}: {_told(row)} is not credited" for rows in open_rows.values() for row in rows]
    return TruthReport(
        tally.scores(), dict(sorted(levels.items())), unexplained, len(windows), tuple(wrong[:_WRONG_TOLD])
    )


class _Tally:
    """Counts by kind and by adversity."""

    def __init__(self, events: Iterable[TrueEvent]) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {(kind, ""): [0, 0, 0, 0] for kind in KINDS}
        for event in events:
            for counts in self._of(event):
                counts[0] += 1

    def expect(self, event: TrueEvent, shares: int) -> None:
        for counts in self._of(event):
            counts[1] += shares

    def credit(self, event: TrueEvent, *, right: bool) -> None:
        for counts in self._of(event):
            counts[2] += 1
            counts[3] += right

    def scores(self) -> tuple[CreditScore, ...]:
        order = ("", UNTOUCHED, *(each.name for each in fields(AdversitySettings)))
        found = sorted(self._counts.items(), key=lambda each: (KINDS.index(_kind(each[0][0])), order.index(each[0][1])))
        return tuple(CreditScore(kind, touched, *counts) for (kind, touched), counts in found)

    def _of(self, event: TrueEvent) -> list[list[int]]:
        names = ("", *(event.touched or {UNTOUCHED}))
        return [self._counts.setdefault((event.kind, name), [0, 0, 0, 0]) for name in names]


def _kind(name: str) -> Kind:
    return "order" if name == "order" else "click"


def _told(row: CreditRow) -> str:
    return f"{row.share_ppb / _PPB:.3f} of level {row.level} to {row.rewrite_id or 'the original'} of {row.query_id}"


def _rows(table: pa.Table, *names: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(list(names)).to_pylist()
    return rows
