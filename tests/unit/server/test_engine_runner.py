"""The engine alone, spoken to in JSON lines."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from iterqr_proto.rewrite_format import RewriteInput, load_template, render
from iterqr_server.engine_runner import RewriteLines, RunRequestError, read_request, run_engine
from support.predictable import predictable_engine

ANSWER = "fix: x\nintent: dish\nmeaning: x\nrw: one\nrw: two\nrw: three\n"


def run_request(*queries: str, concurrency: int = 1, max_rewrites: int = 3) -> dict[str, Any]:
    prompts = []
    for number, query in enumerate(queries):
        prompt = render(load_template(), RewriteInput(query))
        parts = {"prefix": prompt.prefix, "suffix": prompt.suffix}
        packed = {name: [[segment.text, segment.is_data] for segment in part] for name, part in parts.items()}
        prompts.append({"id": str(number), "query": query, "hints": [], **packed})
    limits = {"concurrency": concurrency, "max_rewrites": max_rewrites, "max_new_tokens": 96}
    return {"op": "run", **limits, "prompts": prompts}


async def events(*lines: str) -> list[dict[str, Any]]:
    sink = io.StringIO()
    engine = predictable_engine(lambda _prompt: ANSWER)
    await run_engine(engine, load_template(), {"versions": {}}, io.StringIO("\n".join(lines)), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


async def test_prompts_are_answered_in_order_up_to_the_last_wanted_line() -> None:
    ready, result = await events(json.dumps(run_request("soup", "stew", "pie", concurrency=2, max_rewrites=2)))
    assert (ready["event"], ready["engine"]) == ("ready", "iterqr")
    assert result["event"] == "result"
    assert [each["id"] for each in result["answers"]] == ["0", "1", "2"]
    for answer in result["answers"]:
        assert answer["text"].startswith("fix: x\nintent: dish\nmeaning: x\nrw: one\nrw: two")
        assert "three" not in answer["text"]
        assert answer["tokens"] > 0
        assert 0 < answer["first_s"] <= answer["latency_s"] <= result["wall_s"]
    assert result["stats"]["generated_tokens_total"] > 0


async def test_a_wrong_request_is_told_and_the_next_is_answered() -> None:
    _, error, result = await events("not json", json.dumps(run_request("soup")))
    assert error["event"] == "error"
    assert "not a request" in error["message"]
    assert result["event"] == "result"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"op": "stop"}, "op: must be 'run', got 'stop'"),
        ({"concurrency": 0}, "concurrency: must be at least 1, got 0"),
        ({"prompts": [{"id": "1"}]}, "not a request"),
    ],
)
def test_requests_are_checked(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RunRequestError, match=complaint):
        read_request(json.dumps({**run_request("soup"), **change}))


def test_lines_count_when_they_are_complete() -> None:
    lines = RewriteLines(2)
    assert not lines.feed("fix: a\nrw: one\nrw: t")
    assert not lines.feed("wo")
    assert lines.feed("\n")
