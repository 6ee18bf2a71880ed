"""Which searches belong to which arm of an experiment, and which are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from iterqr_training.errors import SettingError

CONTROL = "control"
TREATMENT = "treatment"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the experiment does not count.

    Args:
        searches_without_client: Nobody knows which user's they are.
        searches_outside: Of no experiment, or of another one.
        clients_in_several_arms: The split was changed while they searched.
        searches_of_those: Of the clients in several arms.
    """

    searches_without_client: int
    searches_outside: int
    clients_in_several_arms: int
    searches_of_those: int


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """The searches of an experiment by arm, rows of `QUERY_OUTCOMES`; every client is in one arm."""

    experiment: str
    searches: Mapping[str, pa.Table]
    left_out: LeftOut


def split_arms(searches: pa.Table, experiment: str | None = None) -> Arms:
    """Splits searches into arms.

    Args:
        searches: Rows of `QUERY_OUTCOMES`.
        experiment: Its name; None for the only one there is.

    Raises:
        SettingError: There is no such experiment, or several and none was named, or control or treatment is missing.
    """
    known = searches.filter(pc.not_equal(searches["client_id"], ""))
    in_arm = known.filter(pc.and_(pc.not_equal(known["experiment"], ""), pc.not_equal(known["bucket"], "")))
    name = _experiment(in_arm, experiment)
    mine = in_arm.filter(pc.equal(in_arm["experiment"], name))
    arms_of = mine.group_by("client_id").aggregate([("bucket", "count_distinct")])
    several = arms_of.filter(pc.greater(arms_of["bucket_count_distinct"], 1))["client_id"]
    single = mine.filter(pc.invert(pc.is_in(mine["client_id"], several.combine_chunks())))
    found = sorted(single["bucket"].unique().to_pylist())
    for arm in (CONTROL, TREATMENT):
        if arm not in found:
            raise SettingError(
                f"experiment {name!r}: no searches in its arm {arm!r}, only in {', '.join(found) or '-'}"
            )
    return Arms(
        name,
        MappingProxyType({arm: single.filter(pc.equal(single["bucket"], arm)) for arm in found}),
        LeftOut(
            searches_without_client=searches.num_rows - known.num_rows,
            searches_outside=known.num_rows - mine.num_rows,
            clients_in_several_arms=len(several),
            searches_of_those=mine.num_rows - single.num_rows,
        ),
    )


def _experiment(searches: pa.Table, wanted: str | None) -> str:
    found = sorted(searches["experiment"].unique().to_pylist())
    if not found:
        raise SettingError("query_outcomes: no search has a client, an experiment and a bucket")
    if wanted is None and len(found) > 1:
        raise SettingError(f"experiment: name one of {', '.join(found)}")
    if wanted is not None and wanted not in found:
        raise SettingError(f"experiment: there is no {wanted!r}, only {', '.join(found)}")
    return wanted if wanted is not None else str(found[0])
