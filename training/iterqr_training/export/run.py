"""Exports a checkpoint: assembled under a temporary name and renamed when all of it is there and checked."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import ManifestError
from iterqr_server.models.architecture import Architecture
from iterqr_server.models.builder import build_model_into, weights_digest
from iterqr_server.models.built_model import BuiltModel
from iterqr_server.models.cache import sha256_of
from iterqr_server.models.errors import ModelError
from iterqr_server.models.hf_files import hf_files
from iterqr_server.models.progress import ProgressListener
from iterqr_server.models.store import FoundWeights, find_weights
from iterqr_server.models.weights import Weights, open_weights

from iterqr_training.errors import ExportError
from iterqr_training.export.adapter import Adapter, read_adapter
from iterqr_training.export.checkpoint_folder import (
    ADAPTER,
    HF,
    KINDS,
    PROMPT,
    QUANTIZED,
    TEMPLATE_FILE,
    assembled,
    checkpoint_name,
    describe,
)
from iterqr_training.export.checkpoint_manifest import Lineage, artifacts_in, build_manifest
from iterqr_training.export.documents import Documents, read_documents
from iterqr_training.export.hf_check import check_hf_folder
from iterqr_training.export.hf_folder import write_hf_folder
from iterqr_training.export.merged_weights import MergedWeights
from iterqr_training.export.prompt_template import PromptTemplate, template_of
from iterqr_training.export.qwen2_tensors import qwen2_tensors
from iterqr_training.export.serving_check import ServingCheck, check_serving
from iterqr_training.export.settings import QUANTIZATIONS, ExportSettings
from iterqr_training.export.training_run import Base, TrainingRun, check_base, check_data, check_trained, find_run


@dataclass(frozen=True, slots=True)
class ExportedCheckpoint:
    """A checkpoint's folder that is whole. `serving` is None where nothing was asked of it."""

    folder: Path
    manifest: dict[str, Any]
    serving: ServingCheck | None


@dataclass(frozen=True, slots=True)
class _Source:
    """What is written: weights with their base, and the digest that tells them from others (the base's for itself)."""

    base: Base
    weights: Weights
    files: dict[str, str]
    adapter: Adapter | None
    sha256: str


def run_export(settings: ExportSettings, listener: ProgressListener, now: datetime) -> ExportedCheckpoint:
    """Makes `settings.out/<checkpoint id>`.

    Raises:
        ExportError: Something given is damaged, does not belong together, or does not serve; nothing is left behind.
    """
    documents = read_documents(settings.policy, settings.gate_report, settings.datasheet)
    trained = settings.adapter or settings.weights
    training = None if trained is None else find_run(trained)
    prompt = template_of(settings.template, training)
    check_data(training, documents.data_sha256())
    try:
        source = _open_source(settings, training, listener)
        checkpoint_id = settings.checkpoint_id or checkpoint_name(
            source.base.name, _ingredients(settings, source, prompt, documents)
        )
        with assembled(settings.out, checkpoint_id) as folder:
            serving = _assemble(folder, settings, source, checkpoint_id, prompt, listener)
            documents.copy_into(folder)
            lineage = Lineage(
                checkpoint_id=checkpoint_id,
                parent=settings.parent,
                base=source.base,
                prompt=prompt,
                policy=documents.policy,
                gate_report=documents.gate_reference(),
                data_sha256=documents.data_sha256(),
                created_at=now,
            )
            manifest = build_manifest(folder, lineage, artifacts_in(folder, KINDS), listener)
            describe(folder, manifest, documents, dataclasses.asdict(source.weights.architecture))
    except (ModelError, ManifestError) as error:
        raise ExportError(str(error)) from error
    return ExportedCheckpoint(settings.out / checkpoint_id, manifest, serving)


def _open_source(settings: ExportSettings, training: TrainingRun | None, listener: ProgressListener) -> _Source:
    found = find_weights(settings.base, listener)
    local = Path(settings.base).expanduser()
    name = settings.base if not local.exists() else local.stem if local.is_file() else local.resolve().name
    base = Base(name, weights_digest(found, listener))
    weights = open_weights(found.path)
    if settings.weights is not None:
        return _tuned(settings.weights, training, base, weights, listener)
    adapter = None
    if settings.adapter is not None:
        shapes = qwen2_tensors(weights.architecture, own_head=weights.has_own_head)
        adapter = read_adapter(settings.adapter, shapes)
        check_base(training, adapter.config.base_name, base, settings.adapter)
        check_trained(training, adapter.sha256(), adapter.tensors.path)
    digest = base.sha256 if adapter is None else _merged_digest(base, adapter)
    return _Source(base, MergedWeights(weights, adapter), _files(found.path), adapter, digest)


def _tuned(
    folder: Path, training: TrainingRun | None, base: Base, base_weights: Weights, listener: ProgressListener
) -> _Source:
    tuned = open_weights(folder)
    check_base(training, "", base, folder)
    if (file := folder / "model.safetensors").is_file():
        check_trained(training, sha256_of(file), file)
    _check_architecture(tuned.architecture, base_weights.architecture, folder)
    digest = weights_digest(FoundWeights(folder), listener)
    return _Source(base, MergedWeights(tuned, None), _files(folder), None, digest)


def _merged_digest(base: Base, adapter: Adapter) -> str:
    return hashlib.sha256("\n".join([base.sha256, *map(sha256_of, adapter.files())]).encode()).hexdigest()


def _files(path: Path) -> dict[str, str]:
    files = hf_files(path)
    if "tokenizer_config.json" not in files:
        raise ExportError(f"{path / 'tokenizer_config.json'} is missing, and transformers and TensorRT-LLM need it")
    return files


def _check_architecture(architecture: Architecture, expected: Architecture, folder: Path) -> None:
    """`context` and the last rows of the vocabulary may differ: they are no shapes of the network."""
    for name in ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_size", "vocabulary"):
        if (value := getattr(architecture, name)) != (wanted := getattr(expected, name)):
            raise ExportError(f"{folder}: {name} is {value}, that of the base is {wanted}: it is of another base")


def _assemble(
    folder: Path,
    settings: ExportSettings,
    source: _Source,
    checkpoint_id: str,
    prompt: PromptTemplate,
    listener: ProgressListener,
) -> ServingCheck | None:
    (folder / PROMPT).mkdir()
    (folder / TEMPLATE_FILE).write_bytes(prompt.text.encode())
    if source.adapter is not None:
        (folder / ADAPTER).mkdir()
        for file in source.adapter.files():
            shutil.copyfile(file, folder / ADAPTER / file.name)
    write_hf_folder(folder / HF, source.weights, source.files, precision=settings.precision, listener=listener)
    check_hf_folder(folder / HF)
    if settings.quantized is not None:
        _adopt_quantized(settings.quantized, folder / QUANTIZED, source.weights.architecture)
    if settings.onnx is None:
        return None
    built = _build_onnx(folder, settings, source, checkpoint_id, listener)
    if not settings.serving_check:
        return None
    listener.stage("answer a query", 1)
    serving = check_serving(built.folder, prompt, folder / TEMPLATE_FILE)
    listener.advance(1)
    return serving


def _adopt_quantized(given: Path, target: Path, architecture: Architecture) -> None:
    checked = check_hf_folder(given)
    if checked.quantization is None:
        raise ExportError(f"--quantized {given}: hf_quant_config.json is missing, so its weights are not quantized")
    _check_architecture(checked.architecture, architecture, given)
    shutil.copytree(given, target)


def _build_onnx(
    folder: Path, settings: ExportSettings, source: _Source, checkpoint_id: str, listener: ProgressListener
) -> BuiltModel:
    """Built of the merged weights in float32, not of hf/: another rounding before this one changes near ties."""
    assert settings.onnx is not None  # noqa: S101 - for the type checker
    target = folder / f"onnx-{settings.onnx}"
    target.mkdir()
    quantization = QUANTIZATIONS[settings.onnx]
    built = build_model_into(
        target,
        source.weights,
        name=checkpoint_id,
        source_sha256=source.sha256,
        quantization=quantization,
        output_vocabulary=settings.output_vocabulary,
        listener=listener,
    )
    _check_architecture(built.architecture, source.weights.architecture, target)
    if (built.quantization, built.source_sha256) != (quantization, source.sha256):
        raise ExportError(f"{target}: model.json is not of these weights in {quantization}")
    return built


def _ingredients(
    settings: ExportSettings, source: _Source, prompt: PromptTemplate, documents: Documents
) -> list[object]:
    """All that changes what is in the checkpoint."""
    return [
        source.base.sha256,
        source.sha256,
        prompt.sha256,
        settings.onnx,
        settings.precision,
        settings.output_vocabulary,
        settings.parent,
        documents.digests(),
        None if settings.quantized is None else _file_digests(settings.quantized),
    ]


def _file_digests(folder: Path) -> list[str]:
    return [sha256_of(path) for path in sorted(folder.glob("*")) if path.is_file()]
