"""Integers that come out the same on every engine: billionths instead of fractions.

A sum of floats depends on the order of the rows, which an engine with many threads does not fix.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

PPB = 10**9
_MICRO = 10**6
_MAX_VALUE = 1e11


def quotient(dividend: ir.IntegerValue, divisor: ir.IntegerValue) -> ir.IntegerValue:
    """Returns the whole part of a quotient of integers, 0 or more by 1 or more; it must be below 2**51.

    Engines divide integers as floats, which is wrong beyond 2**53. Without the remainder the float is within a
    half of the whole number.
    """
    exact = dividend - dividend % divisor
    return (exact.cast("float64") / divisor.cast("float64") + 0.5).floor().cast("int64")


def total(values: ir.IntegerColumn) -> ir.IntegerScalar:
    """Returns a sum as int64, 0 of no rows: DuckDB's own is of 128 bits, and null of none."""
    return values.sum().cast("int64").fill_null(0)


def as_int(truth: ir.BooleanValue) -> ir.IntegerValue:
    """Returns 1 where it holds, else 0, also where it is null."""
    return ibis.ifelse(truth, 1, 0).cast("int64")


def millionths(value: ir.FloatingValue) -> ir.IntegerValue:
    """Returns a sum of money in millionths, half up; 0 of null and of what no price can be."""
    sane = value.abs() < _MAX_VALUE
    return ibis.ifelse(sane, (ibis.ifelse(sane, value, 0.0) * float(_MICRO) + 0.5).floor(), 0.0).cast("int64")


def from_millionths(amount: ir.IntegerValue) -> ir.FloatingValue:
    """Returns the sum of money."""
    return amount.cast("float64") / ibis.literal(float(_MICRO), "float64")
