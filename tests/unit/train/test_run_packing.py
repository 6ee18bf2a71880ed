"""Packed examples are computed as if each were alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from iterqr_proto.rewrite_format import Template
from iterqr_server.models.progress import Silent
from iterqr_training.dataset.rows import Task
from iterqr_training.train.base_model import find_base, load_base
from iterqr_training.train.examples import EncodedExample, encode_rows
from iterqr_training.train.losses import answer_logits, example_losses, row_loss
from iterqr_training.train.packing import PackedRow, pack
from iterqr_training.train.plan import loss_shares
from iterqr_training.train.tokenization import SegmentEncoder
from support.tiny_qwen2 import byte_tokenizer_json, tiny_qwen2
from support.tiny_training import rows

CPU = torch.device("cpu")
Examples = tuple[EncodedExample, ...]


@pytest.fixture(scope="module")
def examples() -> Examples:
    encoder = SegmentEncoder(byte_tokenizer_json())
    return encode_rows(rows(12), Template("Rewrite.", ()), encoder, max_tokens=1000, max_too_long=0).examples


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - torch is untyped
    folder = tiny_qwen2(tied=True).save(tmp_path_factory.mktemp("base"))
    return load_base(find_base(str(folder), Silent()), torch.float32, Silent())


def test_each_example_has_the_logits_it_has_alone(model: Any, examples: Examples) -> None:  # noqa: ANN401
    alone = tiny_qwen2(tied=True)
    packed = pack(examples, 2000)
    assert len(packed) < len(examples)
    for row in packed:
        logits = answer_logits(model, row, CPU).detach().numpy()
        for number, example in enumerate(row.examples):
            ids = [*example.prefix, *example.suffix, *example.answer]
            expected = alone.logits(ids)[-len(example.answer) - 1 : -1]
            assert logits[row.answer_of == number] == pytest.approx(expected, abs=2e-4)


def test_packed_loss_and_gradient_equal_those_of_examples_run_one_by_one(model: Any, examples: Examples) -> None:  # noqa: ANN401
    weights = {Task.GENERATION: 1.0, Task.QUALITY: 0.5, Task.RELEVANCE: 2.0}
    packed = _loss_and_gradient(model, pack(examples, 700), weights)
    single = _loss_and_gradient(model, pack(examples, 700, together=False), weights)
    assert packed[0] == pytest.approx(single[0], rel=1e-5)
    assert torch.allclose(packed[1], single[1], rtol=1e-3, atol=1e-6)


def test_with_a_plainly_causal_mask_examples_would_see_each_other(model: Any, examples: Examples) -> None:  # noqa: ANN401
    row = pack(examples, 2000)[0]
    leaking = replace(row, owners=np.full_like(row.owners, -1), groups=np.zeros_like(row.groups))
    right = example_losses(answer_logits(model, row, CPU), row)
    wrong = example_losses(answer_logits(model, leaking, CPU), row)
    assert (right - wrong).abs().max() > 0.01


def test_a_prefix_is_in_a_row_once_and_loss_is_on_answers_alone(examples: Examples) -> None:
    (row,) = pack(examples, 100_000)
    prefixes = {example.prefix for example in examples}
    assert len(prefixes) == 2
    own = sum(len(each.suffix) + len(each.answer) - 1 for each in examples)
    assert len(row.token_ids) == own + sum(map(len, prefixes))
    assert len(row.targets) == sum(len(each.answer) for each in examples)
    for number, example in enumerate(row.examples):
        assert tuple(row.targets[row.answer_of == number]) == example.answer
        places = row.predicts[row.answer_of == number]
        assert tuple(row.token_ids[places]) == (example.suffix[-1], *example.answer[:-1])


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=30),
    st.integers(20, 200),
)
def test_every_example_is_packed_once_and_rows_are_not_too_long(sizes: list[tuple[int, int, int]], room: int) -> None:
    some = [
        EncodedExample(str(number), Task.QUALITY, (kind,) * (3 * kind), (7,) * suffix, (8,) * answer, 1.0, 0)
        for number, (kind, suffix, answer) in enumerate(sizes)
    ]
    packed = pack(some, room)
    assert sorted(each.example_id for row in packed for each in row.examples) == sorted(e.example_id for e in some)
    assert all(len(row.token_ids) <= room or len(row.examples) == 1 for row in packed)


def _loss_and_gradient(model: Any, packed: list[PackedRow], weights: dict[Task, float]) -> tuple[float, Any]:  # noqa: ANN401
    shares = loss_shares([example for row in packed for example in row.examples])
    model.zero_grad()
    total = 0.0
    for row in packed:
        loss = row_loss(example_losses(answer_logits(model, row, CPU), row), row, weights, shares)
        loss.backward()
        total += loss.item()
    return total, model.model.layers[0].self_attn.q_proj.weight.grad.clone()
