"""What a checkpoint must reach: bounds of the gates, read from TOML.

[gates]
max_harm_rate = 0.03
required = ["harm_rate", "diversity", "forgetting"]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError, StoreError

GATES = (
    "rewrite_precision",
    "gain",
    "result_precision",
    "harm_rate",
    "head_harm_rate",
    "drift",
    "judged_drift",
    "empty_results",
    "diversity",
    "coverage",
    "format",
    "failures",
    "latency",
    "forgetting",
    "label_agreement",
)
"""Names of all gates, in the order they are told."""
_DEFAULT_REQUIRED = ("rewrite_precision", "gain", "harm_rate", "diversity", "coverage", "format", "failures", "latency")
# Bounds that are no share of something, with the least and most they may be.
_LIMITS = {
    "min_gain": (-1.0, 1.0),
    "max_drift": (0.0, 2.0),
    "max_drift_rise": (0.0, 2.0),
    "max_perplexity_ratio": (1.0, 100.0),
    "max_latency_ratio": (0.01, 100.0),
    "min_kappa": (-1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Bounds. Shares are 0 to 1; a candidate at its bound passes.

    Args:
        band: Of the queries on which rewrites' P@5 is compared; "all" for all of them.
        precision_margin: How far below 0 the paired interval of rewrites' P@5 may reach.
        min_gain: Of rewrites' P@5 over the champion, in the mean.
        result_margin: How far below 0 the paired interval of results' P@10 may reach.
        max_harm_rate: Share of all queries whose results get worse than plain search.
        max_head_harm_rate: The same of head queries.
        max_drift: Mean embedding distance of query and rewrite.
        max_drift_rise: How much the low end of its paired interval may lie above the champion's.
        max_judged_drift: Share of rewrites that lose the need, as the judge says.
        max_empty_rate: Share of queries without results.
        min_unique_share: Distinct rewrites among all.
        max_top_share: Share of queries that get one and the same rewrite.
        min_distinct_2: Distinct pairs of words among as many as `distinct` draws.
        max_self_bleu: Likeness of first rewrites of different queries.
        min_coverage: Share of queries with a rewrite.
        min_well_formed: Share of answers in the format.
        max_failure_rate: Share of queries without an answer.
        max_latency_ratio: 95th percentile over the champion's, or that of the baseline if there is one.
        max_perplexity_ratio: On general text, over the champion's.
        min_kappa: Agreement of labels, as the datasheet says.
        required: Gates that must be measured; another that is not is only told.
    """

    band: str = Band.TAIL.value
    precision_margin: float = 0.05
    min_gain: float = 0.0
    result_margin: float = 0.02
    max_harm_rate: float = 0.05
    max_head_harm_rate: float = 0.05
    max_drift: float = 0.6
    max_drift_rise: float = 0.05
    max_judged_drift: float = 0.5
    max_empty_rate: float = 0.1
    min_unique_share: float = 0.2
    max_top_share: float = 0.2
    min_distinct_2: float = 0.25
    max_self_bleu: float = 0.9
    min_coverage: float = 0.2
    min_well_formed: float = 0.98
    max_failure_rate: float = 0.01
    max_latency_ratio: float = 1.25
    max_perplexity_ratio: float = 1.15
    min_kappa: float = 0.4
    required: tuple[str, ...] = _DEFAULT_REQUIRED

    def __post_init__(self) -> None:
        if self.band != "all" and self.band not in set(Band):
            raise SettingError(f"gates.band: must be all, {', '.join(Band)}, not {self.band!r}")
        for each in fields(self):
            if each.name in ("band", "required"):
                continue
            low, high = _LIMITS.get(each.name, (0.0, 1.0))
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise SettingError(f"gates.{each.name}: must be a number from {low:g} to {high:g}, not {value!r}")
        if unknown := [name for name in self.required if name not in GATES]:
            raise SettingError(f"gates.required: unknown gate {unknown[0]!r}; known are {', '.join(GATES)}")


def read_gate_settings(file: Path) -> GateSettings:
    """Reads the table `gates`; members that it lacks have their defaults.

    Raises:
        StoreError: The file cannot be read.
        SettingError: A member is unknown or out of its limits.
    """
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    table: Any = document.get("gates", {})
    if document.keys() - {"gates"} or not isinstance(table, dict):
        raise SettingError(f"{file}: must have the one table [gates]")
    if unknown := sorted(table.keys() - {each.name for each in fields(GateSettings)}):
        raise SettingError(f"{file}: gates.{unknown[0]} is unknown")
    required = table.get("required", list(_DEFAULT_REQUIRED))
    if not isinstance(required, list) or not all(isinstance(each, str) for each in required):
        raise SettingError(f"{file}: gates.required: must be a list of names of gates")
    return GateSettings(**{**table, "required": tuple(required)})
