"""The ONNX graph of a Qwen2 decoder that runs packed steps (`iterqr_server.engine.executor.PackedStep`).

Inputs, besides the step's arrays by their names there:
    arena_key.{layer}, arena_value.{layer} [A, kv_size] float32
Outputs, with K wanted rows:
    logits [K, outputs] float32, a column for each token of the output vocabulary
    written_key.{layer}, written_value.{layer} [A, kv_size] float32

Keys are stored rotated. A backend binds each arena as input and output at once, so that it is updated in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from iterqr_server.models.architecture import Architecture
from iterqr_server.models.external_data import ExternalData
from iterqr_server.models.quantization import Quantization, WeightFormat, quantize, quantize_by_channel
from iterqr_server.models.weights import Weights

OPSET = 23
CONTRIB = "com.microsoft"


class GraphBuilder:
    """Writes one model layer by layer: nodes are kept, weights go to the external data file at once.

    Holds about one layer's weights in memory at a time.
    """

    def __init__(
        self, weights: Weights, quantization: Quantization, output_ids: NDArray[np.int64] | None, data: ExternalData
    ) -> None:
        """`output_ids`: tokens that get a logit, in the order of its columns; None: all."""
        self._weights = weights
        self._shapes: Architecture = weights.architecture
        self._body = quantization.body
        self._head = quantization.head
        self._output_ids = output_ids
        self._data = data
        self._nodes: dict[str, onnx.NodeProto] = {}  # by first output
        self._initializers: dict[str, onnx.TensorProto] = {}

    def parts(self) -> Iterator[str]:
        """Builds the parts one by one; each is named after it is done. Then call `model`."""
        self._rotary_tables()
        self._node("Unsqueeze", ["positions", self._constant("axis0", np.array([0], np.int64))], ["positions2d"])
        self._node("Unsqueeze", ["slots", self._constant("axis1", np.array([1], np.int64))], ["slots2d"])
        self._mask()
        self._embedding()
        yield "embedding"
        skip, hidden = "embedded", self._norm("embedded", None, "model.layers.0.input_layernorm.weight")[0]
        for layer in range(self._shapes.layers):
            skip, hidden = self._layer(layer, skip, hidden)
            yield f"layer {layer}"
        self._node("Gather", [hidden, "logit_rows"], ["wanted"], axis=0)
        name = "lm_head.weight" if self._weights.has_own_head else "model.embed_tokens.weight"
        head = self._weights.tensor(name)
        self._linear("wanted", head if self._output_ids is None else head[self._output_ids], "logits", self._head)
        yield "head"

    def model(self) -> onnx.ModelProto:
        """Returns the finished graph, whose weights refer to the external data file."""
        kv = self._shapes.kv_size
        layers = range(self._shapes.layers)
        step = {
            "token_ids": ["R"],
            "positions": ["R"],
            "slots": ["R"],
            "group_rows": ["G", "Q"],
            "group_slots": ["G", "L"],
            "row_places": ["R"],
            "logit_rows": ["K"],
        }
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, dims) for name, dims in step.items()]
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.BOOL, ["G", "Q", "L"]))
        columns = self._shapes.vocabulary if self._output_ids is None else self._output_ids.size
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["K", columns])]
        for layer in layers:
            for part in ("key", "value"):
                inputs.append(helper.make_tensor_value_info(f"arena_{part}.{layer}", TensorProto.FLOAT, ["A", kv]))
                outputs.append(helper.make_tensor_value_info(f"written_{part}.{layer}", TensorProto.FLOAT, ["A", kv]))
        graph = helper.make_graph(
            list(self._nodes.values()), "qwen2_packed_step", inputs, outputs, list(self._initializers.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="iterqr-server")

    def _layer(self, layer: int, skip: str, hidden: str) -> tuple[str, str]:
        """Adds one decoder layer. Takes and returns (residual stream, its normed reading for the next matrix)."""
        name = f"model.layers.{layer}"
        attended = self._attention(layer, hidden)
        output = self._shared_heads_apart(self._weights.tensor(f"{name}.self_attn.o_proj.weight").T).T
        projected = self._linear(attended, output, f"o.{layer}", self._body)
        hidden, skip = self._norm(projected, skip, f"{name}.post_attention_layernorm.weight")
        for part in ("gate", "up"):  # apart: splitting a wide product again would copy it
            self._linear(hidden, self._weights.tensor(f"{name}.mlp.{part}_proj.weight"), f"{part}.{layer}", self._body)
        # x * sigmoid(1.0 * x) is SiLU
        self._node("QuickGelu", [f"gate.{layer}"], [f"silu.{layer}"], domain=CONTRIB, alpha=1.0)
        self._node("Mul", [f"silu.{layer}", f"up.{layer}"], [f"mlp.{layer}"])
        down = self._linear(
            f"mlp.{layer}", self._weights.tensor(f"{name}.mlp.down_proj.weight"), f"down.{layer}", self._body
        )
        is_last = layer == self._shapes.layers - 1
        following = "model.norm.weight" if is_last else f"model.layers.{layer + 1}.input_layernorm.weight"
        hidden, skip = self._norm(down, skip, following)
        return skip, hidden

    def _attention(self, layer: int, hidden: str) -> str:
        """Writes the rows' keys and values to the arena, then attends group by group.

        The query heads that share a key/value head become rows of one matrix: one product reads each key once instead
        of once a head. Heads are laid out for that when the weights are stored (`_shared_heads_apart`).
        """
        shapes, name = self._shapes, f"model.layers.{layer}.self_attn"
        matrices = [self._shared_heads_apart(self._weights.tensor(f"{name}.q_proj.weight"))]
        matrices += [self._weights.tensor(f"{name}.{part}_proj.weight") for part in "kv"]
        biases = [self._shared_heads_apart(self._weights.tensor(f"{name}.q_proj.bias"))]
        biases += [self._weights.tensor(f"{name}.{part}_proj.bias") for part in "kv"]
        qkv = self._linear(hidden, np.concatenate(matrices), f"qkv.{layer}", self._body, np.concatenate(biases))
        sizes = self._constant("qkv_sizes", np.array([shapes.q_size, shapes.kv_size, shapes.kv_size], np.int64))
        self._node("Split", [qkv, sizes], [f"q.{layer}", f"k.{layer}", f"v.{layer}"], axis=-1)
        self._node("Gather", [self._rotate(f"q.{layer}", shapes.heads), "group_rows"], [f"q.{layer}.grouped"], axis=0)
        operands = [self._reshape(f"q.{layer}.grouped", [0, -1, shapes.kv_size])]
        for part, rows in (("key", self._rotate(f"k.{layer}", shapes.kv_heads)), ("value", f"v.{layer}")):
            written = f"written_{part}.{layer}"
            self._node("ScatterND", [f"arena_{part}.{layer}", "slots2d", rows], [written])
            self._node("Gather", [written, "group_slots"], [f"{part}.{layer}"], axis=0)
            operands.append(f"{part}.{layer}")
        attended = f"attended.{layer}"
        heads = shapes.kv_heads
        self._node("Attention", [*operands, "grouped_mask"], [attended], q_num_heads=heads, kv_num_heads=heads)
        by_place = self._reshape(attended, [-1, shapes.q_size])
        self._node("Gather", [by_place, "row_places"], [f"{attended}.rows"], axis=0)
        return f"{attended}.rows"

    def _shared_heads_apart(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reorders query heads (axis 0) from [kv, group] to [group, kv]: neighbours use different key/value heads."""
        shapes = self._shapes
        heads = outputs.reshape(shapes.kv_heads, shapes.heads // shapes.kv_heads, shapes.head_size, -1)
        return heads.swapaxes(0, 1).reshape(outputs.shape)

    def _mask(self) -> None:
        """[G, Q, L] bool to an additive [G, 1, Q * query heads of a key/value head, L]: the same for every layer."""
        zero, lowest = np.array(0, np.float32), np.array(-np.inf, np.float32)
        self._node("Where", ["mask", self._constant("zero", zero), self._constant("lowest", lowest)], ["additive"])
        self._node("Unsqueeze", ["additive", self._constant("axis2", np.array([2], np.int64))], ["additive.4d"])
        repeats = np.array([1, 1, self._shapes.heads // self._shapes.kv_heads, 1], np.int64)
        self._node("Tile", ["additive.4d", self._constant("repeats", repeats)], ["additive.heads"])
        self._node(
            "Reshape", ["additive.heads", self._constant("mask_shape", np.array([0, 1, -1, 0]))], ["grouped_mask"]
        )

    def _reshape(self, name: str, shape: list[int]) -> str:
        constant = self._constant("shape_" + "_".join(map(str, shape)), np.array(shape, np.int64))
        self._node("Reshape", [name, constant], [f"{name}.reshaped"])
        return f"{name}.reshaped"

    def _rotate(self, name: str, heads: int) -> str:
        rotated = f"{name}.rotated"
        self._node(
            "RotaryEmbedding",
            [self._with_batch(name), "positions2d", "rope_cos", "rope_sin"],
            [f"{rotated}.batch"],
            domain=CONTRIB,
            num_heads=heads,
        )
        return self._without_batch(f"{rotated}.batch", rotated)

    def _with_batch(self, name: str) -> str:
        self._node("Unsqueeze", [name, self._constant("axis0", np.array([0], np.int64))], [f"{name}.1"])
        return f"{name}.1"

    def _without_batch(self, name: str, result: str) -> str:
        self._node("Squeeze", [name, self._constant("axis0", np.array([0], np.int64))], [result])
        return result

    def _norm(self, name: str, skip: str | None, weight: str) -> tuple[str, str]:
        """RMS norm of `name`, or of `name` + `skip`. Returns (normed, the sum)."""
        gamma = self._constant(weight, self._weights.tensor(weight))
        normed, total = f"{name}.normed", f"{name}.sum"
        epsilon = self._shapes.norm_epsilon
        if skip is None:
            self._node("SimplifiedLayerNormalization", [name, gamma], [normed], axis=-1, epsilon=epsilon)
            return normed, name
        outputs = [normed, "", "", total]
        self._node("SkipSimplifiedLayerNormalization", [name, skip, gamma], outputs, domain=CONTRIB, epsilon=epsilon)
        return normed, total

    def _linear(
        self,
        x: str,
        matrix: NDArray[np.float32],
        result: str,
        stored_as: WeightFormat,
        bias_values: NDArray[np.float32] | None = None,
    ) -> str:
        """Multiplies by the transpose of `matrix` [outputs, inputs]."""
        bias = "" if bias_values is None else self._constant(f"{result}.bias", bias_values)
        if stored_as.is_by_channel:
            self._channel_linear(x, matrix, result, bias)
        elif stored_as.is_quantized:
            self._block_linear(x, matrix, result, bias, stored_as)
        else:
            product = f"{result}.product" if bias else result
            self._node("MatMul", [x, self._stored(f"{result}.weight", np.ascontiguousarray(matrix.T))], [product])
            if bias:
                self._node("Add", [product, bias], [result])
        return result

    def _block_linear(
        self, x: str, matrix: NDArray[np.float32], result: str, bias: str, stored_as: WeightFormat
    ) -> None:
        rows, columns = matrix.shape
        quantized = quantize(matrix, stored_as)
        stored = [self._stored(f"{result}.codes", quantized.codes), self._stored(f"{result}.scales", quantized.scales)]
        self._node(
            "MatMulNBits",
            [x, *stored, "", "", bias] if bias else [x, *stored],
            [result],
            domain=CONTRIB,
            K=columns,
            N=rows,
            bits=stored_as.bits,
            block_size=stored_as.block,
            accuracy_level=4,  # activations are quantized to int8 per block
        )

    def _channel_linear(self, x: str, matrix: NDArray[np.float32], result: str, bias: str) -> None:
        """Rounds each row of `x` to codes of its own scale, around 128: unsigned times signed has the fast kernel.

        The products' sums are integers and so exact: a row's result does not depend on the rows beside it.
        """
        quantized = quantize_by_channel(matrix)
        codes, scales = (
            self._stored(f"{result}.codes", quantized.codes),
            self._stored(f"{result}.scales", quantized.scales),
        )
        rounded, row_scale = self._rounded(x)
        one, centre = self._constant("one", np.array(1, np.float32)), self._constant("centre", np.array(128, np.uint8))
        product, scaled = f"{result}.product", f"{result}.scaled" if bias else result
        self._node("MatMulIntegerToFloat", [rounded, codes, one, scales, centre], [product], domain=CONTRIB)
        self._node("Mul", [product, row_scale], [scaled])
        if bias:
            self._node("Add", [scaled, bias], [result])

    def _rounded(self, x: str) -> tuple[str, str]:
        """Returns (codes of `x` [rows, columns] uint8, their scales [rows, 1])."""
        name = f"{x}.rounded"
        self._node("Abs", [x], [f"{name}.abs"])
        self._node("ReduceMax", [f"{name}.abs", self._constant("axis1", np.array([1], np.int64))], [f"{name}.max"])
        self._node("Mul", [f"{name}.max", self._constant("per_code", np.array(1 / 127, np.float32))], [f"{name}.scale"])
        self._node("Squeeze", [f"{name}.scale", self._constant("axis1", np.array([1], np.int64))], [f"{name}.scales"])
        rows = f"centres_of.{'wanted' if x == 'wanted' else 'rows'}"
        self._node("Shape", [x], [f"{rows}.shape"], start=0, end=1)
        self._node("Expand", [self._constant("centre", np.array(128, np.uint8)), f"{rows}.shape"], [rows])
        self._node("QuantizeLinear", [x, f"{name}.scales", rows], [name], axis=0)
        return name, f"{name}.scale"

    def _embedding(self) -> None:
        table = self._weights.tensor("model.embed_tokens.weight")
        if not self._head.is_quantized:
            self._node("Gather", [self._stored("embedding", table), "token_ids"], ["embedded"], axis=0)
            return
        quantized = quantize(table, EMBEDDING)
        codes = self._stored("embedding.codes", quantized.codes.reshape(table.shape[0], -1))
        scales = self._stored("embedding.scales", quantized.scales)
        self._node(
            "GatherBlockQuantized",
            [codes, "token_ids", scales],
            ["embedded"],
            domain=CONTRIB,
            bits=EMBEDDING.bits,
            block_size=EMBEDDING.block,
            gather_axis=0,
            quantize_axis=1,
        )

    def _rotary_tables(self) -> None:
        shapes = self._shapes
        exponents = np.arange(0, shapes.head_size, 2, dtype=np.float64) / shapes.head_size
        angles = np.outer(np.arange(shapes.context), shapes.rope_theta**-exponents)
        for name, table in (("rope_cos", np.cos(angles)), ("rope_sin", np.sin(angles))):
            self._stored(name, table.astype(np.float32))

    def _stored(self, name: str, values: NDArray[Any]) -> str:
        """A tensor kept in the file beside the graph."""
        self._initializers[name] = self._data.store(name, values)
        return name

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        """A small tensor kept in the graph itself; one that is there already is used again."""
        if name not in self._initializers:
            self._initializers[name] = onnx.numpy_helper.from_array(values, name)
        return name

    def _node(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: float) -> None:
        """Adds a node, unless one that makes the same output is there already."""
        if outputs[0] in self._nodes:
            return
        made = helper.make_node(kind, inputs, outputs, name=outputs[0], domain=domain)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self._nodes[outputs[0]] = made


EMBEDDING = WeightFormat(bits=8, block=32)
