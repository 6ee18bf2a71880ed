"""What each user did in all: the only form in which experiments see data, because users were randomised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]


class Column(IntEnum):
    """Columns of the sums."""

    USERS = 0  # 1 for each user
    BUYERS = 1  # 1 if the user ordered, else 0
    SEARCHES = 2
    PAGES = 3
    ORDERS = 4
    VALUE = 5


@dataclass(frozen=True, slots=True, eq=False)
class UserSums:
    """Sums by user.

    Args:
        client_ids: Distinct, in ascending order; shape (users,).
        sums: Shape (users, len(Column)), not negative.
    """

    client_ids: npt.NDArray[np.str_]
    sums: Floats

    def __len__(self) -> int:
        """The number of users."""
        return len(self.client_ids)

    def column(self, column: Column) -> Floats:
        """One column, shape (users,)."""
        return self.sums[:, column]

    def total(self, column: Column) -> float:
        """A column added up over the users."""
        return float(self.sums[:, column].sum())

    def take(self, rows: npt.NDArray[np.intp]) -> UserSums:
        """The users at these rows, in this order."""
        return UserSums(self.client_ids[rows], self.sums[rows])


def sum_by_user(searches: pa.Table) -> UserSums:
    """Adds up searches by client.

    Args:
        searches: Rows of `QUERY_OUTCOMES`, each with a client id.
    """
    # One thread: the order of adding floats, and so their last digits, is then that of the rows.
    grouped = searches.group_by("client_id", use_threads=False).aggregate(
        [("query_id", "count"), ("pages", "sum"), ("orders", "sum"), ("value", "sum")]
    )
    grouped = grouped.sort_by("client_id")
    sums = np.zeros((grouped.num_rows, len(Column)))
    sums[:, Column.USERS] = 1
    for column, name in (
        (Column.SEARCHES, "query_id_count"),
        (Column.PAGES, "pages_sum"),
        (Column.ORDERS, "orders_sum"),
        (Column.VALUE, "value_sum"),
    ):
        sums[:, column] = grouped[name].fill_null(0).to_numpy()
    sums[:, Column.BUYERS] = sums[:, Column.ORDERS] > 0
    return UserSums(np.asarray(grouped["client_id"].to_pylist(), dtype=np.str_), sums)
