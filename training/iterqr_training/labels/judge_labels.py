"""What a judge is asked, whether it is believed, and the labels that its verdicts make. All of it pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.labels.agreement import Agreement, agreement, kappa_words, kappas
from iterqr_training.labels.candidates import Candidate, Candidates
from iterqr_training.labels.judging import Judging, Subject, Verdict
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import Kind, Label, Pair
from iterqr_training.labels.reference import Reference
from iterqr_training.labels.settings import LabelSettings

QUESTIONS = ((Task.QUALITY, Kind.REWRITE), (Task.RELEVANCE, Kind.REWRITE), (Task.RELEVANCE, Kind.ITEM))
_CALIBRATING = 300  # click-labelled pairs of each class
_MIN_TO_FIT = 20  # of each class
_DEFAULT_THRESHOLD = 0.5
_MOST_THRESHOLDS = 200
_LEAST_WEIGHT = 0.01
_DECIMALS = 6
_BANDS = (Band.TAIL, Band.TORSO, Band.HEAD)


@dataclass(frozen=True, slots=True)
class Belief:
    """Whether a judge's verdicts on a question become labels.

    Attributes:
        task: The question, with `kind`.
        threshold: From which probability on its verdict is a yes.
        used: Only if it agrees with people or truth.
        agreement: That counted; None without a reference.
        words: Why.
    """

    task: Task
    kind: Kind
    threshold: float
    used: bool
    agreement: Agreement | None
    words: str


def subjects_to_judge(
    candidates: Candidates, clicks: Sequence[Label], references: Sequence[Reference], settings: LabelSettings
) -> tuple[Subject, ...]:
    """Returns distinct subjects, at most `max_judged`, in order of need.

    First what a reference knows, for without agreement no verdict counts; then some that clicks decided, which the
    threshold is fitted to; then what clicks left open, then the rest, tail before torso before head, by digest.
    """
    wanted: dict[Pair, Subject] = {}
    known = {pair for each in references for _, pair in each.answers}
    every = [*_subjects(candidates.rewrites, Kind.REWRITE), *_subjects(candidates.items, Kind.ITEM)]
    by_clicks = {each.pair: each.positive for each in clicks if each.task is Task.RELEVANCE}
    groups: list[Iterable[Subject]] = [
        (subject for _, subject in every if subject.pair in known),
        (
            Subject(label.query, label.subject, label.kind)
            for each in references
            for label in each.labels
            if label.source is LabelSource.HUMAN and not personal_data(label.query) and not personal_data(label.subject)
        ),
    ]
    for positive in (True, False):
        decided = [subject for _, subject in every if by_clicks.get(subject.pair) is positive]
        groups.append(sorted(decided, key=_digest)[:_CALIBRATING])
    rest = sorted(every, key=lambda each: (each[1].pair in by_clicks, _BANDS.index(each[0]), _digest(each[1])))
    groups.append(subject for _, subject in rest)
    for group in groups:
        for subject in group:
            if len(wanted) >= settings.max_judged:
                break
            wanted.setdefault(subject.pair, subject)
    return tuple(wanted.values())


def beliefs(
    judging: Judging, clicks: Sequence[Label], references: Sequence[Reference], settings: LabelSettings
) -> tuple[Belief, ...]:
    """Decides for each question. The first reference with enough pairs counts: people's before a simulator's."""
    verdicts = {subject.pair: verdict for subject, verdict in judging.verdicts.items()}
    return tuple(_belief(task, kind, verdicts, clicks, references, settings) for task, kind in QUESTIONS)


def judge_labels(
    candidates: Candidates, judging: Judging, believed: Sequence[Belief], settings: LabelSettings
) -> tuple[Label, ...]:
    """Returns the labels of the questions in which the judge is believed."""
    verdicts = {subject.pair: verdict for subject, verdict in judging.verdicts.items()}
    labels = []
    for belief in believed:
        if not belief.used:
            continue
        for candidate in candidates.items if belief.kind is Kind.ITEM else candidates.rewrites:
            verdict = verdicts.get(Subject(candidate.query.text, candidate.subject, belief.kind).pair)
            if verdict is not None:
                labels.append(_label(candidate, belief, _probability(verdict, belief.task), settings))
    return tuple(labels)


def fit_threshold(scores: Sequence[float], good: Sequence[bool]) -> float:
    """Returns the threshold of most agreement with what clicks decided, the nearest to a half of equal ones.

    A half, if there are fewer than 20 of a class. Clicks decide it, not the reference, which only measures.
    """
    truth = np.array(good, dtype=bool)
    values = np.array(scores, dtype=np.float64)
    if min(int(truth.sum()), int((~truth).sum())) < _MIN_TO_FIT:
        return _DEFAULT_THRESHOLD
    distinct = np.unique(values)
    middles = (distinct[1:] + distinct[:-1]) / 2
    if len(middles) > _MOST_THRESHOLDS:
        middles = middles[np.linspace(0, len(middles) - 1, _MOST_THRESHOLDS).astype(int)]
    best, chosen = -math.inf, _DEFAULT_THRESHOLD
    for middle in sorted(middles.tolist(), key=lambda each: abs(each - _DEFAULT_THRESHOLD)):
        yes = values >= middle
        cells = [[(yes & truth).sum(), (yes & ~truth).sum(), (~yes & truth).sum(), (~yes & ~truth).sum()]]
        kappa = float(kappas(np.array(cells, dtype=np.float64))[0])
        if kappa > best:
            best, chosen = kappa, middle
    return chosen


def _belief(
    task: Task,
    kind: Kind,
    verdicts: Mapping[Pair, Verdict],
    clicks: Sequence[Label],
    references: Sequence[Reference],
    settings: LabelSettings,
) -> Belief:
    threshold = _DEFAULT_THRESHOLD
    if task is Task.RELEVANCE:
        decided = {label.pair: label.positive for label in clicks if label.task is task and label.kind is kind}
        both = [(verdicts[pair].relevance, good) for pair, good in decided.items() if pair in verdicts]
        threshold = fit_threshold([score for score, _ in both], [good for _, good in both])
    told = {
        (task, pair): _probability(verdict, task) >= threshold
        for pair, verdict in verdicts.items()
        if pair.kind is kind
    }
    found = [agreement("judge", told, task, kind, each, settings.seed) for each in references]
    enough = next((each for each in found if each.pairs >= settings.min_reference), None)
    what = f"the judge on {task} of {kind}s"
    if enough is None:
        most = max((each.pairs for each in found), default=0)
        words = f"{what} is not used: {most} pairs of a reference, and {settings.min_reference} are needed to trust it"
        return Belief(task, kind, threshold, used=False, agreement=found[0] if found else None, words=words)
    used = enough.kappa.value >= settings.min_kappa  # NaN is not
    words = (
        f"{what} is {'used' if used else 'not used, clicks alone label'}: kappa {kappa_words(enough)} with "
        f"{enough.reference} on {enough.pairs} pairs, {'at least' if used else 'not'} {settings.min_kappa:g}"
    )
    return Belief(task, kind, threshold, used, enough, words)


def _label(candidate: Candidate, belief: Belief, probability: float, settings: LabelSettings) -> Label:
    positive = probability >= belief.threshold
    room = 1 - belief.threshold if positive else belief.threshold
    certainty = abs(probability - belief.threshold) / room if room > 0 else 1.0
    query = candidate.query
    return Label(
        belief.task,
        query.text,
        query.region,
        candidate.subject,
        belief.kind,
        positive,
        max(_LEAST_WEIGHT, round(settings.judge_weight * certainty, _DECIMALS)),
        LabelSource.JUDGE,
        query.observed_at,
        query.band,
        query.clients,
    )


def _subjects(candidates: Sequence[Candidate], kind: Kind) -> Iterator[tuple[Band, Subject]]:
    return ((each.query.band, Subject(each.query.text, each.subject, kind)) for each in candidates)


def _probability(verdict: Verdict, task: Task) -> float:
    return verdict.quality if task is Task.QUALITY else verdict.relevance


def _digest(subject: Subject) -> str:
    return hashlib.sha256(f"{subject.kind}\n{subject.query}\n{subject.text}".encode()).hexdigest()
