"""Makes the ONNX folder that ONNX Runtime GenAI loads, from a GGUF file of a Qwen2.5.

GenAI's own model builder needs torch and transformers. This writes the graph that it writes for `-p int4 -e cpu`
(MatMulNBits in blocks of 32, symmetric, accuracy level 4; GroupQueryAttention with rotary embedding; logits of the last
token alone), quantized by the same function of ONNX Runtime, and needs neither.

    python -m iterqr_benchmarks.engine_comparison.peers.onnxruntime_genai_model SOURCE.gguf FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi._pybind_state import quantize_matmul_4bits

_BLOCK = 32
_POSITIONS = 4_096
_CONTRIB = "com.microsoft"
_EXTERNAL_ABOVE_BYTES = 1_024


class Qwen2Graph:
    """The graph, written node by node. Activations are [batch, sequence, width]."""

    def __init__(self, source: Path) -> None:
        self._reader = gguf.GGUFReader(source)
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self.hidden: int = self._field("embedding_length")
        self.layers: int = self._field("block_count")
        self.heads: int = self._field("attention.head_count")
        self.kv_heads: int = self._field("attention.head_count_kv")
        self.head_size: int = self.hidden // self.heads
        self.vocabulary = int(self._tensors["token_embd.weight"].shape[1])
        self._epsilon: float = self._field("attention.layer_norm_rms_epsilon")
        self._theta: float = self._field("rope.freq_base")

    def model(self) -> onnx.ModelProto:
        """Returns the whole model, its weights inside."""
        self._lengths()
        self._rotary()
        self._constant("embedding", self._tensor("token_embd.weight"))
        stream = self._node("Gather", ["embedding", "input_ids"], "embedded")
        normed = self._node(
            "SimplifiedLayerNormalization",
            [stream, self._constant("norm.0", self._tensor("blk.0.attn_norm.weight"))],
            "normed.0",
            axis=-1,
            epsilon=self._epsilon,
            stash_type=1,
        )
        for layer in range(self.layers):
            name = f"blk.{layer}"
            attended = self._attention(layer, normed)
            gamma = self._constant(f"{name}.ffn_norm", self._tensor(f"{name}.ffn_norm.weight"))
            normed, stream = self._add_and_norm(stream, attended, gamma, f"{name}.ffn")
            added = self._feed_forward(name, normed)
            following = f"blk.{layer + 1}.attn_norm" if layer + 1 < self.layers else "output_norm"
            gamma = self._constant(following, self._tensor(f"{following}.weight"))
            normed, stream = self._add_and_norm(stream, added, gamma, following)
        last = self._node("Gather", [normed, self._constant("last", np.array([-1]))], "last_row", axis=1)
        head = "output.weight" if "output.weight" in self._tensors else "token_embd.weight"
        self._matmul(last, self._tensor(head), "logits")
        graph = helper.make_graph(self._nodes, "qwen2", self._inputs(), self._outputs(), self._constants)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _field(self, key: str) -> Any:  # noqa: ANN401 - whatever the file holds
        field = self._reader.get_field(f"qwen2.{key}")
        if field is None:
            raise ValueError(f"metadata key 'qwen2.{key}' is missing; only Qwen2 models are supported")
        return field.contents()

    def _tensor(self, name: str) -> NDArray[np.float32]:
        tensor = self._tensors[name]
        return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(
        self,
        kind: str,
        inputs: list[str],
        output: str,
        domain: str = "",
        **attributes: Any,  # noqa: ANN401 - as onnx.helper takes them
    ) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def _lengths(self) -> None:
        axis, one = self._constant("axis_1", np.array([1])), self._constant("one", np.array([1]))
        total = self._node("ReduceSum", ["attention_mask", axis], "mask_sum", keepdims=0)
        self._node("Cast", [self._node("Sub", [total, one], "past_64")], "past_lengths", to=TensorProto.INT32)
        shape = self._node("Shape", ["attention_mask"], "mask_shape")
        index = self._constant("index_1", np.array(1))
        length = self._node("Gather", [shape, index], "total_64", axis=0)
        self._node("Cast", [length], "total_length", to=TensorProto.INT32)

    def _rotary(self) -> None:
        inverse = self._theta ** (-np.arange(0, self.head_size, 2, dtype=np.float64) / self.head_size)
        angles = np.outer(np.arange(_POSITIONS), inverse)
        self._constant("cos", np.cos(angles).astype(np.float32))
        self._constant("sin", np.sin(angles).astype(np.float32))

    def _attention(self, layer: int, normed: str) -> str:
        name = f"blk.{layer}"
        parts = ("attn_q", "attn_k", "attn_v")
        weight = np.concatenate([self._tensor(f"{name}.{part}.weight") for part in parts])
        bias = np.concatenate([self._tensor(f"{name}.{part}.bias") for part in parts])
        packed = self._matmul(normed, weight, f"{name}.qkv")
        packed = self._node("Add", [packed, self._constant(f"{name}.qkv.bias", bias)], f"{name}.qkv.biased")
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        present = [f"present.{layer}.{part}" for part in ("key", "value")]
        inputs = [packed, "", "", *past, "past_lengths", "total_length", "cos", "sin"]
        self._nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                inputs,
                [f"{name}.attended", *present],
                name=f"{name}.attended",
                domain=_CONTRIB,
                num_heads=self.heads,
                kv_num_heads=self.kv_heads,
                scale=self.head_size**-0.5,
                do_rotary=1,
                rotary_interleaved=0,
            )
        )
        return self._matmul(f"{name}.attended", self._tensor(f"{name}.attn_output.weight"), f"{name}.attn_output")

    def _feed_forward(self, name: str, normed: str) -> str:
        gate = self._matmul(normed, self._tensor(f"{name}.ffn_gate.weight"), f"{name}.gate")
        up = self._matmul(normed, self._tensor(f"{name}.ffn_up.weight"), f"{name}.up")
        half = self._node("Mul", [gate, self._node("Sigmoid", [gate], f"{name}.sigmoid")], f"{name}.silu")
        product = self._node("Mul", [half, up], f"{name}.product")
        return self._matmul(product, self._tensor(f"{name}.ffn_down.weight"), f"{name}.down")

    def _add_and_norm(self, stream: str, added: str, gamma: str, name: str) -> tuple[str, str]:
        outputs = [f"{name}.normed", "", "", f"{name}.stream"]
        self._nodes.append(
            helper.make_node(
                "SkipSimplifiedLayerNormalization",
                [stream, added, gamma],
                outputs,
                name=f"{name}.add_norm",
                domain=_CONTRIB,
                epsilon=self._epsilon,
            )
        )
        return outputs[0], outputs[3]

    def _matmul(self, source: str, weight: NDArray[np.float32], output: str) -> str:
        """Multiplies by the transpose of `weight` [out, in], quantized to four bits."""
        columns, rows = weight.shape
        blocks = -(-rows // _BLOCK)
        packed = np.zeros((columns, blocks, _BLOCK // 2), np.uint8)
        scales = np.zeros(columns * blocks, np.float32)
        zeros = np.zeros(columns * ((blocks + 1) // 2), np.uint8)
        quantize_matmul_4bits(packed, np.ascontiguousarray(weight.T), scales, zeros, _BLOCK, columns, rows, True)
        inputs = [source, self._constant(f"{output}.w", packed), self._constant(f"{output}.scales", scales)]
        sizes = {"K": rows, "N": columns, "bits": 4, "block_size": _BLOCK, "accuracy_level": 4}
        return self._node("MatMulNBits", inputs, output, _CONTRIB, **sizes)

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        ids = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "total"]),
        ]
        return ids + self._cache("past_key_values", "past")

    def _outputs(self) -> list[onnx.ValueInfoProto]:
        shape: list[str | int | None] = ["batch", 1, self.vocabulary]
        return [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape), *self._cache("present", "total")]

    def _cache(self, name: str, length: str) -> list[onnx.ValueInfoProto]:
        shape: list[str | int | None] = ["batch", self.kv_heads, length, self.head_size]
        return [
            helper.make_tensor_value_info(f"{name}.{layer}.{part}", TensorProto.FLOAT, shape)
            for layer in range(self.layers)
            for part in ("key", "value")
        ]


def make_folder(source: Path, folder: Path) -> None:
    """Writes `model.onnx`, its weights and `genai_config.json` into an existing folder."""
    graph = Qwen2Graph(source)
    onnx.save_model(
        graph.model(),
        str(folder / "model.onnx"),
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=_EXTERNAL_ABOVE_BYTES,
    )
    reader = gguf.GGUFReader(source)
    ends = [reader.get_field(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "bos", "padding")]
    end, begin, padding = (0 if each is None else int(each.contents()) for each in ends)
    config = {
        "model": {
            "type": "qwen2",
            "bos_token_id": begin,
            "eos_token_id": [end],
            "pad_token_id": padding,
            "context_length": _POSITIONS,
            "vocab_size": graph.vocabulary,
            "decoder": {
                "filename": "model.onnx",
                "session_options": {"provider_options": []},
                "head_size": graph.head_size,
                "hidden_size": graph.hidden,
                "num_attention_heads": graph.heads,
                "num_key_value_heads": graph.kv_heads,
                "num_hidden_layers": graph.layers,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
        },
        "search": {"do_sample": False, "max_length": _POSITIONS, "past_present_share_buffer": True},
    }
    (folder / "genai_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    make_folder(Path(sys.argv[1]), Path(sys.argv[2]))
