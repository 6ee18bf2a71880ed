"""Made-up searches of made-up users for tests of experiment statistics."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from iterqr_training.experiments.user_sums import Column, UserSums
from iterqr_training.signals.tables import QUERY_OUTCOMES, TableSpec

START = datetime(2026, 3, 2, tzinfo=UTC)
_DAY_US = 86_400_000_000


def make_rows(spec: TableSpec, **columns: object) -> pa.Table:
    """A table of the contract: what is not given is 0, "" or false; a single value is repeated."""
    length = max((len(each) for each in columns.values() if isinstance(each, (list, np.ndarray))), default=1)
    arrays = []
    for field in spec.schema:
        value = columns.pop(field.name, _nothing(field.type))
        values = value if isinstance(value, (list, np.ndarray)) else [value] * length
        arrays.append(pa.array(values, type=field.type))
    assert not columns, f"no such columns: {', '.join(columns)}"
    return pa.Table.from_arrays(arrays, schema=spec.schema)


def _nothing(kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return ""
    if pa.types.is_boolean(kind):
        return False
    return START if pa.types.is_timestamp(kind) else 0


def make_users(orders: npt.ArrayLike, searches: npt.ArrayLike | None = None, first: int = 0) -> UserSums:
    """Users with so many orders and searches (one page each, every order worth 10)."""
    ordered = np.asarray(orders, dtype=np.float64)
    searched = np.ones(len(ordered)) if searches is None else np.asarray(searches, dtype=np.float64)
    sums = np.zeros((len(ordered), len(Column)))
    sums[:, Column.USERS] = 1
    sums[:, Column.BUYERS] = ordered > 0
    sums[:, Column.SEARCHES] = sums[:, Column.PAGES] = searched
    sums[:, Column.ORDERS] = ordered
    sums[:, Column.VALUE] = 10 * ordered
    ids = np.array([f"u{number:07d}" for number in range(first, first + len(ordered))])
    return UserSums(ids, sums)


def draw_users(
    count: int, seed: int, *, rate: float = 0.2, first: int = 0, habit: npt.NDArray[np.float64] | None = None
) -> UserSums:
    """Users who search about 5 times and order with a probability of their own, `rate` on average.

    Args:
        count: How many.
        seed: Of the draws.
        rate: Mean of a user's probability to order after a search.
        first: Number of the first user's id.
        habit: The users' own probabilities over `rate`, of mean 1; drawn if None.
    """
    generator = np.random.default_rng(seed)
    own = draw_habit(count, generator) if habit is None else habit
    searches = 1 + generator.poisson(4, count)
    return make_users(generator.binomial(searches, np.clip(own * rate, 0, 1)), searches, first)


def draw_habit(count: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """How much likelier than others each user orders: gamma, mean 1."""
    return generator.gamma(4, 1 / 4, count)


def draw_searches(
    users: int,
    seed: int,
    *,
    days: int = 7,
    effect: float = 0.0,
    experiment: str = "rw",
    arms: tuple[str, ...] = ("control", "treatment"),
    prefix: str = "u",
    first_day: int = 0,
) -> pa.Table:
    """Searches of users who come back on some days; users take turns in the arms.

    Args:
        users: In all arms.
        seed: Of searches and orders.
        days: That the experiment runs.
        effect: Relative change of the probability to order in treatment.
        experiment: Its name.
        arms: Buckets.
        prefix: Of client ids.
        first_day: Days after `START`, may be negative.
    """
    habit = draw_habit(users, np.random.default_rng(4))  # the same users in every table
    generator = np.random.default_rng(seed)
    searches = generator.poisson(0.9, (users, days)) + (np.arange(days) == 0)
    owner, day = (np.repeat(each.ravel(), searches.ravel()) for each in np.indices((users, days)))
    count = len(owner)
    bucket = np.array(arms)[owner % len(arms)]
    lifted = np.where(bucket == "treatment", 1 + effect, 1.0)
    orders = generator.binomial(1, np.clip(0.2 * habit[owner] * lifted, 0, 1))
    rewritten = (bucket == "treatment") & (generator.random(count) < 0.6)
    level1 = orders * (rewritten & (generator.random(count) < 0.3))
    moment = generator.integers(0, _DAY_US, count) + (day + first_day) * _DAY_US + int(START.timestamp() * 1e6)
    return make_rows(
        QUERY_OUTCOMES,
        query_id=[f"{prefix}{seed}-{number}" for number in range(count)],
        timestamp=moment.astype("datetime64[us]"),
        client_id=[f"{prefix}{number:06d}" for number in owner],
        region="r1",
        normalized_query=[f"query {number}" for number in generator.zipf(1.3, count) % 500],
        experiment=experiment,
        bucket=bucket.tolist(),
        outcome=np.where(bucket == "control", "control", np.where(rewritten, "fused", "timeout")).tolist(),
        pages=1 + generator.binomial(1, 0.2, count),
        hits=10,
        rewrites=2 * rewritten,
        level1_hits=3 * rewritten,
        clicks=orders + generator.binomial(1, 0.4, count),
        level1_clicks=level1,
        orders=orders,
        level1_orders=level1,
        value=orders * (8 + 8 * generator.random(count)),
    )
