"""Examples of the three tasks, made of labels and chains of thought. All of it pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from iterqr_proto.rewrite_format import NO, YES, clean_text, parse
from iterqr_proto.rewrite_format import Example as Lines
from iterqr_proto.rewrite_format.prompt import answer

from iterqr_training.dataset.accumulation import Accumulated, Known
from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.labels.chains import Chain
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.positives import positive_rewrites
from iterqr_training.labels.records import Kind, Label, query_key

_DECIMALS = 6
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Example:
    """One row of `EXAMPLES`. `kind` is of the subject, REWRITE for generation, and not in the row."""

    task: Task
    query: str
    query_key: str
    region: str
    hints: tuple[str, ...]
    subject: str
    target: str
    weight: float
    label_source: LabelSource
    band: Band
    iteration: int
    observed_at: datetime
    kind: Kind = Kind.REWRITE

    @property
    def example_id(self) -> str:
        """Digest of what makes it another example."""
        parts = [self.task, self.query_key, self.region, self.subject, self.target]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_ID_DIGITS]

    @property
    def order(self) -> tuple[str, ...]:
        """Where it stands in its file."""
        return (self.task, self.query_key, self.region, self.subject, self.target)


def generation_examples(found: Accumulated, settings: DatasetSettings, left_out: Counter[str]) -> list[Example]:
    """Returns an example for each query and region with good rewrites and a chain of thought.

    Its target is the chain, then the best rewrites. It counts as decided by whoever decided on the first of them, and
    weighs their mean. Queries of one split key and region that differ in punctuation alone are one example.
    """
    iterations = _iterations(found.known)
    examples: dict[tuple[str, str], Example] = {}
    for (query, region), labels in positive_rewrites(each.label for each in found.known).items():
        chain = found.chains.get((query, region))
        if chain is None:
            left_out["generation: no chain of thought"] += 1
            continue
        example = _generation(chain, labels[: settings.max_rewrites], iterations)
        if example is None:
            left_out["generation: not of the format"] += 1
        elif personal_data(example.target.replace("\n", " | ")):
            left_out["generation: the chain may name a person"] += 1
        elif examples.setdefault((example.query_key, region), example) is not example:
            left_out["generation: the same query but for punctuation"] += 1
    return list(examples.values())


def pair_examples(known: Sequence[Known], left_out: Counter[str]) -> list[Example]:
    """Returns an example for each judged pair of query and subject, all regions together.

    Of several labels the heavier answer counts; pairs with as much yes as no are left out.
    """
    groups: dict[tuple[Task, str, Kind, str], list[Known]] = defaultdict(list)
    for each in known:
        pair = each.label.pair
        groups[each.label.task, pair.query_key, pair.kind, pair.subject_key].append(each)
    examples = []
    for (task, key, kind, _), group in sorted(groups.items()):
        balance = sum(each.label.weight * (1 if each.label.positive else -1) for each in group)
        if abs(balance) < 10**-_DECIMALS:
            left_out[f"{task}: as much yes as no"] += 1
            continue
        agreeing = [each for each in group if each.label.positive is (balance > 0)]
        first = min(agreeing, key=lambda each: (-each.label.weight, each.label.order))
        left_out[f"{task}: the same pair again"] += len(group) - 1
        examples.append(
            Example(
                task,
                first.label.query,
                key,
                first.label.region,
                (),
                clean_text(first.label.subject),
                YES if balance > 0 else NO,
                first.label.weight,
                first.label.source,
                first.label.band,
                max(each.iteration for each in agreeing),
                max(each.label.observed_at for each in agreeing),
                kind,
            )
        )
    return examples


def _generation(chain: Chain, labels: Sequence[Label], iterations: Mapping[Label, int]) -> Example | None:
    rewrites = tuple(clean_text(each.subject) for each in labels)
    target = answer(Lines(chain.query, chain.hints, chain.fix, chain.intent, chain.meaning, rewrites))
    read = parse(target)
    if read.rejected or not read.has_chain_of_thought or read.rewrites != rewrites:
        return None
    return Example(
        Task.GENERATION,
        chain.query,
        query_key(chain.query),
        chain.region,
        chain.hints,
        "",
        target,
        round(sum(each.weight for each in labels) / len(labels), _DECIMALS),
        labels[0].source,
        labels[0].band,
        max(iterations[each] for each in labels),
        max(each.observed_at for each in labels),
    )


def _iterations(known: Iterable[Known]) -> Mapping[Label, int]:
    return {each.label: each.iteration for each in known}
