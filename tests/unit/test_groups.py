"""Tests that share a node or a model run in one process, or each process would start its own, silently."""

from __future__ import annotations

import pytest


def test_pytest_xdist_keeps_to_the_groups(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", False):
        pytest.skip("without --dist loadgroup there are no groups to keep to")
    assert request.node.nodeid.endswith("@test_groups"), "this pytest-xdist knows no groups with this pytest"
