"""`EngineConformance` on the engines that need no model: predictable tokens, and TensorRT-LLM's double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.engine_conformance import EngineConformance, EngineUnderTest
from support.engines_under_test import predictable, tensorrt_llm_double


class TestEngines(EngineConformance):
    @pytest_asyncio.fixture(params=["predictable", "tensorrt_llm"])
    async def tested(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineUnderTest]:
        opened = predictable() if request.param == "predictable" else tensorrt_llm_double(tmp_path)
        async with opened as tested:
            yield tested
