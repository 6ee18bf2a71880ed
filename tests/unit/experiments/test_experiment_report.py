"""Conclusions, page, JSON and the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_training.errors import SettingError
from iterqr_training.experiments.analysis import (
    AnalysisSettings,
    ExperimentData,
    Interleaved,
    Replay,
    analyse,
)
from iterqr_training.experiments.metrics import PRIMARY
from iterqr_training.experiments.report_json import report_json
from iterqr_training.experiments.report_model import ExperimentReport
from iterqr_training.experiments.report_page import report_page
from iterqr_training.experiments.rewrite_exposure import REWRITE_JUDGMENTS, REWRITE_TRUTH
from iterqr_training.main import main
from iterqr_training.signals.marts import write_marts
from iterqr_training.signals.tables import (
    ATTRIBUTED_EVENTS,
    HIT_CHANNELS,
    IMPRESSIONS,
    MARTS,
    QUERY_OUTCOMES,
    REWRITE_OUTCOMES,
)
from support.experiment_worlds import draw_searches, make_rows

NOW = datetime(2026, 4, 1, tzinfo=UTC)
SETTINGS = AnalysisSettings(aa_splits=20, resamples=500)
_VOID = {"meta", "br", "line", "circle", "rect", "polyline", "polygon"}


def make_replay(users: int, more_orders: float) -> Replay:
    control = draw_searches(users, 3, arms=("control",))
    orders = control["orders"].to_numpy()
    more = np.maximum(orders, np.random.default_rng(1).binomial(1, more_orders, len(orders)))
    place = control.schema.get_field_index("orders")
    return Replay(control, control.set_column(place, "orders", pa.array(more)))


def make_interleaved() -> Interleaved:
    pages = [f"i{number}" for number in range(60)]
    return Interleaved(
        make_rows(IMPRESSIONS, impression_id=pages, client_id=[f"u{number % 30}" for number in range(60)]),
        make_rows(
            HIT_CHANNELS,
            impression_id=pages * 2,
            shown=True,
            position=[1] * 60 + [2] * 60,
            team=["original"] * 60 + ["rewrites"] * 60,
        ),
        make_rows(
            ATTRIBUTED_EVENTS,
            event_id=[f"e{number}" for number in range(50)],
            kind="click",
            status="credited",
            impression_id=pages[:50],
            position=[2] * 40 + [1] * 10,
        ),
    )


def make_rewrites(table: str) -> pa.Table:
    queries = [f"query {number}" for number in range(40)]
    if table == "truth":
        return pa.table([queries, ["rw"] * 40, [number % 2 == 0 for number in range(40)]], schema=REWRITE_TRUTH.schema)
    if table == "judgments":
        return pa.table(
            [queries, ["rw"] * 40, [number % 2 / 1.0 for number in range(40)]], schema=REWRITE_JUDGMENTS.schema
        )
    return make_rows(
        REWRITE_OUTCOMES,
        normalized_query=queries,
        rewrite_text="rw",
        examined_ppb=[3_000_000_000] * 40,
        level1_clicks_ppb=[number % 2 * 1_000_000_000 for number in range(40)],
    )


@pytest.fixture(scope="module")
def full() -> ExperimentReport:
    """Everything that a report can have."""
    data = ExperimentData(
        searches=draw_searches(600, 1, effect=0.02),
        before=draw_searches(600, 2, first_day=-10),
        replay=make_replay(300, 0.02),
        interleaved=make_interleaved(),
        rewrite_outcomes=make_rewrites("outcomes"),
        truth=make_rewrites("truth"),
        judgments=make_rewrites("judgments"),
    )
    return analyse(data, SETTINGS, NOW)


def texts(report: ExperimentReport) -> str:
    return "\n".join(each.text for each in report.conclusions)


class _Balance(HTMLParser):
    """Fails on tags that are not closed in order, and collects what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.shown: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [name for name, _ in attrs if name in {"src", "href"}]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag, attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.shown.append(data)


def shown(page: str) -> str:
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert parser.fetched == []
    return " ".join(" ".join(parser.shown).split())


def test_the_page_has_every_section_and_needs_nothing_else(full: ExperimentReport) -> None:
    page = report_page(full)
    told = shown(page)
    for title in ("Arms", "Metrics", "CUPED", "Paired replay", "Day by day", "stayed hidden", "Funnel", "A/A"):
        assert title in told
    assert "Team-draft interleaving" in told
    assert "Cohen's kappa" in told
    assert "prefers-color-scheme: dark" in page
    assert "<script" not in page
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b", told)
    assert page.count("<svg") == page.count("</svg>") == 1 + 4 + 2 + 5


def test_every_point_of_a_plot_lies_inside_it(full: ExperimentReport) -> None:
    for width, height, drawn in re.findall(
        r'<svg[^>]*viewBox="0 0 (\d+) (\d+)"[^>]*>(.*?)</svg>', report_page(full), re.S
    ):
        places = [(float(x), float(y)) for x, y in re.findall(r'c?x="(-?[\d.]+)" c?y="(-?[\d.]+)"', drawn)]
        for points in re.findall(r'points="([^"]*)"', drawn):
            places += [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]
        assert places
        assert all(0 <= x <= float(width) and 0 <= y <= float(height) for x, y in places)


def test_names_are_data(full: ExperimentReport) -> None:
    name = "<script>alert(1)</script>"
    page = report_page(replace(full, context=replace(full.context, experiment=name)))
    assert "<script" not in page
    assert name in shown(page)


def test_json_has_null_for_what_is_not_defined(full: ExperimentReport) -> None:
    document = json.loads(report_json(full), parse_constant=lambda name: pytest.fail(f"not JSON: {name}"))
    assert document["schema"] == "iterqr-experiment-report/v1"
    assert document["agreement"][0]["kappa"] == pytest.approx(1)
    assert document["agreement"][3]["kappa"] is None  # of one judged rewrite
    assert document["comparisons"][0]["metric"]["numerator"] == "orders"
    assert document["sequences"][0]["days"][0]["day"] == "2026-03-02"
    assert document["paired"]["comparisons"][0]["narrowing"] > 3


def test_an_effect_that_is_not_shown_is_told_with_what_could_hide(full: ExperimentReport) -> None:
    (primary,) = [each for each in full.conclusions if each.text.startswith("No effect on orders per visitor")]
    assert primary.tone == "plain"
    assert "could hide" in primary.text
    least = next(each for each in full.sensitivities if each.test == "cuped")
    assert f"{100 * least.detectable_lift:.1f}%" in primary.text
    assert "600 users" in primary.text


def test_the_replay_tells_the_users_that_an_unpaired_test_needs(full: ExperimentReport) -> None:
    assert full.paired is not None
    needed = full.paired.comparisons[0].unpaired_users_per_arm
    assert needed is not None
    assert f"would need {needed:,} users in each arm" in texts(full)


def test_cuped_needs_fewer_users_to_find_what_the_replay_found(full: ExperimentReport) -> None:
    needed = {each.test: each.users_for_replay for each in full.sensitivities if each.metric == PRIMARY}
    assert needed["paired"] is None
    assert 1_000 < (needed["cuped"] or 0) < (needed["unpaired"] or 0)


def test_interleaving_is_told(full: ExperimentReport) -> None:
    assert "users prefer the rewrites' hits; they win 40 pages to 10" in texts(full)


def test_a_large_effect_is_told_with_its_sign() -> None:
    for effect, verb, tone in ((0.5, "raises", "good"), (-0.4, "lowers", "bad")):
        report = analyse(ExperimentData(draw_searches(900, 1, effect=effect)), replace(SETTINGS, aa_splits=0), NOW)
        primary = report.conclusions[0]
        assert f"Treatment {verb} orders per visitor" in primary.text
        assert primary.tone == tone
        assert "Beside it moved: " in texts(report)
        assert "always-valid interval left zero out on" in texts(report)


def test_a_mismatch_forbids_conclusions_about_the_arms() -> None:
    searches = draw_searches(600, 1, effect=0.5)
    report = analyse(
        ExperimentData(searches),
        replace(SETTINGS, aa_splits=0, shares=(("control", 80.0), ("treatment", 20.0))),
        NOW,
    )
    assert [each.tone for each in report.conclusions] == ["bad"]
    assert "Nothing can be concluded" in texts(report)
    assert "What to check" in shown(report_page(report))


def test_a_time_before_that_reaches_into_the_experiment_is_refused() -> None:
    with pytest.raises(SettingError, match="pre: must end before the experiment begins"):
        analyse(ExperimentData(draw_searches(60, 1), before=draw_searches(60, 2, first_day=-3)), SETTINGS, NOW)


def write_searches(folder: Path, searches: pa.Table) -> Path:
    """Marts that have searches, in two files, and a rewrite; the other tables are empty."""

    def write(generation: Path) -> dict[str, int]:
        for spec in MARTS:
            (generation / spec.name).mkdir()
            rows = spec.schema.empty_table()
            if spec == REWRITE_OUTCOMES:
                rows = make_rewrites("outcomes")
            elif spec == QUERY_OUTCOMES:
                pq.write_table(searches.slice(0, 100), generation / spec.name / "part-1.parquet")
                rows = searches.slice(100)
            pq.write_table(rows, generation / spec.name / "part-0.parquet")
        return {}

    write_marts(folder, write)
    return folder


@pytest.fixture
def marts(tmp_path: Path) -> Path:
    return write_searches(tmp_path / "marts", draw_searches(200, 1))


def test_replays_are_added_up_by_user(marts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = make_replay(100, 0.02)
    for arm, searches in (("control", whole.control), ("treatment", whole.treatment)):
        half = searches.num_rows // 2  # of searches: there are users in both
        write_searches(tmp_path / "whole" / arm, searches)
        write_searches(tmp_path / "first" / arm, searches.slice(0, half))
        write_searches(tmp_path / "rest" / arm, searches.slice(half))

    def paired(*replays: str) -> dict[str, Any]:
        folders = [f"--marts={marts}", f"--out={tmp_path / 'report'}"]
        main(["experiment", *folders, *(f"--paired={tmp_path / replay}" for replay in replays)])
        told: dict[str, Any] = json.loads((tmp_path / "report" / "experiment.json").read_text())["paired"]
        return told

    assert paired("first", "rest") == paired("whole") != paired("first")
    with pytest.raises(SystemExit):
        paired("first", "first")
    assert "paired: a folder is given twice" in capsys.readouterr().err


def test_the_command_writes_both_reports_and_prints_the_conclusions(
    marts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay = make_replay(100, 0.02)
    write_searches(tmp_path / "replay" / "control", replay.control)
    write_searches(tmp_path / "replay" / "treatment", replay.treatment)
    write_searches(tmp_path / "pre", draw_searches(200, 2, first_day=-10))
    interleaved = make_interleaved()
    for spec, rows in ((IMPRESSIONS, interleaved.impressions), (HIT_CHANNELS, interleaved.hit_channels)):
        (tmp_path / "signals" / spec.name / "date=2026-03-02").mkdir(parents=True)
        pq.write_table(rows, tmp_path / "signals" / spec.name / "date=2026-03-02" / "part-0.parquet")
    pq.write_table(make_rewrites("judgments"), tmp_path / "rewrite_judgments.parquet")
    folders = [f"--{name}={tmp_path / name}" for name in ("marts", "pre", "signals")]
    folders += [f"--paired={tmp_path / 'replay'}", f"--judgments={tmp_path}", f"--out={tmp_path / 'report'}"]
    main(["experiment", *folders])
    printed = capsys.readouterr().out
    for told in ("orders per visitor", "CUPED", "paired replay", "no interleaved page was clicked"):
        assert told in printed
    document = json.loads((tmp_path / "report" / "experiment.json").read_text())
    assert [arm["users"] for arm in document["arms"]] == [100, 100]
    assert document["paired"]["users"] == 100
    assert document["agreement"][0]["rewrites"] == 40
    assert document["false_negatives"]["bands"][0]["error"] is None
    assert "Paired replay" in (tmp_path / "report" / "experiment.html").read_text()
    assert sorted(each.name for each in (tmp_path / "report").iterdir()) == ["experiment.html", "experiment.json"]


def test_the_command_fails_where_users_are_not_split_as_planned(marts: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "--marts", str(marts), "--shares", "control=4,treatment=1", "--out", str(tmp_path / "out")])
    assert ended.value.code == 1
    assert (tmp_path / "out" / "experiment.html").exists()


def test_a_planned_arm_without_users_is_a_mismatch() -> None:
    shares = (("control", 40.0), ("treatment", 40.0), ("shadow", 20.0))
    report = analyse(ExperimentData(draw_searches(200, 1)), replace(SETTINGS, aa_splits=0, shares=shares), NOW)
    assert not report.sample_ratio.matches
    assert [(each.arm, each.users) for each in report.sample_ratio.arms][-1] == ("shadow", 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiment", "other"], "experiment: there is no 'other', only rw"),
        (["--pre", "nowhere"], "nowhere has no marts"),
        (["--signals", "nowhere"], "nowhere has no raw tables"),
        (
            ["--judgments", "nowhere"],
            "judgments: nowhere has neither rewrite_judgments.parquet nor rewrite_truth.parquet",
        ),
        (["--shares", "control=1"], "shares: must name the arms control, treatment, not control"),
    ],
)
def test_the_command_says_what_is_wrong(
    marts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "--marts", str(marts), "--out", str(tmp_path / "out"), *arguments])
    assert ended.value.code == 1
    assert f"iterqr-train: {message}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_mart_of_another_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marts = write_searches(tmp_path / "marts", draw_searches(20, 1).drop_columns(["pages", "value"]))
    with pytest.raises(SystemExit):
        main(["experiment", "--marts", str(marts), "--out", str(tmp_path / "out")])
    assert "lacks the columns pages, value" in capsys.readouterr().err
