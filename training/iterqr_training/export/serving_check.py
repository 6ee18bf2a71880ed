"""Lets the built model answer one query through `iterqr-server engine run`, as it will be served."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import RewriteInput, parse, render

from iterqr_training.errors import ExportError
from iterqr_training.export.prompt_template import PromptTemplate

PROBE_QUERY, PROBE_HINTS = "chiken sup", ("Chicken Noodle Soup", "Chicken Congee")
_MAX_REWRITES, _MAX_NEW_TOKENS = 3, 192
_TIMEOUT_S = 600
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class ServingCheck:
    """What the model answered, without repetitions. `model_id` is how the server names it."""

    model_id: str
    rewrites: tuple[str, ...]
    latency_s: float


def check_serving(built: Path, prompt: PromptTemplate, template_file: Path) -> ServingCheck:
    """Loads the built model in a process of its own and has it rewrite a query.

    Raises:
        ExportError: It does not load, or writes no rewrite.
    """
    command = [str(Path(sys.executable).with_name("iterqr-server")), "engine", "run"]
    command += ["--model.name", str(built), "--rewrite.template", str(template_file)]
    try:
        done = subprocess.run(
            command, input=_request(prompt), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{built}: the server did not answer a query within {_TIMEOUT_S} s") from error
    if done.returncode:
        last = " / ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise ExportError(f"{built}: the server does not load it (status {done.returncode}): {last}")
    events = {event["event"]: event for event in map(json.loads, done.stdout.splitlines())}
    if "result" not in events:
        raise ExportError(f"{built}: the server refused a query: {events.get('error', {}).get('message', '')}")
    answer: dict[str, Any] = events["result"]["answers"][0]
    rewrites = parse(answer["text"]).rewrites
    if not rewrites:
        raise ExportError(f"{built}: the server loads it, but it writes no rewrite: {answer['text'][:200]!r}")
    return ServingCheck(str(events["ready"]["model"]), tuple(dict.fromkeys(rewrites)), float(answer["latency_s"]))


def _request(prompt: PromptTemplate) -> str:
    rendered = render(prompt.template, RewriteInput(PROBE_QUERY, PROBE_HINTS))
    parts = {
        name: [[segment.text, segment.is_data] for segment in part]
        for name, part in (("prefix", rendered.prefix), ("suffix", rendered.suffix))
    }
    probe = {"id": "probe", "query": PROBE_QUERY, "hints": list(PROBE_HINTS), **parts}
    limits = {"concurrency": 1, "max_rewrites": _MAX_REWRITES, "max_new_tokens": _MAX_NEW_TOKENS}
    return json.dumps({"op": "run", **limits, "prompts": [probe]}) + "\n"
