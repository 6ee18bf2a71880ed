"""The Hugging Face folder: written, checked, and refused where an engine would fail on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iterqr_server.models.hf_checkpoint import read_hf_checkpoint
from iterqr_server.models.hf_files import hf_files
from iterqr_server.models.progress import Silent
from iterqr_server.models.weights import open_weights
from iterqr_training.errors import ExportError
from iterqr_training.export.hf_check import check_hf_folder
from iterqr_training.export.hf_folder import Precision, plan_shards, write_hf_folder
from safetensors.numpy import load_file, save_file
from support.modelopt_folders import modelopt_folder
from support.tiny_qwen2 import TinyQwen2, tiny_qwen2
from tokenizers import Tokenizer


def written(
    folder: Path, tiny: TinyQwen2, precision: Precision = "float32", max_shard_bytes: int = 2_000_000_000
) -> Path:
    source = tiny.save_gguf(folder / "tiny.gguf")
    target = folder / "hf"
    write_hf_folder(
        target,
        open_weights(source),
        hf_files(source),
        precision=precision,
        listener=Silent(),
        max_shard_bytes=max_shard_bytes,
    )
    return target


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("max_shard_bytes", [2_000_000_000, 60_000], ids=["one file", "shards"])
def test_a_gguf_file_becomes_a_folder_of_the_same_weights(tmp_path: Path, tied: bool, max_shard_bytes: int) -> None:
    tiny = tiny_qwen2(tied=tied)
    folder = written(tmp_path, tiny, max_shard_bytes=max_shard_bytes)
    again = open_weights(folder)
    assert again.has_own_head is not tied
    for name, values in tiny.weights.items():
        np.testing.assert_array_equal(again.tensor(name), values)
    assert check_hf_folder(folder).architecture == again.architecture
    assert read_hf_checkpoint(folder, Silent()).context == again.architecture.context
    assert Tokenizer.from_str(again.tokenizer_json()).encode("hello<|im_end|>").tokens[-1] == "<|im_end|>"
    config = json.loads((folder / "config.json").read_text())
    assert (config["architectures"], config["torch_dtype"]) == (["Qwen2ForCausalLM"], "float32")


def test_shards_hold_every_tensor_once_and_the_index_says_where(tmp_path: Path) -> None:
    folder = written(tmp_path, tiny_qwen2(tied=True), max_shard_bytes=60_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert len(files) > 2
    held = {name: file for file in files for name in load_file(folder / file)}
    assert index["weight_map"] == held
    assert index["metadata"]["total_size"] == sum(v.nbytes for f in files for v in load_file(folder / f).values())


def test_a_tensor_larger_than_a_shard_has_a_file_to_itself() -> None:
    planned = plan_shards({"a": 10, "b": 200, "c": 10, "d": 10, "e": 81}, 100)
    assert [shard.tensors for shard in planned] == [("a",), ("b",), ("c", "d"), ("e",)]
    assert planned[-1].file == "model-00004-of-00004.safetensors"
    assert plan_shards({"a": 10}, 100)[0].file == "model.safetensors"


def test_weights_are_rounded_to_the_precision_that_config_names(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tied=True)
    folder = written(tmp_path, tiny, "bfloat16")
    name = "model.layers.1.mlp.up_proj.weight"
    got = open_weights(folder).tensor(name)
    assert np.abs(got - tiny.weights[name]).max() <= np.abs(tiny.weights[name]).max() / 256
    assert not np.array_equal(got, tiny.weights[name])
    tiny.weights[name][0, 0] = 1e5  # above what float16 holds
    (tmp_path / "large").mkdir()
    with pytest.raises(ExportError, match=r"up_proj\.weight has values that float16 cannot hold"):
        written(tmp_path / "large", tiny, "float16")


def _drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _edit(file: str, **changes: Any) -> Callable[[Path], None]:  # noqa: ANN401 - JSON
    def change(folder: Path) -> None:
        data = json.loads((folder / file).read_text()) | changes
        (folder / file).write_text(json.dumps({key: value for key, value in data.items() if value is not None}))

    return change


def _truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _tensors(**changes: Any) -> Callable[[Path], None]:  # noqa: ANN401
    def change(folder: Path) -> None:
        file = folder / "model.safetensors"
        tensors = {**load_file(file), **{name.replace("__", "."): value for name, value in changes.items()}}
        save_file({name: value for name, value in tensors.items() if value is not None}, file)

    return change


BROKEN = {
    "config is missing": (_drop("config.json"), r"config\.json is missing"),
    "no dtype": (_edit("config.json", torch_dtype=None), "is not valid under any of the given schemas"),
    "another model": (_edit("config.json", architectures=["LlamaForCausalLM"]), "architectures: "),
    "a size that is none": (_edit("config.json", hidden_size="64"), "hidden_size: '64' is not of type 'integer'"),
    "other layers": (_edit("config.json", num_hidden_layers=3), r"tensor model\.layers\.2\..* is missing"),
    "other width": (_edit("config.json", intermediate_size=97), r"is F32 \[96, 64\], it must be \[97, 64\]"),
    "truncated": (_truncate, r"model\.safetensors is truncated"),
    "no weights": (_drop("model.safetensors"), "holds no .safetensors file"),
    "no tokenizer": (_drop("tokenizer.json"), r"tokenizer\.json is missing"),
    "no tokenizer class": (_drop("tokenizer_config.json"), r"tokenizer_config\.json is missing"),
    "an end that is no token": (_edit("tokenizer_config.json", eos_token="<|stop|>"), "eos_token is '<|stop|>'"),
    "a tensor too many": (_tensors(extra__weight=np.ones(2, np.float32)), r"tensor extra\.weight is not of a Qwen2"),
    "integers": (
        _tensors(model__norm__weight=np.ones(64, np.int32)),
        r"model\.norm\.weight is I32 \[64\], it must be \[64\] of BF16",
    ),
    "an index that names more": (
        lambda folder: (folder / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "model-00002-of-00002.safetensors"}}'
        ),
        r"model-00002-of-00002\.safetensors is missing",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_an_engine_would_fail_on_is_refused(tmp_path: Path, name: str) -> None:
    breaking, message = BROKEN[name]
    folder = written(tmp_path, tiny_qwen2(tied=True))
    check_hf_folder(folder)
    breaking(folder)
    with pytest.raises(ExportError, match=message):
        check_hf_folder(folder)


@pytest.mark.parametrize("algorithm", ["FP8", "W4A16_AWQ"])
def test_quantized_folders_are_checked_by_their_configuration(tmp_path: Path, algorithm: str) -> None:
    tiny = tiny_qwen2(tied=True)
    plain = written(tmp_path, tiny)
    folder = modelopt_folder(tmp_path / "quantized", plain, algorithm)
    checked = check_hf_folder(folder)
    assert checked.quantization is not None
    assert checked.quantization.algorithm == algorithm
    read = read_hf_checkpoint(folder, Silent()).quantization
    assert read is not None
    assert (read.algorithm, read.kv_cache_algorithm) == (algorithm, "FP8" if algorithm == "FP8" else "")
    q = "model.layers.0.self_attn.q_proj"

    def broken(change: Callable[[Path], object], message: str) -> None:
        copy = Path(shutil.copytree(folder, tmp_path / "broken"))
        change(copy)
        with pytest.raises(ExportError, match=message):
            check_hf_folder(copy)
        shutil.rmtree(copy)

    broken(lambda f: modelopt_folder(f, plain, algorithm, without=f"{q}.weight_scale"), r"weight_scale is missing")
    broken(lambda f: modelopt_folder(f, plain, algorithm, plain_module=q), rf"q_proj\.weight is F32 .*{algorithm}")
    broken(
        lambda f: modelopt_folder(f, plain, algorithm, quantization={"quant_algo": "INT3"}),
        r"quantization\.quant_algo: 'INT3' is not one of",
    )
    broken(lambda f: modelopt_folder(f, plain, algorithm, quantization={"kv_cache_quant_algo": "FP6"}), "kv_cache")
    other = "W4A16_AWQ" if algorithm == "FP8" else "FP8"
    broken(
        lambda f: modelopt_folder(f, plain, algorithm, quantization={"quant_algo": other, "group_size": 64}),
        r"by hf_quant_config\.json",
    )


def test_a_module_that_is_excluded_stays_as_it_was(tmp_path: Path) -> None:
    plain = written(tmp_path, tiny_qwen2(tied=False))
    folder = modelopt_folder(tmp_path / "quantized", plain, "FP8", quantization={"exclude_modules": ["lm_head"]})
    check_hf_folder(folder)
    with pytest.raises(ExportError, match=r"lm_head\.weight is F32"):
        check_hf_folder(modelopt_folder(folder, plain, "FP8", quantization={"exclude_modules": []}))
