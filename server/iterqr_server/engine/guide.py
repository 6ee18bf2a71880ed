"""Holds an output to a pattern while it is generated: the seam."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Guide(Protocol):
    """What one output may go on with. Used on the step thread."""

    def allows(self, token_id: int) -> bool:
        """Whether the token may come next; a stop token may where the output is whole."""
        ...

    def mask(self) -> NDArray[np.bool_]:
        """Returns [vocabulary]: which tokens may come next. At least one may."""
        ...

    def advance(self, token_id: int) -> None:
        """The token, which was allowed and ends nothing, came next."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the output is whole and nothing but the end may follow."""
        ...


class Guides(Protocol):
    """Makes guides for an engine's vocabulary."""

    def open(self, pattern: str, distinct: str = "") -> Guide:
        """Returns a guide at the start of an output that must match `pattern` as a whole.

        Of lines that begin with `distinct` no two have the same words, and none begins with all of another of two words
        or more, unless the pattern leaves no other way.

        Raises:
            ValueError: `pattern` is not a regular expression.
        """
        ...
