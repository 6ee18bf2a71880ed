"""The measures, on lists small enough to count by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_benchmarks.evaluation.bootstrap import paired_bootstrap
from iterqr_benchmarks.evaluation.comparison import RankedPair, compare, compare_by_kind
from iterqr_benchmarks.evaluation.coverage import tail_coverage
from iterqr_benchmarks.evaluation.ranking import precision_at, recall_at


def ids(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in range(count))


def make_pair(
    *, plain: tuple[str, ...], channel: tuple[str, ...], relevant: tuple[str, ...], kind: str = "typo"
) -> RankedPair:
    return RankedPair(kind=kind, plain=plain, channel=channel, relevant=frozenset(relevant))


def test_precision_counts_unfilled_places_as_misses() -> None:
    assert precision_at(10, ["a", "b"], {"a", "b", "c"}) == 0.2
    assert precision_at(10, [], {"a"}) == 0.0


def test_precision_looks_no_further_than_the_cutoff() -> None:
    assert precision_at(2, ["x", "a", "b"], {"a", "b"}) == 0.5


def test_recall_is_the_share_of_all_known_documents() -> None:
    assert recall_at(10, ["a", "x", "b"], {"a", "b", "c", "d"}) == 0.5
    assert recall_at(1, ["a", "x", "b"], {"a", "b", "c", "d"}) == 0.25


def test_recall_without_known_documents_is_refused() -> None:
    with pytest.raises(ValueError, match="relevant: must not be empty"):
        recall_at(10, ["a"], set())


def test_a_repeated_document_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        precision_at(10, ["a", "a"], {"a"})


@pytest.mark.parametrize("measure", [precision_at, recall_at])
def test_a_cutoff_below_one_is_refused(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="cutoff: must be at least 1, got 0"):
        measure(0, ["a"], {"a"})


def test_bootstrap_of_equal_differences_has_no_width() -> None:
    interval = paired_bootstrap([0.1] * 20, seed=1)
    assert interval.mean == pytest.approx(0.1)
    assert interval.low == pytest.approx(0.1)
    assert interval.high == pytest.approx(0.1)


def test_bootstrap_is_wide_where_queries_disagree() -> None:
    interval = paired_bootstrap([-0.5, 0.5] * 10, seed=1)
    assert interval.mean == pytest.approx(0)
    assert interval.low < -0.1
    assert interval.high > 0.1


def test_bootstrap_depends_on_the_seed_alone() -> None:
    differences = [0.1, -0.2, 0.3, 0.0, 0.5]
    first, again, other = (paired_bootstrap(differences, seed=seed, resamples=50) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_bootstrap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="differences: must not be empty"):
        paired_bootstrap([], seed=1)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_bootstrap_interval_holds_the_mean_of_its_resamples(differences: list[float]) -> None:
    interval = paired_bootstrap(differences, seed=0, resamples=200)
    assert min(differences) - 1e-9 <= interval.low <= interval.high <= max(differences) + 1e-9


def test_coverage_counts_searches_without_rewrites_as_not_covered() -> None:
    shares = {each.budget_ms: each.share for each in tail_coverage([90.0, 300.0, 301.0, None])}
    assert shares == {100: 0.25, 300: 0.5, 1_000: 0.75, 3_000: 0.75}


def test_coverage_of_no_searches_is_refused() -> None:
    with pytest.raises(ValueError, match="fused_after_ms"):
        tail_coverage([])


def test_compare_counts_lift_harm_and_empty_results() -> None:
    relevant = ids("r", 20)
    comparison = compare(
        [
            make_pair(plain=(), channel=relevant[:5], relevant=relevant),  # 0.0 -> 0.5
            make_pair(plain=relevant[:4], channel=relevant[:2], relevant=relevant),  # 0.4 -> 0.2
            make_pair(plain=ids("x", 3), channel=ids("x", 3), relevant=relevant),
            make_pair(plain=(), channel=(), relevant=relevant),
        ],
        seed=7,
    )
    assert comparison.queries == 4
    assert comparison.plain.precision_at_10 == pytest.approx(0.1)
    assert comparison.channel.precision_at_10 == pytest.approx(0.175)
    assert comparison.precision_gain.mean == pytest.approx(0.075)
    assert comparison.lift_rate == 0.25
    assert comparison.harm_rate == 0.25
    assert (comparison.plain_empty, comparison.channel_empty) == (2, 1)


def test_compare_tells_shallow_from_deep_recall() -> None:
    relevant = ids("r", 40)
    comparison = compare([make_pair(plain=relevant[:10], channel=relevant, relevant=relevant)], seed=7)
    assert comparison.plain.recall_at_50 == 0.25
    assert comparison.channel.recall_at_10 == 0.25
    assert comparison.channel.recall_at_50 == 1.0
    assert comparison.recall_gain.mean == 0.75


def test_compare_by_kind_keeps_kinds_apart() -> None:
    good = make_pair(kind="scene", plain=("a",), channel=("a",), relevant=("a",))
    bad = make_pair(kind="typo", plain=(), channel=(), relevant=("a",))
    kinds = compare_by_kind([bad, good, bad], seed=7)
    assert list(kinds) == ["scene", "typo"]
    assert kinds["typo"].queries == 2
    assert kinds["typo"].plain.precision_at_10 == 0
    assert kinds["scene"].plain.recall_at_10 == 1
