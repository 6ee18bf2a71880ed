"""Documents of a checkpoint: how its rewrites are weighed, what it learned from, why it was let through."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_proto.policy import PolicyError, read_policy
from iterqr_server.models.cache import sha256_of

from iterqr_training.errors import ExportError

REPORTS = "reports"
GATE_FILE, DATASHEET_FILE = f"{REPORTS}/gate.json", f"{REPORTS}/datasheet.json"


@dataclass(frozen=True, slots=True)
class Documents:
    """What was given of them. `gate_report` has passed."""

    policy: Mapping[str, Any] | None = None
    gate_report: Mapping[str, Any] | None = None
    gate_file: Path | None = None
    datasheet: Mapping[str, Any] | None = None
    datasheet_file: Path | None = None

    def copy_into(self, folder: Path) -> None:
        """Puts the reports into a checkpoint's folder."""
        for given, name in ((self.gate_file, GATE_FILE), (self.datasheet_file, DATASHEET_FILE)):
            if given is not None:
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(given, folder / name)

    def gate_reference(self) -> dict[str, Any] | None:
        """What the manifest says of the gate report."""
        if self.gate_file is None or self.gate_report is None:
            return None
        told = {name: self.gate_report[name] for name in ("schema", "passed", "verdict") if name in self.gate_report}
        return {"path": GATE_FILE, "sha256": sha256_of(self.gate_file), **told}

    def data_sha256(self) -> str | None:
        """What the manifest says of the data."""
        return None if self.datasheet_file is None else sha256_of(self.datasheet_file)

    def digests(self) -> list[str | None]:
        """What tells these documents from others."""
        policy = None if self.policy is None else json.dumps(self.policy, sort_keys=True)
        gate = None if self.gate_file is None else sha256_of(self.gate_file)
        return [policy, gate, self.data_sha256()]


def read_documents(policy: Path | None, gate_report: Path | None, datasheet: Path | None) -> Documents:
    """Reads what is given and checks what can be known before the long work.

    Raises:
        ExportError: One is not JSON, the policy breaks its schema, or the gate refused the checkpoint.
    """
    weighed = None if policy is None else _read_json(policy)
    if weighed is not None:
        try:
            read_policy(weighed)
        except PolicyError as error:
            raise ExportError(f"--policy {policy}: {error}") from error
    gate = None if gate_report is None else _read_json(gate_report)
    if gate is not None and gate.get("passed") is not True:
        raise ExportError(f"--gate-report {gate_report}: the gate did not let it through: {gate.get('verdict')}")
    sheet = None if datasheet is None else _read_json(datasheet)
    return Documents(weighed, gate, gate_report, sheet, datasheet)


def documents_in(folder: Path, manifest: Mapping[str, Any]) -> Documents:
    """Returns the documents that a checkpoint's folder has.

    Raises:
        ExportError: One is damaged.
    """
    gate, sheet = (file if (file := folder / name).is_file() else None for name in (GATE_FILE, DATASHEET_FILE))
    read = read_documents(None, gate, sheet)
    return Documents(manifest.get("policy"), read.gate_report, gate, read.datasheet, sheet)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ExportError(f"{path} must be a JSON object")
    return data
