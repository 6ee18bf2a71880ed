"""Prompt segments to token ids, as the server encodes them: what users wrote never becomes a control token."""

from __future__ import annotations

import json
from collections.abc import Iterable

from iterqr_proto.rewrite_format import Segment
from tokenizers import Tokenizer

from iterqr_training.errors import BaseModelError

END_OF_TURN = "<|im_end|>"


class SegmentEncoder:
    """Encodes prompts and answers with one model's tokenizer."""

    def __init__(self, tokenizer_json: str) -> None:
        self._control = Tokenizer.from_str(tokenizer_json)
        self._plain = Tokenizer.from_str(json.dumps(json.loads(tokenizer_json) | {"added_tokens": []}))
        end = self._control.token_to_id(END_OF_TURN)
        if end is None:
            raise BaseModelError(f"the base's tokenizer has no {END_OF_TURN}: it is none of a chat model")
        self.end_of_turn_id: int = end

    def encode(self, segments: Iterable[Segment]) -> tuple[int, ...]:
        """Encodes segment by segment; control tokens are recognised in segments that are not data only."""
        ids: list[int] = []
        for segment in segments:
            tokenizer = self._plain if segment.is_data else self._control
            ids += tokenizer.encode(segment.text, add_special_tokens=False).ids
        return tuple(ids)

    def encode_answer(self, text: str) -> tuple[int, ...]:
        """Encodes what the model should write, and the token that ends its turn."""
        return (*self.encode_lines(text), self.end_of_turn_id)

    def encode_lines(self, text: str) -> tuple[int, ...]:
        """Encodes what the model should write, after which it may go on."""
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)
