"""Quantizes a Hugging Face folder with NVIDIA ModelOpt, on a GPU host. The only file that imports it, when it runs.

Written from ModelOpt 0.47 (`modelopt/torch/quantization/model_quant.py`, `modelopt/torch/export/unified_export_hf.py`);
its `hf` extra needs transformers below 5.15, so it lives in an environment of its own.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from iterqr_server.models.progress import ProgressListener

from iterqr_training.errors import ExportError
from iterqr_training.export.hf_check import CheckedFolder, check_hf_folder

Format = Literal["fp8", "int4-awq"]
REQUIREMENT = "nvidia-modelopt[hf]==0.47.0"
_PRESETS: Mapping[Format, str] = {"fp8": "FP8_DEFAULT_CFG", "int4-awq": "INT4_AWQ_CFG"}
_KEPT_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


def quantize(
    source: Path, target: Path, form: Format, texts: Sequence[str], listener: ProgressListener
) -> CheckedFolder:
    """Writes `target`, the quantized twin of the plain folder `source`; whole or not at all.

    Args:
        source: As `export` writes it.
        target: Must not exist.
        form: Of the weights.
        texts: For calibration.
        listener: Hears of the texts seen.

    Raises:
        ExportError: A library or a GPU is missing, the source is damaged, or the result is not what engines load.
    """
    if target.exists():
        raise ExportError(f"{target} exists: give another --out")
    if check_hf_folder(source).quantization is not None:
        raise ExportError(f"{source} is quantized already")
    torch, transformers, quantization, export = _libraries()
    model = transformers.AutoModelForCausalLM.from_pretrained(source, torch_dtype="auto").cuda().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    listener.stage("calibrate", len(texts))

    def see_all(calibrated: Any) -> None:  # noqa: ANN401 - a torch module
        for text in texts:
            calibrated(**tokenizer(text, return_tensors="pt", add_special_tokens=False).to("cuda"))
            listener.advance(1)

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        with torch.no_grad():
            quantization.quantize(model, getattr(quantization, _PRESETS[form]), see_all)
            export.export_hf_checkpoint(model, export_dir=partial)
        for name in _KEPT_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, partial / name)
        if check_hf_folder(partial).quantization is None:
            raise ExportError(f"ModelOpt wrote no hf_quant_config.json for {form}")
        partial.chmod(0o755)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return check_hf_folder(target)


def _libraries() -> tuple[Any, Any, Any, Any]:
    try:
        torch: Any = importlib.import_module("torch")
        transformers = importlib.import_module("transformers")
        quantization = importlib.import_module("modelopt.torch.quantization")
        export = importlib.import_module("modelopt.torch.export")
    except ImportError as error:
        raise ExportError(
            f"quantizing needs ModelOpt, which is not installed ({error.name} is missing): on a host with an NVIDIA "
            f'GPU, pip install "{REQUIREMENT}" beside iterqr-training, in an environment of its own'
        ) from error
    if not torch.cuda.is_available():
        raise ExportError("quantizing needs an NVIDIA GPU, and torch finds none on this host")
    return torch, transformers, quantization, export
