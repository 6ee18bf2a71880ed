"""One request inside the engine: its tokens, how far they are computed, and where they live."""

from __future__ import annotations

from iterqr_server.engine.block_pool import BlockLease
from iterqr_server.engine.guide import Guide
from iterqr_server.engine.prefix_cache import Prefix


class Sequence:
    """Tokens of one request behind its shared prefix.

    `token_ids` are the suffix of the prompt and what was generated since; the first `computed` of them have K/V in the
    arena. Computing the last one gives the logits of the next. Waiting: `lease` is None.
    """

    def __init__(
        self,
        request_id: str,
        prefix_ids: tuple[int, ...],
        suffix_ids: tuple[int, ...],
        max_new_tokens: int,
        guide: Guide | None = None,
    ) -> None:
        self.request_id = request_id
        self.prefix_ids = prefix_ids
        self.token_ids = list(suffix_ids)
        self.suffix_length = len(suffix_ids)
        self.max_new_tokens = max_new_tokens
        self.guide = guide
        self.computed = 0
        self.prefix: Prefix | None = None
        self.lease: BlockLease | None = None

    @property
    def prompt_length(self) -> int:
        """Tokens of the whole prompt."""
        return len(self.prefix_ids) + self.suffix_length

    @property
    def max_own_positions(self) -> int:
        """Positions it may need behind its prefix. The last generated token is never computed."""
        return self.suffix_length + self.max_new_tokens - 1

    @property
    def pending(self) -> int:
        """Tokens known but not computed: 1 while decoding, more while the prompt is prefilled."""
        return len(self.token_ids) - self.computed

    @property
    def is_decoding(self) -> bool:
        """Whether the prompt is computed."""
        return self.computed >= self.suffix_length

    @property
    def generated(self) -> int:
        """Tokens generated so far."""
        return len(self.token_ids) - self.suffix_length
