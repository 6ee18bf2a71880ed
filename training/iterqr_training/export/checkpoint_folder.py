"""A checkpoint's folder: what lies where in it, and how it comes to be whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import write_manifest

from iterqr_training.errors import ExportError
from iterqr_training.export.documents import Documents
from iterqr_training.export.model_card import model_card

MANIFEST_FILE, CARD_FILE = "manifest.json", "MODEL_CARD.md"
HF, QUANTIZED, ADAPTER, PROMPT = "hf", "trtllm", "adapter", "prompt"
TEMPLATE_FILE = f"{PROMPT}/template.toml"
KINDS: Mapping[str, str] = {
    HF: "hf-safetensors",
    QUANTIZED: "trtllm",
    "onnx-int4": "onnx-int4",
    "onnx-int8": "onnx-int8",
    ADAPTER: "lora-adapter",
    PROMPT: "prompt-template",
}
"""Artifact kinds of the manifest by the folder they lie in."""
_ID_DIGITS = 12


@contextmanager
def assembled(out: Path, checkpoint_id: str) -> Iterator[Path]:
    """Gives an empty folder that becomes `out/<checkpoint_id>` at the end; after an error nothing is left.

    Raises:
        ExportError: There is such a checkpoint.
    """
    target = out / checkpoint_id
    if target.exists():
        raise ExportError(f"{target} exists: a checkpoint never changes; give another --id or --out")
    out.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{checkpoint_id}.partial-", dir=out))
    try:
        yield partial
        partial.chmod(0o755)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def describe(folder: Path, manifest: dict[str, Any], documents: Documents, architecture: Mapping[str, Any]) -> None:
    """Writes model card and manifest.

    Raises:
        ManifestError: The manifest breaks its schema.
    """
    card = model_card(
        manifest, datasheet=documents.datasheet, gate_report=documents.gate_report, architecture=architecture
    )
    (folder / CARD_FILE).write_text(card, "utf-8")
    write_manifest(folder / MANIFEST_FILE, manifest)


def checkpoint_name(base: str, parts: Sequence[object]) -> str:
    """Names a checkpoint for all that it is made of, so that the same inputs give the same name."""
    stem = "".join(c if c.isalnum() or c in ".-" else "-" for c in base.rpartition("/")[2])
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"{stem[:64].strip('.-') or 'model'}-{digest[:_ID_DIGITS]}"
