"""No decision of the plugin hangs on the wall clock, so a clock that jumps changes none.

Budgets, deadlines, breakers, caches and rates count on `System.nanoTime`, which does not jump, and their unit tests
inject it. The wall clock is read only for what is written down; those files are listed here, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from iterqr_dev_node.plugin_build import plugin_folder

SOURCES = plugin_folder() / "src" / "main" / "java"
WALL_CLOCK = re.compile(
    r"currentTimeMillis|(Instant|Local(Date|Time|DateTime)|(Zoned|Offset)DateTime)\.now\(|Clock\.system"
    r"|new Date\(\)|absoluteTimeInMillis|Calendar\.getInstance"
)
WRITTEN_DOWN = {
    "impression/ImpressionLog.java": "the time at which an impression was made",
    "impression/ImpressionRetention.java": "the age of a log's index; what follows from it is tested with times given",
}


def readers() -> Iterator[str]:
    for source in sorted(SOURCES.rglob("*.java")):
        if WALL_CLOCK.search(source.read_text()):
            yield str(source.relative_to(SOURCES / "org" / "iterqr" / "opensearch"))


def test_the_wall_clock_is_read_only_for_what_is_written_down() -> None:
    assert set(readers()) == set(WRITTEN_DOWN)


@pytest.mark.parametrize(
    "line",
    ["long now = System.currentTimeMillis();", "Instant at = Instant.now();", "threadPool.absoluteTimeInMillis()"],
)
def test_reading_the_wall_clock_is_recognised(line: str) -> None:
    assert WALL_CLOCK.search(line)


def test_budgets_count_on_the_clock_that_does_not_jump() -> None:
    budget = (SOURCES / "org" / "iterqr" / "opensearch" / "search" / "Budget.java").read_text()
    assert "System.nanoTime()" in budget


def test_sources_are_found() -> None:
    assert len(list(SOURCES.rglob("*.java"))) > 50
