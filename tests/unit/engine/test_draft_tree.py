from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.engine.cost_curve import CostCurve, CostPoint
from iterqr_server.engine.draft_tree import BRANCH_ROWS, MIN_PROBABILITY, Branch, DraftTree, Guess, branches, grow_trees

CHEAP_ROWS = CostCurve((CostPoint(2, 10.0), CostPoint(102, 20.0)))  # a row adds 1% of the smallest step
DEAR_ROWS = CostCurve((CostPoint(2, 2.0), CostPoint(102, 102.0)))  # a row costs all the same


@dataclass
class Sure:
    """Guesses 1, 2, 3, ... with one probability."""

    probability: float

    def guess(self, path: tuple[int, ...]) -> list[Guess]:
        return [Guess(len(path) + 1, self.probability)]


@dataclass
class Split:
    """Guesses 1 and 2 after whatever came, the first more likely."""

    first: float
    second: float

    def guess(self, _path: tuple[int, ...]) -> list[Guess]:
        return [Guess(1, self.first), Guess(2, self.second)]


class Silent:
    def guess(self, _path: tuple[int, ...]) -> list[Guess]:
        return []


def grown(
    *predictors: Sure | Split | Silent,
    curve: CostCurve = CHEAP_ROWS,
    rows: int | None = None,
    depth: int = 100,
    max_rows: int = 1000,
    max_tree_rows: int = 100,
) -> list[DraftTree]:
    decoding = len(predictors)
    return list(
        grow_trees(
            [(predictor, depth) for predictor in predictors],
            curve,
            rows=decoding if rows is None else rows,
            decoding_rows=decoding,
            max_rows=max_rows,
            max_tree_rows=max_tree_rows,
        )
    )


def tokens(tree: DraftTree) -> list[int]:
    return [guess.token_id for guess in tree.guesses]


def test_a_certain_chain_goes_as_deep_as_allowed() -> None:
    (tree,) = grown(Sure(1.0), depth=5)
    assert tokens(tree) == [1, 2, 3, 4, 5]
    assert tree.parents == (-1, 0, 1, 2, 3)


def test_the_likeliest_path_goes_first_and_parents_before_children() -> None:
    (tree,) = grown(Split(0.6, 0.3), max_tree_rows=6)
    # 0.6, 0.36, 0.3, 0.216, 0.18 (1 then 2, before 2 then 1: found first), 0.18
    assert [tokens_of(tree, path) for path in paths_of(tree)] == [(1,), (1, 1), (2,), (1, 1, 1), (1, 2), (2, 1)]


def paths_of(tree: DraftTree) -> list[tuple[int, ...]]:
    """For each row, the rows of its path, itself last."""
    paths: list[tuple[int, ...]] = []
    for row, parent in enumerate(tree.parents):
        paths.append((*(paths[parent] if parent >= 0 else ()), row))
    return paths


def tokens_of(tree: DraftTree, path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(tree.guesses[row].token_id for row in path)


def test_alone_a_request_gets_many_rows_and_under_load_only_near_certainties() -> None:
    likely = Sure(0.7)
    (alone,) = grown(likely)
    assert len(alone) == 9  # 0.7 ** 9 / 3.2 tokens expected is still more than 1% of a step, 0.7 ** 10 is not
    assert [len(tree) for tree in grown(*[likely] * 16, curve=DEAR_ROWS)] == [0] * 16
    loaded = grown(*[likely] * 15, Sure(1.0), curve=DEAR_ROWS, max_tree_rows=4)
    assert [len(tree) for tree in loaded] == [0] * 15 + [4]


def test_a_row_must_pay_for_what_it_adds() -> None:
    stairs = CostCurve((CostPoint(2, 10.0), CostPoint(4, 11.0), CostPoint(6, 16.0)))
    assert [len(tree) for tree in grown(Sure(0.04), curve=stairs)] == [0]  # less than 0.5 ms of 10
    assert [len(tree) for tree in grown(Sure(0.06), curve=stairs)] == [1]
    # 0.8 and 0.64 pay for 0.5 ms each; 0.51 beside the 2.44 tokens expected does not pay for 2.5 ms of 10.5.
    assert [len(tree) for tree in grown(Sure(0.8), curve=stairs)] == [2]


def test_many_requests_share_rows_by_probability() -> None:
    sure, unsure = grown(Sure(0.9), Sure(0.5), max_rows=6)
    assert (len(sure), len(unsure)) == (4, 0)
    sure, unsure = grown(Sure(0.9), Sure(0.85), max_rows=6)
    assert (len(sure), len(unsure)) == (3, 1)


def test_what_is_unlikely_is_never_worth_a_row() -> None:
    free = CostCurve((CostPoint(2, 10.0), CostPoint(1000, 10.0)))
    assert [len(tree) for tree in grown(Sure(MIN_PROBABILITY / 2), curve=free)] == [0]
    assert [len(tree) for tree in grown(Sure(MIN_PROBABILITY), curve=free)] == [1]


def test_nothing_to_guess_is_an_empty_tree() -> None:
    assert grown(Silent()) == [DraftTree()]
    assert [len(tree) for tree in grown(Silent(), Sure(1.0), max_tree_rows=3)] == [0, 3]
    assert [len(tree) for tree in grown(Sure(1.0), depth=0)] == [0]
    assert grown() == []


def test_children_are_the_rows_after_a_row() -> None:
    tree = DraftTree(tuple(Guess(i, 0.5) for i in range(4)), (-1, 0, -1, 0))
    assert (tree.children(-1), tree.children(0), tree.children(3)) == ([0, 2], [1, 3], [])
    assert branches(tree) == (Branch((), (0, 1)), Branch((), (2,)), Branch((0,), (3,)))


def test_every_row_is_in_one_branch_behind_its_path() -> None:
    tree = DraftTree(tuple(Guess(i, 0.5) for i in range(6)), (-1, 0, 0, 1, 2, 4))
    assert branches(tree) == (Branch((), (0, 1, 3)), Branch((0,), (2, 4, 5)))
    assert branches(DraftTree()) == (Branch((), ()),)


def test_a_branch_must_pay_for_reading_the_past_again() -> None:
    curve = CostCurve((CostPoint(2, 10.0), CostPoint(1002, 210.0)))  # a row adds 2% of a step
    assert 1.6 * 0.02 < 0.05 < 1.6 * 0.02 * (1 + BRANCH_ROWS) < 0.3
    assert tokens(grown(Split(0.6, 0.05), curve=curve, depth=1)[0]) == [1]
    assert tokens(grown(Split(0.6, 0.3), curve=curve, depth=1)[0]) == [1, 2]


PREDICTORS = st.one_of(
    st.builds(Sure, st.floats(0, 1)),
    st.builds(lambda a, b: Split(a, a * b / 2), st.floats(0, 0.6), st.floats(0, 1)),
    st.builds(Silent),
)


@given(
    st.lists(PREDICTORS, max_size=6),
    st.integers(0, 20),
    st.integers(0, 40),
    st.integers(0, 8),
    st.integers(0, 6),
    st.floats(0, 5),
)
def test_limits_hold_whatever_is_guessed(
    predictors: list[Sure | Split | Silent], prompt_rows: int, more: int, max_tree_rows: int, depth: int, row_ms: float
) -> None:
    rows = len(predictors) + prompt_rows
    trees = grown(
        *predictors,
        curve=CostCurve((CostPoint(2, 5.0), CostPoint(102, 5.0 + 100 * row_ms))),
        rows=rows,
        depth=depth,
        max_rows=rows + more,
        max_tree_rows=max_tree_rows,
    )
    assert len(trees) == len(predictors)
    assert sum(map(len, trees)) <= more
    for tree in trees:
        assert len(tree) <= max_tree_rows
        assert all(parent < row for row, parent in enumerate(tree.parents))
        assert all(len(path) <= depth for path in paths_of(tree))
        paths = [tokens_of(tree, path) for path in paths_of(tree)]
        assert len(paths) == len(set(paths))
