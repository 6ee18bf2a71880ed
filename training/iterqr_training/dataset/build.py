"""From labels of all iterations to the examples of each split. Pure: the same labels give the same examples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from iterqr_proto.rewrite_format import YES, parse

from iterqr_training.dataset.ablated import ablated
from iterqr_training.dataset.accumulation import accumulate
from iterqr_training.dataset.examples import Example, generation_examples, pair_examples
from iterqr_training.dataset.rows import SPLITS, Task
from iterqr_training.dataset.selection import cap_queries, keep_click_floor, limit_replay, limit_rows, limit_tasks
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.dataset.splits import TRAIN, is_of_its_time, split_of
from iterqr_training.errors import CheckFailedError
from iterqr_training.labels.agreement import (
    LABEL_AGREEMENT,
    Agreement,
    Check,
    agreement,
    failed,
    label_agreement_check,
)
from iterqr_training.labels.judge_labels import QUESTIONS
from iterqr_training.labels.label_folder import LabelFolder
from iterqr_training.labels.records import Kind, Pair, query_key
from iterqr_training.labels.reference import Reference


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples by split, in order, and how they came about. `left_out`: by reason, zeros too."""

    splits: Mapping[str, tuple[Example, ...]]
    newest: int
    is_upper_bound: bool
    left_out: Mapping[str, int]
    agreements: tuple[Agreement, ...]
    checks: tuple[Check, ...]


def build_dataset(
    folders: Sequence[LabelFolder],
    references: Sequence[Reference],
    settings: DatasetSettings,
    held_out: Collection[str] = (),
) -> Dataset:
    """Builds all splits.

    Args:
        folders: Of labels, one for each iteration, in any order.
        references: People's labels or truth that finished examples are compared with; none: no check.
        settings: The rules.
        held_out: Words (`comparison_form`) of queries that are measured on: no split has an example of them.

    Raises:
        CheckFailedError: Labels, or the finished examples, fail the check `label_agreement`.
        SettingError: The folders do not go together.
    """
    found = accumulate(folders, settings)
    left_out = found.left_out
    examples = [*generation_examples(found, settings, left_out), *pair_examples(found.known, left_out)]
    by_split: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for each in examples:
        if each.task not in settings.tasks:
            left_out[f"{each.task}: a task that is not asked for"] += 1
            continue
        if each.query_key in held_out:
            left_out["query is held out to measure on"] += 1
            continue
        split = split_of(each.query_key, settings)
        if is_of_its_time(split, each.observed_at, settings):
            by_split[split].append(each)
        else:
            left_out["on the other side of holdout_from"] += 1
    capped = {split: cap_queries(by_split[split], settings, left_out) for split in SPLITS}
    limited = limit_tasks(capped[TRAIN], found.newest, settings, left_out)
    replayed = limit_replay(limited, found.newest, settings, left_out)
    floored = keep_click_floor(replayed, settings, left_out)
    capped[TRAIN] = keep_click_floor(limit_rows(floored, found.newest, settings, left_out), settings, left_out)
    splits = {
        split: tuple(sorted((ablated(each, settings) for each in capped[split]), key=lambda each: each.order))
        for split in SPLITS
    }
    agreements, checks = check_examples([each for split in SPLITS for each in splits[split]], references, settings)
    if wrong := failed(checks):
        raise CheckFailedError("; ".join(f"{each.name}: {each.words}" for each in wrong))
    return Dataset(splits, found.newest, found.is_upper_bound, left_out, agreements, checks)


def check_examples(
    examples: Sequence[Example], references: Sequence[Reference], settings: DatasetSettings
) -> tuple[tuple[Agreement, ...], tuple[Check, ...]]:
    """Compares finished examples with references: the check `label_agreement` of a dataset. Pure."""
    agreements, checks = [], []
    for each in references:
        own = {label.source for label in each.labels}
        told: dict[tuple[Task, Pair], bool] = {
            (example.task, Pair(example.query_key, query_key(example.subject), example.kind)): example.target == YES
            for example in examples
            if example.task is not Task.GENERATION and example.label_source not in own
        }
        for task, kind in QUESTIONS:
            compared = agreement("dataset", told, task, kind, each, settings.seed)
            if compared.pairs:
                agreements.append(compared)
                checks.append(label_agreement_check(compared, settings.min_label_kappa, settings.min_reference))
        checks.append(_generation_check(examples, each, settings))
    return tuple(agreements), tuple(checks)


def _generation_check(examples: Sequence[Example], reference: Reference, settings: DatasetSettings) -> Check:
    """Rewrites that are to be learned must be good more often than those that the reference knows at all."""
    own = {label.source for label in reference.labels}
    taught = {
        Pair(example.query_key, query_key(rewrite), Kind.REWRITE)
        for example in examples
        if example.task is Task.GENERATION and example.label_source not in own
        for rewrite in parse(example.target).rewrites
    }
    answers = [good for pair in sorted(taught, key=_words) if (good := _answer(reference, pair)) is not None]
    every = [good for (task, pair), good in reference.answers.items() if _is_relevance(task, pair)]
    subject = "dataset, rewrites to generate"
    if len(answers) < settings.min_reference:
        words = f"{len(answers)} rewrites to generate in common with {reference.name}, too few to judge them"
        return Check(LABEL_AGREEMENT, subject, None, words)
    share, base = sum(answers) / len(answers), sum(every) / len(every)
    passed = share > base or share == 1
    words = (
        f"{share:.0%} of {len(answers)} rewrites to generate are good by {reference.name}, "
        f"{'more than' if passed else 'not more than'} the {base:.0%} of all that it knows"
    )
    return Check(LABEL_AGREEMENT, subject, passed, words)


def _answer(reference: Reference, pair: Pair) -> bool | None:
    return reference.answers.get((Task.RELEVANCE, pair))


def _is_relevance(task: Task, pair: Pair) -> bool:
    return task is Task.RELEVANCE and pair.kind is Kind.REWRITE


def _words(pair: Pair) -> tuple[str, str]:
    return pair.query_key, pair.subject_key
