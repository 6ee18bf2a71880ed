"""Guesses at a request's next tokens, as a tree that one step verifies, and which guesses are worth a row."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from iterqr_server.engine.cost_curve import CostCurve

_PAIR = 2  # steps have an even number of rows, so what a row costs shows in pairs
BRANCH_ROWS = 2
MIN_PROBABILITY = 0.02  # guesses below it are never worth a row


@dataclass(frozen=True, slots=True)
class Guess:
    """A token that may come next, with the probability that it does.

    `source` and `bin` tell a predictor how it came to the guess, so that it can learn from what comes true.
    """

    token_id: int
    probability: float
    source: int = 0
    bin: int = 0


@dataclass(frozen=True, slots=True)
class DraftTree:
    """Guesses in rows: `parents[i]` is the row that row i follows, -1 the token known last; parents come first."""

    guesses: tuple[Guess, ...] = ()
    parents: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.guesses)

    def children(self, row: int) -> list[int]:
        """The rows that follow `row`."""
        return [i for i, parent in enumerate(self.parents) if parent == row]


class Predictor(Protocol):
    """Guesses one request's next token."""

    def guess(self, path: tuple[int, ...]) -> Sequence[Guess]:
        """Returns guesses at the token after the known tokens and then `path`, each token at most once."""
        ...


@dataclass(slots=True)
class _Growing:
    """A tree while it grows."""

    predictor: Predictor
    max_depth: int
    guesses: list[Guess] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    paths: list[tuple[int, ...]] = field(default_factory=list)
    continued: set[int] = field(default_factory=set)  # rows, -1 among them, that have a child


def grow_trees(
    predictors: Sequence[tuple[Predictor, int]],
    curve: CostCurve,
    *,
    rows: int,
    decoding_rows: int,
    max_rows: int,
    max_tree_rows: int,
) -> tuple[DraftTree, ...]:
    """Returns a tree for each request (its predictor, and how many tokens it may still take).

    Rows are given out one at a time, each to the likeliest guess of all requests, as long as that makes the step's
    tokens cheaper: a guess with probability p adds p tokens to the E expected so far, and is worth it while
    p / E > (what a row adds to the step) / (what the step costs without prompts). Alone, a request gets many rows, as
    they add little to what reading the weights costs; under load, each row costs all the same and only near
    certainties pay. A second guess at the same token opens a branch, which costs `BRANCH_ROWS` rows more: attention
    reads the request's whole past again for it.

    `rows` are in the step already, `decoding_rows` of them not for prompts.
    """
    growing = [_Growing(predictor, depth) for predictor, depth in predictors]
    candidates: list[tuple[float, int, int, int, Guess]] = []  # likeliest first, then first come
    arrivals = itertools.count()

    def look(number: int, row: int, probability: float) -> None:
        tree = growing[number]
        path = tree.paths[row] if row >= 0 else ()
        if len(path) < tree.max_depth:
            for guess in tree.predictor.guess(path):
                if (p := probability * guess.probability) >= MIN_PROBABILITY:
                    heapq.heappush(candidates, (-p, next(arrivals), number, row, guess))

    for number in range(len(growing)):
        look(number, -1, 1.0)
    expected, total, decoding = float(max(1, len(growing))), rows, max(1, decoding_rows)
    while candidates and total < max_rows:
        p, _, number, parent, guess = heapq.heappop(candidates)
        tree = growing[number]
        row_cost = curve.marginal_ms(total + total % _PAIR, _PAIR) / _PAIR / curve.ms(decoding)
        if -p / expected < row_cost:
            break
        if len(tree.guesses) >= max_tree_rows:
            continue
        if parent in tree.continued and -p / expected < (1 + BRANCH_ROWS) * row_cost:
            continue
        tree.continued.add(parent)
        tree.paths.append((*(tree.paths[parent] if parent >= 0 else ()), guess.token_id))
        tree.guesses.append(guess)
        tree.parents.append(parent)
        expected, total, decoding = expected - p, total + 1, decoding + 1
        look(number, len(tree.guesses) - 1, -p)
    return tuple(DraftTree(tuple(tree.guesses), tuple(tree.parents)) for tree in growing)


@dataclass(frozen=True, slots=True)
class Branch:
    """Rows of a tree that follow each other; `before` are those that lead to the first of them."""

    before: tuple[int, ...]
    rows: tuple[int, ...]


def branches(tree: DraftTree) -> tuple[Branch, ...]:
    """Cuts a tree into branches, every row in one of them.

    The first goes on from the known tokens, and is empty without drafts; a row's first child goes on its branch.
    """
    before: list[tuple[int, ...]] = [()]
    rows: list[list[int]] = [[]]
    ends = {-1: 0}  # last row of a branch -> the branch
    branch_of: list[int] = []
    for row, parent in enumerate(tree.parents):
        if (branch := ends.pop(parent, None)) is None:
            branch = len(rows)
            of = branch_of[parent] if parent >= 0 else 0
            upto = rows[of].index(parent) + 1 if parent >= 0 else 0
            before.append((*before[of], *rows[of][:upto]))
            rows.append([])
        rows[branch].append(row)
        ends[row] = branch
        branch_of.append(branch)
    return tuple(Branch(lead, tuple(some)) for lead, some in zip(before, rows, strict=True))
