"""Numbers on which engines differ unless they are asked carefully."""

from __future__ import annotations

from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_training.signals.attribution.exact import millionths, quotient
from iterqr_training.signals.engines import Engine
from iterqr_training.signals.tables import TableSpec

_E18 = 10**18
# Whole numbers beyond 2**53, just below and above a multiple.
DIVISIONS = [
    (0, 1),
    (1, 3),
    (7, 7),
    (10**9 * 10**9 - 1, 10**9),
    (_E18, 10**9),
    (_E18, 3 * 10**9),
    (_E18 - 1, 1_500_000_001),
    (9_007_199_254_740_993, 3),
    (999_999_937 * 999_999_929 - 1, 999_999_937),
    (999_999_937 * 999_999_929, 999_999_937),
    *((10**9 * (10**9 // rank), 1_833_333_333) for rank in range(1, 100)),
]
VALUES = [
    (None, 0),
    (0.1, 100_000),
    (12.345678, 12_345_678),
    (2.0000005, 2_000_001),
    (0.0000015, 2),
    (1e10, 10**16),
    (-3.5, -3_500_000),
    (float("nan"), 0),
    (float("inf"), 0),
    (1e300, 0),
]


def check_arithmetic(engine: Engine, folder: Path) -> None:
    """Asserts that an engine computes as Python does."""
    numbered = [(number, *pair) for number, pair in enumerate(DIVISIONS)]
    columns = dict(zip(("number", "dividend", "divisor"), map(list, zip(*numbered, strict=True)), strict=True))
    pairs = _read(engine, pa.table(columns), folder / "pairs.parquet")
    told = pairs.select("number", whole=quotient(pairs.dividend, pairs.divisor)).order_by("number")
    assert engine.collect(told)["whole"].to_pylist() == [dividend // divisor for dividend, divisor in DIVISIONS]
    prices = pa.table({"number": range(len(VALUES)), "price": pa.array([value for value, _ in VALUES], pa.float64())})
    values = _read(engine, prices, folder / "prices.parquet")
    told = values.select("number", micro=millionths(values.price)).order_by("number")
    assert engine.collect(told)["micro"].to_pylist() == [micro for _, micro in VALUES]


def _read(engine: Engine, table: pa.Table, file: Path) -> ir.Table:
    pq.write_table(table, file)
    return engine.read(TableSpec(file.stem, "", (), table.schema), [file])
