"""Dataset rows to token ids: the prompts are those that the server renders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iterqr_proto.rewrite_format import (
    NO,
    YES,
    Question,
    RewriteInput,
    Template,
    normalize_query,
    render,
    render_question,
)

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import DatasetError
from iterqr_training.train.dataset_files import Row
from iterqr_training.train.tokenization import SegmentEncoder

_QUESTIONS = {Task.QUALITY: Question.QUALITY, Task.RELEVANCE: Question.RELEVANCE}
_NAMED = 5


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One example. `prefix` is the part of the prompt that many examples share, `suffix` its rest; loss is on `answer`.

    `weight` is of the loss; `iteration` that of the row.
    """

    example_id: str
    task: Task
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    answer: tuple[int, ...]
    weight: float
    iteration: int

    @property
    def tokens(self) -> int:
        """Of the whole example."""
        return len(self.prefix) + len(self.suffix) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The examples that can be used, and ids of those that are too long."""

    examples: tuple[EncodedExample, ...]
    too_long: tuple[str, ...]


def encode_rows(
    rows: Sequence[Row],
    template: Template,
    encoder: SegmentEncoder,
    *,
    max_tokens: int,
    max_too_long: float,
) -> Encoded:
    """Encodes rows of one split. Examples over `max_tokens` are left out.

    Raises:
        DatasetError: A row cannot be rendered, or the share of too long ones is over `max_too_long`; rows are named.
    """
    encoded = [encode_row(row, template, encoder) for row in rows]
    fitting = tuple(each for each in encoded if each.tokens <= max_tokens)
    too_long = [each for each in encoded if each.tokens > max_tokens]
    if len(too_long) > max_too_long * len(encoded):
        longest = sorted(too_long, key=lambda each: (-each.tokens, each.example_id))[:_NAMED]
        named = ", ".join(f"{each.example_id} ({each.tokens})" for each in longest)
        raise DatasetError(
            f"{len(too_long)} of {len(encoded)} examples have more than {max_tokens} tokens, over the share of "
            f"{max_too_long:g} that may be left out; the longest: {named}. Raise max_example_tokens or max_too_long"
        )
    return Encoded(fitting, tuple(each.example_id for each in too_long))


def encode_row(row: Row, template: Template, encoder: SegmentEncoder) -> EncodedExample:
    """Encodes one row.

    A rewrite's target ends with the line's end, not with the turn's: which rewrites are good is known, but never that
    there are no others. A model that learned to stop there would write one where users had judged one.

    Raises:
        DatasetError: It has no query or subject once cleaned, or an answer that is not the task's.
    """
    query = normalize_query(row.query)
    try:
        if row.task is Task.GENERATION:
            prompt, answer = render(template, RewriteInput(query, row.hints)), encoder.encode_lines(f"{row.target}\n")
        else:
            if row.target not in (YES, NO):
                raise ValueError(f"target: must be {YES!r} or {NO!r}, got {row.target!r}")
            prompt = render_question(query, row.subject, _QUESTIONS[row.task])
            answer = encoder.encode_answer(row.target)
    except ValueError as error:
        raise DatasetError(f"example {row.example_id} ({row.task}): {error}") from error
    return EncodedExample(
        example_id=row.example_id,
        task=row.task,
        prefix=encoder.encode(prompt.prefix),
        suffix=encoder.encode(prompt.suffix),
        answer=answer,
        weight=row.weight,
        iteration=row.iteration,
    )


def counts_by_task(examples: Iterable[EncodedExample]) -> dict[str, int]:
    """How many there are of each task, in the tasks' order."""
    tasks = [each.task for each in examples]
    return {str(task): count for task in Task if (count := tasks.count(task))}
