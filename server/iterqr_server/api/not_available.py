"""Methods of the contract that this version does not serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class NotAvailableError(Exception):
    """The method is part of the contract, but not of this version."""

    def __init__(self, method: str) -> None:
        super().__init__(f"{method} is not available in this version")


def not_available(method: str) -> Callable[..., Any]:
    """Returns a handler that refuses every call of `method`."""

    async def refuse(*_: object) -> None:
        raise NotAvailableError(method)

    return refuse
