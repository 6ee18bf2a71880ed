"""Tokens to text, as they come."""

from __future__ import annotations

import codecs


class Detokenizer:
    """Decodes the bytes of one request's tokens.

    A token may end inside a character; its bytes wait for the rest. Bytes that can never become UTF-8 turn into U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: bytes) -> str:
        """Returns the text that `token` completes."""
        return self._decoder.decode(token)

    def finish(self) -> str:
        """Returns what stands for bytes left incomplete at the end."""
        return self._decoder.decode(b"", final=True)
