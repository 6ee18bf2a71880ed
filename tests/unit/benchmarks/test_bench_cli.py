"""The command line: what its flags mean, and that its errors are one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from iterqr_benchmarks import main as cli
from iterqr_benchmarks.demo.run import DemoOptions
from iterqr_benchmarks.stack.settings import ChannelSettings, StackSettings
from iterqr_benchmarks.tuning.run import TuneOptions


@pytest.fixture
def demos(monkeypatch: pytest.MonkeyPatch) -> list[DemoOptions]:
    """Takes the place of the demo and keeps what it was called with; no demo is run."""
    seen: list[DemoOptions] = []

    class Failed:
        class verdict:  # noqa: N801 - as the report's attribute
            passed = False

    def run_demo(options: DemoOptions, _console: object) -> type[Failed]:
        seen.append(options)
        return Failed

    monkeypatch.setattr(cli, "run_demo", run_demo)
    return seen


def test_demo_has_the_tuned_defaults_and_tells_failure_by_its_exit_status(demos: list[DemoOptions]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--folder", "/tmp/x"])  # noqa: S108 - never written
    assert ended.value.code == 1
    assert demos == [DemoOptions(folder=Path("/tmp/x/demo"), stack=StackSettings(), query_set="heldout", limit=0)]  # noqa: S108


def test_flags_reach_the_stack(demos: list[DemoOptions]) -> None:
    budgets = ["--budget-ms", "500", "--hints-budget-ms", "90"]
    with pytest.raises(SystemExit):
        cli.main(["demo", "--rewrite-weight", "0.7", *budgets, "--grpc-port", "50052", "--limit", "3"])
    assert demos[0].stack.channel == ChannelSettings(rewrite_weight=0.7, budget_ms=500)
    assert (demos[0].stack.hints_budget_ms, demos[0].stack.grpc_port) == (90, 50052)
    assert demos[0].limit == 3


def test_tuning_has_a_budget_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TuneOptions] = []
    monkeypatch.setattr(cli, "run_tuning", lambda options, _console: seen.append(options))
    cli.main(["tune"])
    assert seen[0].stack.channel.budget_ms == 60_000


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--http-port", "70000"], "'70000' is not a port, 0 to 65535"),
        (["--limit", "-1"], "'-1' is not a number, 0 or more"),
        (["--template", "/no/such.toml"], "'/no/such.toml' is not a file"),
        (["--queries", "all"], "invalid choice: 'all'"),
    ],
)
def test_wrong_flags_are_named(capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", *flags])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_down_without_a_stack_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["down", "--folder", str(tmp_path)])
    assert "nothing was running" in capsys.readouterr().out


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "iterqr-bench up" in capsys.readouterr().out
