"""The folder that the builder writes and a backend loads.

It holds model.onnx, model.onnx.data, tokenizer.json, model.json, and output_ids.npy where the output vocabulary is not
the full one.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iterqr_server.models.architecture import Architecture
from iterqr_server.models.errors import BuiltModelError
from iterqr_server.models.output_vocabulary import OutputVocabulary
from iterqr_server.models.quantization import Quantization

GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
TOKENIZER_FILE = "tokenizer.json"
OUTPUT_IDS_FILE = "output_ids.npy"
METADATA_FILE = "model.json"
LAYOUT_VERSION = 3  # of graph inputs and outputs and of these files; part of the folder's key


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A built model on disk.

    `model_id` changes whenever the model's outputs may change: it is the folder's key, made of source digest,
    quantization, output vocabulary and layout.
    """

    folder: Path
    model_id: str
    source_name: str
    source_sha256: str
    architecture: Architecture
    quantization: Quantization
    output_vocabulary: OutputVocabulary = "full"

    @property
    def graph_path(self) -> Path:
        """The ONNX graph; its weights lie beside it."""
        return self.folder / GRAPH_FILE

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer, as the `tokenizers` library reads it."""
        return self.folder / TOKENIZER_FILE

    def output_ids(self) -> NDArray[np.int64] | None:
        """Reads which token each column of the logits stands for, ascending; None: column i stands for token i."""
        if self.output_vocabulary == "full":
            return None
        ids: NDArray[np.int64] = np.load(self.folder / OUTPUT_IDS_FILE)
        return ids


def write_metadata(model: BuiltModel) -> None:
    """Writes model.json into the model's folder."""
    data = {
        "layout_version": LAYOUT_VERSION,
        "model_id": model.model_id,
        "source_name": model.source_name,
        "source_sha256": model.source_sha256,
        "architecture": dataclasses.asdict(model.architecture),
        "quantization": dataclasses.asdict(model.quantization),
        "output_vocabulary": model.output_vocabulary,
    }
    (model.folder / METADATA_FILE).write_text(json.dumps(data, indent=2) + "\n", "utf-8")


def read_built_model(folder: Path) -> BuiltModel:
    """Reads a built model's metadata and checks that its files are there.

    Raises:
        BuiltModelError: something is missing or of another layout version.
    """
    path = folder / METADATA_FILE
    try:
        data = json.loads(path.read_text("utf-8"))
        version = data["layout_version"]
        if version != LAYOUT_VERSION:
            raise BuiltModelError(f"{path}: layout_version is {version}; this version reads {LAYOUT_VERSION}")
        model = BuiltModel(
            folder=folder,
            model_id=data["model_id"],
            source_name=data["source_name"],
            source_sha256=data["source_sha256"],
            architecture=Architecture(**data["architecture"]),
            quantization=Quantization.from_json(data["quantization"]),
            output_vocabulary=data["output_vocabulary"],
        )
    except FileNotFoundError as error:
        raise BuiltModelError(f"{folder}: is not a built model: {METADATA_FILE} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BuiltModelError(f"{path}: is not readable: {error!r}") from error
    extra = () if model.output_vocabulary == "full" else (OUTPUT_IDS_FILE,)
    for name in (GRAPH_FILE, DATA_FILE, TOKENIZER_FILE, *extra):
        if not (folder / name).is_file():
            raise BuiltModelError(f"{folder}: {name} is missing")
    return model
