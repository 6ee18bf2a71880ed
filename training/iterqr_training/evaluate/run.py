"""Runs an evaluation: asks what is missing, keeps it, and measures. A run that stops goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from iterqr_training.evaluate.answers import Answers, answer_all
from iterqr_training.evaluate.assess import Assessment, assess
from iterqr_training.evaluate.embedder import Embedder, distances
from iterqr_training.evaluate.evaluated import EvaluatedQuery, Evaluation, EvaluationContext, EvaluationReport
from iterqr_training.evaluate.evidence import Evidence
from iterqr_training.evaluate.fusion import FusionRule
from iterqr_training.evaluate.general_ability import GeneralAbility
from iterqr_training.evaluate.judge import RewriteJudge, judge_all
from iterqr_training.evaluate.policy_fit import MAX_HARM_RATE
from iterqr_training.evaluate.rewrite_worth import rewrite_worth
from iterqr_training.evaluate.rewriter import Rewriter
from iterqr_training.evaluate.truth import TruthQuery, truth_digest
from iterqr_training.evaluate.windows import SearchIndex, ask_windows
from iterqr_training.experiments.bootstrap import RESAMPLES

_HELDOUT, _VALIDATION = "heldout", "validation"


class Progress(Protocol):
    """Hears how a run goes."""

    def stage(self, name: str, total: int) -> Callable[[], None]:
        """A stage of `total` steps begins. Returns what is called after each step."""
        ...


@dataclass(frozen=True, slots=True)
class TruthSet:
    """A truth set with its name for people."""

    name: str
    queries: tuple[TruthQuery, ...]


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """What to evaluate, with what.

    Args:
        heldout: What all measures are taken on.
        validation: What calibration and policies are fitted to; None: none are.
        systems: Under comparison, with different names.
        folder: Of the raw outputs: folders heldout and validation.
        index: Real search; None: results are not measured.
        embedder: For intent drift.
        judge: For intent drift and quality.
        previous: Answers of the previous iteration, for novelty.
        general: Ability on general text by name of the system.
        rule: The pipeline's weights, and the policy that a fitted one must beat.
        max_harm_rate: Of fitted policies.
        timed: How many held-out queries are asked one at a time, where a system takes more; None: all.
        earlier: Answers to held-out queries by name of a system, taken over if it still answers the timed ones alike.
        seed: Of everything random.
        resamples: Of the bootstrap.
    """

    heldout: TruthSet
    validation: TruthSet | None
    systems: Sequence[Rewriter]
    folder: Path
    index: SearchIndex | None
    embedder: Embedder | None
    judge: RewriteJudge | None
    previous: Answers | None
    rule: FusionRule
    general: Mapping[str, GeneralAbility] = field(default_factory=dict)
    max_harm_rate: float = MAX_HARM_RATE
    timed: int | None = None
    earlier: Mapping[str, Answers] = field(default_factory=dict)
    seed: int = 7
    resamples: int = RESAMPLES


def evaluate(run: EvaluationRun, progress: Progress) -> EvaluationReport:
    """Evaluates all systems on the same queries.

    Raises:
        SourceError: A system, the node or the judge cannot be reached; what was asked is kept.
        StoreError: The folder cannot be used, or holds outputs of something else.
    """
    answers = _answers(run, run.heldout, _HELDOUT, progress)
    evidence = _evidence(run, run.heldout, _HELDOUT, answers, progress)
    validation: Mapping[str, tuple[Answers, Evidence]] = {}
    if run.validation is not None:
        theirs = _answers(run, run.validation, _VALIDATION, progress)
        known = _evidence(run, run.validation, _VALIDATION, theirs, progress)
        validation = {name: (mine, known) for name, mine in theirs.items()}
    step = progress.stage("measures", len(run.systems))
    assessed = []
    for system in run.systems:
        ability = run.general.get(system.name)
        assessed.append(
            assess(
                Assessment(
                    rewriter=system,
                    answers=answers[system.name],
                    evidence=evidence,
                    validation=validation.get(system.name),
                    rule=run.rule,
                    max_harm_rate=run.max_harm_rate,
                    perplexity=math.nan if ability is None else ability.perplexity,
                    seed=run.seed,
                )
            )
        )
        step()
    evaluation = Evaluation(
        _context(run),
        tuple(EvaluatedQuery(each.query, each.region, each.band) for each in run.heldout.queries),
        tuple(system for system, _ in assessed),
    )
    return EvaluationReport(evaluation, {system.name: details for system, details in assessed})


def _answers(run: EvaluationRun, truth: TruthSet, part: str, progress: Progress) -> Mapping[str, Answers]:
    found = {}
    for system in run.systems:
        step = progress.stage(f"{part}: {system.name}", len(truth.queries))
        timed, earlier = (run.timed, run.earlier.get(system.name)) if part == _HELDOUT else (0, None)
        found[system.name] = answer_all(system, truth.queries, run.folder / part, step, timed, earlier)
    return found


def _evidence(
    run: EvaluationRun, truth: TruthSet, part: str, answers: Mapping[str, Answers], progress: Progress
) -> Evidence:
    texts: dict[tuple[str, str], dict[str, None]] = {}
    for query in truth.queries:
        mine = (rewrite.text for each in answers.values() for rewrite in each[query.region, query.query].rewrites)
        texts[query.region, query.query] = dict.fromkeys(mine)
    pairs = list(dict.fromkeys((query, text) for (_, query), mine in texts.items() for text in mine))
    windows = None
    if run.index is not None:
        asked = [*texts, *((region, text) for (region, _), mine in texts.items() for text in mine)]
        step = progress.stage(f"{part}: searches", len(set(asked)))
        windows = ask_windows(run.index, asked, run.folder / part, step)
    heldout = part == _HELDOUT
    judgments = None
    if run.judge is not None and heldout:
        step = progress.stage(f"{part}: judge", len({query for query, _ in pairs}))
        judgments = judge_all(run.judge, pairs, run.folder / part, step)
    return Evidence(
        truth=truth.queries,
        windows=windows,
        worth=rewrite_worth(truth.queries, texts, windows or {}),
        distances=distances(run.embedder, pairs) if run.embedder is not None and heldout else None,
        judgments=judgments,
        previous=run.previous,
    )


def _context(run: EvaluationRun) -> EvaluationContext:
    return EvaluationContext(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        truth=run.heldout.name,
        truth_sha256=truth_digest(run.heldout.queries),
        validation="" if run.validation is None else run.validation.name,
        index="" if run.index is None else run.index.identity,
        embedder="" if run.embedder is None else run.embedder.identity,
        judge="" if run.judge is None else run.judge.identity,
        rewrite_weight=run.rule.rewrite_weight,
        rank_constant=run.rule.rank_constant,
        seed=run.seed,
        resamples=run.resamples,
    )
