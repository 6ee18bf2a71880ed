"""Limits of the continuous batching engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from iterqr_server.engine.admission import AdmissionPolicy


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How much the engine takes on at once.

    A position is one token's place in the KV arena; the arena is allocated once, so `arena_positions` bounds memory.
    Requests reserve their worst case (prompt, `max_new_tokens` and drafts) when they start, so none is ever preempted.
    """

    max_running: int = 16  # requests generating at once
    max_waiting: int = 64  # requests queued beyond those
    arena_positions: int = 8192
    block_positions: int = 4  # positions handed out at a time; prompts share whole blocks
    max_step_rows: int = 64  # tokens computed per step: bounds how long one step lasts
    max_draft_rows: int = 16  # guesses verified per request and step at most; 0: one token a step
    threads: int = 0  # the backend computes with; 0 means one for each core this process may use
    admission: AdmissionPolicy = field(default_factory=AdmissionPolicy)

    def __post_init__(self) -> None:
        for name in ("max_running", "arena_positions", "block_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("max_waiting", "max_draft_rows", "threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative, got {getattr(self, name)}")
        if self.max_step_rows < max(2, self.max_running):
            raise ValueError(f"max_step_rows: must be at least max_running and 2, got {self.max_step_rows}")
        if self.arena_positions % self.block_positions:
            raise ValueError(f"arena_positions: must be a multiple of block_positions ({self.block_positions})")
