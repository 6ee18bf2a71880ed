"""Answers of the systems, asked once and kept: `answers-<system>.jsonl`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError
from iterqr_training.evaluate.json_lines import JsonLines
from iterqr_training.evaluate.rewriter import Answer, RankedRewrite, Rewriter
from iterqr_training.evaluate.truth import TruthQuery

SCHEMA = "iterqr-answers/v1"
Answers = Mapping[tuple[str, str], Answer]
"""By region and query as typed."""


def answer_all(
    rewriter: Rewriter,
    queries: Sequence[TruthQuery],
    folder: Path,
    on_answer: Callable[[], None],
    timed: int | None = None,
    earlier: Answers | None = None,
) -> Answers:
    """Returns the system's answer to each query; those that are in the folder are not asked again.

    Args:
        rewriter: Of whom.
        queries: Which.
        folder: Of the raw outputs.
        on_answer: Called for each query that has its answer.
        timed: How many of the queries, spread over them, are asked one at a time; the others are asked as many at a
            time as the system takes, and have no latency. None: all.
        earlier: What it is said to have answered before. If its timed answers are the same, the others
            are taken over; what failed is asked again.

    Raises:
        SourceError: The system cannot be reached.
        StoreError: The folder cannot be used, or holds answers of another system of that name.
    """
    with JsonLines(answers_file(folder, rewriter.name), SCHEMA, rewriter.identity) as lines:
        known = {(each.region, each.query): each for each in map(_unpacked, lines.records)}
        asked = [query for query in queries if (query.region, query.query) not in known]
        for _ in range(len(queries) - len(asked)):
            on_answer()

        def keep(answer: Answer) -> None:
            lines.append(asdict(answer))
            known[answer.region, answer.query] = answer
            on_answer()

        alone = {query.key for query in (_spread(queries, timed) if rewriter.at_a_time > 1 else queries)}
        for query in asked:
            if query.key in alone:
                keep(rewriter.rewrite(query.query, query.region))
        others = [query for query in asked if query.key not in alone]
        if earlier is not None and _same(known, earlier):
            for query in others:
                said = earlier.get((query.region, query.query))
                if said is not None and not said.failure:
                    keep(replace(said, latency_ms=None))
            others = [query for query in others if (query.region, query.query) not in known]
        for answer in _together(rewriter, others):
            keep(answer)
    return {(each.region, each.query): known[each.region, each.query] for each in queries}


def _together(rewriter: Rewriter, asked: Sequence[TruthQuery]) -> Iterator[Answer]:
    with ThreadPoolExecutor(rewriter.at_a_time) as pool:
        together = [pool.submit(rewriter.rewrite, query.query, query.region) for query in asked]
        try:
            for each in as_completed(together):
                yield replace(each.result(), latency_ms=None)
        finally:
            pool.shutdown(cancel_futures=True)


def _same(new: Answers, earlier: Answers) -> bool:
    """Whether there are new answers, and each has the rewrites of the one before."""
    return bool(new) and all(key in earlier and _texts(each) == _texts(earlier[key]) for key, each in new.items())


def _texts(answer: Answer) -> list[str]:
    return [rewrite.text for rewrite in answer.rewrites]


def _spread(queries: Sequence[TruthQuery], count: int | None) -> Sequence[TruthQuery]:
    if count is None or count >= len(queries):
        return queries
    return [queries[number * len(queries) // count] for number in range(count)]


def answers_file(folder: Path, system: str) -> Path:
    """Returns where a system's answers are kept."""
    return folder / f"answers-{file_part(system)}.jsonl"


def file_part(system: str) -> str:
    """Returns a system's name as a part of a file's name: another for each name."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-.") else "_" for char in system)
    return safe if safe == system else f"{safe}-{hashlib.sha256(system.encode()).hexdigest()[:8]}"


def read_answers(file: Path) -> Answers:
    """Reads answers of an earlier run, whoever gave them: what novelty is measured against.

    Raises:
        StoreError: The file is not there, or is none of these.
    """
    try:
        header, *lines = file.read_text("utf-8").splitlines()
        if json.loads(header)["schema"] != SCHEMA:
            raise StoreError(f"{file}: schema: must be {SCHEMA!r}")
        answers = [_unpacked(json.loads(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} has no answers: {error!r}") from error
    return {(each.region, each.query): each for each in answers}


def _unpacked(record: Mapping[str, Any]) -> Answer:
    rewrites = tuple(RankedRewrite(**each) for each in record["rewrites"])
    return Answer(**{**record, "rewrites": rewrites})
