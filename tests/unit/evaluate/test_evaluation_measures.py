"""Measures of constructed systems, with figures computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.answers import Answers
from iterqr_training.evaluate.estimates import differences, estimates
from iterqr_training.evaluate.evaluated import EvaluatedSystem, Evaluation
from iterqr_training.evaluate.evidence import Evidence
from iterqr_training.evaluate.judge import Judgment
from iterqr_training.evaluate.latency import latency
from iterqr_training.evaluate.query_sums import QuerySums, query_sums
from iterqr_training.evaluate.rewriter import NoRewriter, Rewriter
from iterqr_training.evaluate.text_variety import DISTINCT_GRAMS, distinct, self_bleu, text_variety
from support.evaluations import RESAMPLES, RULE, ScriptedEmbedder, ScriptedRewriter, answer, evaluated, truth, window

# Scores fall to a tenth, so the result is weak and rewrites have their whole weight.
FALLING = [float(score) for score in range(10, 0, -1)]
SUSHI = [f"s{number}" for number in range(10)]
QUERIES = (
    truth("pad tai", Band.TAIL, "a b"),
    truth("soup", Band.HEAD, "s"),
    truth("sushi", Band.HEAD, "s9"),
    truth("curry", Band.TORSO, "c", korma=True, stew=False),
    truth("nothing", Band.TAIL, "n"),
)
WINDOWS = {
    "pad tai": window(["x", "a"]),
    "pad thai": window(["a", "b", "x"]),
    "pizza": window(["z"]),
    "soup": window(["s"]),
    "sushi": window(SUSHI, FALLING),
    "fish": window([*SUSHI[:5], "f0", "f1", "f2", "f3", "f4"], FALLING),
    "curry": window(["c"]),
    "korma": window(["k"]),
    "stew": window(["c"]),
}
SCRIPT = {
    "pad tai": answer("pad tai", "pad thai", "pizza"),
    "sushi": answer("sushi", "fish", latency_ms=30.0),
    "curry": answer("curry", "stew", "korma"),
}


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    systems: list[Rewriter] = [NoRewriter(), ScriptedRewriter("model", SCRIPT)]
    return evaluated(tmp_path, QUERIES, systems, WINDOWS).evaluation


def value(evaluation: Evaluation, system: EvaluatedSystem, name: str, band: Band | None = None) -> float:
    found = estimates(system.sums, evaluation.chosen(band), seed=1, resamples=RESAMPLES)
    return found[name].value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Good: pad thai by its results, korma as judged, whatever it finds. Not good: pizza, fish, stew as judged.
        ("rewrite_p1", 1 / 5),
        ("rewrite_p5", 2 / 25),
        ("rewrite_p10", 2 / 50),
        ("rewrite_precision", 2 / 5),
        ("judged_share", 1.0),
        ("coverage", 3 / 5),
        ("rewrites_per_query", 1.0),
        # pad tai: a, x, b, z. sushi: s9 leaves the page. curry: c stays, korma and stew follow.
        ("result_p1", 3 / 5),
        ("result_p10", (2 + 1 + 0 + 1 + 0) / 50),
        ("result_gain", (1 + 0 - 1 + 0 + 0) / 50),
        ("lift_rate", 1 / 5),
        ("harm_rate", 1 / 5),
        ("empty_rate", 1 / 5),
        ("tokens_per_rewrite", (len("pad thaipizza") + len("fish") + len("stewkorma")) / 5),
        ("latency_ms", (4 * 10 + 30) / 5),
        ("well_formed", 1.0),
        ("failure_rate", 0.0),
    ],
)
def test_measures_of_all_queries(evaluation: Evaluation, name: str, expected: float) -> None:
    assert value(evaluation, evaluation.system("model"), name) == pytest.approx(expected)


def test_ndcg_of_a_list(evaluation: Evaluation) -> None:
    # a first and b third, of two relevant ones
    expected = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    sums = evaluation.system("model").sums.by_measure["result_ndcg10"]
    assert sums[0].tolist() == pytest.approx([expected, 1.0])


def test_bands_are_measured_by_themselves(evaluation: Evaluation) -> None:
    model = evaluation.system("model")
    assert value(evaluation, model, "harm_rate", Band.HEAD) == 1 / 2
    assert value(evaluation, model, "harm_rate", Band.TAIL) == 0
    assert value(evaluation, model, "rewrite_p1", Band.TAIL) == 1 / 2


def test_plain_search_harms_nobody_and_finds_what_it_finds(evaluation: Evaluation) -> None:
    none = evaluation.system("none")
    assert value(evaluation, none, "result_p10") == pytest.approx((1 + 1 + 1 + 1 + 0) / 50)
    assert value(evaluation, none, "harm_rate") == 0
    assert "tokens_per_rewrite" not in none.sums.by_measure


def test_drift_is_the_mean_distance_of_rewrites(tmp_path: Path) -> None:
    model = ScriptedRewriter("model", {"soup": answer("soup", "broth", "far away", "far off")})
    report = evaluated(tmp_path, QUERIES, [model], WINDOWS, embedder=ScriptedEmbedder())
    assert value(report.evaluation, report.evaluation.systems[0], "drift") == pytest.approx(2 / 3)


def test_without_an_index_rewrites_are_judged_but_results_are_not(tmp_path: Path) -> None:
    model = ScriptedRewriter("model", SCRIPT)
    evaluation = evaluated(tmp_path, QUERIES, [model]).evaluation
    assert "result_p10" not in evaluation.systems[0].sums.by_measure
    assert value(evaluation, evaluation.systems[0], "judged_share") == 2 / 5


def test_judgments_and_novelty_are_shares_of_rewrites() -> None:
    answers: Answers = {("north", "pad tai"): answer("pad tai", "pad thai", "pizza")}
    evidence = Evidence(
        truth=QUERIES[:1],
        windows=None,
        worth={},
        judgments={
            ("pad tai", "pad thai"): Judgment("pad tai", "pad thai", quality=0.9, relevance=0.8),
            ("pad tai", "pizza"): Judgment("pad tai", "pizza", quality=0.5, relevance=0.2),
        },
        previous={("north", "pad tai"): answer("pad tai", "Pad Thai!")},
    )
    sums = query_sums(answers, evidence, RULE).by_measure
    assert sums["judged_drift"].tolist() == [[1, 2]]
    assert sums["judged_quality"].tolist() == [pytest.approx([1.4, 2])]
    assert sums["novelty"].tolist() == [[1, 2]]
    assert sums["judged_share"].tolist() == [[0, 2]]


def test_differences_are_paired_by_query() -> None:
    generator = np.random.default_rng(3)
    noisy = generator.random(40)
    first = QuerySums({"result_p10": np.column_stack([noisy, np.ones(40)])})
    second = QuerySums({"result_p10": np.column_stack([noisy + 0.1, np.ones(40)]), "drift": np.ones((40, 2))})
    everything = np.ones(40, dtype=np.bool_)
    found = differences(first, second, everything, seed=1, resamples=RESAMPLES)
    assert found.keys() == {"result_p10"}
    gain = found["result_p10"]
    # However noisy the queries are, each gains a tenth.
    assert [gain.value, gain.low, gain.high] == pytest.approx([0.1, 0.1, 0.1])
    own = estimates(first, everything, seed=1, resamples=RESAMPLES)["result_p10"]
    assert own.high - own.low > 0.1


def test_a_mean_over_rewrites_that_few_queries_have_has_no_interval() -> None:
    sums = QuerySums({"drift": np.array([[0.5, 1.0], *([[0.0, 0.0]] * 9)])})
    found = estimates(sums, np.ones(10, dtype=np.bool_), seed=1, resamples=RESAMPLES)["drift"]
    assert found.value == 0.5
    assert math.isnan(found.low)


def test_a_band_without_queries_has_no_values() -> None:
    sums = QuerySums({"result_p10": np.ones((3, 2))})
    none = np.zeros(3, dtype=np.bool_)
    assert math.isnan(estimates(sums, none, seed=1, resamples=RESAMPLES)["result_p10"].value)


def test_distinct_counts_grams_of_all_texts() -> None:
    assert distinct(["a b", "a c"], 1) == 3 / 4
    assert distinct(["a b", "a b", "a c"], 2) == 2 / 3
    assert math.isnan(distinct(["a"], 2))


def test_who_writes_more_of_the_same_is_as_varied() -> None:
    words = np.random.default_rng(5).zipf(1.3, 6_000) % 3_000
    once, ten_times = ([f"w{word}" for word in words[:count]] for count in (600, 6_000))
    assert len(set(ten_times)) / 6_000 < 0.7 * len(set(once)) / 600
    assert distinct(ten_times, 1) == pytest.approx(distinct(once, 1), rel=0.05)


def test_distinct_is_what_is_expected_of_so_many_drawn() -> None:
    words = [f"w{number}" for number in np.random.default_rng(6).integers(0, 900, 1_500)]
    draws = np.random.default_rng(7)
    found = [len(set(draws.choice(words, DISTINCT_GRAMS, replace=False))) for _ in range(400)]
    assert distinct(words, 1) * DISTINCT_GRAMS == pytest.approx(np.mean(found), abs=4 * float(np.std(found)) / 20)


def test_self_bleu_tells_a_collapsed_generator_from_a_varied_one() -> None:
    assert self_bleu(["pad thai noodles"] * 5, seed=1) == pytest.approx(1.0)
    assert self_bleu(["pad thai", "tomato soup", "green curry"], seed=1) == pytest.approx(0.0)
    assert math.isnan(self_bleu(["pad thai"], seed=1))
    # Drawn texts, by seed
    many = [f"dish {number}" for number in range(250)]
    assert self_bleu(many, seed=1) == self_bleu(many, seed=1)


def test_variety_over_answers() -> None:
    answers = [answer("a", "soup", "stew"), answer("b", "Soup"), answer("c", "rice"), answer("d")]
    found = text_variety(answers, seed=1)
    assert found.texts == 4
    assert found.unique_share == 3 / 4
    assert found.top_share == 2 / 3  # of the answers that have rewrites


def test_latency_quantiles() -> None:
    timed = [answer("a", latency_ms=float(ms)) for ms in range(1, 102)]
    found = latency([*timed, replace(timed[0], latency_ms=None)])
    assert (found.p50_ms, found.p95_ms) == (51.0, 96.0)
