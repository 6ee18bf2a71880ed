"""What learning leaves out of the raw tables: duplicates and bots, both counted. The same expressions on every engine.

Duplicates first, then bots are judged by what is left. Days and hours are UTC. Clients without an id are never bots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import ibis
import ibis.expr.types as ir

from iterqr_training.errors import SettingError

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
class CleanSignals:
    """What is left, with the columns it had, and what was left out.

    Rewrites, hits and hit channels of impressions that were left out stay in their tables; a join leaves them out.

    Attributes:
        impressions: Rows of the raw table.
        events: Rows of the raw table.
        counts: One row for each filter and reason that something was left out for: filter (duplicates, bots, and kept
            for what is left), reason, table (impressions, events, and client_days for bots), rows.
    """

    impressions: ir.Table
    events: ir.Table
    counts: ir.Table


def clean(impressions: ir.Table, hits: ir.Table, events: ir.Table, settings: FilterSettings) -> CleanSignals:
    """Leaves out duplicates and bots; nothing is computed before the result is.

    A document's id is there once: the row with the earliest time is kept. Of events that tell the same client, query,
    action, object and position, each within `repeat_window_ms` of the one before, the first is kept; events that tell
    neither client nor query are no repeats. A client that is found to be a bot is left out with all impressions and
    events of that day.

    Args:
        impressions: `tables.IMPRESSIONS`.
        hits: `tables.HITS`.
        events: `tables.EVENTS`.
        settings: The limits.
    """
    numbered_pages = _numbered(impressions, "impression_id")
    numbered_events = _numbered(events, "event_id")
    pages = _with_day(numbered_pages.filter(numbered_pages.copy_number == 0))
    told = _repeats_marked(numbered_events.filter(numbered_events.copy_number == 0), settings.repeat_window_ms)
    done = _with_day(told.filter(~told.repeats))
    bots = _bot_days(pages, hits, done, settings)
    judged_pages = _judged(pages, bots)
    judged_events = _judged(done, bots)
    kept_pages = judged_pages.filter(judged_pages.bot_reason == "")
    kept_events = judged_events.filter(judged_events.bot_reason == "")
    counted = [
        _left_out(numbered_pages.filter(numbered_pages.copy_number > 0), "duplicates", "same_id", "impressions"),
        _left_out(numbered_events.filter(numbered_events.copy_number > 0), "duplicates", "same_id", "events"),
        _left_out(told.filter(told.repeats), "duplicates", "repeated", "events"),
        _bots(bots, "client_days"),
        _bots(judged_pages, "impressions"),
        _bots(judged_events, "events"),
        _left_out(kept_pages, "kept", "", "impressions"),
        _left_out(kept_events, "kept", "", "events"),
    ]
    everything = _union(counted)
    return CleanSignals(
        impressions=kept_pages.select(*impressions.columns),
        events=kept_events.select(*events.columns),
        counts=everything.group_by("filter", "reason", "table").aggregate(rows=everything.count()),
    )


def _numbered(table: ir.Table, key: str) -> ir.Table:
    """Adds copy_number: 0 for the first row of each id, by time, then by everything else."""
    order = ["timestamp", *(name for name in table.columns if name not in (key, "timestamp"))]
    return table.mutate(copy_number=ibis.row_number().over(ibis.window(group_by=key, order_by=order)))


def _repeats_marked(events: ir.Table, window_ms: int) -> ir.Table:
    same = ibis.window(
        group_by=["client_id", "query_id", "action", "object_id", "position"], order_by=["timestamp", "event_id"]
    )
    with_last = events.mutate(last=events.timestamp.lag().over(same))
    soon = with_last.timestamp <= with_last.last + ibis.interval(milliseconds=window_ms)
    is_told = (with_last.client_id != "") | (with_last.query_id != "")
    return with_last.mutate(repeats=(is_told & with_last.last.notnull() & soon).fill_null(False))


def _with_day(table: ir.Table) -> ir.Table:
    """Adds day and hour, counted from 1970: dates would depend on an engine's time zone."""
    seconds = table.timestamp.epoch_seconds()
    return table.mutate(day=seconds // _DAY_S, hour=seconds // _HOUR_S)


def _bot_days(pages: ir.Table, hits: ir.Table, events: ir.Table, settings: FilterSettings) -> ir.Table:
    """Returns client_id, day and bot_reason, one row for each day of a client on which it is a bot."""
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


def _many_searches(pages: ir.Table, settings: FilterSettings) -> ir.Table:
    days = pages.group_by("client_id", "day").aggregate(number=pages.query_id.nunique())
    return days.filter(days.number > settings.max_searches_a_day).select("client_id", "day")


def _many_clicks(clicks: ir.Table, settings: FilterSettings) -> ir.Table:
    hours = clicks.group_by("client_id", "day", "hour").aggregate(number=clicks.count())
    return hours.filter(hours.number > settings.max_clicks_an_hour).select("client_id", "day").distinct()


def _nearly_everything(pages: ir.Table, hits: ir.Table, clicks: ir.Table, settings: FilterSettings) -> ir.Table:
    """By the objects of each search that were shown, and those of them that were clicked, on whatever day."""
    shown = hits.filter(hits.shown).join(pages, "impression_id").select("client_id", "day", "query_id", "object_id")
    clicked = clicks.select("client_id", "query_id", "object_id").distinct().mutate(clicked=ibis.literal(1, "int64"))
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
    """Adds bot_reason, "" for rows of no bot."""
    joined = table.left_join(bots, ["client_id", "day"])
    return joined.select(*table.columns, bot_reason=joined.bot_reason.fill_null(""))


def _left_out(rows: ir.Table, name: str, reason: str, table: str) -> ir.Table:
    return rows.select(filter=ibis.literal(name), reason=ibis.literal(reason), table=ibis.literal(table))


def _bots(judged: ir.Table, table: str) -> ir.Table:
    rows = judged.filter(judged.bot_reason != "")
    return rows.select(filter=ibis.literal("bots"), reason=rows.bot_reason, table=ibis.literal(table))


def _union(tables: Sequence[ir.Table]) -> ir.Table:
    return reduce(lambda one, other: one.union(other), tables)


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingError(f"{name} is {value}, it must be from {least:,} to {most:,}")
