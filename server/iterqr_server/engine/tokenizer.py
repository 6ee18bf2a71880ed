"""Prompts to token ids, token ids to bytes.

Text from users and indexes (`Segment.is_data`) must never become a control token, or a query could end its own turn
and write the assistant's. It is encoded with control tokens disabled: `<|im_end|>` is then ten plain characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from iterqr_proto.rewrite_format import Segment
from tokenizers import Tokenizer

STOP_TOKENS = ("<|im_end|>", "<|endoftext|>")


class PromptTokenizer(Protocol):
    """What the engine needs of a tokenizer."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end the model's turn."""
        ...

    def encode(self, segments: Sequence[Segment]) -> tuple[int, ...]:
        """Encodes segment by segment; control tokens are recognised in segments that are not data only."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """UTF-8 bytes that a token stands for; none for control tokens and for ids the vocabulary lacks."""
        ...


class BytePairTokenizer:
    """A byte-level BPE tokenizer (Qwen2, GPT-2) read from its tokenizer.json."""

    def __init__(self, tokenizer_json: str) -> None:
        self._control = Tokenizer.from_str(tokenizer_json)
        # Without added tokens nothing is recognised before byte pairs are merged. (`encode_special_tokens` would leave
        # those added tokens recognised that are not marked special, such as Qwen's `<tool_call>`.)
        self._plain = Tokenizer.from_str(json.dumps(json.loads(tokenizer_json) | {"added_tokens": []}))
        self._added = frozenset(self._control.get_added_tokens_decoder())
        self._bytes_of = _bytes_of_characters()
        stops = [i for token in STOP_TOKENS if (i := self._control.token_to_id(token)) is not None]
        if not stops:
            raise ValueError(f"tokenizer: has none of the tokens that end a turn: {', '.join(STOP_TOKENS)}")

        self._stop_ids = frozenset(stops)
        self.end_of_turn_id = stops[0]

    @property
    def stop_ids(self) -> frozenset[int]:
        """See `PromptTokenizer`."""
        return self._stop_ids

    def encode(self, segments: Sequence[Segment]) -> tuple[int, ...]:
        """See `PromptTokenizer`."""
        return tuple(self._encode(segments))

    def _encode(self, segments: Sequence[Segment]) -> Iterable[int]:
        for segment in segments:
            tokenizer = self._plain if segment.is_data else self._control
            yield from tokenizer.encode(segment.text, add_special_tokens=False).ids

    def token_bytes(self, token_id: int) -> bytes:
        """See `PromptTokenizer`."""
        token = None if token_id in self._added else self._control.id_to_token(token_id)
        return bytes(self._bytes_of[char] for char in token) if token else b""


@lru_cache(maxsize=1)
def _bytes_of_characters() -> dict[str, int]:
    """The characters that byte-level vocabularies write bytes with (GPT-2's table): printable ones are themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
