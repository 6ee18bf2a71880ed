"""`EngineConformance` on ONNX Runtime with the real model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.engine_conformance import EngineConformance, EngineUnderTest
from support.engines_under_test import onnxruntime_with

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


class TestOnnxRuntime(EngineConformance):
    @pytest_asyncio.fixture
    async def tested(self, model_folder: Path) -> AsyncIterator[EngineUnderTest]:
        async with onnxruntime_with(model_folder) as tested:
            yield tested
