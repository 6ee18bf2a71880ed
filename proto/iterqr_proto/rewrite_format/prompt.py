"""Renders a query and its hints as a chat prompt (ChatML, as Qwen2.5 was trained with)."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_proto.rewrite_format.template import Example, Template
from iterqr_proto.rewrite_format.text import clean_text

MAX_HINTS = 5
MAX_HINT_CHARS = 60


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of prompt text.

    `is_data` marks text that came from users or from an index. A tokenizer must encode it with control tokens
    disabled, so that `<|im_end|>` in a query is ten harmless characters.
    """

    text: str
    is_data: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in two parts, each encoded segment by segment.

    `prefix` depends on the template alone, so that engines compute it once; `suffix` on the query and its hints.
    """

    prefix: tuple[Segment, ...]
    suffix: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The whole prompt, for people and golden files."""
        return "".join(s.text for s in self.prefix + self.suffix)


@dataclass(frozen=True, slots=True)
class RewriteInput:
    """What a prompt is made of. `hints` are titles, best first; at most `MAX_HINTS` are used."""

    query: str
    hints: tuple[str, ...] = ()


def render(template: Template, source: RewriteInput) -> Prompt:
    """Returns the prompt for one query.

    Query and hints are cleaned (`clean_text`); `;` separates hints, so inside one it becomes `,`.

    Raises:
        ValueError: nothing of the query is left after cleaning.
    """
    query = clean_text(source.query)
    if not query:
        raise ValueError("query: must not be empty")
    return Prompt(prefix=_prefix(template), suffix=(*_user(query, source.hints), Segment("<|im_start|>assistant\n")))


def _prefix(template: Template) -> tuple[Segment, ...]:
    segments = [Segment(f"<|im_start|>system\n{template.instruction}<|im_end|>\n")]
    for example in template.examples:
        segments += _user(example.query, example.hints)
        segments.append(Segment(f"<|im_start|>assistant\n{answer(example)}<|im_end|>\n"))
    return tuple(segments)


def _user(query: str, hints: tuple[str, ...]) -> list[Segment]:
    titles = [title for hint in hints if (title := clean_text(hint).replace(";", ",")[:MAX_HINT_CHARS].strip())]
    segments = [Segment("<|im_start|>user\n")]
    if titles:
        segments += [Segment("popular:"), Segment(" " + "; ".join(titles[:MAX_HINTS]), is_data=True), Segment("\n")]
    return [*segments, Segment("query:"), Segment(" " + query, is_data=True), Segment("<|im_end|>\n")]


def answer(example: Example) -> str:
    """Returns the lines a model should write for `example`; also the completion in training data."""
    rewrites = "".join(f"\nrw: {rewrite}" for rewrite in example.rewrites)
    return f"fix: {example.fix}\nintent: {example.intent}\nmeaning: {example.meaning}{rewrites}"
