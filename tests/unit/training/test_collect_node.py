"""What a node answers becomes statuses and pages; what is not as its API says is refused."""

from __future__ import annotations

from typing import Any

import pytest
from iterqr_training.errors import SourceError
from iterqr_training.signals.collect.node import Document, Page, ShardStatus, page_of, shard_statuses
from iterqr_training.signals.store.state import ShardId


def copy(checkpoint: int, *, primary: bool = True, state: str = "STARTED") -> dict[str, Any]:
    return {"routing": {"primary": primary, "state": state}, "seq_no": {"global_checkpoint": checkpoint}}


def test_each_shard_is_told_by_its_primary() -> None:
    told = {
        "indices": {
            "b": {"uuid": "u-b", "shards": {"0": [copy(4, primary=False), copy(5)]}},
            "a": {"uuid": "u-a", "shards": {"1": [copy(7)], "0": [copy(-1)]}},
        }
    }
    assert shard_statuses(told) == [
        ShardStatus(ShardId("u-a", 0), "a", -1),
        ShardStatus(ShardId("u-a", 1), "a", 7),
        ShardStatus(ShardId("u-b", 0), "b", 5),
    ]
    assert shard_statuses({}) == []


def test_shards_without_a_started_primary_wait() -> None:
    shards = {"0": [copy(9, state="INITIALIZING")], "1": [{"routing": {"primary": True, "state": "STARTED"}}]}
    assert shard_statuses({"indices": {"a": {"uuid": "u", "shards": shards}}}) == []


@pytest.mark.parametrize("told", [{"indices": {"a": {"shards": {"0": [copy(1)]}}}}, {"indices": ["a"]}])
def test_statistics_that_are_none_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="statistics are not as its API says"):
        shard_statuses(told)


def reply(*seq_nos: int, **changes: object) -> dict[str, Any]:
    hits = [{"_id": f"d{each}", "_version": 1, "sort": [each], "_source": {"n": each}} for each in seq_nos]
    return {"timed_out": False, "_shards": {"successful": 1, "failed": 0}, "hits": {"hits": hits}, **changes}


def test_a_full_page_ends_at_its_last_document() -> None:
    page = page_of(reply(3, 8), 2, checkpoint=20)
    assert page == Page([Document("d3", 3, 1, {"n": 3}), Document("d8", 8, 1, {"n": 8})], seen=8)


@pytest.mark.parametrize("seq_nos", [(), (3,)])
def test_a_page_that_is_not_full_is_the_last(seq_nos: tuple[int, ...]) -> None:
    assert page_of(reply(*seq_nos), 2, checkpoint=20).seen == 20


@pytest.mark.parametrize(
    "wrong",
    [
        reply(3, timed_out=True),
        reply(3, _shards={"successful": 0, "failed": 1}),
        reply(3, _shards={"successful": 0, "failed": 0}),
        reply(3, _shards={"successful": 2, "failed": 0}),
    ],
)
def test_a_page_of_less_or_more_than_a_shard_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="could not read a shard"):
        page_of(wrong, 2, checkpoint=20)


def test_a_page_that_is_none_is_refused() -> None:
    with pytest.raises(SourceError, match="page is not as its API says"):
        page_of({"hits": {}}, 2, checkpoint=20)
