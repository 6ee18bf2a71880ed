"""One request inside the engine: its tokens, how far they are computed, and where they live."""

from __future__ import annotations

from iterqr_server.engine.drafter import DraftSession
from iterqr_server.engine.guide import Guide
from iterqr_server.engine.prefix_cache import Lease


class Sequence:
    """Tokens of one request.

    `token_ids` are the prompt and what was generated since. Computing the last one gives the logits of the next.
    Waiting: `lease` is None. With `answer_ids` nothing is generated: the logits after the prompt are read at these ids.
    `deadline` and `arrived` are times of the event loop's clock. At admission, `expected_rows` of the prompt were left
    to compute, and the first usable result was expected `expected_s` after arrival; `has_result` tells that it came.
    """

    def __init__(
        self,
        request_id: str,
        prompt_ids: tuple[int, ...],
        max_new_tokens: int,
        *,
        guide: Guide | None = None,
        drafts: DraftSession | None = None,
        answer_ids: tuple[int, ...] = (),
        tenant: str = "",
        deadline: float | None = None,
        arrived: float = 0.0,
    ) -> None:
        self.request_id = request_id
        self.token_ids = list(prompt_ids)
        self.prompt_length = len(prompt_ids)
        self.max_new_tokens = max_new_tokens
        self.guide = guide
        self.drafts = drafts
        self.answer_ids = answer_ids
        self.tenant = tenant
        self.deadline = deadline
        self.arrived = arrived
        self.expected_rows = len(prompt_ids)
        self.expected_s = 0.0
        self.has_result = False
        self.lease: Lease | None = None

    @property
    def generated(self) -> int:
        """Tokens generated so far."""
        return len(self.token_ids) - self.prompt_length

    @property
    def is_decoding(self) -> bool:
        """Whether the prompt is computed."""
        return self.generated > 0

    @property
    def max_positions(self) -> int:
        """Positions it may need without drafts. The last generated token is never computed."""
        return self.prompt_length + max(0, self.max_new_tokens - 1)
