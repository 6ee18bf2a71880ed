"""Labels of all iterations as one: what is known last counts, and people count before anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.errors import CheckFailedError, SettingError
from iterqr_training.labels.chains import Chain, Key
from iterqr_training.labels.label_folder import LabelFolder
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import Kind, Label

_TOLD = (LabelSource.HUMAN, LabelSource.TRUTH)


@dataclass(frozen=True, slots=True)
class Known:
    """A label and the iteration that it is of."""

    label: Label
    iteration: int


@dataclass(frozen=True, slots=True)
class Accumulated:
    """One label for each thing, in order; the newest chain of each query; what was left out, by reason."""

    known: tuple[Known, ...]
    chains: Mapping[Key, Chain]
    newest: int
    is_upper_bound: bool
    left_out: Counter[str]


def accumulate(folders: Sequence[LabelFolder], settings: DatasetSettings) -> Accumulated:
    """Puts the labels of iterations together. Pure.

    Raises:
        CheckFailedError: Labels failed a check when they were made.
        SettingError: There are none, two are of one iteration, or truth is among labels that do not say so.
    """
    if not folders:
        raise SettingError("labels: at least one folder is needed")
    iterations = [each.iteration for each in folders]
    if len(set(iterations)) < len(iterations):
        raise SettingError("labels: two folders are of one iteration; give each its own with `label --iteration`")
    for folder in folders:
        if folder.failed_checks:
            raise CheckFailedError(f"{folder.path}: {'; '.join(folder.failed_checks)}")
        if not folder.is_upper_bound and any(each.source is LabelSource.TRUTH for each in folder.labels):
            raise SettingError(f"{folder.path}: has labels of truth without being an upper-bound experiment")
    ordered = sorted(folders, key=lambda each: each.iteration)
    left_out: Counter[str] = Counter()
    best: dict[tuple[Task, str, str, Kind, str], Known] = {}
    for folder in ordered:
        for label in folder.labels:
            if reason := _forbidden(label, settings):
                left_out[reason] += 1
                continue
            pair = label.pair
            key = (label.task, label.query, label.region, label.kind, pair.subject_key)
            known = best.get(key)
            if known is not None:
                left_out["superseded by another iteration's label"] += 1
            if known is None or label.source in _TOLD or known.label.source not in _TOLD:
                best[key] = Known(label, folder.iteration)
    chains = {key: chain for folder in ordered for key, chain in folder.chains.items()}
    found = tuple(sorted(best.values(), key=lambda each: each.label.order))
    upper = any(each.is_upper_bound for each in folders)
    return Accumulated(found, chains, max(iterations), upper, left_out)


def _forbidden(label: Label, settings: DatasetSettings) -> str | None:
    is_told = label.source in _TOLD and label.clients == 0
    if label.clients < settings.min_clients and not is_told:
        return "fewer clients than min_clients"
    return personal_data(label.query) or personal_data(label.subject)
