"""The probe set: what a checkpoint is asked before it takes traffic, and what it must answer. Pure but for reading."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

MAX_PROBES = 100
_MAX_TEXT = 120


class ProbeSetError(ValueError):
    """A probe file is not usable; the message names the key."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`good` keeps what the user of `query` needs, `bad` does not."""

    query: str
    good: str
    bad: str


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Queries to rewrite, pairs to score."""

    queries: tuple[str, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One query's answer. `is_valid`: the whole chain of thought, every line in the format, finite confidences."""

    query: str
    is_valid: bool
    seconds: float
    confidences: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PairScores:
    """Relevance of the two rewrites of one pair."""

    good: float
    bad: float


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """`min_valid_share` of the answers; `max_ms` for the slowest."""

    min_valid_share: float
    max_ms: float


def load_probe_set(path: Path | None = None) -> ProbeSet:
    """Reads a probe file; without a path, the one for food delivery that comes with the package.

    Raises:
        ProbeSetError: a key is missing, unknown, of the wrong type or out of its limits.
        OSError: the file cannot be read.
    """
    source = path or resources.files("iterqr_server.checkpoints") / "probes.toml"
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProbeSetError(f"{source}: not TOML: {error}") from error
    if unknown := data.keys() - {"queries", "pairs"}:
        raise ProbeSetError(f"{source}: unknown key {min(unknown)!r}")
    queries, pairs = data.get("queries"), data.get("pairs", [])
    if not isinstance(queries, list) or not 1 <= len(queries) <= MAX_PROBES:
        raise ProbeSetError(f"{source}: queries: must be an array of 1 to {MAX_PROBES} queries")
    if not isinstance(pairs, list) or len(pairs) > MAX_PROBES:
        raise ProbeSetError(f"{source}: pairs: must be at most {MAX_PROBES} tables")
    return ProbeSet(
        tuple(_text(query, f"{source}: queries[{i}]") for i, query in enumerate(queries)),
        tuple(_pair(pair, f"{source}: pairs[{i}]") for i, pair in enumerate(pairs)),
    )


def refusal(answers: Sequence[ProbeAnswer], scores: Sequence[PairScores], limits: ProbeLimits) -> str:
    """Returns why a checkpoint with these answers must not serve; empty if it may."""
    valid = sum(answer.is_valid for answer in answers)
    if valid < limits.min_valid_share * len(answers):
        first = next(answer.query for answer in answers if not answer.is_valid)
        return (
            f"probes: {valid} of {len(answers)} answers are of the rewrite format, at least "
            f"{limits.min_valid_share:.0%} must be; the first that is not: {first!r}"
        )
    slowest = max(answers, key=lambda answer: answer.seconds)
    if slowest.seconds * 1000 > limits.max_ms:
        return (
            f"probes: the slowest answer took {slowest.seconds * 1000:.0f} ms ({slowest.query!r}), "
            f"the limit is {limits.max_ms:g} ms"
        )
    if not all(math.isfinite(score) for pair in scores for score in (pair.good, pair.bad)):
        return "probes: scores are not numbers"
    if scores and sum(pair.good for pair in scores) < sum(pair.bad for pair in scores):
        good, bad = (sum(values) / len(scores) for values in zip(*((p.good, p.bad) for p in scores), strict=True))
        return f"probes: rewrites that miss the need score {bad:.2f}, those that keep it {good:.2f}"
    return ""


def _pair(data: Any, where: str) -> Pair:  # noqa: ANN401 - whatever TOML held
    if not isinstance(data, dict) or data.keys() != {"query", "good", "bad"}:
        raise ProbeSetError(f"{where}: must have query, good and bad")
    return Pair(**{key: _text(value, f"{where}.{key}") for key, value in data.items()})


def _text(value: Any, where: str) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _MAX_TEXT:
        raise ProbeSetError(f"{where}: must be a string of 1 to {_MAX_TEXT} characters")
    return value.strip()
