"""The tensors of a Qwen2 checkpoint: names and shapes, in the order they are written."""

from __future__ import annotations

from iterqr_server.models.architecture import Architecture

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


def qwen2_tensors(architecture: Architecture, *, own_head: bool) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each tensor, [out, in] for matrices. `own_head`: the head is not the embedding table."""
    a = architecture
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (a.vocabulary, a.hidden)}
    for layer in range(a.layers):
        name = f"model.layers.{layer}"
        shapes[f"{name}.input_layernorm.weight"] = (a.hidden,)
        for part, size in (("q", a.q_size), ("k", a.kv_size), ("v", a.kv_size)):
            shapes[f"{name}.self_attn.{part}_proj.weight"] = (size, a.hidden)
            shapes[f"{name}.self_attn.{part}_proj.bias"] = (size,)
        shapes[f"{name}.self_attn.o_proj.weight"] = (a.hidden, a.q_size)
        shapes[f"{name}.post_attention_layernorm.weight"] = (a.hidden,)
        shapes[f"{name}.mlp.gate_proj.weight"] = (a.intermediate, a.hidden)
        shapes[f"{name}.mlp.up_proj.weight"] = (a.intermediate, a.hidden)
        shapes[f"{name}.mlp.down_proj.weight"] = (a.hidden, a.intermediate)
    shapes["model.norm.weight"] = (a.hidden,)
    if own_head:
        shapes[HEAD] = (a.vocabulary, a.hidden)
    return shapes
