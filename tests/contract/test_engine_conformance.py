"""`EngineConformance` and `SwapConformance` on what needs no model: predictable tokens, and TensorRT-LLM's double."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.engine_conformance import EngineConformance, EngineUnderTest
from support.engines_under_test import predictable, tensorrt_llm_double
from support.swap_conformance import SwapConformance, SwapUnderTest
from support.swaps_under_test import predictable_swap, tensorrt_llm_swap


class TestEngines(EngineConformance):
    @pytest_asyncio.fixture(params=["predictable", "tensorrt_llm"])
    async def tested(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineUnderTest]:
        opened = predictable() if request.param == "predictable" else tensorrt_llm_double(tmp_path)
        async with opened as tested:
            yield tested


class TestSwaps(SwapConformance):
    @pytest.fixture(params=["predictable-beside", "predictable-reload", "tensorrt_llm-beside", "tensorrt_llm-reload"])
    def swapping(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SwapUnderTest]:
        engine, _, way = request.param.partition("-")
        opened = predictable_swap if engine == "predictable" else tensorrt_llm_swap
        with opened(tmp_path, holds_two=way == "beside") as swapping:
            yield swapping
