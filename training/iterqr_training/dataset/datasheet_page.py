"""The datasheet for people, after Gebru et al., "Datasheets for Datasets" (CACM 2021)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iterqr_training.dataset.rows import SPLITS

_PURPOSE = """\
To post-train a model that rewrites search queries: to generate rewrites (its reasoning, then the rewrites), to judge
their quality, and to judge whether a rewrite or an item is what the user needs."""
_ORIGIN = """\
Queries, rewrites and clicks are those of the search's own users; items' titles are of its catalog. Labels are of clicks
(credited by attribution, corrected for position), of reformulations (what users searched for next and then clicked), of
people, and of a judge where it agrees with them. Chains of thought are of a known generation, or the frozen base model
wrote them when labels were made, with the hints of that time; impressions do not keep them. Their first line, the
spelling, is that of most users where it is known."""
_CLEANING = """\
Queries that too few people searched with, and texts that seem to hold an e-mail or web address, a long number or a
street address, are not in it. Each query is in one split for ever: a hash of its words decides. Left out:"""
_LIMITS = """\
Clicks are of what was shown: a rewrite without a label is not a bad one. Test rows are of labelled queries; they are no
sample of all searches. Hints of test queries may hold titles that were clicked in the test's own time."""
_SPLIT_COLUMNS = (
    *("split", "rows", "queries", "head", "torso", "tail"),
    *("generation decided by users or people", "rewrites to generate", "generation with hints"),
)


def datasheet_page(sheet: Mapping[str, Any]) -> str:
    """Returns DATASHEET.md of a datasheet.json."""
    splits: Mapping[str, Any] = sheet["splits"]
    inputs = [f"iteration {each['iteration']}: `{each['folder']}`, {each['labels_sha256']}" for each in sheet["inputs"]]
    files = ((name, f"{each['rows']:,}", each["sha256"]) for name, each in sheet["files"].items())
    parts = (
        f"# Datasheet: rewriting dataset, iteration {sheet['iteration']}",
        _bullets(sheet["words"]),
        "## Why",
        _PURPOSE,
        "## What is in it",
        _composition(sheet["counts"]),
        _table(_SPLIT_COLUMNS, (_split_row(split, splits[split]) for split in SPLITS)),
        "## Where it comes from",
        _ORIGIN,
        _bullets(inputs),
        "## What was done to it",
        _CLEANING,
        _table(("reason", "labels or rows"), ((reason, f"{n:,}") for reason, n in sheet["left_out"].items())),
        "## Its time",
        "A row's time is of the latest search or event behind its label.",
        _table(("split", "first", "last"), ((each, splits[each]["first"], splits[each]["last"]) for each in SPLITS)),
        "## How well labels agree",
        _agreements(sheet["agreements"]),
        "## What it must not be used for",
        _LIMITS,
        "## Rules and files",
        _table(("rule", "value"), sheet["settings"].items()),
        _table(("file", "rows", "sha256"), files),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _composition(counts: Sequence[Mapping[str, Any]]) -> str:
    rows: Counter[tuple[str, ...]] = Counter()
    for each in counts:
        rows[each["task"], each["kind"], each["label_source"], each["answer"], each["split"]] += each["rows"]
    keys = sorted({key[:4] for key in rows})
    return _table(
        ("task", "of", "decided by", "answer", *SPLITS),
        ((*key, *(f"{rows[(*key, split)]:,}" for split in SPLITS)) for key in keys),
    )


def _split_row(split: str, told: Mapping[str, Any]) -> Sequence[str]:
    generation, bands = told["generation"], told["queries_by_band"]
    share = generation["real_click_share"]
    return (
        split,
        f"{told['rows']:,}",
        f"{told['queries']:,}",
        *(f"{bands[band]:,}" for band in ("head", "torso", "tail")),
        "–" if share is None else f"{share:.0%}",
        f"{generation['rewrites']:,}",
        f"{generation['with_hints']:,}",
    )


def _agreements(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return "No reference was given to compare with; see labels.json of the inputs."
    return _table(
        ("reference", "task", "of", "pairs", "kappa", "precision", "recall"),
        (
            (
                each["reference"], each["task"], each["kind"], f"{each['pairs']:,}",
                *(_number(each[name]) for name in ("kappa", "precision", "recall")),
            )
            for each in found
        ),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_cell(each) for each in row] for row in rows]
    if not lines:
        return "Nothing."
    return "\n".join(f"| {' | '.join(row)} |" for row in (list(head), ["---"] * len(head), *lines))


def _cell(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return "–" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {each}" for each in texts)
