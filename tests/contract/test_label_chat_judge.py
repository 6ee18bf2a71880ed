"""The judge behind a chat endpoint, over real HTTP."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from iterqr_training.errors import JudgeError
from iterqr_training.labels.chat_judge import ChatJudge, ChatSettings
from iterqr_training.labels.judge_question import UnreadableAnswerError, read_answer
from iterqr_training.labels.judging import Judging, Subject
from iterqr_training.labels.records import Kind
from iterqr_training.labels.verdict_cache import VerdictCache
from support.chat_endpoint import ChatEndpoint, Pairs, Reply, chat_endpoint, verdicts

NOW = {"retry-after-ms": "1"}
SUBJECTS = tuple(Subject("pad tai", f"{kind} {n}", Kind.REWRITE) for n in range(5) for kind in ("thai", "pizza"))


def is_thai(text: str) -> bool:
    return "thai" in text


def right(pairs: Pairs, _number: int) -> Reply:
    return verdicts(pairs, is_thai)


def judge(
    endpoint: ChatEndpoint, folder: Path, *, pairs: int = 4, concurrency: int = 2, retries: int = 3
) -> tuple[Judging, int]:
    settings = ChatSettings(
        "m", endpoint.url, "secret", pairs, concurrency, 10.0, retries, prompt_price=2.0, completion_price=10.0
    )
    seen = 0

    def on_judged(count: int) -> None:
        nonlocal seen
        seen += count

    with ChatJudge(settings, VerdictCache(folder)) as asked:
        return asked.judge(SUBJECTS, on_judged), seen


def test_all_are_judged_in_batches_and_paid_for(tmp_path: Path) -> None:
    with chat_endpoint(right) as endpoint:
        judging, seen = judge(endpoint, tmp_path)
    assert {each.text: verdict.relevance == 1 for each, verdict in judging.verdicts.items()} == {
        each.text: is_thai(each.text) for each in SUBJECTS
    }
    assert sorted(map(len, endpoint.pairs)) == [2, 4, 4]
    assert seen == len(SUBJECTS)
    usage = judging.usage
    assert (usage.requests, usage.prompt_tokens, usage.completion_tokens) == (3, 300, 30)
    assert usage.cost == pytest.approx((300 * 2 + 30 * 10) / 1e6)
    assert endpoint.keys == {"Bearer secret"}
    assert endpoint.bodies[0]["response_format"] == {"type": "json_object"}
    assert endpoint.bodies[0]["temperature"] == 0


def test_what_is_known_is_not_asked_again_whatever_the_batches(tmp_path: Path) -> None:
    with chat_endpoint(right) as endpoint:
        first, _ = judge(endpoint, tmp_path)
        asked = len(endpoint.bodies)
        again, seen = judge(endpoint, tmp_path, pairs=3)
    assert len(endpoint.bodies) == asked
    assert again.verdicts == first.verdicts
    assert (again.usage.requests, again.usage.from_cache, seen) == (0, len(SUBJECTS), len(SUBJECTS))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_refusals_for_now_are_tried_again(tmp_path: Path, status: int) -> None:
    def answer(pairs: Pairs, number: int) -> Reply:
        return Reply(status=status, headers=NOW) if number <= 3 else right(pairs, number)

    with chat_endpoint(answer) as endpoint:
        judging, _ = judge(endpoint, tmp_path, concurrency=1)
    assert len(judging.verdicts) == len(SUBJECTS)
    assert len(endpoint.bodies) == 6


def test_a_stopped_run_goes_on_with_what_it_had(tmp_path: Path) -> None:
    def answer(pairs: Pairs, number: int) -> Reply:
        return right(pairs, number) if number == 1 else Reply(status=401)

    with chat_endpoint(answer) as endpoint:
        with pytest.raises(JudgeError, match="judge m: HTTP status 401") as error:
            judge(endpoint, tmp_path, concurrency=1)
        assert "secret" not in str(error.value)
        endpoint.answer = right
        judging, _ = judge(endpoint, tmp_path)
    assert judging.usage.from_cache == 4


def test_an_endpoint_that_stays_away_ends_it(tmp_path: Path) -> None:
    with chat_endpoint(lambda _pairs, _number: Reply(status=503, headers=NOW)) as endpoint, pytest.raises(JudgeError):
        judge(endpoint, tmp_path, concurrency=1, retries=2)
    assert len(endpoint.bodies) == 3


def test_unreadable_answers_are_asked_for_in_halves(tmp_path: Path) -> None:
    """One pair makes the model babble; all the others are judged, and it is counted."""

    def answer(pairs: Pairs, number: int) -> Reply:
        if any(pair["rewrite"] == "pizza 3" for pair in pairs):
            return Reply("I would say yes.")
        return right(pairs, number)

    with chat_endpoint(answer) as endpoint:
        judging, seen = judge(endpoint, tmp_path)
    assert judging.unreadable == 1
    assert {each.text for each in SUBJECTS} - {each.text for each in judging.verdicts} == {"pizza 3"}
    assert seen == len(SUBJECTS)


def test_requests_run_side_by_side(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)

    def answer(pairs: Pairs, number: int) -> Reply:
        if number <= 2:
            both.wait()  # broken, and the test with it, if one waits for the other
        return right(pairs, number)

    with chat_endpoint(answer) as endpoint:
        judging, _ = judge(endpoint, tmp_path, concurrency=2)
    assert len(judging.verdicts) == len(SUBJECTS)


GOOD = '{"answers": [{"id": 1, "quality": "yes", "relevance": "no"}]}'


def test_an_answer_in_a_fence_is_read() -> None:
    assert read_answer(f"```json\n{GOOD}\n```", 1) == read_answer(GOOD, 1)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "[]",
        GOOD.replace('"id": 1', '"id": 2'),
        GOOD.replace('"id": 1', '"id": true'),
        GOOD.replace('"no"', '"maybe"'),
        GOOD.replace('"no"', "false"),
        GOOD.replace("}]", ', "because": "x"}]'),
        GOOD.replace("]}", '], "note": "x"}'),
        '{"answers": []}',
        GOOD + GOOD,
    ],
)
def test_any_other_answer_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableAnswerError):
        read_answer(text, 1)
