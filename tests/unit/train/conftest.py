"""Tests of training need PyTorch, which only the extra `train` installs (`make test-train`)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_run_*.py"]


@pytest.fixture(autouse=True)
def own_accelerator() -> Iterator[None]:
    """Accelerate keeps devices and precision for the whole process; each test has its own."""
    yield
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState  # noqa: PLC0415

        AcceleratorState._reset_state(reset_partial_state=True)
