"""Which loaded model takes which call: the `Models` that the use cases see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from iterqr_server.checkpoints.alarms import Alarm, AlarmLimits, find_alarm
from iterqr_server.checkpoints.assignment import takes_canary
from iterqr_server.checkpoints.window import CallWindow
from iterqr_server.engine.errors import EngineFatalError
from iterqr_server.rewrite.errors import NotReadyError
from iterqr_server.rewrite.served_model import CallReport, ServedModel
from iterqr_server.telemetry.metrics import Metrics

OnBroken = Callable[[ServedModel, EngineFatalError], None]


class TrafficRouter:
    """A `Models`. All methods are called on the event loop's thread; a change holds from the next call on.

    `on_broken` is called when a model's engine turns out to be broken for good, maybe more than once.
    """

    def __init__(self, metrics: Metrics, on_broken: OnBroken, window_s: float) -> None:
        self._metrics = metrics
        self._on_broken = on_broken
        self._window_s = window_s
        self._champion: ServedModel | None = None
        self._windows: dict[str, CallWindow] = {}
        self.canary: ServedModel | None = None
        self.canary_percent = 0

    @property
    def routed(self) -> list[ServedModel]:
        """The models that calls may go to, the champion first."""
        return [model for model in (self._champion, self.canary) if model]

    def pick(self, sticky_key: str) -> ServedModel:
        """See `Models`."""
        champion = self.champion()
        if self.canary and takes_canary(sticky_key, self.canary.checkpoint_id, self.canary_percent):
            return self.canary
        return champion

    def champion(self) -> ServedModel:
        """See `Models`."""
        if self._champion is None:
            raise NotReadyError
        return self._champion

    def report(self, model: ServedModel, call: CallReport) -> None:
        """See `Models`."""
        result = "failed" if call.failed else "succeeded"
        self._metrics.checkpoint_calls.labels(model.checkpoint_id, result).inc()
        if window := self._windows.get(model.checkpoint_id):
            window.add(asyncio.get_running_loop().time(), call)

    def broken(self, model: ServedModel, error: EngineFatalError) -> None:
        """See `Models`."""
        self._on_broken(model, error)

    def set(self, champion: ServedModel | None, canary: ServedModel | None = None, percent: int = 0) -> None:
        """Calls go by this split from now on. Windows start empty when a canary starts or the champion changes."""
        if champion is not self._champion or canary is not self.canary:
            models = [model for model in (champion, canary) if model]
            self._windows = {model.checkpoint_id: CallWindow(self._window_s) for model in models}
        self._champion, self.canary, self.canary_percent = champion, canary, percent if canary else 0
        self._metrics.checkpoint_percent.clear()
        for model, share in ((champion, 100 - self.canary_percent), (canary, self.canary_percent)):
            if model:
                self._metrics.checkpoint_percent.labels(model.checkpoint_id).set(share)

    def gauges(self) -> dict[str, float]:
        """Returns this moment's values of the champion's engine for the metrics endpoint; the canary's are named so."""
        values: dict[str, float] = {"iterqr_ready": self._champion is not None}
        for name, model in (("engine", self._champion), ("canary_engine", self.canary)):
            if model:
                stats = model.engine.stats()
                numbers = {field: getattr(stats, field) for field in stats.__dataclass_fields__ if field != "drafts"}
                values |= {f"iterqr_{name}_{field}": value for field, value in numbers.items()}
                for drafts in stats.drafts:
                    values[f"iterqr_{name}_{drafts.source}_drafts_proposed_total"] = drafts.proposed
                    values[f"iterqr_{name}_{drafts.source}_drafts_accepted_total"] = drafts.accepted
        return values

    def alarm(self, limits: AlarmLimits) -> Alarm | None:
        """Returns why the canary should be taken back, if there is one and a reason."""
        if not self.canary or not self._champion:
            return None
        now = asyncio.get_running_loop().time()
        canary, champion = (self._windows[model.checkpoint_id] for model in (self.canary, self._champion))
        return find_alarm(canary.summary(now), champion.summary(now), limits)
