"""Version 1 of the policy document: whether to rewrite a query, and how much each rewrite weighs.

The plugin reads the same document in Java; `golden/policy_v1/vectors.json` keeps the two readings equal. Pure.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import pairwise
from typing import Any

from jsonschema import Draft202012Validator

MAX_POLICY_CHARACTERS = 8_192
"""Longest document that a reply may carry."""
TOP = 10
"""How many first hits of a window features are read from."""


class PolicyError(ValueError):
    """A policy breaks its schema; the message names the member."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A function in straight pieces, level before the first point and after the last; x rises from point to point."""

    points: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def at(self, x: float) -> float:
        """Returns the function's value."""
        left_x, left_y = self.points[0]
        if x <= left_x:
            return left_y
        for right_x, right_y in self.points:
            if x < right_x:
                return left_y + (right_y - left_y) * (x - left_x) / (right_x - left_x)
            left_x, left_y = right_x, right_y
        return left_y


@dataclass(frozen=True, slots=True)
class OriginalFeatures:
    """What a policy knows of the original's own result.

    `hits`: in its window. `flatness`: score of the last of its first `TOP` hits over that of the first; 0 without hits.
    `score_a_character`: score of the first hit over the length of the user's text in code points; 0 without hits. A
    text that the index does not know scores low for its length, whatever its hits.
    """

    hits: int
    flatness: float
    score_a_character: float = 0.0

    @property
    def strength(self) -> float:
        """How good the result looks, 0 (empty) to 1: flatness, less where the first page is not full."""
        return self.flatness * min(1.0, self.hits / TOP)


@dataclass(frozen=True, slots=True)
class RewriteFeatures:
    """What a policy knows of one rewrite: place in the reply from 0, confidence, overlap with the original's top."""

    position: int
    confidence: float
    overlap: float


@dataclass(frozen=True, slots=True)
class WeakOriginal:
    """Beside a result that matches badly, rewrites lead.

    Where the original has hits and its `score_a_character` is below this one, `factor`, 0 to 10, takes the place of the
    factors of strength and overlap.
    """

    score_a_character: float
    factor: float


@dataclass(frozen=True, slots=True)
class Policy:
    """See schemas/policy_v1.schema.json."""

    policy_id: str
    min_query_characters: int = 1
    max_query_characters: int = 256
    max_rewrites: int = 8
    min_confidence: float = 0.0
    confidence_factor: Curve = Curve()
    strength_factor: Curve = Curve()
    overlap_factor: Curve = Curve()
    weak_original: WeakOriginal | None = None

    def rewrites(self, characters: int) -> bool:
        """Whether a query of this many code points is rewritten at all."""
        return self.min_query_characters <= characters <= self.max_query_characters

    def factor(self, original: OriginalFeatures, rewrite: RewriteFeatures) -> float:
        """Returns the rewrite's weight as a share of the pipeline's; 0: it takes no part."""
        if rewrite.position >= self.max_rewrites or rewrite.confidence < self.min_confidence:
            return 0.0
        factor = self.confidence_factor.at(rewrite.confidence)
        weak = self.weak_original
        if weak is not None and original.hits and original.score_a_character < weak.score_a_character:
            return factor * weak.factor
        factor *= self.strength_factor.at(original.strength)
        return factor * self.overlap_factor.at(rewrite.overlap) if original.hits else factor


def original_features(scores: Sequence[float], characters: int) -> OriginalFeatures:
    """Returns the features of a window with these scores, best first, of a text of so many code points, at least 1."""
    if not scores:
        return OriginalFeatures(0, 0.0)
    first, last = scores[0], scores[min(TOP, len(scores)) - 1]
    if first <= 0:
        return OriginalFeatures(len(scores), 0.0)
    return OriginalFeatures(len(scores), min(1.0, max(0.0, last / first)), first / characters)


def overlap(original: Sequence[Hashable], rewrite: Sequence[Hashable]) -> float:
    """Returns the share of the original's first hits that are among the rewrite's; 0 if the original has none."""
    top = set(original[:TOP])
    return len(top & set(rewrite[:TOP])) / len(top) if top else 0.0


def read_policy(document: Mapping[str, Any]) -> Policy:
    """Reads a policy document.

    Raises:
        PolicyError: It breaks the schema; the message names the first member that does.
    """
    for error in sorted(_validator().iter_errors(document), key=lambda e: list(map(str, e.absolute_path))):
        where = ".".join(map(str, error.absolute_path)) or "policy"
        raise PolicyError(f"{where}: {error.message}")
    values: dict[str, Any] = {key: value for key, value in document.items() if key != "policy_version"}
    for name in ("confidence_factor", "strength_factor", "overlap_factor"):
        if name in values:
            values[name] = _curve(name, values[name])
    if "weak_original" in values:
        values["weak_original"] = WeakOriginal(**{key: float(x) for key, x in values["weak_original"].items()})
    policy = Policy(**values)
    if policy.max_query_characters < policy.min_query_characters:
        raise PolicyError(
            f"max_query_characters: must be at least min_query_characters ({policy.min_query_characters})"
        )
    if any(right < left for left, right in _steps(policy.confidence_factor)):
        raise PolicyError("confidence_factor: must not fall")
    if any(right > left for left, right in _steps(policy.strength_factor)):
        raise PolicyError("strength_factor: must not rise")
    return policy


def policy_document(policy: Policy) -> Mapping[str, Any]:
    """Returns the document of `policy_v1.schema.json` that manifests carry and the plugin reads."""
    document: dict[str, Any] = {"policy_version": 1, "policy_id": policy.policy_id}
    plain = Policy(policy.policy_id)
    for name in ("min_query_characters", "max_query_characters", "max_rewrites", "min_confidence"):
        if getattr(policy, name) != getattr(plain, name):
            document[name] = getattr(policy, name)
    for name in ("confidence_factor", "strength_factor", "overlap_factor"):
        if getattr(policy, name) != getattr(plain, name):
            document[name] = [list(point) for point in getattr(policy, name).points]
    if policy.weak_original is not None:
        document["weak_original"] = asdict(policy.weak_original)
    if read_policy(document) != policy:
        raise AssertionError("a policy must be what its document says")
    return document


def default_policy() -> Policy:
    """Returns the policy that the plugin goes by where neither the pipeline nor the checkpoint has one."""
    text = (resources.files("iterqr_proto") / "policies/default_v1.json").read_text("utf-8")
    return read_policy(json.loads(text))


@functools.cache
def _validator() -> Draft202012Validator:
    text = (resources.files("iterqr_proto") / "schemas/policy_v1.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


def _curve(name: str, points: Sequence[Sequence[float]]) -> Curve:
    if any(right[0] <= left[0] for left, right in pairwise(points)):
        raise PolicyError(f"{name}: must have rising x")
    return Curve(tuple((float(x), float(y)) for x, y in points))


def _steps(curve: Curve) -> list[tuple[float, float]]:
    return [(left[1], right[1]) for left, right in pairwise(curve.points)]
