"""Whether a model is loaded beside the champion or in its place. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_server.checkpoints.memory import Room
from iterqr_server.config import Settings


@dataclass(frozen=True, slots=True)
class SwapRules:
    """`beside`: two models may be in memory. `reload`: the champion may be shut down for the one that follows it."""

    beside: bool
    reload: bool

    def why_not_beside(self, room: Room) -> str:
        """Returns why a model of this room is not loaded beside the champion; empty if it is.

        Where nobody knows how much memory is free, whoever may reload does: a model too many could break both.
        """
        if not self.beside:
            return "one model is in memory at a time (checkpoints.swap is reload)"
        if room.available_bytes is None and self.reload:
            return f"how much {room.name} is free cannot be read, so that there is room for two models is not known"
        return room.lack


def swap_rules(settings: Settings) -> SwapRules:
    """Returns the rules of `checkpoints.swap`; auto reloads where a second model is often too large: on a GPU."""
    swap = settings.checkpoints.swap
    is_auto_reload = swap == "auto" and settings.engine.backend == "tensorrt_llm"
    return SwapRules(beside=swap != "reload", reload=swap == "reload" or is_auto_reload)
