"""An engine whose model is a function: for tests of everything above the model, with exact expectations.

    def script(prompt: str) -> str:                   # the whole prompt's text -> the whole answer
        return f"fix: {last_query(prompt)}\nintent: lunch\nmeaning: noodle soup\nrw: pho"

    engine = predictable_engine(script)
    await engine.start(render(load_template(), RewriteInput("warm up")))

It is the real `ContinuousBatchingEngine` (queue, scheduler, arena, prefix cache, streams) over `PredictableExecutor`,
which generates one byte a token. The executor keeps token ids where a model keeps K/V and reads each row's prompt back
through the step's groups and masks, so a wrong mask, slot or position fails the step instead of passing unseen.

Time is in the test's hands:

    gate = StepGate()                                 # closed: no step runs
    engine = predictable_engine(script, before_step=gate)
    gate.open()                                       # let every step run
    gate.let(3)                                       # or just three more
    await gate.arrived()                              # until a step stands before the closed gate

`before_step` is called on the engine's thread before each step with the `PackedStep`; it may raise, to make the model
fail, or sleep, to make it slow (`before_step=lambda step: time.sleep(0.02)`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import numpy as np
from iterqr_proto.rewrite_format import NO, YES, Segment
from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.cost_curve import CostCurve, CostPoint
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.settings import EngineSettings
from numpy.typing import NDArray

CONTROL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
ANSWERS = (YES, NO)
FIRST_ANSWER = 256 + len(CONTROL_TOKENS)
VOCABULARY = FIRST_ANSWER + len(ANSWERS)
IM_END = 257
WRONG = 0  # what follows a wrong draft; no script writes it
ASSISTANT = "<|im_start|>assistant\n"
FLAT = CostCurve((CostPoint(2, 1.0), CostPoint(1024, 1.01)))
"""Rows cost next to nothing."""
LOGPROB = float(-np.log1p((VOCABULARY - 1) * np.exp(-20.0)))  # of every token the executor generates


class ByteTokenizer:
    """One token a UTF-8 byte, one for each of `CONTROL_TOKENS`, and one for a text that is one of `ANSWERS`."""

    stop_ids = frozenset({IM_END, 258})

    def encode(self, segments: Sequence[Segment]) -> tuple[int, ...]:
        ids: list[int] = []
        if len(segments) == 1 and segments[0].text in ANSWERS:
            return (FIRST_ANSWER + ANSWERS.index(segments[0].text),)
        for segment in segments:
            rest = segment.text
            while rest:
                control = [token for token in CONTROL_TOKENS if rest.startswith(token) and not segment.is_data]
                piece = control[0] if control else rest[0]
                ids += [256 + CONTROL_TOKENS.index(piece)] if control else piece.encode()
                rest = rest[len(piece) :]
        return tuple(ids)

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""

    def text(self, token_ids: Sequence[int]) -> str:
        """The text of a whole prompt. Control tokens are written out; users' text cannot be told from them here."""
        return b"".join(bytes([i]) if i < 256 else CONTROL_TOKENS[i - 256].encode() for i in token_ids).decode()


class StepGate:
    """Lets steps run one by one or all. Closed at first. Use as `before_step`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._allowed = 0
        self._open = False
        self._standing = 0

    def __call__(self, _step: PackedStep) -> None:
        with self._changed:
            self._standing += 1
            self._changed.notify_all()
            passed = self._changed.wait_for(lambda: self._open or self._allowed > 0, timeout=60)
            self._standing -= 1
            self._allowed -= 0 if self._open else 1
            if not passed:
                raise TimeoutError("the gate stayed closed for 60 s")

    def let(self, steps: int) -> None:
        """Lets that many steps more through."""
        with self._changed:
            self._allowed += steps
            self._changed.notify_all()

    def open(self) -> None:
        """Lets all steps through."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> None:
        """Lets none through from now on."""
        with self._changed:
            self._open = False
            self._allowed = 0

    async def arrived(self) -> None:
        """Returns when a step stands before the closed gate (and all that were let through are over)."""

        def wait() -> None:
            with self._changed:
                if not self._changed.wait_for(lambda: self._standing > 0 and not self._allowed, timeout=60):
                    raise TimeoutError("no step arrived within 60 s")

        await asyncio.to_thread(wait)


class PredictableExecutor:
    """A `StepExecutor` that continues each prompt with its script's answer, one byte a row, then ends the turn."""

    def __init__(
        self,
        script: Callable[[str], str],
        *,
        arena_positions: int,
        max_positions: int = 100_000,
        before_step: Callable[[PackedStep], None] | None = None,
    ) -> None:
        self.arena_positions = arena_positions
        self.max_positions = max_positions
        self.output_ids: NDArray[np.int64] | None = None
        self.steps: list[PackedStep] = []
        self.closed = False
        self._script = script
        self._before_step = before_step
        self._tokens = np.full(arena_positions, -1, np.int64)
        self._positions = np.full(arena_positions, -1, np.int64)
        self._tokenizer = ByteTokenizer()

    def run(self, step: PackedStep) -> NDArray[np.float32]:
        assert not self.closed, "run after close"
        self.steps.append(step)
        if self._before_step is not None:
            self._before_step(step)
        _check_shapes(step)
        self._tokens[step.slots] = step.token_ids
        self._positions[step.slots] = step.positions
        seen = [self._visible(step, row) for row in range(step.token_ids.size)]
        logits = np.zeros((step.logit_rows.size, VOCABULARY), np.float32)
        for index, row in enumerate(step.logit_rows.tolist()):
            logits[index, self._next_token(seen[row])] = 20.0
        return logits

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True

    def _visible(self, step: PackedStep, row: int) -> list[int]:
        """The tokens a row attends to, itself included, which must be its request's, in order from the first."""
        group, place = divmod(int(step.row_places[row]), step.group_rows.shape[1])
        slots = step.group_slots[group][step.mask[group, place]]
        positions, visible = self._positions[slots].tolist(), self._tokens[slots].tolist()
        assert positions == list(range(step.positions[row] + 1)), f"row {row} sees positions {positions}"
        assert slots[-1] == step.slots[row], "a row does not see itself last"
        return [int(token) for token in visible]

    def _next_token(self, token_ids: list[int]) -> int:
        turn = self._tokenizer.encode([Segment(ASSISTANT)])
        starts = [i for i in range(len(token_ids)) if tuple(token_ids[i : i + len(turn)]) == turn]
        assert starts, "a row wants logits before the assistant's turn"
        prompt_end = starts[-1] + len(turn)
        said = self._script(self._tokenizer.text(token_ids[:prompt_end]))
        if said in ANSWERS:
            return FIRST_ANSWER + ANSWERS.index(said)
        answer = said.encode()
        if list(answer[: len(token_ids) - prompt_end]) != token_ids[prompt_end:]:
            return WRONG  # after a wrong draft
        generated = token_ids[prompt_end:]
        return answer[len(generated)] if len(generated) < len(answer) else IM_END


def _check_shapes(step: PackedStep) -> None:
    rows = step.token_ids.size
    groups, size = step.group_rows.shape
    assert rows % 2 == size % 2 == 0, "an odd number of rows"
    assert step.positions.shape == step.slots.shape == step.row_places.shape == (rows,)
    assert step.group_slots.shape[0] == groups
    assert step.mask.shape == (groups, size, step.group_slots.shape[1])
    assert np.array_equal(step.token_ids[step.group_rows.ravel()[step.row_places]], step.token_ids)
    assert all(0 <= row < rows for row in step.logit_rows.tolist())
    last_two = np.stack([step.token_ids, step.positions, step.slots])[:, -2:]
    is_odd = np.array_equal(last_two[:, 0], last_two[:, 1])  # then its last row is there twice
    assert np.unique(step.slots).size == rows - is_odd, "two rows write to one slot"


def last_query(prompt: str) -> str:
    """The user's query in a prompt of rewrite format v1."""
    turn = prompt.rpartition("<|im_start|>user\n")[2].removesuffix("<|im_end|>\n" + ASSISTANT)
    return turn.rpartition("\n")[2].removeprefix("query: ")


def scripted_rewrites(prompt: str) -> str:
    """A script in which every query gets a chain of thought and two rewrites made of its own words."""
    query = last_query(prompt)
    return f"fix: {query}\nintent: eat\nmeaning: {query} dish\nrw: {query} bowl\nrw: {query} set"


def predictable_engine(
    script: Callable[[str], str] = scripted_rewrites,
    *,
    settings: EngineSettings | None = None,
    max_positions: int = 100_000,
    before_step: Callable[[PackedStep], None] | None = None,
    curve: CostCurve = FLAT,
) -> ContinuousBatchingEngine:
    """An engine, not started yet, over a `PredictableExecutor`.

    Bytes are short tokens: the default settings have an arena of 65,536 positions and steps of up to 4,096 rows, and
    decode one token a step. With `max_draft_rows` and the default curve, as many guesses are tried as may be.
    """
    chosen = settings or EngineSettings(arena_positions=65_536, max_step_rows=4_096, max_draft_rows=0)
    return ContinuousBatchingEngine(
        model_id="predictable",
        tokenizer=ByteTokenizer(),
        open_executor=lambda: PredictableExecutor(
            script,
            arena_positions=chosen.arena_positions,
            max_positions=max_positions,
            before_step=before_step,
        ),
        settings=chosen,
        curve=curve,
    )
