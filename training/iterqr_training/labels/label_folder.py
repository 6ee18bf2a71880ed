"""A folder of labels: labels.jsonl, chains.jsonl, and labels.json, which describes them and names their digests.

labels.json goes first when they are written again, and comes last: a folder without it is not whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError
from iterqr_training.files import write_text
from iterqr_training.labels.chains import Chain, Key, chain_lines, read_chains
from iterqr_training.labels.label_files import label_line, read_labels
from iterqr_training.labels.records import Label

SCHEMA = "iterqr-labels/v1"
LABELS, CHAINS, ABOUT = "labels.jsonl", "chains.jsonl", "labels.json"


@dataclass(frozen=True, slots=True)
class LabelFolder:
    """What was written. `digest` is of labels.json, and so of all; `failed_checks` are words."""

    path: Path
    iteration: int
    is_upper_bound: bool
    failed_checks: tuple[str, ...]
    labels: tuple[Label, ...]
    chains: Mapping[Key, Chain]
    digest: str


def write_label_folder(
    folder: Path, labels: tuple[Label, ...], chains: Mapping[Key, Chain], about: Mapping[str, Any]
) -> None:
    """Writes the folder; `about` becomes labels.json, with the schema and the digests of the files.

    Raises:
        StoreError: It cannot be written.
    """
    texts = {LABELS: "".join(label_line(each) + "\n" for each in labels), CHAINS: chain_lines(chains.values())}
    files = {
        name: {"sha256": hashlib.sha256(text.encode()).hexdigest(), "rows": text.count("\n")}
        for name, text in texts.items()
    }
    texts[ABOUT] = json.dumps({"schema": SCHEMA, **about, "files": files}, indent=2, ensure_ascii=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)
        for name, text in texts.items():
            write_text(folder / name, text)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error


def read_label_folder(folder: Path) -> LabelFolder:
    """Reads the folder and checks the digests.

    Raises:
        StoreError: It is not whole, of another version, or a file is not the one that labels.json names.
        LabelFileError: A line breaks its format.
    """
    try:
        raw = (folder / ABOUT).read_bytes()
        about = json.loads(raw)
        if about["schema"] != SCHEMA:
            raise StoreError(f"{folder / ABOUT} is of version {about['schema']!r}, and this reads {SCHEMA!r}")
        for name in (LABELS, CHAINS):
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != about["files"][name]["sha256"]:
                raise StoreError(f"{folder / name} is not the file that {ABOUT} names: its digest is another")
        failed = tuple(each["words"] for each in about["checks"] if each["passed"] is False)
        iteration, is_upper_bound = int(about["iteration"]), bool(about["is_upper_bound"])
    except FileNotFoundError as error:
        raise StoreError(f"{folder} has no whole labels; `iterqr-train label` writes them") from error
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / ABOUT} is damaged: {error!r}") from error
    return LabelFolder(
        folder,
        iteration,
        is_upper_bound,
        failed,
        read_labels(folder / LABELS),
        read_chains(folder / CHAINS),
        hashlib.sha256(raw).hexdigest(),
    )
