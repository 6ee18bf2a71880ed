"""What the peers' workers have in common: the protocol of `iterqr-server engine run` and the stop after a line.

out  {"event": "ready", "engine": ..., "model": ..., "versions": {...}, "settings": {...}}
in   {"op": "run", "concurrency": 4, "max_rewrites": 3, "max_new_tokens": 96, "prompts": [PROMPT, ...]}
out  {"event": "result", "wall_s": ..., "answers": [ANSWER, ...], "stats": {...}}
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class WorkerPrompt:
    """A whole prompt as text; control tokens in it mean what they say."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What one prompt gave. Times run from its submission."""

    id: str
    text: str
    tokens: int
    latency_s: float
    first_s: float


class PeerEngine(Protocol):
    """An engine that is loaded and warm."""

    def run(
        self, prompts: list[WorkerPrompt], *, concurrency: int, max_rewrites: int, max_new_tokens: int
    ) -> list[WorkerAnswer]:
        """Continues each prompt greedily until the line break after its last wanted `rw:` line.

        `concurrency` prompts are in work at a time; the next is submitted when one ends.
        """
        ...


class LineStop:
    """Tells when the last wanted `rw:` line of a text is complete."""

    def __init__(self, max_rewrites: int) -> None:
        self._wanted = max_rewrites

    def is_over(self, text: str) -> bool:
        """Whether the text so far has all of them."""
        *lines, _unfinished = text.split("\n")
        names = (line.partition(":") for line in lines)
        return sum(name.strip().lower() == "rw" and bool(rest.strip()) for name, _, rest in names) >= self._wanted


def versions(*distributions: str) -> dict[str, str]:
    """The installed versions of distributions and of Python, by name."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in distributions}}


def serve(engine: PeerEngine, about: dict[str, Any], source: Iterable[str], out: int) -> None:
    """Answers requests until the input ends.

    Args:
        engine: Loaded.
        about: What the `ready` event says.
        source: Requests, one a line.
        out: File descriptor for events.
    """
    with os.fdopen(out, "w", encoding="utf-8") as sink:

        def tell(event: str, **fields: object) -> None:
            print(json.dumps({"event": event, **fields}, ensure_ascii=False), file=sink, flush=True)

        tell("ready", **about)
        for line in source:
            request = json.loads(line)
            prompts = [
                WorkerPrompt(each["id"], "".join(text for text, _ in (*each["prefix"], *each["suffix"])))
                for each in request["prompts"]
            ]
            limits = {name: request[name] for name in ("concurrency", "max_rewrites", "max_new_tokens")}
            began = time.perf_counter()
            answers = engine.run(prompts, **limits)
            wall_s = time.perf_counter() - began
            tell("result", wall_s=wall_s, answers=[asdict(each) for each in answers], stats={})


def events_descriptor() -> int:
    """Keeps standard output for events alone and returns its descriptor; libraries then print on standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept
