"""What a training run says of itself: its base, its prompt template, what it gave; and whether that is what is at hand.

`run.json` lies beside the adapter's or weights' folder, or in it. An adapter from elsewhere has only the name of its
base, in PEFT's adapter_config.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import ExportError

RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Base:
    """A base model: name and digest."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What run.json says. Digests are None where it does not say them."""

    file: Path
    base: Base
    template_name: str | None
    template_sha256: str | None
    datasheet_sha256: str | None
    result_sha256: str | None


def find_run(folder: Path) -> TrainingRun | None:
    """Returns the run that made `folder`, if its run.json is there.

    Raises:
        ExportError: It is damaged, or the run is not finished.
    """
    for path in (folder / RUN_FILE, folder.parent / RUN_FILE):
        if path.is_file():
            return _read(path, folder.name)
    return None


def _read(path: Path, result: str) -> TrainingRun:
    try:
        record: Any = json.loads(path.read_text("utf-8"))
        if (status := record.get("status", "finished")) != "finished":
            raise ExportError(f"{path}: the run is {status}, not finished")
        base, template = record["base_model"], record.get("prompt_template") or {}
        given = (record.get("result") or {}).get(result) or {}
        return TrainingRun(
            file=path,
            base=Base(str(base["name"]), str(base["sha256"])),
            template_name=template.get("name"),
            template_sha256=template.get("sha256"),
            datasheet_sha256=((record.get("dataset") or {}).get("sha256") or {}).get("datasheet"),
            result_sha256=given.get("sha256"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path}: base_model must have name and sha256: {error!r}") from error


def check_base(run: TrainingRun | None, peft_name: str, given: Base, folder: Path) -> None:
    """Digests decide where a run tells one, else names without the path before them, in lower case.

    Raises:
        ExportError: The weights were trained on another base, or do not say on which.
    """
    if run is not None:
        if run.base.sha256 != given.sha256:
            raise ExportError(
                f"{folder} was trained on {run.base.name} (SHA-256 {run.base.sha256}), --base is {given.name} "
                f"(SHA-256 {given.sha256}): give the base it was trained on"
            )
        return
    if not peft_name:
        raise ExportError(f"{folder} does not say which base it was trained on: there is no {RUN_FILE} beside it")
    if _plain(peft_name) != _plain(given.name):
        raise ExportError(
            f"{folder} was trained on {peft_name}, --base is {given.name} (SHA-256 {given.sha256}): give the base it "
            "was trained on"
        )


def check_trained(run: TrainingRun | None, sha256: str, file: Path) -> None:
    """Raises ExportError if the file is not the one that the run wrote."""
    if run is not None and run.result_sha256 not in (None, sha256):
        raise ExportError(f"{file}: SHA-256 is {sha256}, by {run.file} it must be {run.result_sha256}")


def check_data(run: TrainingRun | None, datasheet_sha256: str | None) -> None:
    """Raises ExportError if the datasheet is not of the data that the run learned from."""
    if run is None or None in (run.datasheet_sha256, datasheet_sha256) or run.datasheet_sha256 == datasheet_sha256:
        return
    raise ExportError(
        f"--datasheet: SHA-256 is {datasheet_sha256}, by {run.file} it was trained on that of {run.datasheet_sha256}"
    )


def _plain(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()
