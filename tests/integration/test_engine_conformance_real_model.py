"""`EngineConformance` and `SwapConformance` on ONNX Runtime with the real model."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.engine_conformance import EngineConformance, EngineUnderTest
from support.engines_under_test import onnxruntime_with
from support.swap_conformance import SwapConformance, SwapUnderTest
from support.swaps_under_test import onnxruntime_swap

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


@pytest.mark.asyncio(loop_scope="class")
class TestOnnxRuntime(EngineConformance):
    """A start takes seconds: one engine for all tests but those that end theirs."""

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    async def tested(self, model_folder: Path) -> AsyncIterator[EngineUnderTest]:
        async with onnxruntime_with(model_folder) as tested:
            yield tested

    @pytest_asyncio.fixture(loop_scope="class")
    async def doomed(self, model_folder: Path) -> AsyncIterator[EngineUnderTest]:
        async with onnxruntime_with(model_folder) as doomed:
            yield doomed


@pytest.fixture(scope="module", params=["beside", "reload"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model_folder: Path
) -> Iterator[SwapUnderTest]:
    folder = tmp_path_factory.mktemp("swap")
    with onnxruntime_swap(folder, model_folder, holds_two=request.param == "beside") as served:
        yield served
    shutil.rmtree(folder)  # of the size of several models


class TestOnnxRuntimeSwaps(SwapConformance):
    @pytest.fixture
    def swapping(self, served: SwapUnderTest) -> Iterator[SwapUnderTest]:
        yield served
        served.back_to_base()
