"""What learning leaves out of the raw tables: what was planted, duplicates and bots, all counted.

The same expressions on every engine. What the attribution check planted goes first, then duplicates, then bots are
judged by what is left. Days and hours are UTC. Clients without an id are never bots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import ibis
import ibis.expr.types as ir

from iterqr_training.errors import SettingError
from iterqr_training.signals.attribution_check.planting import INDEX_PREFIX

PLANTED = "attribution_check"
_DAY_S = 86_400
_HOUR_S = 3_600
# In the order in which a client's day that has several is counted for one.
BOT_REASONS = ("too_many_searches", "too_many_clicks", "clicks_nearly_everything", "events_without_impressions")


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What is a duplicate, and what nobody does by hand.

    Attributes:
        repeat_window_ms: An event like the one before it within this time is a retry of it; 0 to 60,000. 0: only with
            the very same time.
        max_searches_a_day: More searches of a client on a day are a bot's; 1 to 1,000,000.
        max_clicks_an_hour: More clicks of a client in an hour are a bot's; 1 to 1,000,000.
        min_hits_to_judge: A client is judged by the share of hits it clicked if it was shown so many on a day; 1 to
            1,000,000.
        nearly_everything_percent: A client that clicked so many of them is a bot; 1 to 100.
        max_unseen_events_a_day: More events of a client on a day, all of searches of which no page was logged, are a
            bot's; 1 to 1,000,000. (So are those of clients that the log's sampling leaves out: nothing can be credited
            to them.)
        click_actions: UBI actions that are clicks; at least one.
        keep_duplicates: Retries are no duplicates. A document's id is there once all the same.
        keep_bots: Nobody is judged to be a bot.

    Raises:
        SettingError: One is out of its limits.
    """

    repeat_window_ms: int = 1_000
    max_searches_a_day: int = 1_000
    max_clicks_an_hour: int = 300
    min_hits_to_judge: int = 50
    nearly_everything_percent: int = 90
    max_unseen_events_a_day: int = 50
    click_actions: tuple[str, ...] = ("click",)
    keep_duplicates: bool = False
    keep_bots: bool = False

    def __post_init__(self) -> None:
        _check("repeat_window_ms", self.repeat_window_ms, 0, 60_000)
        _check("max_searches_a_day", self.max_searches_a_day, 1, 1_000_000)
        _check("max_clicks_an_hour", self.max_clicks_an_hour, 1, 1_000_000)
        _check("min_hits_to_judge", self.min_hits_to_judge, 1, 1_000_000)
        _check("nearly_everything_percent", self.nearly_everything_percent, 1, 100)
        _check("max_unseen_events_a_day", self.max_unseen_events_a_day, 1, 1_000_000)
        if not self.click_actions:
            raise SettingError("click_actions is empty, it must have at least one action")


@dataclass(frozen=True, slots=True)
class MarkedSignals:
    """Raw rows with a column `left_out`: "" for those that are kept, else why not.

    Rewrites, hits and hit channels of impressions that are left out stay in their tables; a join leaves them out.

    Attributes:
        impressions: `tables.IMPRESSIONS` and left_out.
        events: `tables.EVENTS` and left_out.
    """

    impressions: ir.Table
    events: ir.Table


@dataclass(frozen=True, slots=True)
class CleanSignals:
    """What is kept, with the columns of the raw tables, and `counts` of what is not."""

    impressions: ir.Table
    events: ir.Table
    counts: ir.Table


def clean(impressions: ir.Table, hits: ir.Table, events: ir.Table, settings: FilterSettings) -> CleanSignals:
    """`mark`, and what follows from it, where it need not be kept in files between."""
    marked = mark(impressions, hits, events, settings)
    return CleanSignals(kept(marked.impressions), kept(marked.events), counts(marked))


def mark(impressions: ir.Table, hits: ir.Table, events: ir.Table, settings: FilterSettings) -> MarkedSignals:
    """Says of each impression and event whether it is left out; nothing is computed before the result is.

    Keep the result in files where it is used more than once, and so the results of its parts: an engine computes them
    each time.

    What an attribution check planted is `attribution_check`, in case it was collected before it was taken away. Of the
    rest, a document's id is there once: the row with the earliest time is kept, others are `same_id`. Of events that
    tell the same client, query, action, object and position, each within `repeat_window_ms` of the one before, the
    first is kept, others are `repeated`; events that tell neither client nor query are no repeats. All else of a client
    on a day on which it is found to be a bot has the first of `BOT_REASONS` that holds.

    Args:
        impressions: `tables.IMPRESSIONS`.
        hits: `tables.HITS`.
        events: `tables.EVENTS`.
        settings: The limits.
    """
    marked = mark_duplicates(impressions, events, settings)
    return marked if settings.keep_bots else mark_bots(marked, bot_days(marked, hits, settings))


def mark_duplicates(impressions: ir.Table, events: ir.Table, settings: FilterSettings) -> MarkedSignals:
    """The first part of `mark`: what was planted and duplicates."""
    pages = _numbered(impressions, "impression_id")
    pages = pages.mutate(left_out=ibis.cases((_planted(pages), PLANTED), (pages.copy_number > 0, "same_id"), else_=""))
    done = _numbered(events, "event_id")
    is_repeat: ir.BooleanValue = ibis.literal(False)
    if not settings.keep_duplicates:
        done = _repeats_marked(done, settings.repeat_window_ms)
        is_repeat = done.repeats
    done = done.mutate(
        left_out=ibis.cases(
            (_planted(done), PLANTED), (done.copy_number > 0, "same_id"), (is_repeat, "repeated"), else_=""
        ),
    )
    return MarkedSignals(
        impressions=pages.select(*impressions.columns, "left_out"),
        events=done.select(*events.columns, "left_out"),
    )


def bot_days(marked: MarkedSignals, hits: ir.Table, settings: FilterSettings) -> ir.Table:
    """Returns client_id, day (since 1970) and bot_reason, one row for each day of a client on which it is a bot.

    Args:
        marked: Without planted rows and duplicates, by `mark_duplicates`.
        hits: `tables.HITS`.
        settings: The limits.
    """
    pages, events = _with_day(kept(marked.impressions)), _with_day(kept(marked.events))
    own_pages = pages.filter(pages.client_id != "")
    own_events = events.filter(events.client_id != "")
    clicks = own_events.filter(own_events.action.isin(settings.click_actions))
    found = [
        _many_searches(own_pages, settings),
        _many_clicks(clicks, settings),
        _nearly_everything(own_pages, hits, clicks, settings),
        _unseen(own_events, pages, settings),
    ]
    numbered = _union([each.mutate(number=ibis.literal(number, "int64")) for number, each in enumerate(found)])
    first = numbered.group_by("client_id", "day").aggregate(number=numbered.number.min())
    names = [(first.number == number, reason) for number, reason in enumerate(BOT_REASONS)]
    return first.select("client_id", "day", bot_reason=ibis.cases(*names, else_=""))


def mark_bots(marked: MarkedSignals, bots: ir.Table) -> MarkedSignals:
    """The last part of `mark`: what is left of the days of `bot_days` is a bot's."""
    return MarkedSignals(_judged(marked.impressions, bots), _judged(marked.events, bots))


def kept(marked: ir.Table) -> ir.Table:
    """The rows of a marked table that are not left out, with the columns of the raw table."""
    return marked.filter(marked.left_out == "").drop("left_out")


def counts(marked: MarkedSignals) -> ir.Table:
    """What was left out for what: filter (planted, duplicates, bots, and kept for what is left), reason, table, rows.

    `table` is impressions or events, and for bots also client_days. What there is nothing of has no row.
    """
    impressions, events = _with_day(marked.impressions), _with_day(marked.events)
    days = _union([table.select("client_id", "day", "left_out") for table in (impressions, events)])
    bot_days = days.filter(days.left_out.isin(BOT_REASONS)).distinct()
    everything = _union(
        [
            rows.select("left_out", table=ibis.literal(name))
            for rows, name in ((impressions, "impressions"), (events, "events"), (bot_days, "client_days"))
        ]
    )
    counted = everything.group_by("left_out", "table").aggregate(rows=everything.count())
    named = ibis.cases(
        (counted.left_out == "", "kept"),
        (counted.left_out == PLANTED, "planted"),
        (counted.left_out.isin(BOT_REASONS), "bots"),
        else_="duplicates",
    )
    return counted.select(filter=named, reason=counted.left_out, table=counted.table, rows=counted.rows)


def _planted(table: ir.Table) -> ir.BooleanValue:
    return table.application.startswith(INDEX_PREFIX)


def _numbered(table: ir.Table, key: str) -> ir.Table:
    """Adds copy_number: 0 for the first row of each id, by time, then by everything else."""
    order = ["timestamp", *(name for name in table.columns if name not in (key, "timestamp"))]
    return table.mutate(copy_number=ibis.row_number().over(ibis.window(group_by=key, order_by=order)))


def _repeats_marked(events: ir.Table, window_ms: int) -> ir.Table:
    """Adds repeats. Copies of a document are by themselves: they are no event that another could repeat."""
    flagged = events.mutate(is_copy=events.copy_number > 0)
    same = ibis.window(
        group_by=["is_copy", "client_id", "query_id", "action", "object_id", "position"],
        order_by=["timestamp", "event_id"],
    )
    with_last = flagged.mutate(last=flagged.timestamp.lag().over(same))
    soon = with_last.timestamp <= with_last.last + ibis.interval(milliseconds=window_ms)
    is_told = (with_last.client_id != "") | (with_last.query_id != "")
    return with_last.mutate(repeats=(is_told & with_last.last.notnull() & soon).fill_null(False))


def _with_day(table: ir.Table) -> ir.Table:
    """Adds day and hour, counted from 1970: dates would depend on an engine's time zone."""
    seconds = table.timestamp.epoch_seconds()
    return table.mutate(day=seconds // _DAY_S, hour=seconds // _HOUR_S)


def _many_searches(pages: ir.Table, settings: FilterSettings) -> ir.Table:
    days = pages.group_by("client_id", "day").aggregate(number=pages.query_id.nunique())
    return days.filter(days.number > settings.max_searches_a_day).select("client_id", "day")


def _many_clicks(clicks: ir.Table, settings: FilterSettings) -> ir.Table:
    hours = clicks.group_by("client_id", "day", "hour").aggregate(number=clicks.count())
    return hours.filter(hours.number > settings.max_clicks_an_hour).select("client_id", "day").distinct()


def _nearly_everything(pages: ir.Table, hits: ir.Table, clicks: ir.Table, settings: FilterSettings) -> ir.Table:
    """By the objects of each search that were shown, and those of them that were clicked, on whatever day.

    Hits are the largest table: only those of clients that clicked enough at all are looked at.
    """
    clicked = clicks.select("client_id", "query_id", "object_id").distinct()
    busy = clicked.group_by("client_id").aggregate(number=clicked.count())
    busy = busy.filter(busy.number * 100 >= settings.min_hits_to_judge * settings.nearly_everything_percent)
    theirs = pages.semi_join(busy, "client_id").select("impression_id", "client_id", "day", "query_id")
    shown = hits.filter(hits.shown).join(theirs, "impression_id").select("client_id", "day", "query_id", "object_id")
    clicked = clicked.mutate(clicked=ibis.literal(1, "int64"))
    both = shown.distinct().left_join(clicked, ["client_id", "query_id", "object_id"])
    days = both.group_by("client_id", "day").aggregate(shown=both.count(), clicked=both.clicked.sum())
    return days.filter(
        days.shown >= settings.min_hits_to_judge,
        days.clicked * 100 >= days.shown * settings.nearly_everything_percent,
    ).select("client_id", "day")


def _unseen(events: ir.Table, pages: ir.Table, settings: FilterSettings) -> ir.Table:
    """By events that tell a query; those after midnight may have their pages on the day before."""
    told = events.filter(events.query_id != "").select("client_id", "day", "query_id")
    logged = pages.select("query_id").distinct().mutate(logged=ibis.literal(1, "int64"))
    both = told.left_join(logged, "query_id")
    days = both.group_by("client_id", "day").aggregate(number=both.count(), logged=both.logged.count())
    return days.filter(days.number > settings.max_unseen_events_a_day, days.logged == 0).select("client_id", "day")


def _judged(table: ir.Table, bots: ir.Table) -> ir.Table:
    """Marks what is left of bots."""
    joined = _with_day(table).left_join(bots, ["client_id", "day"])
    is_bot = (joined.left_out == "") & joined.bot_reason.notnull()
    judged = joined.mutate(left_out=ibis.ifelse(is_bot, joined.bot_reason, joined.left_out))
    return judged.select(*table.columns)


def _union(tables: Sequence[ir.Table]) -> ir.Table:
    return reduce(lambda one, other: one.union(other), tables)


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingError(f"{name} is {value}, it must be from {least:,} to {most:,}")
