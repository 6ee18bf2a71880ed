"""Losses of one packed row, and what the model's answers to yes/no questions are."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from iterqr_training.dataset.rows import Task
from iterqr_training.train.packing import PackedRow


@dataclass(frozen=True, slots=True)
class AnswerIds:
    """First tokens of the answers to the yes/no questions."""

    yes: int
    no: int


class AdaptedModel(Protocol):
    """A model whose adapter can be left out for a while."""

    def disable_adapter(self) -> AbstractContextManager[Any]:
        """Within it the model is the base."""
        ...


def answer_logits(model: Any, row: PackedRow, device: torch.device) -> Any:  # noqa: ANN401 - torch is untyped
    """[A, vocabulary] in float32: logits that foretell the answer tokens; none are computed for other tokens."""
    output = model(
        input_ids=_tensor(row.token_ids, device)[None],
        position_ids=_tensor(row.positions, device)[None],
        attention_mask=_tensor(row.visible(), device)[None, None],
        logits_to_keep=_tensor(row.predicts, device),
        use_cache=False,
    )
    return output.logits[0].float()


def example_losses(logits: Any, row: PackedRow) -> Any:  # noqa: ANN401
    """[examples]: mean cross entropy of each example's answer tokens."""
    of_token = functional.cross_entropy(logits, _tensor(row.targets, logits.device), reduction="none")
    return _tensor(row.averaging(), logits.device) @ of_token


def example_divergences(logits: Any, base_logits: Any, row: PackedRow) -> Any:  # noqa: ANN401
    """[examples]: mean KL(base || model) over each example's answer tokens."""
    base = functional.log_softmax(base_logits, dim=-1)
    of_token = (base.exp() * (base - functional.log_softmax(logits, dim=-1))).sum(dim=-1)
    return _tensor(row.averaging(), logits.device) @ of_token


def row_loss(
    losses: Any,  # noqa: ANN401
    row: PackedRow,
    weights: Mapping[Task, float],
    shares: Mapping[str, float],
) -> Any:  # noqa: ANN401
    """The row's part of a step's loss: the sum over its examples of task weight, share of the task and loss."""
    factors = [weights[each.task] * shares[each.example_id] for each in row.examples]
    return losses @ torch.tensor(factors, dtype=losses.dtype, device=losses.device)


def yes_margins(logits: Any, row: PackedRow, ids: AnswerIds) -> list[tuple[Task, bool, float]]:  # noqa: ANN401
    """For each yes/no example: task, whether yes is right, and log p(yes) - log p(no)."""
    firsts = [int(np.argmax(row.answer_of == number)) for number in range(len(row.examples))]
    margins = (logits[firsts, ids.yes] - logits[firsts, ids.no]).tolist()
    return [
        (example.task, example.answer[0] == ids.yes, margin)
        for example, margin in zip(row.examples, margins, strict=True)
        if example.task is not Task.GENERATION
    ]


def _tensor(array: NDArray[Any], device: torch.device) -> Any:  # noqa: ANN401
    return torch.from_numpy(array).to(device)
