"""The loop's report as data, read from what the stages wrote: everything that page and JSON show."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError
from iterqr_training.evaluate.evaluated import Example
from iterqr_training.experiments.estimate import UNDEFINED, Estimate
from iterqr_training.loop.command_lines import CANDIDATE, UNTUNED
from iterqr_training.loop.folders import IterationFolder, LoopFolder
from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.machine import planned
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.stage import Stage
from iterqr_training.machine import Machine, this_machine

TOLD_BANDS = ("tail", "all")
TOLD_MEASURES = (
    *("rewrite_p1", "rewrite_p5", "rewrite_p10", "result_p10", "harm_rate"),
    *("empty_rate", "drift", "novelty", "latency_ms", "tokens_per_rewrite"),
)


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One system on the held-out queries of a band. `values` by measure (`TOLD_MEASURES`); others are undefined."""

    name: str
    identity: str
    band: str
    queries: int
    values: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Variety:
    """How varied a system's rewrites are; see `text_variety`."""

    name: str
    distinct_1: float
    distinct_2: float
    self_bleu: float


@dataclass(frozen=True, slots=True)
class MetricLift:
    """What the serving checkpoint earned in one metric: relative lift over control. Undefined if not measured."""

    metric: str
    label: str
    unpaired: Estimate
    paired: Estimate


@dataclass(frozen=True, slots=True)
class GateWords:
    """What one gate said."""

    name: str
    state: str
    sentence: str


@dataclass(frozen=True, slots=True)
class IterationReport:
    """One iteration, as far as it has come. `verdict` is "promoted", "refused", "measured" or "not ended".

    `served` had the traffic, `served_name` says which that is; `made` is the checkpoint that it made, "" if none was.
    """

    number: int
    verdict: str
    refusal: str
    served: str
    served_name: str
    made: str
    searches: int
    problem: str
    rows: Mapping[str, int]
    lifts: tuple[MetricLift, ...]
    systems: tuple[SystemRow, ...]
    variety: tuple[Variety, ...]
    gates: tuple[GateWords, ...]
    alarms: tuple[str, ...]
    won: tuple[Example, ...]
    lost: tuple[Example, ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LoopReport:
    """All iterations that have begun, in order. `settings`: what the loop and its traffic were told."""

    created_at: str
    machine: Machine
    settings: Mapping[str, Any]
    planned_iterations: int
    iterations: tuple[IterationReport, ...]


def read_loop_report(settings: LoopSettings, traffic: Mapping[str, Any], log: LoopLog) -> LoopReport:
    """Reads what there is. `traffic`: the settings of whoever has users.

    Raises:
        StoreError: A file of a stage that is done cannot be read.
    """
    folder = LoopFolder(settings.folder)
    begun = [number for number, _ in planned(settings.iterations) if log.find(number, Stage.SERVE) is not None]
    return LoopReport(
        datetime.now(UTC).isoformat(timespec="seconds"),
        this_machine(),
        {
            "canary_percent": settings.canary_percent,
            "flags": {command: list(flags) for command, flags in settings.flags.items()},
            "limits": asdict(settings.limits),
            "traffic": dict(traffic),
        },
        settings.iterations,
        tuple(_iteration(folder.iteration(number), number, settings.iterations, log) for number in begun),
    )


def _iteration(own: IterationFolder, number: int, iterations: int, log: LoopLog) -> IterationReport:
    def facts(stage: Stage) -> Mapping[str, Any]:
        done = log.find(number, stage)
        return {} if done is None else done.outcome.facts

    evaluation = _document(own.evaluation_json) if log.find(number, Stage.EVALUATE) is not None else {"systems": []}
    gate = _document(own.gate) if log.find(number, Stage.GATE) is not None else {"gates": []}
    candidate = next((each for each in evaluation["systems"] if each["name"] == CANDIDATE), None)
    details = {"won": [], "lost": []} if candidate is None else candidate["details"]
    refusal = log.refusal(number)
    return IterationReport(
        number=number,
        verdict=_verdict(log, number, iterations, refusal),
        refusal=refusal,
        served=str(facts(Stage.SERVE).get("champion", "")),
        served_name=_name_of(log, str(facts(Stage.SERVE).get("champion", "")), number),
        made=str(facts(Stage.SEAL).get("checkpoint", "")),
        searches=int(facts(Stage.TRAFFIC).get("searches", 0)),
        problem=str(facts(Stage.EXPERIMENT).get("problem", "")),
        rows=dict(facts(Stage.DATASET).get("rows", {})),
        lifts=_lifts(own.experiment / "experiment.json"),
        systems=tuple(_system(each, band) for band in TOLD_BANDS for each in evaluation["systems"]),
        variety=tuple(_variety(each) for each in evaluation["systems"] if each["variety"]["texts"]),
        gates=tuple(GateWords(each["name"], each["state"], each["sentence"]) for each in gate["gates"]),
        alarms=tuple(facts(Stage.HEALTH).get("alarms", ())),
        won=tuple(_changed(each) for each in details["won"]),
        lost=tuple(_changed(each) for each in details["lost"]),
        seconds={stage.value: done.seconds for stage in Stage if (done := log.find(number, stage)) is not None},
    )


def _verdict(log: LoopLog, number: int, iterations: int, refusal: str) -> str:
    if refusal:
        return "refused"
    if log.find(number, Stage.PROMOTE) is not None:
        return "promoted"
    if number > iterations and log.find(number, Stage.EXPERIMENT) is not None:
        return "measured"
    return "not ended"


def _name_of(log: LoopLog, checkpoint: str, number: int) -> str:
    for each in range(1, number):
        done = log.find(each, Stage.PROMOTE)
        if done is not None and done.outcome.facts["champion"] == checkpoint:
            return f"iteration {each}"
    return UNTUNED


def _system(told: Mapping[str, Any], band: str) -> SystemRow:
    found = told["bands"][band]
    values = {name: estimate(found["values"].get(name)) for name in TOLD_MEASURES}
    return SystemRow(told["name"], told["identity"], band, int(found["queries"]), values)


def _variety(told: Mapping[str, Any]) -> Variety:
    names = ("distinct_1", "distinct_2", "self_bleu")
    return Variety(told["name"], *(_number(told["variety"][name]) for name in names))


def _changed(told: Mapping[str, Any]) -> Example:
    return Example(**{**told, "rewrites": tuple(told["rewrites"])})


def _lifts(file: Path) -> tuple[MetricLift, ...]:
    """By metric of the experiment; none if it could not be analysed."""
    if not file.is_file():
        return ()
    document = _document(file)
    paired: Sequence[Mapping[str, Any]] = (document["paired"] or {"comparisons": []})["comparisons"]
    replayed = {each["metric"]["name"]: estimate(each["lift"]) for each in paired}
    return tuple(
        MetricLift(
            each["metric"]["name"],
            each["metric"]["label"],
            estimate(each["lift"]),
            replayed.get(each["metric"]["name"], UNDEFINED),
        )
        for each in document["comparisons"]
    )


def estimate(told: Mapping[str, Any] | None) -> Estimate:
    """Reads an estimate of a report; null is NaN."""
    return UNDEFINED if told is None else Estimate(*(_number(told[name]) for name in ("value", "low", "high")))


def _number(value: Any) -> float:  # noqa: ANN401 - JSON
    return math.nan if value is None else float(value)


def _document(file: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
