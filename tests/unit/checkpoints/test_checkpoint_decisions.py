"""Decisions about checkpoints that need no server: who meets the canary, what a state asks for, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_proto.registry import Split
from iterqr_server.checkpoints import memory, probe_set
from iterqr_server.checkpoints.assignment import takes_canary
from iterqr_server.checkpoints.memory import Room
from iterqr_server.checkpoints.plan import Plan, plan
from iterqr_server.checkpoints.probe_set import (
    PairScores,
    ProbeAnswer,
    ProbeLimits,
    ProbeSetError,
    load_probe_set,
)
from iterqr_server.checkpoints.retries import LONGEST_WAIT_S, Retries
from iterqr_server.checkpoints.status import MAX_REASON, Status, StatusKind, status_of
from iterqr_server.checkpoints.swap_rules import SwapRules, swap_rules
from iterqr_server.config import settings_from

KEYS = [f"client {i}" for i in range(4_000)]


@given(st.text(), st.text(), st.integers(0, 99), st.integers(1, 100))
def test_a_larger_share_takes_all_of_a_smaller_one(key: str, canary: str, percent: int, more: int) -> None:
    larger = min(100, percent + more)
    assert takes_canary(key, canary, larger) or not takes_canary(key, canary, percent)
    assert takes_canary(key, canary, 100)
    assert not takes_canary(key, canary, 0)


@pytest.mark.parametrize("percent", [1, 5, 50, 95])
def test_the_share_is_what_was_asked_for(percent: int) -> None:
    share = sum(takes_canary(key, "it3", percent) for key in KEYS) / len(KEYS) * 100
    assert abs(share - percent) < 2.5


def test_each_canary_has_clients_of_its_own() -> None:
    first, second = ({key for key in KEYS if takes_canary(key, name, 10)} for name in ("it3", "it4"))
    assert len(first & second) < 0.3 * len(first)


@pytest.mark.parametrize(
    ("split", "loaded", "taken_back", "wanted"),
    [
        (Split(), {"base"}, set(), Plan("base", None, 0, ())),
        (Split("it1"), {"base"}, set(), Plan(None, None, 0, ("it1",))),
        (Split("it1"), {"base", "it1"}, set(), Plan("it1", None, 0, ())),
        (Split("", "it1", 5), {"base"}, set(), Plan("base", None, 0, ("it1",))),
        (Split("", "it1", 5), {"base", "it1"}, set(), Plan("base", "it1", 5, ())),
        (Split("it1", "it2", 5), {"base", "it2"}, set(), Plan(None, "it2", 5, ("it1",))),
        (Split("it1", "it2", 5), {"it1"}, {"it2"}, Plan("it1", None, 0, ())),
        (Split("it1", "it2", 5), {"it1", "it2"}, {"it2"}, Plan("it1", None, 0, ())),
    ],
)
def test_plan(split: Split, loaded: set[str], taken_back: set[str], wanted: Plan) -> None:
    assert plan(split, base_id="base", loaded=loaded, taken_back=taken_back) == wanted


def test_retries_wait_longer_and_longer() -> None:
    retries = Retries()
    now, tries = 0.0, []
    while now < 1_000:
        if retries.may_try("it1", now):
            tries.append(now)
            retries.add("it1", f"try {len(tries)}", now)
        now += 1
    assert tries == [0, 5, 15, 35, 75, 155, 315, 615, 915]
    assert tries[-1] - tries[-2] == LONGEST_WAIT_S
    assert retries.reasons == {"it1": "try 9"}
    retries.forget("it1")
    assert retries.may_try("it1", now)


def test_status() -> None:
    assert status_of("a", loaded=True, loading=True, reason="earlier").kind is StatusKind.LOADED
    assert status_of("a", loaded=False, loading=True, reason="earlier") == Status("a", StatusKind.LOADING)
    assert status_of("a", loaded=False, loading=False, reason="x" * 9_000).reason == "x" * MAX_REASON
    assert status_of("a", loaded=False, loading=False, reason="") == Status("a", StatusKind.AVAILABLE)
    assert status_of("a", loaded=False, loading=False, reason="full", staged=True) == Status(
        "a", StatusKind.STAGED, "full"
    )


def test_memory_of_machine_and_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       100 kB\nMemAvailable:       60 kB\n", "ascii")
    assert memory.available_bytes(meminfo, tmp_path) == 60 << 10
    (tmp_path / "memory.max").write_text("50000\n", "ascii")
    (tmp_path / "memory.current").write_text("30000\n", "ascii")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 5000\n", "ascii")
    assert memory.available_bytes(meminfo, tmp_path) == 25_000
    (tmp_path / "memory.max").write_text("max\n", "ascii")
    assert memory.available_bytes(meminfo, tmp_path) == 60 << 10
    assert memory.available_bytes(tmp_path / "none", tmp_path / "none") is None


ROOM = Room(needed_bytes=2 << 20, available_bytes=6 << 20, reserve_bytes=4 << 20, name="GPU memory")
BESIDE, AUTO, RELOAD = SwapRules(beside=True, reload=False), SwapRules(True, True), SwapRules(False, True)


def test_room() -> None:
    assert ROOM.lack == ""
    assert replace(ROOM, available_bytes=None).lack == ""
    assert replace(ROOM, available_bytes=(6 << 20) - 1).lack == (
        "needs about 2 MB of GPU memory, and 4 MB must stay free (checkpoints.memory_reserve_mb); 5 MB are available"
    )


@pytest.mark.parametrize(
    ("rules", "available", "words"),
    [
        (BESIDE, 6 << 20, ""),
        (BESIDE, 5 << 20, "needs about 2 MB of GPU memory"),
        (BESIDE, None, ""),
        (AUTO, 6 << 20, ""),
        (AUTO, 5 << 20, "needs about 2 MB of GPU memory"),
        (AUTO, None, "how much GPU memory is free cannot be read"),
        (RELOAD, 6 << 20, "one model is in memory at a time (checkpoints.swap is reload)"),
    ],
)
def test_whether_two_models_are_in_memory(rules: SwapRules, available: int | None, words: str) -> None:
    reason = rules.why_not_beside(replace(ROOM, available_bytes=available))
    assert words in reason
    assert bool(words) == bool(reason)


@pytest.mark.parametrize(
    ("swap", "backend", "rules"),
    [
        ("auto", "onnxruntime", BESIDE),
        ("auto", "tensorrt_llm", AUTO),
        ("beside", "tensorrt_llm", BESIDE),
        ("reload", "onnxruntime", RELOAD),
    ],
)
def test_the_rules_of_a_configuration(swap: str, backend: str, rules: SwapRules) -> None:
    assert swap_rules(settings_from({"checkpoints": {"swap": swap}, "engine": {"backend": backend}})) == rules


ANSWER = ProbeAnswer("pho", True, 0.1, (0.5,))
LIMITS = ProbeLimits(min_valid_share=0.75, max_ms=500)


@pytest.mark.parametrize(
    ("answers", "scores", "words"),
    [
        ([ANSWER] * 4, [], ""),
        ([ANSWER] * 3 + [ProbeAnswer("pad tai", False, 0.1, ())], [], ""),
        ([ANSWER] * 2 + [ProbeAnswer("pad tai", False, 0.1, ())], [], "2 of 3 answers are of the rewrite format"),
        ([ANSWER, ProbeAnswer("pad tai", True, 0.6, ())], [], "took 600 ms ('pad tai'), the limit is 500 ms"),
        ([ANSWER], [PairScores(0.9, 0.2), PairScores(0.3, 0.4)], ""),
        ([ANSWER], [PairScores(0.2, 0.9), PairScores(0.3, 0.4)], "score 0.65, those that keep it 0.25"),
        ([ANSWER], [PairScores(float("nan"), 0.9)], "scores are not numbers"),
    ],
)
def test_probe_refusals(answers: list[ProbeAnswer], scores: list[PairScores], words: str) -> None:
    reason = probe_set.refusal(answers, scores, LIMITS)
    assert words in reason
    assert bool(words) == bool(reason)


def test_the_probe_set_that_comes_with_the_server() -> None:
    probes = load_probe_set()
    assert len(probes.queries) >= 5
    assert len(probes.pairs) >= 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("queries = [", "not TOML"),
        ("queries = []", "queries: must be an array of 1 to 100"),
        ("queries = ['pho', 7]", r"queries\[1\]: must be a string of 1 to 120"),
        ("queries = ['pho']\nsurprise = 1", "unknown key 'surprise'"),
        ("queries = ['pho']\n[[pairs]]\nquery = 'a'\ngood = 'b'", r"pairs\[0\]: must have query, good and bad"),
        ("queries = ['pho']\n[[pairs]]\nquery = 'a'\ngood = 'b'\nbad = ''", r"pairs\[0\]\.bad"),
    ],
)
def test_an_unusable_probe_file_is_refused_by_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "probes.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ProbeSetError, match=words):
        load_probe_set(path)
