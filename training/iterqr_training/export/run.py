"""Exports a checkpoint: assembled under a temporary name and renamed when all of it is there and checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import ManifestError, write_manifest
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
from iterqr_training.export.base_claim import Base, check_base, claimed_base
from iterqr_training.export.checkpoint_manifest import Lineage, artifacts_in, build_manifest
from iterqr_training.export.hf_check import check_hf_folder
from iterqr_training.export.hf_folder import write_hf_folder
from iterqr_training.export.merged_weights import MergedWeights
from iterqr_training.export.model_card import model_card
from iterqr_training.export.prompt_template import PromptTemplate, read_prompt_template
from iterqr_training.export.qwen2_tensors import qwen2_tensors
from iterqr_training.export.serving_check import ServingCheck, check_serving
from iterqr_training.export.settings import QUANTIZATIONS, ExportSettings

MANIFEST_FILE, CARD_FILE = "manifest.json", "MODEL_CARD.md"
HF, QUANTIZED, ADAPTER, PROMPT, REPORTS = "hf", "trtllm", "adapter", "prompt", "reports"
GATE_FILE, DATASHEET_FILE = f"{REPORTS}/gate.json", f"{REPORTS}/datasheet.json"
TEMPLATE_FILE = f"{PROMPT}/template.toml"
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ExportedCheckpoint:
    """A checkpoint's folder that is whole. `serving` is None where nothing was asked of it."""

    folder: Path
    manifest: dict[str, Any]
    serving: ServingCheck | None


@dataclass(frozen=True, slots=True)
class _Source:
    """What is written: weights with their base, and the digest of what was trained (none for the base itself)."""

    base: Base
    weights: Weights
    files: dict[str, str]
    adapter: Adapter | None
    trained_sha256: str | None


def run_export(settings: ExportSettings, listener: ProgressListener, now: datetime) -> ExportedCheckpoint:
    """Makes `settings.out/<checkpoint id>`.

    Raises:
        ExportError: Something given is damaged, does not belong together, or does not serve; nothing is left behind.
    """
    prompt = read_prompt_template(settings.template)
    documents = {
        name: None if path is None else _read_json(path)
        for name, path in (
            ("policy", settings.policy),
            ("gate", settings.gate_report),
            ("datasheet", settings.datasheet),
        )
    }
    try:
        source = _open_source(settings, listener)
        checkpoint_id = settings.checkpoint_id or _checkpoint_id(settings, source, prompt)
        target = settings.out / checkpoint_id
        if target.exists():
            raise ExportError(f"{target} exists: a checkpoint never changes; give another --id or --out")
        settings.out.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{checkpoint_id}.partial-", dir=settings.out))
        try:
            serving = _assemble(partial, settings, source, checkpoint_id, prompt, listener)
            lineage = Lineage(
                checkpoint_id=checkpoint_id,
                parent=settings.parent,
                base=source.base,
                prompt=prompt,
                policy=documents["policy"],
                gate_report=_reference(partial, GATE_FILE),
                data_sha256=(_reference(partial, DATASHEET_FILE) or {}).get("sha256"),
                created_at=now,
            )
            kinds = {HF: "hf-safetensors", QUANTIZED: "trtllm", ADAPTER: "lora-adapter", PROMPT: "prompt-template"}
            if settings.onnx is not None:
                kinds[f"onnx-{settings.onnx}"] = f"onnx-{settings.onnx}"
            manifest = build_manifest(partial, lineage, artifacts_in(partial, kinds), listener)
            card = model_card(
                manifest,
                datasheet=documents["datasheet"],
                gate_report=documents["gate"],
                architecture=dataclasses.asdict(source.weights.architecture),
            )
            (partial / CARD_FILE).write_text(card, "utf-8")
            write_manifest(partial / MANIFEST_FILE, manifest)
            partial.chmod(0o755)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (ModelError, ManifestError) as error:
        raise ExportError(str(error)) from error
    return ExportedCheckpoint(target, manifest, serving)


def _open_source(settings: ExportSettings, listener: ProgressListener) -> _Source:
    found = find_weights(settings.base, listener)
    local = Path(settings.base).expanduser()
    name = settings.base if not local.exists() else local.stem if local.is_file() else local.resolve().name
    base = Base(name, weights_digest(found, listener))
    weights = open_weights(found.path)
    if settings.weights is not None:
        return _tuned(settings.weights, base, weights, listener)
    adapter = None
    if settings.adapter is not None:
        shapes = qwen2_tensors(weights.architecture, own_head=weights.has_own_head)
        adapter = read_adapter(settings.adapter, shapes)
        check_base(claimed_base(settings.adapter, adapter.config.base_name), base, settings.adapter)
    trained = None if adapter is None else adapter.sha256()
    return _Source(base, MergedWeights(weights, adapter), hf_files(found.path), adapter, trained)


def _tuned(folder: Path, base: Base, base_weights: Weights, listener: ProgressListener) -> _Source:
    tuned = open_weights(folder)
    check_base(claimed_base(folder, ""), base, folder)
    _check_architecture(tuned.architecture, base_weights.architecture, folder)
    digest = weights_digest(FoundWeights(folder), listener)
    return _Source(base, MergedWeights(tuned, None), hf_files(folder), None, digest)


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
    (folder / TEMPLATE_FILE).write_text(prompt.text, "utf-8")
    for given, name in ((settings.gate_report, GATE_FILE), (settings.datasheet, DATASHEET_FILE)):
        if given is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(given, folder / name)
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
    built = _build_onnx(folder, settings, checkpoint_id, source.weights.architecture, listener)
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
    folder: Path,
    settings: ExportSettings,
    checkpoint_id: str,
    architecture: Architecture,
    listener: ProgressListener,
) -> BuiltModel:
    assert settings.onnx is not None  # noqa: S101 - for the type checker
    target = folder / f"onnx-{settings.onnx}"
    target.mkdir()
    source = FoundWeights(folder / HF)
    quantization = QUANTIZATIONS[settings.onnx]
    built = build_model_into(
        target,
        source,
        name=checkpoint_id,
        quantization=quantization,
        output_vocabulary=settings.output_vocabulary,
        listener=listener,
    )
    _check_architecture(built.architecture, architecture, target)
    if built.quantization != quantization:
        raise ExportError(f"{target}: quantization is {built.quantization}, it must be {quantization}")
    return built


def _checkpoint_id(settings: ExportSettings, source: _Source, prompt: PromptTemplate) -> str:
    """Names a checkpoint for all that it is made of, so that the same inputs give the same name."""
    parts = (
        source.base.sha256,
        source.trained_sha256,
        None if source.adapter is None else sha256_of(source.adapter.files()[0]),
        prompt.sha256,
        settings.onnx,
        settings.precision,
        settings.output_vocabulary,
        settings.parent,
        *(
            None if path is None else sha256_of(path)
            for path in (settings.policy, settings.gate_report, settings.datasheet)
        ),
        None if settings.quantized is None else _quantized_digest(settings.quantized),
    )
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    stem = "".join(c if c.isalnum() or c in ".-" else "-" for c in source.base.name.rpartition("/")[2])
    return f"{stem[:64].strip('.-') or 'model'}-{digest[:_ID_DIGITS]}"


def _quantized_digest(folder: Path) -> list[str]:
    return [sha256_of(path) for path in sorted(folder.glob("*")) if path.is_file()]


def _reference(folder: Path, path: str) -> dict[str, Any] | None:
    file = folder / path
    return {"path": path, "sha256": sha256_of(file)} if file.is_file() else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ExportError(f"{path} must be a JSON object")
    return data
