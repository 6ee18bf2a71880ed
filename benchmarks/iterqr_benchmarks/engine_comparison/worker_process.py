"""One engine's process, spoken to in JSON lines (the protocol is in `peers/worker.py`)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.stack.server_process import last_lines

_LOAD_TIMEOUT_S = 600.0
_RUN_TIMEOUT_S = 1_800.0
_CLOSE_TIMEOUT_S = 10.0


class EngineProcessError(BenchmarkError):
    """An engine's process does not do what the protocol says; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one prompt gave. Times in seconds from its submission; `tokens` counts the generated ones.

    Their ids and natural log-probabilities are there if the request asked for them, of our engine only.
    """

    id: str
    text: str
    tokens: int
    latency_s: float
    first_s: float
    token_ids: Sequence[int] = ()
    logprobs: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one `run` request gave. `stats` are the engine's counters since its start, if it has any."""

    wall_s: float
    answers: tuple[Answer, ...]
    stats: Mapping[str, Any]


class EngineProcess:
    """A context manager: the process runs while it is open and is killed with all its children when it closes."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.about: Mapping[str, Any] = {}
        self._command = list(command)
        self._environ = dict(environ)
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env=self._environ,
                start_new_session=True,
            )
        try:
            self.about = {key: value for key, value in self._event("ready", _LOAD_TIMEOUT_S).items() if key != "event"}
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def run(
        self,
        prompts: Sequence[Mapping[str, Any]],
        *,
        concurrency: int,
        max_rewrites: int,
        max_new_tokens: int,
        logprobs: bool = False,
    ) -> RunResult:
        """Runs prompts, `concurrency` at a time, and returns their answers in the order of the prompts.

        Raises:
            EngineProcessError: The engine failed.
        """
        process = self._running()
        request = {
            "op": "run",
            "concurrency": concurrency,
            "max_rewrites": max_rewrites,
            "max_new_tokens": max_new_tokens,
            "prompts": list(prompts),
            **({"logprobs": True} if logprobs else {}),
        }
        assert process.stdin is not None  # noqa: S101 - for the type checker
        try:
            process.stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
            process.stdin.flush()
        except OSError as error:
            raise self._failure("ended") from error
        event = self._event("result", _RUN_TIMEOUT_S)
        return RunResult(event["wall_s"], tuple(Answer(**each) for each in event["answers"]), event["stats"])

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise EngineProcessError(f"{self.name}: is not running")
        return self._process

    def _event(self, expected: str, timeout_s: float) -> dict[str, Any]:
        process = self._running()
        assert process.stdout is not None  # noqa: S101 - for the type checker
        # One event answers one request, so nothing is ever left in the stream's buffer.
        if not select.select([process.stdout], [], [], timeout_s)[0]:
            raise self._failure(f"gave no {expected!r} event within {timeout_s:g} s")
        line = process.stdout.readline()
        if not line:
            raise self._failure("ended")
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise self._failure(f"wrote {line[:80]!r}, which is no event") from error
        if event.get("event") != expected:
            raise self._failure(f"gave {event.get('message') or event!r}")
        return event

    def _failure(self, what: str) -> EngineProcessError:
        return EngineProcessError(f"{self.name}: its process {what}\n{last_lines(self._log)}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not yet written is not wanted any more
                if stream is not None:
                    stream.close()
        try:
            process.wait(_CLOSE_TIMEOUT_S)  # the end of its input ends it
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
