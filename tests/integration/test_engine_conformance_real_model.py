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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(model_folder: Path) -> AsyncIterator[EngineUnderTest]:
    """A start takes seconds: one engine for all tests but those that end theirs."""
    async with onnxruntime_with(model_folder) as started:
        yield started


@pytest.mark.asyncio(loop_scope="module")
class TestOnnxRuntime(EngineConformance):
    @pytest.fixture
    def tested(self, started: EngineUnderTest) -> EngineUnderTest:
        return started

    @pytest_asyncio.fixture(loop_scope="module")
    async def doomed(self, model_folder: Path) -> AsyncIterator[EngineUnderTest]:
        async with onnxruntime_with(model_folder) as doomed:
            yield doomed


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[SwapUnderTest]:
    """Where one replaces the other; where there is room for both, `test_checkpoint_swap_real_model` swaps them."""
    folder = tmp_path_factory.mktemp("swap")
    with onnxruntime_swap(folder, model_folder) as served:
        yield served
    shutil.rmtree(folder)  # of the size of several models


class TestOnnxRuntimeSwaps(SwapConformance):
    @pytest.fixture
    def swapping(self, served: SwapUnderTest) -> Iterator[SwapUnderTest]:
        yield served
        served.back_to_base()
