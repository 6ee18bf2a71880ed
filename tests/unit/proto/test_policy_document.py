"""The policy document's Python reading against the golden vectors, which the plugin's tests read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from iterqr_proto.policy import (
    Curve,
    OriginalFeatures,
    PolicyError,
    RewriteFeatures,
    default_policy,
    original_features,
    overlap,
    read_policy,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "proto/golden/policy_v1/vectors.json").read_text("utf-8")
)
POLICIES = {name: read_policy(document) for name, document in VECTORS["policies"].items()}


@pytest.mark.parametrize("vector", VECTORS["factors"], ids=str)
def test_factors_are_the_golden_ones(vector: dict[str, Any]) -> None:
    factor = POLICIES[vector["policy"]].factor(
        OriginalFeatures(**vector["original"]), RewriteFeatures(**vector["rewrite"])
    )
    assert factor == pytest.approx(vector["factor"], abs=1e-12)


@pytest.mark.parametrize("vector", VECTORS["queries"], ids=str)
def test_queries_are_rewritten_by_their_length(vector: dict[str, Any]) -> None:
    assert POLICIES[vector["policy"]].rewrites(vector["characters"]) is vector["rewrites"]


@pytest.mark.parametrize("vector", VECTORS["original_features"], ids=str)
def test_features_of_the_original_are_the_golden_ones(vector: dict[str, Any]) -> None:
    features = original_features(vector["scores"], vector["characters"])
    assert (features.hits, features.flatness) == (vector["hits"], vector["flatness"])
    assert features.strength == pytest.approx(vector["strength"], abs=1e-12)
    assert features.score_a_character == pytest.approx(vector["score_a_character"], abs=1e-12)


@pytest.mark.parametrize("vector", VECTORS["overlaps"], ids=str)
def test_overlaps_are_the_golden_ones(vector: dict[str, Any]) -> None:
    assert overlap(vector["original"], vector["rewrite"]) == pytest.approx(vector["overlap"], abs=1e-12)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=str)
def test_a_policy_that_breaks_its_schema_is_refused_by_name(vector: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=vector["names"]):
        read_policy(vector["document"])


def test_curves_are_level_at_their_ends() -> None:
    curve = Curve(((0.25, 0.0), (0.75, 1.0)))
    assert [curve.at(x) for x in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_the_default_policy_is_valid() -> None:
    assert default_policy().policy_id
