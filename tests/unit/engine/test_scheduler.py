from __future__ import annotations

from iterqr_server.engine.block_pool import BlockPool
from iterqr_server.engine.prefix_cache import Prefix, PrefixCache
from iterqr_server.engine.scheduler import plan_step
from iterqr_server.engine.sequence import Sequence


def sequence(name: str, suffix: int, computed: int = 0, generated: int = 0, prefix: Prefix | None = None) -> Sequence:
    made = Sequence(name, prefix.token_ids if prefix else (), tuple(range(suffix)), max_new_tokens=50)
    made.token_ids += [0] * generated
    made.computed = computed
    made.prefix = prefix
    return made


def prefix(length: int, computed: int = 0) -> Prefix:
    made = PrefixCache(BlockPool(1000, 4)).acquire(tuple(range(length)))
    made.computed = computed
    return made


def planned(running: list[Sequence], max_rows: int) -> list[tuple[str, int, int, bool]]:
    return [
        (c.holder.request_id if isinstance(c.holder, Sequence) else "prefix", c.start, c.count, c.wants_logits)
        for c in plan_step(running, max_rows).chunks
    ]


def test_nothing_to_run_is_an_empty_plan() -> None:
    assert planned([], 8) == []


def test_a_prompt_goes_into_one_step_and_wants_logits_of_its_last_row() -> None:
    assert planned([sequence("a", 5)], 8) == [("a", 0, 5, True)]


def test_decoding_comes_before_prompts_whatever_arrived_first() -> None:
    running = [sequence("prompt", 20), sequence("decoding", 4, computed=4, generated=1)]
    assert planned(running, 8) == [("decoding", 4, 1, True), ("prompt", 0, 7, False)]


def test_a_cut_prompt_goes_on_where_it_was_cut() -> None:
    assert planned([sequence("a", 10, computed=7), sequence("b", 10)], 8) == [("a", 7, 3, True), ("b", 0, 5, False)]


def test_prompts_share_rows_in_order_of_arrival() -> None:
    running = [sequence("a", 3), sequence("b", 3), sequence("c", 3)]
    assert planned(running, 6) == [("a", 0, 3, True), ("b", 0, 3, True)]


def test_a_shared_prefix_is_computed_once_and_before_its_suffixes() -> None:
    shared = prefix(6)
    running = [sequence("a", 3, prefix=shared), sequence("b", 3, prefix=shared), sequence("c", 2)]
    assert planned(running, 100) == [("prefix", 0, 6, False), ("c", 0, 2, True)]
    shared.computed = 6
    assert planned(running, 100) == [("a", 0, 3, True), ("b", 0, 3, True), ("c", 0, 2, True)]


def test_a_long_prefix_is_cut_too() -> None:
    shared = prefix(10, computed=4)
    assert planned([sequence("a", 3, prefix=shared)], 4) == [("prefix", 4, 4, False)]


def test_rows_never_exceed_the_limit() -> None:
    running = [sequence(str(i), 4, computed=4, generated=1) for i in range(5)]
    assert len(planned(running, 3)) == 3
