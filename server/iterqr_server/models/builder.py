"""Weights in, a folder that a backend runs out; without torch. Kept in the cache by digest of the weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx

from iterqr_server.models.built_model import (
    DATA_FILE,
    LAYOUT_VERSION,
    METADATA_FILE,
    OUTPUT_IDS_FILE,
    BuiltModel,
    read_built_model,
    write_metadata,
)
from iterqr_server.models.cache import cache_folder, make_once, sha256_of
from iterqr_server.models.errors import ModelDigestError
from iterqr_server.models.external_data import ExternalData
from iterqr_server.models.graph import GraphBuilder
from iterqr_server.models.output_vocabulary import OutputVocabulary, latin_output_ids
from iterqr_server.models.progress import ProgressListener, quiet_unless
from iterqr_server.models.quantization import Quantization, WeightFormat
from iterqr_server.models.store import FoundWeights, find_weights
from iterqr_server.models.weights import Weights, open_weights, weight_files

# Of the default model's next tokens 98% stay those of float32; in blocks of 128 99%, at two thirds of the speed.
DEFAULT_QUANTIZATION = Quantization(body=WeightFormat(8), head=WeightFormat(8))
# Half the size of the body; blocks of 32 keep 91% of the next tokens, larger ones fewer.
INT4_QUANTIZATION = Quantization(body=WeightFormat(4, 32), head=WeightFormat(8))
# The operators behind the quantized formats that are fast on a CPU are not all there for CUDA.
GPU_QUANTIZATION = Quantization(body=WeightFormat(32), head=WeightFormat(32))
_MODEL_ID_DIGITS = 12


def prepare_model(
    name: str, *, output_vocabulary: OutputVocabulary = "full", for_gpu: bool = False, show_progress: bool = True
) -> Path:
    """Returns the folder of the built model `name`; downloads and builds what the cache does not have.

    A folder that is a built model already, such as a checkpoint's, is taken as it is.

    Raises:
        ModelError: the weights cannot be found, fetched, trusted or built.
    """
    if (given := Path(name).expanduser()).joinpath(METADATA_FILE).is_file():
        return read_built_model(given.resolve()).folder
    with quiet_unless(show_progress) as listener:
        found = find_weights(name, listener)
        return build_model(
            found,
            name=name,
            quantization=GPU_QUANTIZATION if for_gpu else DEFAULT_QUANTIZATION,
            output_vocabulary=output_vocabulary,
            listener=listener,
        ).folder


def build_model(
    found: FoundWeights,
    *,
    name: str,
    quantization: Quantization,
    output_vocabulary: OutputVocabulary = "full",
    listener: ProgressListener,
) -> BuiltModel:
    """Builds weights into the cache, or finds them built.

    A published digest names the build, so that a start need not read the weights; it is checked before they are built.
    Peak memory is about that of the largest matrix in float32 and its quantized copy.

    Raises:
        ModelDigestError: the file is not the published one.
        UnsupportedModelError: the weights are not a Qwen2.5 checkpoint, or have parts the builder does not know.
        BuiltModelError: the folder in the cache is damaged.
    """
    path = found.path
    digest = found.sha256 or weights_digest(found, listener)
    stem = path.stem if path.is_file() else path.name
    model_id = _model_id(stem, digest, quantization, output_vocabulary)

    def build(folder: Path) -> None:
        if found.sha256:
            weights_digest(found, listener)
        weights = open_weights(path)
        model = BuiltModel(folder, model_id, name, digest, weights.architecture, quantization, output_vocabulary)
        _write(model, weights, listener)

    return read_built_model(make_once(cache_folder() / "models" / model_id, build))


def build_model_into(
    folder: Path,
    weights: Weights,
    *,
    name: str,
    source_sha256: str,
    quantization: Quantization,
    output_vocabulary: OutputVocabulary = "full",
    listener: ProgressListener,
) -> BuiltModel:
    """Builds any weights into `folder`, which is empty and not in the cache: an artifact of a checkpoint named `name`.

    `source_sha256` tells these weights from others.

    Raises:
        UnsupportedModelError: the weights have parts the builder does not know.
    """
    model_id = _model_id(name, source_sha256, quantization, output_vocabulary)
    architecture = weights.architecture
    model = BuiltModel(folder, model_id, name, source_sha256, architecture, quantization, output_vocabulary)
    _write(model, weights, listener)
    return read_built_model(folder)


def _model_id(stem: str, digest: str, quantization: Quantization, output_vocabulary: OutputVocabulary) -> str:
    vocabulary = "" if output_vocabulary == "full" else f"-{output_vocabulary}"
    key = f"{digest[:_MODEL_ID_DIGITS]}-{quantization.body}-{quantization.head}{vocabulary}-l{LAYOUT_VERSION}"
    return f"{''.join(c if c.isalnum() or c in '.-' else '-' for c in stem)[:64]}-{key}"


def _write(model: BuiltModel, weights: Weights, listener: ProgressListener) -> None:
    listener.stage("build model", weights.architecture.layers + 2)
    tokenizer = weights.tokenizer_json()
    output_ids = latin_output_ids(tokenizer) if model.output_vocabulary == "latin" else None
    if output_ids is not None:
        np.save(model.folder / OUTPUT_IDS_FILE, output_ids)
    with ExternalData(model.folder / DATA_FILE) as data:
        graph = GraphBuilder(weights, model.quantization, output_ids, data)
        for _part in graph.parts():
            listener.advance(1)
    onnx.save(graph.model(), model.graph_path)
    model.tokenizer_path.write_text(tokenizer, "utf-8")
    write_metadata(model)


def weights_digest(found: FoundWeights, listener: ProgressListener) -> str:
    """Returns the digest of one file, or of the list of names and digests of several.

    Raises:
        ModelDigestError: a file is not the published one.
    """
    files = weight_files(found.path)
    listener.stage("check weights", sum(file.stat().st_size for file in files))
    digests = {file.name: sha256_of(file, listener.advance) for file in files}
    for name, published in found.file_sha256.items():
        if digests.get(name, published) != published:
            raise ModelDigestError(f"{found.path / name}: SHA-256 is {digests[name]}, must be {published}")
    if len(digests) == 1:
        actual = next(iter(digests.values()))
    else:
        listed = "".join(f"{name} {value}\n" for name, value in sorted(digests.items()))
        actual = hashlib.sha256(listed.encode()).hexdigest()
    if found.sha256 not in (None, actual):
        raise ModelDigestError(
            f"{found.path}: SHA-256 is {actual}, must be {found.sha256}; delete it to fetch it again"
        )
    return actual
