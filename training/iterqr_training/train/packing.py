"""Several examples in one row of tokens, each computed as if it were alone.

A row has each distinct prompt prefix once, and behind it the examples that begin with it. A token sees the earlier
tokens of its own example and of the prefix, nothing else, and its position is what it would be alone: so logits and
loss are those of examples run one by one, and the instruction of a prompt is computed once for all examples of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iterqr_training.train.examples import EncodedExample

_PREFIX = -1


@dataclass(frozen=True, slots=True, eq=False)
class PackedRow:
    """L tokens of `examples`, with A answer tokens.

    Attributes:
        token_ids: [L].
        positions: [L], of each token in its own example.
        groups: [L], number of the prefix that a token belongs to.
        owners: [L], number of its example; -1 for tokens of a prefix.
        predicts: [A], places whose logits foretell an answer token.
        targets: [A], the answer tokens.
        answer_of: [A], numbers of their examples; each example's answer tokens are together, in order.
    """

    examples: tuple[EncodedExample, ...]
    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    groups: NDArray[np.int64]
    owners: NDArray[np.int64]
    predicts: NDArray[np.int64]
    targets: NDArray[np.int64]
    answer_of: NDArray[np.int64]

    def visible(self) -> NDArray[np.bool_]:
        """[L, L]: whether the token of the row may see that of the column."""
        earlier = np.tri(len(self.token_ids), dtype=bool)
        same_group = self.groups[:, None] == self.groups[None, :]
        own = (self.owners[None, :] == _PREFIX) | (self.owners[:, None] == self.owners[None, :])
        visible: NDArray[np.bool_] = earlier & same_group & own
        return visible

    def averaging(self) -> NDArray[np.float32]:
        """[examples, A]: takes the mean over each example's answer tokens."""
        of_example = self.answer_of[None, :] == np.arange(len(self.examples))[:, None]
        averaging: NDArray[np.float32] = (of_example / of_example.sum(axis=1, keepdims=True)).astype(np.float32)
        return averaging


def pack(examples: Sequence[EncodedExample], row_tokens: int, *, together: bool = True) -> list[PackedRow]:
    """Distributes examples over as few rows of at most `row_tokens` as first fit, longest first, finds.

    An example that alone is longer gets a row of its own. Not `together`: each has its own.
    """
    if not together:
        return [_row([example]) for example in examples]
    bins: list[list[EncodedExample]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda each: (each.prefix, -each.tokens, each.example_id)):
        own = len(example.suffix) + len(example.answer)
        for place, content in enumerate(bins):
            needed = own if any(other.prefix == example.prefix for other in content) else own + len(example.prefix)
            if needed <= room[place]:
                content.append(example)
                room[place] -= needed
                break
        else:
            bins.append([example])
            room.append(row_tokens - example.tokens)
    return [_row(content) for content in bins]


def _row(examples: Sequence[EncodedExample]) -> PackedRow:
    prefixes = list(dict.fromkeys(example.prefix for example in examples))
    ordered = tuple(example for prefix in prefixes for example in examples if example.prefix == prefix)
    ids: list[int] = []
    positions: list[int] = []
    groups: list[int] = []
    owners: list[int] = []
    predicts: list[int] = []
    for number, example in enumerate(ordered):
        group, start = prefixes.index(example.prefix), len(example.prefix)
        if group not in groups:
            ids += example.prefix
            positions += range(start)
            groups += [group] * start
            owners += [_PREFIX] * start
        own = (*example.suffix, *example.answer[:-1])  # the last token of an answer foretells nothing
        predicts += range(len(ids) + len(example.suffix) - 1, len(ids) + len(own))
        ids += own
        positions += range(start, start + len(own))
        groups += [group] * len(own)
        owners += [number] * len(own)
    return PackedRow(
        examples=ordered,
        token_ids=np.asarray(ids, np.int64),
        positions=np.asarray(positions, np.int64),
        groups=np.asarray(groups, np.int64),
        owners=np.asarray(owners, np.int64),
        predicts=np.asarray(predicts, np.int64),
        targets=np.asarray([token for example in ordered for token in example.answer], np.int64),
        answer_of=np.repeat(np.arange(len(ordered)), [len(example.answer) for example in ordered]),
    )
