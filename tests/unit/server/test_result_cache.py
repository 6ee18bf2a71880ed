"""Results are kept by everything they depend on, for their time, within bounds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from iterqr_server.rewrite.output_builder import Output, ScoredRewrite
from iterqr_server.rewrite.result_cache import CachedResult, CacheKey, ResultCache

KEY = CacheKey(
    tenant="shop",
    region="north",
    checkpoint_id="ckpt",
    format_version="v1",
    hints_version="hints-1",
    query="pad tai",
    max_rewrites=3,
)
RESULT = CachedResult(Output(rewrites=(ScoredRewrite("pad thai", 0.9),)), ("Pad Thai",), "hints-1")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(CacheKey)])
def test_every_part_of_the_key_tells_results_apart(field: str) -> None:
    cache = ResultCache(10)
    cache.put(KEY, RESULT, 60)
    changed: dict[str, Any] = {field: 4 if field == "max_rewrites" else "other"}
    other = dataclasses.replace(KEY, **changed)
    assert cache.get(KEY) == RESULT
    assert cache.get(other) is None


def test_entries_leave_after_their_own_time() -> None:
    clock = Clock()
    cache = ResultCache(10, clock)
    other = dataclasses.replace(KEY, query="other")
    cache.put(KEY, RESULT, 60)
    cache.put(other, RESULT, 5)
    clock.now = 5.1
    assert cache.get(other) is None
    assert cache.get(KEY) == RESULT
    clock.now = 60.1
    assert cache.get(KEY) is None


def test_the_least_recently_used_leaves_first() -> None:
    cache = ResultCache(2)
    keys = [dataclasses.replace(KEY, query=str(i)) for i in range(3)]
    cache.put(keys[0], RESULT, 60)
    cache.put(keys[1], RESULT, 60)
    assert cache.get(keys[0])
    cache.put(keys[2], RESULT, 60)
    assert [cache.get(key) is not None for key in keys] == [True, False, True]
    assert len(cache) == 2


def test_a_result_without_rewrites_is_a_result() -> None:
    cache = ResultCache(2)
    empty = CachedResult(Output(fix="x"), (), "")
    cache.put(KEY, empty, 60)
    assert cache.get(KEY) == empty


def test_a_cache_of_size_zero_keeps_nothing() -> None:
    cache = ResultCache(0)
    cache.put(KEY, RESULT, 60)
    assert cache.get(KEY) is None
