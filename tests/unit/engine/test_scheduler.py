from __future__ import annotations

from collections.abc import Sequence as Several

from iterqr_server.engine.cost_curve import CostCurve, CostPoint
from iterqr_server.engine.draft_tree import Guess
from iterqr_server.engine.drafter import Drafter, DraftSession
from iterqr_server.engine.ngram_index import NgramIndex
from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.engine.scheduler import StepPlan, add_drafts, plan_step
from iterqr_server.engine.sequence import Sequence

BLOCK = 4
FLAT = CostCurve((CostPoint(2, 10.0), CostPoint(1000, 10.1)))


class Chain(DraftSession):
    """Is sure that 1, 2, 3, ... comes next."""

    def __init__(self) -> None:
        super().__init__(Drafter(), (NgramIndex(),) * 4, [])

    def guess(self, path: tuple[int, ...]) -> list[Guess]:
        return [Guess(len(path) + 1, 1.0)]


class Requests:
    """Running requests over one cache."""

    def __init__(self) -> None:
        self.cache = PrefixCache(1000, BLOCK)

    def prompt(
        self,
        name: str,
        tokens: Several[int],
        computed: int = 0,
        *,
        max_new_tokens: int = 50,
        drafts: DraftSession | None = None,
        answer_ids: tuple[int, ...] = (),
    ) -> Sequence:
        """A request whose first `computed` tokens are computed."""
        made = Sequence(name, tuple(tokens), max_new_tokens, drafts=drafts, answer_ids=answer_ids)
        made.lease = self.cache.lease(made.token_ids, made.max_positions + 16)
        made.lease.rows(0, computed)
        made.lease.keep(0, range(computed))
        return made

    def decoding(self, name: str, tokens: Several[int], drafts: DraftSession | None = None) -> Sequence:
        """A request whose prompt is computed and whose first token is known."""
        made = self.prompt(name, tokens, len(tokens), drafts=drafts)
        made.token_ids.append(0)
        return made


def distinct(name: str, length: int) -> list[int]:
    """Tokens that no other name begins with."""
    return [ord(name), *range(1, length)]


def planned(running: list[Sequence], max_rows: int) -> list[tuple[str, int, int, bool]]:
    chunks = plan_step(running, max_rows, BLOCK).chunks
    return [(chunk.sequence.request_id, chunk.start, chunk.count, chunk.wants_logits) for chunk in chunks]


def test_nothing_to_run_is_an_empty_plan() -> None:
    assert planned([], 8) == []


def test_a_prompt_goes_into_one_step_and_wants_logits_of_its_last_row() -> None:
    assert planned([Requests().prompt("a", distinct("a", 5))], 8) == [("a", 0, 5, True)]


def test_decoding_comes_before_prompts_whatever_arrived_first() -> None:
    requests = Requests()
    running = [requests.prompt("p", distinct("p", 20)), requests.decoding("d", distinct("d", 4))]
    assert planned(running, 8) == [("d", 4, 1, True), ("p", 0, 7, False)]


def test_a_cut_prompt_goes_on_where_it_was_cut() -> None:
    requests = Requests()
    running = [requests.prompt("a", distinct("a", 10), computed=7), requests.prompt("b", distinct("b", 10))]
    assert planned(running, 8) == [("a", 7, 3, True), ("b", 0, 5, False)]


def test_prompts_share_rows_in_the_order_given() -> None:
    requests = Requests()
    running = [requests.prompt(name, distinct(name, 3)) for name in "abc"]
    assert planned(running, 6) == [("a", 0, 3, True), ("b", 0, 3, True)]


def test_the_first_computes_shared_blocks_and_others_follow_in_the_same_step() -> None:
    requests = Requests()
    running = [requests.prompt(str(last), [*range(9), 50 + last]) for last in range(3)]
    assert planned(running, 100) == [("0", 0, 10, True), ("1", 8, 2, True), ("2", 8, 2, True)]


def test_prompts_go_apart_where_they_differ() -> None:
    requests = Requests()
    running = [
        requests.prompt("a", [*range(8), *range(100, 108)]),
        requests.prompt("b", [*range(8), *range(200, 208)]),
        requests.prompt("c", [*range(8), *range(200, 204), 7, 7]),
    ]
    assert planned(running, 100) == [("a", 0, 16, True), ("b", 8, 8, True), ("c", 12, 2, True)]


def test_a_cut_shared_prompt_is_nobodys_until_it_goes_on() -> None:
    requests = Requests()
    running = [requests.prompt("a", [*range(12), 50]), requests.prompt("b", [*range(12), 60])]
    assert planned(running, 6) == [("a", 0, 6, False)]
    running[0].lease.keep(0, range(6))  # type: ignore[union-attr]
    running.reverse()  # whoever comes first now goes on
    assert planned(running, 100) == [("b", 6, 7, True), ("a", 12, 1, True)]


def test_what_an_aborted_request_left_half_done_is_taken_over() -> None:
    requests = Requests()
    first, second = requests.prompt("a", [*range(12), 50], computed=6), requests.prompt("b", [*range(12), 60])
    assert first.lease is not None
    first.lease.release()
    assert planned([second], 100) == [("b", 6, 7, True)]


def test_equal_prompts_compute_their_last_block_each() -> None:
    requests = Requests()
    running = [requests.prompt(name, range(8)) for name in "ab"]
    assert planned(running, 100) == [("a", 0, 8, True), ("b", 4, 4, True)]


def test_rows_never_exceed_the_limit() -> None:
    requests = Requests()
    assert len(planned([requests.decoding(str(i), distinct(str(i), 4)) for i in range(5)], 3)) == 3


def drafted(
    plan: StepPlan, curve: CostCurve = FLAT, max_rows: int = 100, max_tree_rows: int = 3
) -> list[tuple[str, int]]:
    drafts = add_drafts(plan, curve, max_rows=max_rows, max_tree_rows=max_tree_rows)
    assert [(c.sequence, c.start, c.count) for c in drafts.chunks] == [
        (c.sequence, c.start, c.count) for c in plan.chunks
    ]
    return [(chunk.sequence.request_id, len(chunk.tree)) for chunk in drafts.chunks]


def test_drafts_go_where_a_token_comes_next() -> None:
    requests = Requests()
    running = [
        requests.decoding("d", distinct("d", 4), Chain()),
        requests.prompt("whole", distinct("w", 6), drafts=Chain()),
        requests.prompt("without", distinct("o", 6)),
        requests.prompt("cut", distinct("c", 60), drafts=Chain()),
    ]
    plan = plan_step(running, 40, BLOCK)
    assert drafted(plan) == [("d", 3), ("whole", 3), ("without", 0), ("cut", 0)]


def test_scores_get_no_drafts() -> None:
    score = Requests().prompt("s", distinct("s", 6), max_new_tokens=0, answer_ids=(1,))
    plan = plan_step([score], 40, BLOCK)
    assert plan.chunks[0].wants_logits
    assert add_drafts(plan, FLAT, max_rows=40, max_tree_rows=3) is plan


def test_drafts_leave_room_for_the_token_after_them() -> None:
    requests = Requests()
    for name, max_new_tokens, expected in (("a", 1, 0), ("b", 2, 1), ("c", 3, 2), ("d", 50, 3)):
        prompt = requests.prompt(name, distinct(name, 6), drafts=Chain(), max_new_tokens=max_new_tokens)
        assert drafted(plan_step([prompt], 40, BLOCK)) == [(name, expected)]


def test_drafts_fill_a_step_and_no_more() -> None:
    requests = Requests()
    running = [requests.decoding(name, distinct(name, 4), Chain()) for name in "abc"]
    plan = plan_step(running, 7, BLOCK)
    assert sum(rows for _, rows in drafted(plan, max_rows=7)) == 4
    assert sum(rows for _, rows in drafted(plan, max_rows=3)) == 0


def test_drafts_that_do_not_pay_are_left_out() -> None:
    dear = CostCurve((CostPoint(2, 1.0), CostPoint(4, 100.0)))
    running = [Requests().decoding("a", distinct("a", 4), Chain())]
    assert drafted(plan_step(running, 40, BLOCK), curve=dear) == [("a", 0)]
