"""Verdict, report data, JSON and page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from iterqr_benchmarks.demo.observation import ChannelTag, Observation
from iterqr_benchmarks.demo.verdict import judge
from iterqr_benchmarks.report.html import channel_label, report_html
from iterqr_benchmarks.report.json_file import report_json
from iterqr_benchmarks.report.model import Report, RunContext, build_report
from iterqr_benchmarks.report.versions import versions
from iterqr_training.machine import this_machine
from support.observations import make_observation, make_rewrite, make_rewriting


def make_context() -> RunContext:
    return RunContext(
        created_at="2026-01-01T00:00:00+00:00",
        machine=this_machine(),
        versions=versions("3.8.0"),
        query_set="heldout",
        seed=7,
        settings={"model": "qwen", "budget_ms": 3000},
        catalog={"dishes": 5000},
        seconds={"all": 61.0},
    )


def make_report(*observations: Observation) -> Report:
    return build_report(make_context(), observations)


def test_a_query_works_if_its_rewrite_differs_and_retrieves() -> None:
    assert make_observation().works


@pytest.mark.parametrize(
    "rewriting",
    [
        make_rewriting(fix=""),
        make_rewriting(rewrites=[]),
        make_rewriting(rewrites=[make_rewrite(text="Chikn  Tika MASLA")]),
        make_rewriting(rewrites=[make_rewrite(retrieved=0)]),
    ],
    ids=["no fix", "no rewrite", "rewrite is the query", "rewrite retrieves nothing"],
)
def test_a_query_does_not_work_without(rewriting: object) -> None:
    assert not make_observation(rewriting=rewriting).works  # type: ignore[arg-type]


def test_one_working_rewrite_is_enough() -> None:
    rewrites = [make_rewrite(1, retrieved=0), make_rewrite(2, "butter chicken", retrieved=3)]
    observation = make_observation(rewriting=make_rewriting(rewrites=rewrites))
    assert [each.text for each in observation.working_rewrites] == ["butter chicken"]
    assert observation.works


def test_new_true_hits_are_those_plain_search_lacks_within_the_cutoff() -> None:
    observation = make_observation(plain=("b", "x", "a"), channel=("a", "b", "c", "y"), relevant=("a", "b", "c"))
    assert [hit.dish_id for hit in observation.new_true_hits(2)] == ["a"]
    assert [hit.dish_id for hit in observation.new_true_hits(10)] == ["c"]


def test_three_quarters_of_the_queries_must_work() -> None:
    good, bad = make_observation(), make_observation(rewriting=make_rewriting(outcome="timeout", rewrites=[]))
    assert judge([good] * 30 + [bad] * 10).passed
    failed = judge([good] * 29 + [bad] * 11)
    assert not failed.passed
    (fault,) = failed.faults
    assert fault.startswith("29 of 40 queries got a valid chain of thought")
    assert fault.endswith("30 must (outcomes of the others: timeout)")


def test_untagged_hits_of_a_fused_response_fail_the_demo() -> None:
    verdict = judge([make_observation(), make_observation(tagged=False)])
    assert verdict.faults == ("2 hits of fused responses do not say which channel retrieved them",)


def test_untagged_hits_of_a_plain_response_are_right() -> None:
    plain = make_observation(tagged=False, rewriting=make_rewriting(outcome="timeout"))
    assert plain.untagged_hits == 0


def test_report_takes_coverage_from_fused_responses_alone() -> None:
    report = make_report(
        make_observation(rewriting=make_rewriting(total_ms=250)),
        make_observation(rewriting=make_rewriting(total_ms=900)),
        make_observation(rewriting=make_rewriting(outcome="timeout", total_ms=50)),
        make_observation(rewriting=make_rewriting(outcome="no_rewrites", rewrites=[], total_ms=50)),
    )
    assert [each.share for each in report.coverage] == [0.0, 0.25, 0.5, 0.5]
    assert report.outcomes == {"fused": 2, "timeout": 1, "no_rewrites": 1}
    assert report.times["rewriting within it"].count == 2


def test_json_has_measures_settings_and_every_query() -> None:
    written = json.loads(report_json(make_report(make_observation(), make_observation(kind="scene"))))
    assert written["schema"] == "iterqr-demo-report/v1"
    assert written["overall"]["plain"] == {"precision_at_10": 0.0, "recall_at_10": 0.0, "recall_at_50": 0.0}
    assert written["overall"]["channel"] == {"precision_at_10": 0.1, "recall_at_10": 0.5, "recall_at_50": 0.5}
    assert set(written["by_kind"]) == {"typo", "scene"}
    assert written["context"]["seed"] == 7
    first = written["queries"][0]
    assert first["observation"]["relevant"] == ["a", "b"]
    assert first["observation"]["channel_hits"][0]["channels"][0]["name"] == "rewrite"
    assert first["works"] is True


class _Page(HTMLParser):
    """Collects tags, and the texts of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_needs_nothing_from_elsewhere() -> None:
    page = report_html(make_report(make_observation()))
    assert not re.search(r"https?://|@import|url\(", page)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in _Page(page).tags}


def test_page_takes_texts_as_data() -> None:
    attack = '"><script>alert(1)</script>{{ 7 * 7 }}'
    rewriting = make_rewriting(fix=attack, rewrites=[make_rewrite(text=attack)])
    page = _Page(report_html(make_report(make_observation(query=attack, kind=attack, rewriting=rewriting))))
    assert "script" not in {tag for tag, _ in page.tags}
    assert attack in page.text


def test_page_shows_every_query_with_its_chain_of_thought_and_channels() -> None:
    page = _Page(report_html(make_report(make_observation(), make_observation(query="somthing cold"))))
    assert sum(tag == "details" for tag, _ in page.tags) == 2
    for text in ("chikn tika masla", "somthing cold", "a creamy curry", "chicken tikka masala", "rw 1 #1", "new"):
        assert text in page.text


def test_page_of_a_failed_run_says_why() -> None:
    report = make_report(
        make_observation(plain=(), channel=(), rewriting=make_rewriting(outcome="timeout", rewrites=[]))
    )
    page = _Page(report_html(report))
    assert report.verdict.faults[0] in page.text
    assert "nothing found" in page.text


def test_channel_label_numbers_rewrites_as_the_query_lists_them() -> None:
    rewrites = [make_rewrite(1), make_rewrite(2, "butter chicken")]
    query = make_report(make_observation(rewriting=make_rewriting(rewrites=rewrites))).queries[0]
    assert channel_label(query, ChannelTag("original", 4, 1.0, "", "")) == "original #4"
    assert channel_label(query, ChannelTag("rewrite", 1, 1.0, rewrites[1].rewrite_id, "butter chicken")) == "rw 2 #1"
