"""What a step costs: the curve, how it is measured, and how it follows the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.engine.cost_curve import CostCorrection, CostCurve, CostPoint, calibrate, calibration_sizes, monotone

CURVE = CostCurve((CostPoint(2, 20.0), CostPoint(4, 24.0), CostPoint(8, 40.0)))


@pytest.mark.parametrize(
    ("rows", "ms"), [(0, 0.0), (1, 20.0), (2, 20.0), (3, 22.0), (4, 24.0), (5, 28.0), (8, 40.0), (10, 48.0)]
)
def test_points_are_joined_by_lines_and_the_last_goes_on(rows: int, ms: float) -> None:
    assert CURVE.ms(rows) == ms


def test_more_rows_cost_the_difference() -> None:
    assert CURVE.marginal_ms(0, 2) == 20.0
    assert CURVE.marginal_ms(2, 1) == 2.0
    assert CURVE.marginal_ms(3, 5) == 18.0
    assert CURVE.row_ms == pytest.approx(20 / 6)


def test_a_flat_last_line_does_not_make_rows_free() -> None:
    curve = CostCurve((CostPoint(2, 10.0), CostPoint(4, 30.0), CostPoint(12, 30.0)))
    assert curve.ms(13) == 32.0


def test_one_point_is_a_price_a_row() -> None:
    curve = CostCurve((CostPoint(2, 10.0),))
    assert [curve.ms(1), curve.ms(2), curve.ms(4)] == [10.0, 10.0, 20.0]


@pytest.mark.parametrize(
    "points",
    [(), (CostPoint(0, 1.0),), (CostPoint(2, 0.0),), (CostPoint(2, 2.0), CostPoint(4, 1.9)), (CostPoint(2, 1.0),) * 2],
)
def test_what_is_no_curve_is_refused(points: tuple[CostPoint, ...]) -> None:
    with pytest.raises(ValueError, match="points"):
        CostCurve(points)


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=8), st.integers(0, 600), st.integers(0, 600))
def test_more_rows_are_never_cheaper(measured: list[float], rows: int, more: int) -> None:
    curve = CostCurve(monotone([CostPoint(2 << index, ms) for index, ms in enumerate(measured)]))
    assert curve.marginal_ms(rows, more) >= -1e-9


def test_violators_share_their_mean() -> None:
    points = [CostPoint(2, 5.0), CostPoint(4, 4.0), CostPoint(8, 3.0), CostPoint(16, 9.0)]
    assert [point.ms for point in monotone(points)] == [4.0, 4.0, 4.0, 9.0]


@pytest.mark.parametrize(
    ("max_step_rows", "sizes"),
    [(2, (2,)), (3, (2, 3)), (16, (2, 4, 8, 16)), (64, (2, 4, 8, 16, 32, 64)), (100, (2, 4, 8, 16, 32, 64, 100))],
)
def test_sizes_end_at_the_largest_step(max_step_rows: int, sizes: tuple[int, ...]) -> None:
    assert calibration_sizes(max_step_rows) == sizes


class Machine:
    """A step takes base plus rows; the first of each size takes twice as long."""

    def __init__(self, base_s: float, row_s: float) -> None:
        self.base_s = base_s
        self.row_s = row_s
        self.rows: list[int] = []
        self.spent_s = 0.0

    def run(self, rows: int) -> float:
        warm_up = 1 if rows in self.rows else 2
        self.rows.append(rows)
        seconds = (self.base_s + rows * self.row_s) * warm_up
        self.spent_s += seconds
        return seconds


def test_calibration_finds_the_costs_without_warm_ups() -> None:
    machine = Machine(0.004, 0.0005)
    curve = calibrate(machine.run, 64)
    assert [point.rows for point in curve.points] == [2, 4, 8, 16, 32, 64]
    assert [curve.ms(rows) for rows in (2, 8, 64)] == pytest.approx([5.0, 8.0, 36.0])
    assert machine.rows.count(2) == 6


def test_calibration_takes_the_median() -> None:
    runs = iter([9.0, 0.010, 0.500, 0.012, 0.011, 0.013])
    assert calibrate(lambda _rows: next(runs), 2, budget_s=100).points == (CostPoint(2, 12.0),)


@given(st.floats(0.0001, 0.1), st.floats(0.0001, 0.02), st.integers(2, 128))
def test_calibration_keeps_to_its_budget(base_s: float, row_s: float, max_step_rows: int) -> None:
    machine = Machine(base_s, row_s)
    calibrate(machine.run, max_step_rows, budget_s=1.5)
    longest_s = machine.base_s + max(machine.rows) * machine.row_s
    assert machine.spent_s <= 1.5 + 3 * longest_s


def test_a_slow_machine_gets_a_shorter_curve() -> None:
    machine = Machine(1.0, 0.01)
    curve = calibrate(machine.run, 64)
    assert [point.rows for point in curve.points] == [2, 4]
    assert curve.ms(64) > curve.ms(4)
    assert len(machine.rows) == 4


def test_the_correction_follows_the_machine() -> None:
    correction = CostCorrection()
    assert correction.factor == 1.0
    correction.observe(predicted_ms=20.0, measured_ms=40.0)
    assert correction.factor == pytest.approx(1.05)
    for _ in range(200):
        correction.observe(predicted_ms=20.0, measured_ms=40.0)
    assert correction.factor == pytest.approx(2.0, rel=1e-3)
    for _ in range(200):
        correction.observe(predicted_ms=20.0, measured_ms=20.0)
    assert correction.factor == pytest.approx(1.0, rel=1e-3)


def test_one_pause_counts_for_little_and_the_factor_is_bounded() -> None:
    correction = CostCorrection()
    correction.observe(predicted_ms=20.0, measured_ms=60_000.0)
    assert correction.factor == pytest.approx(1.35)
    for _ in range(500):
        correction.observe(predicted_ms=20.0, measured_ms=60_000.0)
    assert correction.factor == pytest.approx(CostCorrection.HIGHEST, rel=1e-3)
    for _ in range(500):
        correction.observe(predicted_ms=20.0, measured_ms=0.0)
    assert correction.factor == pytest.approx(CostCorrection.LOWEST, rel=1e-3)


def test_long_steps_count_for_more() -> None:
    correction = CostCorrection()
    for _ in range(300):
        correction.observe(predicted_ms=10.0, measured_ms=10.0)
        correction.observe(predicted_ms=190.0, measured_ms=380.0)
    assert correction.factor == pytest.approx(390 / 200, rel=0.01)
