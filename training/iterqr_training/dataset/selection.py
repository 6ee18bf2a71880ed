"""How many examples of what: caps against popularity, a floor of clicks, replay of earlier iterations. All of it pure.

What is kept does not depend on the order of the examples. Where a choice is free a digest makes it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from iterqr_proto.rewrite_format import YES

from iterqr_training.dataset.examples import Example
from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.labels.records import Kind

_SURENESS = {
    LabelSource.TRUTH: 0,
    LabelSource.HUMAN: 1,
    LabelSource.CLICK: 2,
    LabelSource.REFORMULATION: 2,
    LabelSource.SPELLING: 2,
    LabelSource.JUDGE: 3,
}


def cap_queries(examples: Sequence[Example], settings: DatasetSettings, left_out: Counter[str]) -> list[Example]:
    """Keeps at most so many of each query, task and kind of subject, the surest first, yes and no in turns.

    Head queries have many regions and many judged pairs, but are one query each to learn from.
    """
    groups: dict[tuple[Task, Kind, str], list[Example]] = defaultdict(list)
    for each in examples:
        groups[each.task, each.kind, each.query_key].append(each)
    kept = []
    for (task, kind, _), group in groups.items():
        most = settings.max_items_a_query if kind is Kind.ITEM else settings.max_pairs_a_query
        most = settings.max_rows_a_query if task is Task.GENERATION else most
        chosen = _in_turns(group)[:most]
        left_out[f"{task}: over the cap of a query"] += len(group) - len(chosen)
        kept += chosen
    return kept


def limit_replay(
    examples: Sequence[Example], newest: int, settings: DatasetSettings, left_out: Counter[str]
) -> list[Example]:
    """Keeps so many of earlier iterations that they are at most `replay_share` of a task, drawn by digest.

    A task of which the newest iteration has nothing keeps all.
    """
    kept = []
    for task in Task:
        mine = [each for each in examples if each.task is task]
        new = [each for each in mine if each.iteration == newest]
        old = sorted((each for each in mine if each.iteration != newest), key=lambda each: each.example_id)
        room = len(old) if not new else _room(len(new), settings.replay_share)
        left_out[f"{task}: over the share of replay"] += max(0, len(old) - room)
        kept += [*new, *old[:room]]
    return kept


def keep_click_floor(examples: Sequence[Example], settings: DatasetSettings, left_out: Counter[str]) -> list[Example]:
    """Drops the lightest rows of generation that a judge decided until users and people who label have their share."""
    judged = [each for each in examples if each.task is Task.GENERATION and each.label_source is LabelSource.JUDGE]
    real = sum(each.task is Task.GENERATION for each in examples) - len(judged)
    room = min(len(judged), _room(real, 1 - settings.click_floor))
    left_out["generation: over what a judge may decide"] += len(judged) - room
    chosen = {each.example_id for each in sorted(judged, key=lambda each: (-each.weight, each.example_id))[:room]}
    is_judged = {each.example_id for each in judged}
    return [each for each in examples if each.example_id not in is_judged or each.example_id in chosen]


def limit_tasks(
    examples: Sequence[Example], newest: int, settings: DatasetSettings, left_out: Counter[str]
) -> list[Example]:
    """Keeps at most `max_rows_a_task` of each task, if it is set, of them `replay_share` of earlier iterations.

    Of generation it keeps `max_generation_rows`, if that is set.

    Bands, answers and kinds of subject take turns, so that what is rare stays; who of them is drawn, a digest decides.
    """
    if not (settings.max_rows_a_task or settings.max_generation_rows):
        return list(examples)
    most = dict.fromkeys(Task, settings.max_rows_a_task or len(examples))
    most[Task.GENERATION] = settings.max_generation_rows or most[Task.GENERATION]
    return _limited(examples, newest, most, settings, left_out, "over the rows of a task")


def limit_rows(
    examples: Sequence[Example], newest: int, settings: DatasetSettings, left_out: Counter[str]
) -> list[Example]:
    """Keeps at most `max_rows` of all tasks together, if it is set: see `even_shares`, and drawn as by `limit_tasks`.

    Of examples that have no more than `replay_share` of earlier iterations it keeps no larger share of them.
    """
    if not settings.max_rows:
        return list(examples)
    rows = Counter(each.task for each in examples)
    most = even_shares({task: rows[task] for task in Task}, settings.max_rows)
    return _limited(examples, newest, most, settings, left_out, "over the rows of all tasks")


def even_shares(rows: Mapping[Task, int], most: int) -> Mapping[Task, int]:
    """Returns how many of each task's rows are among at most `most` of all: as many of each as it has.

    What a task lacks, the others share; what cannot be shared evenly, those that come first have.
    """
    shares = dict.fromkeys(rows, 0)
    left = min(most, sum(rows.values()))
    while left:
        lacking = [task for task in rows if shares[task] < rows[task]]
        each = max(1, left // len(lacking))
        for task in lacking:
            more = min(each, rows[task] - shares[task], left)
            shares[task] += more
            left -= more
    return shares


def _limited(
    examples: Sequence[Example],
    newest: int,
    most: Mapping[Task, int],
    settings: DatasetSettings,
    left_out: Counter[str],
    reason: str,
) -> list[Example]:
    kept = []
    for task in Task:
        new = [each for each in examples if each.task is task and each.iteration == newest]
        old = [each for each in examples if each.task is task and each.iteration != newest]
        of_old = max(most[task] - len(new), min(len(old), math.floor(most[task] * settings.replay_share)))
        chosen = _drawn(old, of_old)
        chosen += _drawn(new, most[task] - len(chosen))
        left_out[f"{task}: {reason}"] += len(new) + len(old) - len(chosen)
        kept += chosen
    return kept


def _drawn(examples: Sequence[Example], most: int) -> list[Example]:
    strata: dict[tuple[Band, str, Kind], list[Example]] = defaultdict(list)
    for each in examples:
        strata[each.band, "" if each.task is Task.GENERATION else each.target, each.kind].append(each)
    ranked = [sorted(group, key=lambda each: each.example_id) for group in strata.values()]
    placed = [(place, each.example_id, each) for group in ranked for place, each in enumerate(group)]
    return [each for _, _, each in sorted(placed, key=lambda item: item[:2])][: max(0, most)]


def _room(others: int, share: float) -> int:
    """How many may be added to `others` so that they are at most `share` of all."""
    if share >= 1:
        return 2**62
    room = math.floor(others * share / (1 - share) + 1e-9)
    return room if room <= share * (others + room) + 1e-9 else room - 1


def _in_turns(group: Iterable[Example]) -> list[Example]:
    """Surest first, and yes and no in turns as long as there are both."""
    rank: Callable[[Example], tuple[int, float, str]] = lambda each: (  # noqa: E731 - used twice
        _SURENESS[each.label_source],
        -each.weight,
        each.example_id,
    )
    sides: tuple[list[Example], list[Example]] = ([], [])
    for each in sorted(group, key=rank):
        sides[each.task is not Task.GENERATION and each.target != YES].append(each)
    placed = [(place, side, each) for side, several in enumerate(sides) for place, each in enumerate(several)]
    return [each for _, _, each in sorted(placed, key=lambda item: (item[0], item[1], item[2].example_id))]
