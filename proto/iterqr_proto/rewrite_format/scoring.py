"""Scoring format v1: a query and a rewrite of it as a question that the model answers with one word.

Used to score rewrites and as the prompt of the classification tasks in training. The parts come in the order of how
many prompts share them: instruction, query, rewrite, question.
"""

from __future__ import annotations

import enum

from iterqr_proto.rewrite_format.prompt import Prompt, Segment
from iterqr_proto.rewrite_format.text import clean_text

SCORING_VERSION = "v1"
YES, NO = "Yes", "No"
"""The answers: each is one token after the prompt in the vocabulary of Qwen2.5."""

_INSTRUCTION = (
    "You judge rewrites of search queries. A good rewrite finds what the user wants. "
    "Answer the question with yes or no."
)


class Question(enum.Enum):
    """What is asked about a rewrite; the value is how."""

    QUALITY = "Is the rewrite well formed and usable as a search query?"
    RELEVANCE = "Does the rewrite look for what the user of the query needs?"


def render_question(query: str, rewrite: str, question: Question) -> Prompt:
    """Returns the prompt that `YES` or `NO` answers. Query and rewrite are cleaned (`clean_text`).

    Raises:
        ValueError: nothing of the query or of the rewrite is left after cleaning.
    """
    texts = {"query": clean_text(query), "rewrite": clean_text(rewrite)}
    if empty := [name for name, text in texts.items() if not text]:
        raise ValueError(f"{empty[0]}: must not be empty")
    return Prompt(
        prefix=(Segment(f"<|im_start|>system\n{_INSTRUCTION}<|im_end|>\n<|im_start|>user\nquery:"),),
        suffix=(
            Segment(" " + texts["query"], is_data=True),
            Segment("\nrewrite:"),
            Segment(" " + texts["rewrite"], is_data=True),
            Segment(f"\n{question.value}<|im_end|>\n<|im_start|>assistant\n"),
        ),
    )
