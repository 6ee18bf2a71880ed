"""What holds of every dataset, whatever the labels."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from iterqr_training.dataset.examples import Example
from iterqr_training.dataset.rows import SPLITS, Band, LabelSource, Task
from iterqr_training.dataset.selection import cap_queries, keep_click_floor, limit_replay, limit_tasks
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.dataset.splits import is_of_its_time, split_of
from iterqr_training.labels.records import Kind, query_key
from support.labelling import NOON

SHARES = st.floats(0, 1)
TEXTS = st.text(max_size=20)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    """Different examples of few queries and iterations."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(Task), st.integers(0, 4), st.booleans(), st.floats(0.01, 1),
                st.sampled_from([LabelSource.CLICK, LabelSource.HUMAN, LabelSource.JUDGE]), st.integers(0, 2),
                st.sampled_from(Kind), st.sampled_from(Band),
            ),
            max_size=60,
        )
    )  # fmt: skip
    return [
        Example(
            task,
            f"q{query}",
            f"q{query}",
            "north",
            (),
            "" if task is Task.GENERATION else f"s{number}",
            f"rw: {number}" if task is Task.GENERATION else ("Yes" if positive else "No"),
            weight,
            source,
            band,
            iteration,
            NOON,
            kind if task is Task.RELEVANCE else Kind.REWRITE,
        )
        for number, (task, query, positive, weight, source, iteration, kind, band) in enumerate(drawn)
    ]


@given(TEXTS, SHARES, SHARES, st.text(max_size=5))
def test_spellings_of_a_query_share_its_split(query: str, test: float, validation: float, salt: str) -> None:
    rules = DatasetSettings(test_share=test * 0.5, validation_share=validation * 0.4, salt=salt)
    splits = {split_of(query_key(each), rules) for each in (query, f"  {query} ", query.upper().lower(), query)}
    assert splits <= set(SPLITS)
    assert split_of(query_key(query), rules) == split_of(query_key(f"  {query}\t"), rules)


@given(st.lists(TEXTS, unique=True, max_size=50), st.lists(TEXTS, unique=True, max_size=50))
def test_more_queries_move_no_query(first: list[str], more: list[str]) -> None:
    """A later iteration must not train on what an earlier one tested."""
    rules = DatasetSettings()
    before = {query: split_of(query_key(query), rules) for query in first}
    assert {query: split_of(query_key(query), rules) for query in [*more, *first] if query in before} == before


def test_shares_of_splits_are_as_asked() -> None:
    found = Counter(split_of(f"query {n}", DatasetSettings()) for n in range(5_000))
    assert abs(found["test"] / 5_000 - 0.2) < 0.02
    assert abs(found["validation"] / 5_000 - 0.1) < 0.02


@given(st.integers(-100, 100), st.integers(-100, 100))
def test_nothing_is_trained_on_that_is_as_late_as_a_test(train_h: int, test_h: int) -> None:
    rules = DatasetSettings(holdout_from=NOON)
    train, test = (NOON + timedelta(hours=each) for each in (train_h, test_h))
    if is_of_its_time("train", train, rules) and is_of_its_time("test", test, rules):
        assert train < test


@given(examples(), st.integers(1, 4), st.integers(1, 4))
def test_no_query_has_more_than_its_cap(found: list[Example], rows: int, pairs: int) -> None:
    rules = DatasetSettings(max_rows_a_query=rows, max_pairs_a_query=pairs, max_items_a_query=1)
    left_out: Counter[str] = Counter()
    kept = cap_queries(found, rules, left_out)
    counted = Counter((each.task, each.kind, each.query_key) for each in kept)
    for (task, kind, key), count in Counter((each.task, each.kind, each.query_key) for each in found).items():
        most = rows if task is Task.GENERATION else 1 if kind is Kind.ITEM else pairs
        assert counted[task, kind, key] == min(count, most)
    assert len(kept) + left_out.total() == len(found)


@given(examples(), st.integers(2, 6))
def test_a_capped_query_keeps_both_answers(found: list[Example], pairs: int) -> None:
    kept = cap_queries(found, DatasetSettings(max_pairs_a_query=pairs, max_items_a_query=2), Counter())

    def answers(several: list[Example]) -> set[tuple[Task, Kind, str, str]]:
        pairs = [each for each in several if each.task is not Task.GENERATION]
        return {(each.task, each.kind, each.query_key, each.target) for each in pairs}

    assert answers(kept) == answers(found)


@given(examples(), SHARES)
def test_judges_decide_no_more_than_the_floor_leaves(found: list[Example], floor: float) -> None:
    left_out: Counter[str] = Counter()
    kept = keep_click_floor(found, DatasetSettings(click_floor=floor), left_out)
    generation = [each for each in kept if each.task is Task.GENERATION]
    real = sum(each.label_source is not LabelSource.JUDGE for each in generation)
    assert real >= floor * len(generation) - 1e-6
    assert {each for each in found if each not in kept} == {
        each for each in found if each.label_source is LabelSource.JUDGE and each.task is Task.GENERATION
    } - set(kept)
    assert len(kept) + left_out.total() == len(found)


@given(examples(), SHARES)
def test_replay_has_no_more_than_its_share(found: list[Example], share: float) -> None:
    kept = limit_replay(found, 2, DatasetSettings(replay_share=share), Counter())
    assert [each for each in found if each.iteration == 2 and each not in kept] == []
    for task in Task:
        mine = [each for each in kept if each.task is task]
        old = sum(each.iteration != 2 for each in mine)
        if old < len(mine):
            assert old <= share * len(mine) + 1e-6


@given(examples(), st.integers(0, 20), st.integers(0, 20), SHARES)
def test_a_small_budget_keeps_what_is_rare(found: list[Example], most: int, of_generation: int, share: float) -> None:
    left_out: Counter[str] = Counter()
    rules = DatasetSettings(max_rows_a_task=most, max_generation_rows=of_generation, replay_share=share)
    kept = limit_tasks(found, 2, rules, left_out)
    assert len(kept) + left_out.total() == len(found)

    def strata(several: list[Example]) -> set[tuple[Band, str, Kind]]:
        return {(each.band, each.target, each.kind) for each in several}

    for task in Task:
        mine = [each for each in kept if each.task is task]
        every = [each for each in found if each.task is task]
        limit = (of_generation if task is Task.GENERATION else 0) or most or len(every)
        assert len(mine) == min(limit, len(every))
        new = [each for each in every if each.iteration == 2]
        if task is not Task.GENERATION and len(new) == len(every) and len(strata(every)) <= limit:
            assert strata(mine) == strata(every)


@given(examples(), st.integers(0, 2**31))
@settings(max_examples=50)
def test_the_order_of_examples_does_not_matter(found: list[Example], seed: int) -> None:
    shuffled = list(found)
    random.Random(seed).shuffle(shuffled)
    rules = DatasetSettings(max_pairs_a_query=2, replay_share=0.3)

    def chosen(several: list[Example]) -> set[str]:
        capped = cap_queries(several, rules, Counter())
        replayed = limit_replay(capped, 2, rules, Counter())
        return {each.example_id for each in keep_click_floor(replayed, rules, Counter())}

    assert chosen(found) == chosen(shuffled)
