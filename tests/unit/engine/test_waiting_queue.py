"""The order in which waiting requests start: fair among tenants, by deadline within one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule
from iterqr_server.engine.waiting_queue import WaitingQueue


def queue_of(*entries: tuple[str, str, float | None, float]) -> WaitingQueue[str]:
    """Entries are item, tenant, deadline, work."""
    queue: WaitingQueue[str] = WaitingQueue()
    for item, tenant, deadline, work in entries:
        queue.push(item, tenant=tenant, deadline=deadline, work=work)
    return queue


def drained(queue: WaitingQueue[str]) -> list[str]:
    return [queue.pop() for _ in range(len(queue))]


def test_within_a_tenant_the_earliest_deadline_goes_first_and_none_goes_last() -> None:
    queue = queue_of(
        ("a", "t", None, 1), ("b", "t", 9.0, 1), ("c", "t", None, 1), ("d", "t", 3.0, 1), ("e", "t", 9.0, 1)
    )
    assert list(queue) == drained(queue) == ["d", "b", "e", "a", "c"]


def test_a_flood_delays_another_tenant_by_one_request() -> None:
    queue = queue_of(*((f"flood{i}", "a", float(i), 50) for i in range(20)), ("lone", "b", 100.0, 50))
    assert drained(queue)[:3] == ["flood0", "lone", "flood1"]


def test_tenants_share_work_not_requests() -> None:
    large = [(f"L{i}", "a", float(i), 30) for i in range(3)]
    small = [(f"s{i}", "b", float(i) + 0.5, 10) for i in range(9)]
    assert drained(queue_of(*large, *small)) == [
        "L0", "s0", "s1", "s2", "L1", "s3", "s4", "s5", "L2", "s6", "s7", "s8",
    ]  # fmt: skip


def test_idling_earns_no_credit() -> None:
    queue = queue_of(*((f"a{i}", "a", None, 10) for i in range(10)), ("b0", "b", None, 10))
    assert [queue.pop() for _ in range(6)] == ["a0", "b0", "a1", "a2", "a3", "a4"]
    for i in range(1, 4):
        queue.push(f"b{i}", tenant="b", deadline=None, work=10)
    assert drained(queue) == ["b1", "a5", "b2", "a6", "b3", "a7", "a8", "a9"]


def test_a_short_absence_does_not_wipe_out_what_was_given() -> None:
    queue = queue_of(("a0", "a", 0.0, 100), ("b0", "b", 1.0, 10), ("b1", "b", 2.0, 10))
    assert queue.pop() == "a0"
    queue.push("a1", tenant="a", deadline=0.0, work=100)
    assert drained(queue) == ["b0", "b1", "a1"]


def test_an_empty_queue_starts_over() -> None:
    queue = queue_of(("a0", "a", None, 1000))
    assert queue.pop() == "a0"
    queue.push("a1", tenant="a", deadline=1.0, work=1)
    queue.push("b0", tenant="b", deadline=2.0, work=1)
    assert drained(queue) == ["a1", "b0"]


def test_what_was_removed_is_neither_served_nor_charged() -> None:
    queue = queue_of(("a0", "a", 1.0, 100), ("a1", "a", 2.0, 100), ("b0", "b", 3.0, 1), ("b1", "b", 4.0, 1))
    queue.remove("a0")
    assert "a0" not in queue
    assert len(queue) == 3
    assert drained(queue) == ["a1", "b0", "b1"]
    with pytest.raises(KeyError):
        queue.remove("a0")


def test_expired_are_those_at_or_past_their_deadline() -> None:
    queue = queue_of(("a", "t", 1.0, 1), ("b", "t", 2.0, 1), ("c", "u", 2.5, 1), ("d", "u", None, 1))
    assert queue.expired(0.5) == ()
    assert queue.expired(2.0) == ("a", "b")
    assert set(queue.expired(1e9)) == {"a", "b", "c"}
    assert len(queue) == 4


def test_misuse_is_refused() -> None:
    queue = queue_of(("a", "t", None, 1))
    with pytest.raises(ValueError, match="waits already"):
        queue.push("a", tenant="t", deadline=None, work=1)
    with pytest.raises(ValueError, match="work: must be positive, got 0"):
        queue.push("b", tenant="t", deadline=None, work=0)
    queue.pop()
    for take in (queue.peek, queue.pop):
        with pytest.raises(IndexError):
            take()


_tenants = st.sampled_from("abc")
_deadlines = st.none() | st.floats(0, 10)
_work = st.floats(0.5, 50)
_entries = st.lists(st.tuples(_tenants, _deadlines, _work), max_size=25)


@given(_entries, st.integers(0, 25), _tenants, _deadlines)
def test_who_is_ahead_is_who_would_be_served_first(
    entries: list[tuple[str, float | None, float]], served: int, tenant: str, deadline: float | None
) -> None:
    queue = queue_of(*((str(i), *entry) for i, entry in enumerate(entries)))
    for _ in range(min(served, len(queue))):
        queue.pop()
    ahead = queue.ahead_of(tenant=tenant, deadline=deadline)
    queue.push("new", tenant=tenant, deadline=deadline, work=1.0)
    order = drained(queue)
    assert list(ahead) == order[: order.index("new")]


@given(st.lists(_work, min_size=30, max_size=30), st.lists(_work, min_size=30, max_size=30))
def test_flooding_tenants_get_equal_work_up_to_one_request_each(first: list[float], second: list[float]) -> None:
    work = {f"{tenant}{i}": w for tenant, each in (("a", first), ("b", second)) for i, w in enumerate(each)}
    queue = queue_of(*((item, item[0], None, w) for item, w in work.items()))
    given_to = {"a": 0.0, "b": 0.0}
    left = {"a": 30, "b": 30}
    while all(left.values()):
        item = queue.pop()
        given_to[item[0]] += work[item]
        left[item[0]] -= 1
        assert abs(given_to["a"] - given_to["b"]) <= max(first) + max(second) + 1e-6


class AnyInterleaving(RuleBasedStateMachine):
    """Pushes, pops and removals in any order lose nothing and keep each tenant's order."""

    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.queue: WaitingQueue[int] = WaitingQueue()
        self.model: dict[int, tuple[str, float]] = {}
        self.arrivals = 0

    @rule(target=waiting, tenant=_tenants, deadline=_deadlines, work=_work)
    def push(self, tenant: str, deadline: float | None, work: float) -> int:
        item = self.arrivals
        self.arrivals += 1
        self.queue.push(item, tenant=tenant, deadline=deadline, work=work)
        self.model[item] = (tenant, math.inf if deadline is None else deadline)
        return item

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        item = self.queue.peek()
        assert self.queue.pop() == item
        tenant, deadline = self.model.pop(item)
        rivals = [(other, i) for i, (name, other) in self.model.items() if name == tenant]
        assert all((deadline, item) < rival for rival in rivals)

    @rule(item=consumes(waiting))
    def remove(self, item: int) -> None:
        if item in self.model:
            self.queue.remove(item)
            del self.model[item]

    @invariant()
    def nothing_is_lost(self) -> None:
        order = list(self.queue)
        assert len(order) == len(self.queue)
        assert set(order) == set(self.model)
        if order:
            assert order[0] == self.queue.peek()


TestAnyInterleaving = AnyInterleaving.TestCase
