"""Truth sets: held-out queries with what is known to satisfy them.

A truth set is a file of JSON lines, UTF-8, one query of one region a line:

    {"query": "pad tai", "region": "north", "band": "tail",
     "relevant": ["siam-01", "siam-07"],
     "judged": [{"text": "pad thai", "good": true}, {"text": "pad", "good": false}]}

`relevant`: ids of the objects that satisfy the query, all of them. `judged`: rewrites whose worth is known, each text
once. At least one of the two must be there and not empty; without `relevant` results cannot be measured, only
rewrites. `band` is head, torso or tail. A simulator knows such sets; elsewhere they are made by people. They are for
measuring: nothing may be trained on them, and labels never come from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import comparison_form

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import StoreError
from iterqr_training.files import write_whole

_KEYS = {"query", "region", "band", "relevant", "judged"}
_MAX_QUERY_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class TruthQuery:
    """A query of a region. `judged`: worth of rewrites by `comparison_form` of their text."""

    query: str
    region: str
    band: Band
    relevant: frozenset[str] = frozenset()
    judged: Mapping[str, bool] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others: region and words."""
        return self.region, comparison_form(self.query)


def read_truth(file: Path) -> tuple[TruthQuery, ...]:
    """Reads a truth set, in the file's order.

    Raises:
        StoreError: It cannot be read, has no query, or a line is wrong; the message names line and field.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    queries: list[TruthQuery] = []
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        query = _query(where, line)
        if query.key in seen:
            raise StoreError(f"{where}: query: {query.query!r} is in line {seen[query.key]} already")
        seen[query.key] = number
        queries.append(query)
    if not queries:
        raise StoreError(f"{file} has no queries")
    return tuple(queries)


def write_truth(file: Path, queries: Sequence[TruthQuery]) -> None:
    """Writes a truth set, whole or not at all.

    Raises:
        StoreError: It cannot be written.
    """
    lines = (
        {
            "query": each.query,
            "region": each.region,
            "band": each.band.value,
            "relevant": sorted(each.relevant),
            "judged": [{"text": text, "good": good} for text, good in sorted(each.judged.items())],
        }
        for each in queries
    )
    write_whole(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def truth_digest(queries: Sequence[TruthQuery]) -> str:
    """Returns the SHA-256 of what the queries say, so that two evaluations can be told to have the same."""
    said = [
        [each.query, each.region, each.band.value, sorted(each.relevant), sorted(each.judged.items())]
        for each in queries
    ]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def _query(where: str, line: str) -> TruthQuery:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise StoreError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise StoreError(f"{where}: must be a JSON object")
    if unknown := sorted(row.keys() - _KEYS):
        raise StoreError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    query, region = row.get("query"), row.get("region", "")
    if not isinstance(query, str) or not comparison_form(query) or len(query) > _MAX_QUERY_CHARACTERS:
        raise StoreError(
            f"{where}: query: must be a text with a word in it, at most {_MAX_QUERY_CHARACTERS} characters"
        )
    if not isinstance(region, str):
        raise StoreError(f"{where}: region: must be a text")
    if row.get("band") not in set(Band):
        raise StoreError(f"{where}: band: must be one of {', '.join(Band)}")
    relevant = row.get("relevant", [])
    if not isinstance(relevant, list) or not all(isinstance(each, str) and each for each in relevant):
        raise StoreError(f"{where}: relevant: must be a list of ids")
    judged = dict(_judged(where, row.get("judged", [])))
    if not relevant and not judged:
        raise StoreError(f"{where}: relevant: it or judged must not be empty")
    return TruthQuery(query, region, Band(row["band"]), frozenset(relevant), judged)


def _judged(where: str, rows: Any) -> Iterator[tuple[str, bool]]:  # noqa: ANN401 - JSON
    if not isinstance(rows, list):
        raise StoreError(f"{where}: judged: must be a list")
    seen: set[str] = set()
    for number, row in enumerate(rows):
        place = f"{where}: judged[{number}]"
        if not isinstance(row, dict) or row.keys() != {"text", "good"}:
            raise StoreError(f"{place}: needs exactly the fields good, text")
        if not isinstance(row["text"], str) or not isinstance(row["good"], bool):
            raise StoreError(f"{place}: text must be a text, and good true or false")
        form = comparison_form(row["text"])
        if not form or form in seen:
            raise StoreError(f"{place}: text: has no word, or is there twice")
        seen.add(form)
        yield form, row["good"]
