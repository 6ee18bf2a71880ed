"""Checks requests of CheckpointService, and cuts lists into pages. Pure; every fault names field and limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr_proto.registry import Split, SplitError, is_checkpoint_id

from iterqr_server.api.validation import InvalidFieldError

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
_ID_RULE = "must be a checkpoint id: 1 to 128 letters, digits and ._-, the first a letter or digit"
_FIELDS = {
    "champion": "traffic_split.champion_checkpoint_id",
    "canary": "traffic_split.canary_checkpoint_id",
    "canary_percent": "traffic_split.canary_percent",
}
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """Some items; `next_token` is empty on the last page."""

    items: tuple[ItemT, ...]
    next_token: str


def validate_id(checkpoint_id: str) -> str:
    """Returns a checkpoint's id.

    Raises:
        InvalidFieldError: it is none.
    """
    if not is_checkpoint_id(checkpoint_id):
        raise InvalidFieldError("checkpoint_id", _ID_RULE)
    return checkpoint_id


def validate_page(request: pb.ListCheckpointsRequest) -> tuple[int, str]:
    """Returns the page's size and the id after which it begins, empty for the first.

    Raises:
        InvalidFieldError: a field breaks its limit.
    """
    if not 0 <= request.page_size <= MAX_PAGE_SIZE:
        raise InvalidFieldError(
            "page_size",
            f"must be 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}, got {request.page_size}",
        )
    if request.page_token and not is_checkpoint_id(request.page_token):
        raise InvalidFieldError("page_token", "must be from the previous reply")
    return request.page_size or DEFAULT_PAGE_SIZE, request.page_token


def validate_split(request: pb.SetTrafficSplitRequest) -> Split:
    """Returns the split wanted.

    Raises:
        InvalidFieldError: a field breaks its rule.
    """
    if not request.HasField("traffic_split"):
        raise InvalidFieldError("traffic_split", "is required")
    if not request.traffic_split.champion_checkpoint_id:
        raise InvalidFieldError("traffic_split.champion_checkpoint_id", f"is required; {_ID_RULE}")
    if request.expected_generation < 0:
        raise InvalidFieldError("expected_generation", f"must be at least 0, got {request.expected_generation}")
    wanted = request.traffic_split
    split = Split(wanted.champion_checkpoint_id, wanted.canary_checkpoint_id, wanted.canary_percent)
    try:
        return split.checked()
    except SplitError as error:
        raise invalid_split(error) from error


def invalid_split(error: SplitError) -> InvalidFieldError:
    """Returns the fault under the request's name of the field."""
    field, _, description = str(error).partition(": ")
    return InvalidFieldError(_FIELDS[field], description)


def page_of(items: Sequence[ItemT], *, key: Callable[[ItemT], str], size: int, after: str) -> Page[ItemT]:
    """Returns the page of `size` items that begins after the one with this key; the first if it is empty.

    Raises:
        InvalidFieldError: that item is not there any more.
    """
    keys = [key(item) for item in items]
    if after and after not in keys:
        raise InvalidFieldError("page_token", f"{after} is not in the registry any more; begin again")
    start = keys.index(after) + 1 if after else 0
    end = start + size
    return Page(tuple(items[start:end]), keys[end - 1] if end < len(keys) else "")
