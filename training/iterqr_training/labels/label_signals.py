"""From signals and marts to labels: candidates, clicks, reformulations, judge, people, agreement, chains of thought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import SettingError
from iterqr_training.labels.agreement import Agreement, Check, agreement, label_agreement_check
from iterqr_training.labels.base_server import BaseServer
from iterqr_training.labels.candidates import Candidates, find_candidates, read_queries
from iterqr_training.labels.chains import Chain, ChainJournal, Chains, Key, ask_chains, correct_fixes
from iterqr_training.labels.click_labels import ClickLabels, click_labels
from iterqr_training.labels.exposure_tables import LabelTables
from iterqr_training.labels.judge_labels import QUESTIONS, Belief, beliefs, judge_labels, subjects_to_judge
from iterqr_training.labels.judging import Judge, Judging
from iterqr_training.labels.merging import Merged, merge, told_labels
from iterqr_training.labels.positives import positive_rewrites
from iterqr_training.labels.records import Label, Pair
from iterqr_training.labels.reference import HUMAN, TRUTH, Reference
from iterqr_training.labels.reformulations import (
    Reformulations,
    find_reformulations,
    read_reformulations,
    reformulation_labels,
    usual_spellings,
)
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.labels.spelling_labels import spelling_labels
from iterqr_training.signals.engines import Engine

REFORMULATIONS = "reformulations"
StartStep = Callable[[str, int | None], Callable[[int], None]]
"""Called with the name of a step and how much there is to do, if known; returns what is called with what was done."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What labels come from beside clicks and reformulations.

    Attributes:
        titles: Of items, by object id; without any, items are not labelled.
        references: People's labels first, then truth; people's are learned from, too.
        judge: None: nobody judges.
        base: The frozen base, for chains of thought; None: only known ones.
        chains: Those that are known.
        journal: Keeps chains that `base` was asked for until they are written; needed with it.
        learns_truth: An upper-bound experiment: truth labels, too. Named as such in every report.
    """

    titles: Mapping[str, str]
    references: tuple[Reference, ...] = ()
    judge: Judge | None = None
    base: BaseServer | None = None
    chains: Mapping[Key, Chain] = field(default_factory=dict)
    journal: ChainJournal | None = None
    learns_truth: bool = False


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels and how they came about. `judge` is its name, "" without one."""

    merged: Merged
    candidates: Candidates
    clicks: ClickLabels
    reformulations: Reformulations
    judge: str
    judging: Judging
    beliefs: tuple[Belief, ...]
    agreements: tuple[Agreement, ...]
    checks: tuple[Check, ...]
    chains: Chains
    is_upper_bound: bool


def label_signals(
    engine: Engine, tables: LabelTables, sources: Sources, settings: LabelSettings, start: StartStep
) -> Labelled:
    """Labels what can be labelled.

    Args:
        engine: Where the tables are.
        tables: Raw tables and marts.
        sources: Beside clicks and reformulations.
        settings: The rules.
        start: Told of the steps.

    Raises:
        EngineError: A table could not be computed.
        JudgeError: The judge or the base's server does not answer, or is not the one that was asked for.
        SettingError: Truth is to be learned, and there is none.
    """
    truths = [each for each in sources.references if each.name == TRUTH]
    if sources.learns_truth and not truths:
        raise SettingError("learn_truth needs a truth to learn")
    start("exposure", None)
    queries = read_queries(engine, tables)
    candidates = find_candidates(engine, tables, queries, sources.titles, settings)
    clicks = click_labels(candidates.rewrites, candidates.items, settings)
    start("reformulations", None)
    pairs = read_reformulations(engine, tables, queries, settings)
    spellings = usual_spellings(queries, pairs, settings)
    searched_next = find_reformulations(pairs, queries, spellings, settings)
    reformulated = reformulation_labels(searched_next, settings)
    spelt = spelling_labels(queries, spellings, settings)
    judging = _judged(sources, candidates, clicks.labels, settings, start)
    believed = () if sources.judge is None else beliefs(judging, clicks.labels, sources.references, settings)
    judged = judge_labels(candidates, judging, believed, settings)
    told = [each for each in sources.references if each.name == HUMAN]
    if sources.learns_truth:
        told += truths
    groups = [told_labels(each, candidates, [*reformulated, *spelt]) for each in told]
    merged = merge([clicks.labels, reformulated, spelt, judged, *groups])
    by_users = {"clicks": clicks.labels, REFORMULATIONS: reformulated}
    agreements, checks = _compared(by_users, merged.labels, believed, sources.references, settings)
    chains = _chains(merged.labels, sources, start)
    if settings.corrections:
        chains = correct_fixes(chains, spellings.usual)
    return Labelled(
        merged,
        candidates,
        clicks,
        searched_next,
        "" if sources.judge is None else sources.judge.name,
        judging,
        believed,
        agreements,
        checks,
        chains,
        sources.learns_truth,
    )


def compare_labels(
    whose: str, labels: Sequence[Label], references: Sequence[Reference], settings: LabelSettings
) -> tuple[Agreement, ...]:
    """Compares labels with each reference, for each task and kind that have something in common.

    A label that came from the reference itself is not compared with it.
    """
    found = []
    for each in references:
        own = {label.source for label in each.labels}
        told: dict[tuple[Task, Pair], bool] = {
            (label.task, label.pair): label.positive for label in labels if label.source not in own
        }
        for task, kind in QUESTIONS:
            compared = agreement(whose, told, task, kind, each, settings.seed)
            if compared.pairs:
                found.append(compared)
    return tuple(found)


def _judged(
    sources: Sources, candidates: Candidates, clicks: Sequence[Label], settings: LabelSettings, start: StartStep
) -> Judging:
    if sources.judge is None:
        return Judging()
    subjects = subjects_to_judge(candidates, clicks, sources.references, settings)
    return sources.judge.judge(subjects, start(f"judge {sources.judge.name}", len(subjects)))


def _compared(
    by_users: Mapping[str, Sequence[Label]],
    merged: Sequence[Label],
    believed: Sequence[Belief],
    references: Sequence[Reference],
    settings: LabelSettings,
) -> tuple[tuple[Agreement, ...], tuple[Check, ...]]:
    of_users = [
        each for whose, labels in by_users.items() for each in compare_labels(whose, labels, references, settings)
    ]
    of_judge = tuple(each.agreement for each in believed if each.agreement is not None)
    final = compare_labels("final", merged, references, settings)
    checks = tuple(label_agreement_check(each, settings.min_label_kappa, settings.min_reference) for each in final)
    return (*of_users, *of_judge, *final), checks


def _chains(labels: Sequence[Label], sources: Sources, start: StartStep) -> Chains:
    wanted = tuple(positive_rewrites(labels))
    known = sources.chains
    if sources.base is not None and sources.journal is not None:
        on_chain = start("chains of thought", len(wanted))
        return ask_chains(sources.base, wanted, known, sources.journal, on_chain)
    found = {key: known[key] for key in wanted if key in known}
    lacking = len(wanted) - len(found)
    return Chains(found, {"no server was asked": lacking} if lacking else {})
