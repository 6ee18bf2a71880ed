"""The model of the server's configuration: served where no checkpoint is, and what checkpoints are trained on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from iterqr_proto.rewrite_format import Template, render

from iterqr_server.checkpoints.loading import WARM_UP
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.rewrite.served_model import ServedModel


class BaseModel:
    """`open_engine` finds the model and returns its engine, not started yet. All methods run on the event loop."""

    def __init__(
        self, open_engine: Callable[[], Awaitable[GenerationEngine]], template: Template, policy_json: str
    ) -> None:
        self._open_engine = open_engine
        self._template = template
        self.policy_json = policy_json
        self._found: GenerationEngine | None = None

    async def find(self) -> str:
        """Returns its id. Its weights are not loaded yet.

        Raises what `open_engine` raises.
        """
        self._found = self._found or await self._open_engine()
        return self._found.model_id

    async def prepare(self) -> ServedModel:
        """Returns it with an engine that is not started; whoever asked starts or closes it.

        Raises what `open_engine` raises.
        """
        await self.find()
        engine, self._found = self._found, None
        assert engine is not None  # noqa: S101 - found above
        return ServedModel(engine.model_id, engine, self._template, self.policy_json)

    async def start(self, model: ServedModel) -> None:
        """Loads and warms what `prepare` returned, and closes it if that fails.

        Raises:
            EngineError: it does not load.
        """
        try:
            await model.engine.start(render(self._template, WARM_UP))
        except BaseException:
            await model.engine.close()
            raise

    async def open(self) -> ServedModel:
        """Returns it loaded and warm; whoever asked closes it. Raises what `prepare` and `start` raise."""
        model = await self.prepare()
        await self.start(model)
        return model

    async def close(self) -> None:
        """Frees what was found and not opened."""
        if self._found:
            await self._found.close()
            self._found = None
