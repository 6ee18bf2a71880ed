"""What a system did to each query, in a form that can be resampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
from ir_measures import P, nDCG
from iterqr_proto.rewrite_format import comparison_form

from iterqr_training.evaluate.answers import Answers
from iterqr_training.evaluate.evidence import Evidence
from iterqr_training.evaluate.fusion import FusionRule, RecordedRewrite, replay
from iterqr_training.evaluate.judge import RELEVANT
from iterqr_training.evaluate.measures import MEASURES
from iterqr_training.evaluate.rewriter import Answer
from iterqr_training.evaluate.truth import TruthQuery
from iterqr_training.evaluate.windows import Window
from iterqr_training.experiments.user_sums import Floats

_CUTOFFS = (1, 5, 10)
Ranking = Mapping[str, float]
Windows = Mapping[tuple[str, str], Window]
"""By region and text."""


@dataclass(frozen=True, slots=True, eq=False)
class QuerySums:
    """Numerator and denominator of each measure for each query: shape (queries, 2). Measures not taken are absent."""

    by_measure: Mapping[str, Floats]


def query_sums(answers: Answers, evidence: Evidence, rule: FusionRule) -> QuerySums:
    """Returns a system's sums, in the order of the truth set.

    Args:
        answers: To all queries.
        evidence: About their rewrites.
        rule: How windows are fused.
    """
    rows = [_answer_row(query, answers[query.region, query.query], evidence) for query in evidence.truth]
    for row, precision in zip(rows, _rewrite_precision(answers, evidence), strict=True):
        row.update(precision)
    if evidence.windows is not None:
        for row, result in zip(rows, _results(answers, evidence.truth, evidence.windows, rule), strict=True):
            row.update(result)
    taken = {name for row in rows for name in row}
    return QuerySums(
        {
            measure.name: np.array([row.get(measure.name, (0.0, 0.0)) for row in rows], dtype=np.float64)
            for measure in MEASURES
            if measure.name in taken
        }
    )


def fused(query: TruthQuery, answer: Answer, windows: Windows, rule: FusionRule) -> list[str]:
    """Returns the list that the plugin would make, best first; ids of objects."""
    recorded = [RecordedRewrite(each.confidence, windows[query.region, each.text]) for each in answer.rewrites]
    return replay(rule, query.query, windows[query.region, query.query], recorded)


Sums = dict[str, tuple[float, float]]


def _answer_row(query: TruthQuery, answer: Answer, evidence: Evidence) -> Sums:
    texts = [each.text for each in answer.rewrites]
    given = float(len(texts))
    known = [evidence.worth.get((query.region, query.query, comparison_form(text))) for text in texts]
    judged = float(sum(each is not None for each in known))
    row: Sums = {
        "rewrite_precision": (
            float(sum(each is True for each in known)),
            judged,
        ),
        "judged_share": (judged, given),
        "coverage": (float(bool(texts)), 1.0),
        "rewrites_per_query": (given, 1.0),
        "well_formed": (float(answer.well_formed), 1.0),
        "failure_rate": (float(bool(answer.failure)), 1.0),
    }
    if answer.latency_ms is not None:
        row["latency_ms"] = (answer.latency_ms, 1.0)
    if answer.generated_tokens is not None:
        row["tokens_per_rewrite"] = (float(answer.generated_tokens), given)
    if evidence.distances is not None:
        row["drift"] = (sum(evidence.distances[query.query, text] for text in texts), given)
    if evidence.judgments is not None:
        said = [evidence.judgments[query.query, text] for text in texts]
        row["judged_drift"] = (float(sum(each.relevance < RELEVANT for each in said)), given)
        row["judged_quality"] = (sum(each.quality for each in said), given)
    if evidence.previous is not None:
        before = evidence.previous.get((query.region, query.query))
        if before is not None:
            old = {comparison_form(each.text) for each in before.rewrites}
            row["novelty"] = (float(sum(comparison_form(text) not in old for text in texts)), given)
    return row


def _rewrite_precision(answers: Answers, evidence: Evidence) -> Iterable[Sums]:
    """P@k of ranked rewrites (ir_measures): missing ones and ones of unknown worth count as not good."""
    qrels: dict[str, dict[str, int]] = {}
    runs: dict[str, Ranking] = {}
    for number, query in enumerate(evidence.truth):
        texts = [comparison_form(each.text) for each in answers[query.region, query.query].rewrites]
        good = [text for text in texts if evidence.worth.get((query.region, query.query, text))]
        if good:
            qrels[str(number)] = dict.fromkeys(good, 1)
        runs[str(number)] = _ranking(texts)
    measured = _measured([P @ k for k in _CUTOFFS], qrels, runs)
    return [
        {f"rewrite_p{k}": (measured[str(number), str(P @ k)], 1.0) for k in _CUTOFFS}
        for number in range(len(evidence.truth))
    ]


def _results(answers: Answers, truth: Sequence[TruthQuery], windows: Windows, rule: FusionRule) -> Iterable[Sums]:
    qrels: dict[str, dict[str, int]] = {}
    plain: dict[str, Ranking] = {}
    lists: dict[str, Ranking] = {}
    for number, query in enumerate(truth):
        if query.relevant:
            original = windows[query.region, query.query][: rule.window_size]
            qrels[str(number)] = dict.fromkeys(query.relevant, 1)
            plain[str(number)] = _ranking([hit.object_id for hit in original])
            lists[str(number)] = _ranking(fused(query, answers[query.region, query.query], windows, rule))
    taken = [*(P @ k for k in _CUTOFFS), nDCG @ 10]
    before, after = _measured(taken, qrels, plain), _measured(taken, qrels, lists)
    for number in range(len(truth)):
        key = str(number)
        if key not in qrels:
            yield {}
            continue
        gain = after[key, "P@10"] - before[key, "P@10"]
        yield {
            **{f"result_p{k}": (after[key, f"P@{k}"], 1.0) for k in _CUTOFFS},
            "result_ndcg10": (after[key, "nDCG@10"], 1.0),
            "result_gain": (gain, 1.0),
            "lift_rate": (float(gain > 0), 1.0),
            "harm_rate": (float(gain < 0), 1.0),
            "empty_rate": (float(not lists[key]), 1.0),
        }


def _ranking(ids: Sequence[str]) -> Ranking:
    """Scores that fall from first to last, because the library sorts by score; a repeated id keeps its first place."""
    ranked = list(dict.fromkeys(ids))
    return {each: float(len(ranked) - place) for place, each in enumerate(ranked)}


def _measured(
    taken: Sequence[ir_measures.Measure], qrels: Mapping[str, Mapping[str, int]], runs: Mapping[str, Ranking]
) -> Mapping[tuple[str, str], float]:
    found = {(query, str(measure)): 0.0 for query in runs for measure in taken}
    for metric in ir_measures.iter_calc(list(taken), qrels, runs):
        found[metric.query_id, str(metric.measure)] = metric.value
    return found
