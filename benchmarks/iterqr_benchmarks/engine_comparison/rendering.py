"""Recorded prompts as the engines' processes take them."""

from __future__ import annotations

from typing import Any

from iterqr_proto.rewrite_format import Prompt, RewriteInput, Template, clean_text, render

from iterqr_benchmarks.engine_comparison.prompt_set import RecordedPrompt


def prompted_query(query: str) -> str:
    """Returns the query as the server prompts it: cleaned and in lower case."""
    return clean_text(query).lower()


def worker_prompt(recorded: RecordedPrompt, template: Template, prompt_id: str) -> dict[str, Any]:
    """Returns a PROMPT of the protocol, rendered as the server renders it."""
    query = prompted_query(recorded.query)
    prompt = render(template, RewriteInput(query, recorded.hints))
    return packed_prompt(prompt_id, query, recorded.hints, prompt)


def packed_prompt(prompt_id: str, query: str, hints: tuple[str, ...], prompt: Prompt) -> dict[str, Any]:
    """Returns a PROMPT of the protocol for any rendered prompt."""
    parts = {
        name: [[segment.text, segment.is_data] for segment in part]
        for name, part in (("prefix", prompt.prefix), ("suffix", prompt.suffix))
    }
    return {"id": prompt_id, "query": query, "hints": list(hints), **parts}
