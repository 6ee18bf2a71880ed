"""Checks, without a GPU, that a Hugging Face folder is what TensorRT-LLM and the server's builder load.

Configuration by schema; every tensor's presence, shape and type by its file's header. A folder with
hf_quant_config.json must have quantized weights where that says so, in the layout of ModelOpt's export: FP8 as
F8_E4M3 [out, in] with a scale; AWQ as two int4 a byte along the outputs, U8 [out / 2, in], with a scale for each group.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from iterqr_server.models.architecture import Architecture
from iterqr_server.models.errors import ModelError
from iterqr_server.models.hf_files import CONFIG_FILE
from iterqr_server.models.weights import architecture_of_config
from jsonschema import Draft202012Validator
from tokenizers import Tokenizer

from iterqr_training.errors import ExportError
from iterqr_training.export.qwen2_tensors import EMBEDDING, HEAD, qwen2_tensors
from iterqr_training.export.safetensors_file import SafetensorsFile

QUANTIZATION_FILE = "hf_quant_config.json"
_PLAIN_KINDS = ("BF16", "F16", "F32")


@dataclass(frozen=True, slots=True)
class QuantizedLayers:
    """What hf_quant_config.json says: the algorithm and the modules that are left as they were."""

    algorithm: str
    group: int
    excluded: Sequence[str]

    def covers(self, module: str) -> bool:
        """Whether the module's weight must be quantized."""
        return not any(fnmatch.fnmatchcase(module, pattern) for pattern in self.excluded)


@dataclass(frozen=True, slots=True)
class CheckedFolder:
    """A folder that passed. `quantization` is None where the weights are as trained."""

    folder: Path
    architecture: Architecture
    quantization: QuantizedLayers | None
    weight_files: tuple[Path, ...]


def check_hf_folder(folder: Path) -> CheckedFolder:
    """Checks a folder.

    Raises:
        ExportError: Something is missing, damaged or not as the configuration says; file and tensor or field are named.
    """
    config = _read_json(folder / CONFIG_FILE)
    _check_schema(config, "hf_config", folder / CONFIG_FILE)
    try:
        architecture = architecture_of_config(config, folder)
    except ModelError as error:
        raise ExportError(str(error)) from error
    quantization = _read_quantization(folder)
    _check_tokenizer(folder, architecture)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ExportError(f"{folder} holds no .safetensors file")
    _check_index(folder, files)
    _check_tensors(files, architecture, tied=bool(config.get("tie_word_embeddings")), quantization=quantization)
    return CheckedFolder(folder, architecture, quantization, tuple(files))


def _read_quantization(folder: Path) -> QuantizedLayers | None:
    path = folder / QUANTIZATION_FILE
    if not path.exists():
        return None
    data = _read_json(path)
    _check_schema(data, "hf_quant_config", path)
    layers = data["quantization"]
    return QuantizedLayers(layers["quant_algo"], layers.get("group_size", 0), layers.get("exclude_modules") or ())


def _check_tokenizer(folder: Path, architecture: Architecture) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise ExportError(f"{folder / name} is missing")
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises no other class
        raise ExportError(f"{folder / 'tokenizer.json'} is no tokenizer: {error}") from error
    if (size := tokenizer.get_vocab_size(with_added_tokens=True)) > architecture.vocabulary:
        raise ExportError(f"{folder / 'tokenizer.json'} has {size} tokens, the model only {architecture.vocabulary}")
    tokenizer_config = _read_json(folder / "tokenizer_config.json")
    end = tokenizer_config.get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    if not isinstance(end, str) or tokenizer.token_to_id(end) is None:
        raise ExportError(f"{folder / 'tokenizer_config.json'}: eos_token is {end!r}, which is no token")


def _check_index(folder: Path, files: Sequence[Path]) -> None:
    path = folder / "model.safetensors.index.json"
    if not path.exists():
        if len(files) > 1:
            raise ExportError(f"{path} is missing, and there are {len(files)} files of weights")
        return
    named = set(_read_json(path).get("weight_map", {}).values())
    if missing := named - {file.name for file in files}:
        raise ExportError(f"{folder / min(missing)} is missing; {path.name} names it")


def _check_tensors(
    files: Sequence[Path], architecture: Architecture, *, tied: bool, quantization: QuantizedLayers | None
) -> None:
    opened = [SafetensorsFile(path) for path in files]
    shapes = {name: shape for file in opened for name, shape in file.shapes.items()}
    kinds = {name: kind for file in opened for name, kind in file.kinds.items()}
    expected = qwen2_tensors(architecture, own_head=not tied)
    for name, shape in expected.items():
        if name not in shapes:
            raise ExportError(f"{files[0].parent}: tensor {name} is missing")
        module = name.removesuffix(".weight")
        linear = name.endswith(".weight") and len(shape) == 2 and name != EMBEDDING
        if linear and quantization is not None and quantization.covers(module):
            _check_quantized(name, shape, shapes, kinds, quantization, files[0].parent)
            continue
        if shapes[name] != shape or kinds[name] not in _PLAIN_KINDS:
            raise ExportError(
                f"{files[0].parent}: {name} is {kinds[name]} {list(shapes[name])}, it must be {list(shape)} of "
                f"{', '.join(_PLAIN_KINDS)}"
            )
    unknown = shapes.keys() - expected.keys() - ({HEAD} if tied else set())
    if quantization is None and unknown:
        raise ExportError(f"{files[0].parent}: tensor {min(unknown)} is not of a Qwen2 model")


def _check_quantized(
    name: str,
    shape: tuple[int, ...],
    shapes: Mapping[str, tuple[int, ...]],
    kinds: Mapping[str, str],
    quantization: QuantizedLayers,
    folder: Path,
) -> None:
    rows, columns = shape
    is_fp8 = quantization.algorithm == "FP8"
    kind, stored = ("F8_E4M3", shape) if is_fp8 else ("U8", (rows // 2, columns))
    if (kinds[name], shapes[name]) != (kind, stored):
        raise ExportError(
            f"{folder}: {name} is {kinds[name]} {list(shapes[name])}, by {QUANTIZATION_FILE} "
            f"({quantization.algorithm}) it must be {kind} {list(stored)}"
        )
    scale = f"{name}_scale"
    if scale not in shapes:
        raise ExportError(f"{folder}: tensor {scale} is missing, and {QUANTIZATION_FILE} does not exclude its module")
    groups = (rows, columns // quantization.group) if quantization.group else ()
    if not is_fp8 and shapes[scale] != groups:
        raise ExportError(f"{folder}: {scale} is {list(shapes[scale])}, it must be {list(groups)}")


def _check_schema(data: Mapping[str, Any], name: str, path: Path) -> None:
    for error in sorted(_validator(name).iter_errors(data), key=lambda e: list(map(str, e.absolute_path))):
        where = ".".join(map(str, error.absolute_path)) or "the object"
        raise ExportError(f"{path}: {where}: {error.message}")


@cache
def _validator(name: str) -> Draft202012Validator:
    text = (resources.files("iterqr_training.export") / f"schemas/{name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"{path} is missing") from error
    except ValueError as error:
        raise ExportError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ExportError(f"{path} must be a JSON object")
    return data
