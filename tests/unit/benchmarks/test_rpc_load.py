"""Numbers and report of the load over gRPC."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_benchmarks.rpc_load.phase import Phase, read_phase, write_phase
from iterqr_benchmarks.rpc_load.report import LoadReport, PhaseReport, load_html, load_json
from iterqr_benchmarks.rpc_load.samples import (
    Call,
    Load,
    capacity_per_s,
    load_numbers,
    memory_numbers,
    read_load,
    write_load,
)
from iterqr_training.machine import Machine

CALLS = (
    Call(0.0, 100.0, "OK", 3, repeated=False, server_timed=False, delayed_ms=1.0),
    Call(0.1, 2.0, "OK", 3, repeated=True, server_timed=False, delayed_ms=1.0),
    Call(0.2, 900.0, "OK", 0, repeated=False, server_timed=False, delayed_ms=1.0),  # in time, but of no use
    Call(0.3, 5.0, "RESOURCE_EXHAUSTED", 0, repeated=False, server_timed=False, delayed_ms=1.0),
    Call(0.4, 1_300.0, "DEADLINE_EXCEEDED", 0, repeated=False, server_timed=False, delayed_ms=1.0),
    Call(0.5, 1_050.0, "DEADLINE_EXCEEDED", 0, repeated=False, server_timed=False, delayed_ms=3.0),
)


def test_goodput_counts_replies_with_rewrites_in_time() -> None:
    numbers = load_numbers(Load(CALLS, cpu_s=0.012), duration_s=2.0, deadline_ms=1_000, late_allowance_ms=200)
    assert numbers.offered_per_s == 3.0
    assert numbers.goodput_per_s == 1.0
    assert numbers.codes == {"OK": 3, "DEADLINE_EXCEEDED": 2, "RESOURCE_EXHAUSTED": 1}
    assert (numbers.served.calls, numbers.served_repeated.calls, numbers.served_fresh.calls) == (3, 1, 2)
    assert numbers.rejected.p50_ms == 5.0
    assert numbers.rejected_late == 0
    assert (numbers.began_late.p50_ms, numbers.began_late.max_ms) == (1.0, 3.0)
    assert numbers.maker_cpu_ms_per_call == pytest.approx(2.0)
    assert numbers.late == 1
    assert numbers.largest_lateness_ms == pytest.approx(300)


def test_rejection_after_a_tenth_of_the_deadline_is_not_early() -> None:
    rejected = tuple(
        Call(0.0, latency_ms, "RESOURCE_EXHAUSTED", 0, repeated=False, server_timed=False, delayed_ms=0.0)
        for latency_ms in (3, 99, 101)
    )
    assert load_numbers(Load(rejected, 0.0), 1.0, deadline_ms=1_000, late_allowance_ms=200).rejected_late == 1


def test_capacity_is_told_by_what_had_to_be_generated() -> None:
    answered = [
        Call(0.0, 100.0, "OK", 3, repeated=number % 10 > 0, server_timed=False, delayed_ms=1.0) for number in range(100)
    ]  # ten new ones
    assert capacity_per_s([*answered, *CALLS[2:]], 5.0, repeated_share=0.5) == 4.0
    assert capacity_per_s(answered, 5.0, repeated_share=1.0) == 20.0


def test_memory_grows_from_the_end_of_the_warm_up() -> None:
    readings = [(float(second), 100.0 + min(second, 30)) for second in range(100)]
    memory = memory_numbers(readings, warm_up_s=30)
    assert memory is not None
    assert memory.growth_mib == 0
    assert memory.peak_mib == 130
    fills = memory_numbers([(float(second), 100.0 + min(second, 50)) for second in range(100)], warm_up_s=0)
    leaks = memory_numbers([(float(second), 100.0 + second) for second in range(100)], warm_up_s=0)
    assert fills is not None
    assert leaks is not None
    assert (fills.growth_mib, fills.late_growth_mib) == (45.5, 0.0)
    assert (leaks.growth_mib, leaks.late_growth_mib) == (90.0, 40.0)
    assert memory_numbers(readings, warm_up_s=200) is None


def test_loads_and_phases_are_read_as_they_were_written(tmp_path: Path) -> None:
    load = Load(CALLS, cpu_s=0.5)
    write_load(tmp_path / "load", load)
    assert read_load(tmp_path / "load") == load
    phase = Phase("127.0.0.1:1", 2.0, 1_000, 0, 3.5, 0.3, ("phở",), ("a", "b"), 0.25, 7)
    write_phase(tmp_path / "phase", phase)
    assert read_phase(tmp_path / "phase") == phase


def test_report_has_no_number_where_nothing_was_measured() -> None:
    numbers = load_numbers(Load(CALLS[:1], 0.001), 1.0, 1_000, 200)
    report = LoadReport(
        created_at="2026-01-01T00:00:00+00:00",
        machine=Machine("cpu", 2, 24.0, "Linux", "3.11"),
        versions={},
        settings={"users": 4, "load": 2.0, "repeated_share": 0.3, "deadline_ms": 1_000, "server_timed_share": 0.25},
        phases={"closed loop": PhaseReport(numbers, None, (), CALLS)},
    )
    document = json.loads(load_json(report))
    assert document["phases"]["closed loop"]["numbers"]["rejected"]["p50_ms"] is None
    page = load_html(report)
    assert "useful replies/s" in page
    assert "25% of the calls only the server keeps" in page
