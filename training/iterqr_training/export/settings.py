"""What to export."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from iterqr_server.models.builder import DEFAULT_QUANTIZATION, INT4_QUANTIZATION
from iterqr_server.models.output_vocabulary import OutputVocabulary
from iterqr_server.models.quantization import Quantization

from iterqr_training.errors import SettingError
from iterqr_training.export.hf_folder import Precision

OnnxKind = Literal["int4", "int8"]
QUANTIZATIONS: dict[OnnxKind, Quantization] = {"int4": INT4_QUANTIZATION, "int8": DEFAULT_QUANTIZATION}
_CHECKPOINT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """One checkpoint.

    Attributes:
        base: Known model, folder, file or hub id, as the server's `model.name`.
        out: Folder in which the checkpoint's folder is made.
        adapter: Folder of a LoRA adapter that PEFT saved; none with `weights`.
        weights: Folder of a fully tuned model; none with `adapter`. Without both, the base itself is exported.
        quantized: Folder that ModelOpt made of an earlier export of the same weights.
        checkpoint_id: Its name; made of the base's name and a digest of all inputs where it is not given.
        parent: Id of the checkpoint it was trained from.
        template: Path of the prompt template it was trained for, or the name of one that comes with the package; what
            its run.json names where it is not given.
        onnx: Kind of the ONNX artifact, or none.
        precision: Of the Hugging Face folder; the ONNX artifact is built of the merged float32 weights.
        output_vocabulary: Of the ONNX artifact.
        policy: JSON file with the policy document.
        gate_report: JSON file.
        datasheet: datasheet.json of the data it was trained on.
        serving_check: Whether the built model must answer a query before the checkpoint is there.
    """

    base: str
    out: Path
    adapter: Path | None = None
    weights: Path | None = None
    quantized: Path | None = None
    checkpoint_id: str | None = None
    parent: str | None = None
    template: str | None = None
    onnx: OnnxKind | None = "int8"
    precision: Precision = "bfloat16"
    output_vocabulary: OutputVocabulary = "full"
    policy: Path | None = None
    gate_report: Path | None = None
    datasheet: Path | None = None
    serving_check: bool = True

    def __post_init__(self) -> None:
        if self.adapter is not None and self.weights is not None:
            raise SettingError("--adapter and --weights: at most one can be given")
        check_ids(self.checkpoint_id, self.parent)
        for name, folder in (
            ("--adapter", self.adapter),
            ("--weights", self.weights),
            ("--quantized", self.quantized),
        ):
            if folder is not None and not folder.is_dir():
                raise SettingError(f"{name} {folder} is no folder")
        for name, file in (
            ("--policy", self.policy),
            ("--gate-report", self.gate_report),
            ("--datasheet", self.datasheet),
        ):
            if file is not None and not file.is_file():
                raise SettingError(f"{name} {file} is no file")


def check_ids(checkpoint_id: str | None, parent: str | None) -> None:
    """Raises SettingError if one of them is no name of a checkpoint."""
    for name, value in (("--id", checkpoint_id), ("--parent", parent)):
        if value is not None and not _CHECKPOINT_ID.fullmatch(value):
            raise SettingError(f"{name} is {value!r}, it must be 1 to 128 letters, digits, '.', '_' or '-'")
