"""The golden files in proto/golden fix rewrite and scoring format v1: changing one is changing the format."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from iterqr_proto.rewrite_format import (
    NO,
    SCORING_VERSION,
    YES,
    Prompt,
    Question,
    RewriteInput,
    Segment,
    grammar,
    load_template,
    parse,
    render,
    render_question,
)

GOLDEN = Path(__file__).parents[2] / "proto/golden/rewrite_format_v1"
SCORING = json.loads((GOLDEN.parent / "scoring_v1/questions.json").read_text("utf-8"))


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((GOLDEN / name).read_text("utf-8"))]


def written(segments: tuple[Segment, ...]) -> list[list[str]]:
    return [["data" if s.is_data else "text", s.text] for s in segments]


def rendered(query: str, hints: tuple[str, ...] = ()) -> Prompt:
    return render(load_template(GOLDEN / "template.toml"), RewriteInput(query, hints))


@pytest.mark.parametrize("case", cases("render.json"))
def test_render(case: dict[str, Any]) -> None:
    prompt = rendered(case["query"], tuple(case["hints"]))
    assert written(prompt.suffix) == case["suffix"]
    assert written(prompt.prefix) == json.loads((GOLDEN / "prefix.json").read_text("utf-8"))


@pytest.mark.parametrize("case", cases("parse.json"))
def test_parse(case: dict[str, Any]) -> None:
    output = parse(case["output"])
    parsed = {
        "fix": output.fix,
        "intent": output.intent,
        "meaning": output.meaning,
        "rewrites": list(output.rewrites),
        "rejected": list(output.rejected),
    }
    assert parsed == case["parsed"]


def test_grammar() -> None:
    assert grammar(3) == (GOLDEN / "grammar_3.regex").read_text("utf-8").rstrip("\n")


@pytest.mark.parametrize("case", cases("parse.json"))
def test_grammar_accepts(case: dict[str, Any]) -> None:
    assert bool(re.fullmatch(grammar(3), case["output"])) == case["matches_grammar_of_3"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in SCORING["cases"]])
def test_question(case: dict[str, Any]) -> None:
    prompt = render_question(case["query"], case["rewrite"], Question[case["question"]])
    assert written(prompt.prefix) == SCORING["prefix"]
    assert written(prompt.suffix) == case["suffix"]


def test_answers() -> None:
    assert SCORING["version"] == SCORING_VERSION
    assert SCORING["answers"] == [YES, NO]
