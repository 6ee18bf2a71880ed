"""The metrics of an experiment: ratios of two sums over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iterqr_training.experiments.user_sums import Column, Floats, UserSums


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio of two sums over users.

    Args:
        name: In JSON.
        label: For people.
    """

    name: str
    label: str
    numerator: Column
    denominator: Column


ORDERS_PER_VISITOR = Metric(
    "orders_per_visitor", "orders per visitor (order volume, UV CXR)", Column.ORDERS, Column.USERS
)
BUYERS_PER_VISITOR = Metric("buyers_per_visitor", "visitors with an order (UV CXR)", Column.BUYERS, Column.USERS)
ORDERS_PER_QUERY = Metric("orders_per_query", "orders per query (QV CXR)", Column.ORDERS, Column.SEARCHES)
ORDERS_PER_PAGE = Metric("orders_per_page", "orders per page view (PV CXR)", Column.ORDERS, Column.PAGES)
VALUE_PER_VISITOR = Metric("value_per_visitor", "value of orders per visitor", Column.VALUE, Column.USERS)

# The first decides; the others explain it. Who picks the best of five afterwards finds one too often.
PRIMARY = ORDERS_PER_VISITOR
METRICS = (PRIMARY, BUYERS_PER_VISITOR, ORDERS_PER_QUERY, ORDERS_PER_PAGE, VALUE_PER_VISITOR)


def ratio(users: UserSums, metric: Metric) -> float:
    """The metric over these users; NaN if its denominator is 0."""
    denominator = users.total(metric.denominator)
    return users.total(metric.numerator) / denominator if denominator else float("nan")


def ratios(sums: Floats, metric: Metric) -> Floats:
    """The metric of each row of totals, shape (rows, len(Column)); NaN where the denominator is 0."""
    numerator, denominator = sums[:, metric.numerator], sums[:, metric.denominator]
    found: Floats = np.divide(numerator, denominator, out=np.full(len(sums), np.nan), where=denominator != 0)
    return found


def linearised(users: UserSums, metric: Metric) -> Floats:
    """One value a user, whose mean is the ratio, and whose variance over n is the ratio's (delta method).

    Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics" (KDD 2018); as a metric of its own, Budylin
    et al., "Consistent Transformation of Ratio Metrics for Efficient Online Controlled Experiments" (WSDM 2018).

    Returns:
        Shape (users,); all NaN if the denominator is 0.
    """
    value = ratio(users, metric)
    if np.isnan(value):
        return np.full(len(users), np.nan)
    numerator, denominator = users.column(metric.numerator), users.column(metric.denominator)
    return np.asarray(value + (numerator - value * denominator) / denominator.mean(), dtype=np.float64)
