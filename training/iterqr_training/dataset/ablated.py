"""Examples without a part, to measure what the part is worth: hints, or the chain of thought. Pure."""

from __future__ import annotations

from dataclasses import replace

from iterqr_proto.rewrite_format import Example as Lines
from iterqr_proto.rewrite_format import parse
from iterqr_proto.rewrite_format.prompt import answer

from iterqr_training.dataset.examples import Example
from iterqr_training.dataset.rows import Task
from iterqr_training.dataset.settings import DatasetSettings

NOTHING = "-"
"""What fix, intent and meaning say without a chain of thought: the format's grammar wants the lines."""


def ablated(example: Example, settings: DatasetSettings) -> Example:
    """Returns the example without what `settings` leave out.

    Examples are chosen before, because their ids are of their targets: with and without a part, the same are drawn.
    """
    if not settings.hints:
        example = replace(example, hints=())
    if not settings.chain and example.task is Task.GENERATION:
        lines = Lines(example.query, example.hints, NOTHING, NOTHING, NOTHING, parse(example.target).rewrites)
        example = replace(example, target=answer(lines))
    return example
