"""The labels as JSON and for a person: how many, from whom, and how well they agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from iterqr_training.dataset.rows import LabelSource
from iterqr_training.labels.agreement import Agreement, kappa_words
from iterqr_training.labels.judge_labels import Belief
from iterqr_training.labels.label_signals import REFORMULATIONS, Labelled
from iterqr_training.labels.positives import positive_rewrites
from iterqr_training.labels.records import Label
from iterqr_training.labels.settings import LabelSettings

UPPER_BOUND = (
    "UPPER BOUND: a simulator's truth was learned from. No real marketplace has it; compare nothing else with this."
)


def label_json(
    labelled: Labelled, iteration: int, settings: LabelSettings, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what labels.json says, without digests; null for what is not defined. Nothing in it depends on time."""
    return {
        "iteration": iteration,
        "is_upper_bound": labelled.is_upper_bound,
        "words": list(label_words(labelled)),
        "checks": [asdict(each) for each in labelled.checks],
        "agreements": [agreement_json(each) for each in labelled.agreements],
        "judge": {
            "name": labelled.judge,
            "judged": len(labelled.judging.verdicts),
            "unreadable": labelled.judging.unreadable,
            # What was asked this time: a repeated run finds its answers kept, so usage is told on the console only.
            "questions": [_belief_json(each) for each in labelled.beliefs],
        },
        "clicks": {
            "rewrites": asdict(labelled.clicks.rewrites),
            "items": None if labelled.clicks.items is None else asdict(labelled.clicks.items),
        },
        "reformulations": {
            "labelled": len(labelled.reformulations.found),
            "left_out": dict(sorted(labelled.reformulations.left_out.items())),
        },
        "counts": _counts(labelled.merged.labels),
        "overruled": {str(source): count for source, count in sorted(labelled.merged.overruled.items())},
        "candidates": {"rewrites": len(labelled.candidates.rewrites), "items": len(labelled.candidates.items)},
        "left_out": dict(sorted(labelled.candidates.left_out.items())),
        "queries_with_good_rewrites": len(positive_rewrites(labelled.merged.labels)),
        "chains": {
            "found": len(labelled.chains.found),
            "corrected": labelled.chains.corrected,
            "missing": dict(sorted(labelled.chains.missing.items())),
        },
        "settings": asdict(settings),
        "inputs": dict(inputs),
    }


def label_words(labelled: Labelled) -> tuple[str, ...]:
    """What a person should know, the worst first."""
    words = [UPPER_BOUND] if labelled.is_upper_bound else []
    words += [f"{each.name} FAILED: {each.words}" for each in labelled.checks if each.passed is False]
    words += [f"{each.name} passed: {each.words}" for each in labelled.checks if each.passed]
    words += [f"{each.name} not judged: {each.words}" for each in labelled.checks if each.passed is None]
    words += [each.words for each in labelled.beliefs]
    if not labelled.judge:
        words.append("no judge was asked: users and people alone label")
    if not labelled.clicks.rewrites.clicked:
        words.append("no hit of a rewrite was clicked: clicks label nothing")
    words += [_reformulation_words(each) for each in labelled.agreements if each.labels == REFORMULATIONS]
    if labelled.clicks.items is None:
        words.append("items have no labels: no titles were given")
    return tuple(words)


def label_console(labelled: Labelled) -> Group:
    """Returns the counts, the agreements and the words."""
    parts: list[RenderableType] = [_counts_table(labelled.merged.labels)]
    if labelled.agreements:
        parts.append(_agreements_table(labelled.agreements))
    parts += [Text(f"• {each}") for each in label_words(labelled)]
    used = labelled.judging.usage
    if labelled.judge:
        cost = "" if used.cost is None else f", cost {used.cost:.4f}"
        parts.append(
            Text(
                f"• judge {labelled.judge}: {len(labelled.judging.verdicts):,} judged, {used.from_cache:,} of them "
                f"known before, {labelled.judging.unreadable:,} unreadable; {used.requests:,} requests, "
                f"{used.prompt_tokens:,} + {used.completion_tokens:,} tokens{cost}"
            )
        )
    pairs = labelled.reformulations
    left_out = "".join(f"; {count:,} not: {reason}" for reason, count in sorted(pairs.left_out.items()))
    parts.append(Text(f"• {len(pairs.found):,} rewrites are what users searched for next{left_out}"))
    chains = labelled.chains
    missing = "".join(f"; {count:,} missing: {reason}" for reason, count in sorted(chains.missing.items()))
    parts.append(Text(f"• chains of thought for {len(chains.found):,} queries with good rewrites{missing}"))
    parts.append(Text(f"• the fix of {chains.corrected:,} chains is now the query's usual spelling"))
    return Group(*parts)


def agreement_json(each: Agreement) -> dict[str, Any]:
    """Returns an agreement as JSON; null for what is not defined."""
    numbers = {
        "kappa": each.kappa.value,
        "kappa_low": each.kappa.low,
        "kappa_high": each.kappa.high,
        "precision": each.precision,
        "recall": each.recall,
    }
    return {
        "labels": each.labels,
        "reference": each.reference,
        "task": each.task,
        "kind": each.kind,
        "pairs": each.pairs,
        "confusion": {
            "yes_yes": each.yes_yes, "yes_no": each.yes_no, "no_yes": each.no_yes, "no_no": each.no_no
        },
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
    }  # fmt: skip


def _counts(labels: Sequence[Label]) -> list[dict[str, Any]]:
    counted = Counter((each.task, each.kind, each.source, each.band, each.positive) for each in labels)
    return [
        {"task": task, "kind": kind, "source": source, "band": band, "label": "yes" if positive else "no", "count": n}
        for (task, kind, source, band, positive), n in sorted(counted.items())
    ]


def _counts_table(labels: Sequence[Label]) -> Table:
    table = Table(title="labels")
    for name in ("task", "of", "band"):
        table.add_column(name)
    sources = sorted({each.source for each in labels}) or list(LabelSource)[:1]
    for source in sources:
        table.add_column(f"{source} yes", justify="right")
        table.add_column(f"{source} no", justify="right")
    counted = Counter((each.task, each.kind, each.band, each.source, each.positive) for each in labels)
    for task, kind, band in sorted({key[:3] for key in counted}):
        cells = [f"{counted[task, kind, band, source, yes]:,}" for source in sources for yes in (True, False)]
        table.add_row(task, f"{kind}s", band, *cells)
    return table


def _agreements_table(found: Sequence[Agreement]) -> Table:
    table = Table(title="agreement: confusion is labels/reference")
    for name in ("labels", "reference", "task", "of"):
        table.add_column(name)
    for name in ("pairs", "yes/yes", "yes/no", "no/yes", "no/no", "kappa", "precision", "recall"):
        table.add_column(name, justify="right")
    for each in found:
        cells = (each.pairs, each.yes_yes, each.yes_no, each.no_yes, each.no_no)
        shares = (_share(each.precision), _share(each.recall))
        table.add_row(
            each.labels,
            each.reference,
            each.task,
            f"{each.kind}s",
            *(f"{n:,}" for n in cells),
            kappa_words(each),
            *shares,
        )
    return table


def _reformulation_words(each: Agreement) -> str:
    """Precision alone: all of them say yes, of which kappa knows nothing."""
    return (
        f"reformulations, {each.task}: {each.reference} calls {each.yes_yes} of {each.pairs} rewrites that users "
        f"searched for next good ({_share(each.precision)})"
    )


def _share(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _belief_json(each: Belief) -> dict[str, Any]:
    return {
        "task": each.task,
        "kind": each.kind,
        "threshold": each.threshold,
        "used": each.used,
        "words": each.words,
        "agreement": None if each.agreement is None else agreement_json(each.agreement),
    }
