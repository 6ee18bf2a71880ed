"""Calls that must fail, read back for assertions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call failed."""

    code: grpc.StatusCode
    details: str
    metadata: dict[str, str | bytes]

    @property
    def violations(self) -> list[tuple[str, str]]:
        """Field and description of each google.rpc.BadRequest violation."""
        found = []
        for detail in status_pb2.Status.FromString(self.metadata["grpc-status-details-bin"]).details:
            bad_request = error_details_pb2.BadRequest()
            if detail.Unpack(bad_request):
                found += [(violation.field, violation.description) for violation in bad_request.field_violations]
        return found

    @property
    def retry_after_ms(self) -> int | None:
        """Of google.rpc.RetryInfo, if there is one."""
        for detail in status_pb2.Status.FromString(self.metadata["grpc-status-details-bin"]).details:
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(retry):
                delay_ms: int = retry.retry_delay.ToMilliseconds()
                return delay_ms
        return None


def failure_of(call: Callable[[], object]) -> Failure:
    """Runs a call that must fail."""
    try:
        reply = call()
    except grpc.RpcError as error:
        ended: Any = error  # a grpc.Call too, which the library's types do not say
        return Failure(ended.code(), ended.details() or "", trailing_metadata(ended))
    raise AssertionError(f"the call succeeded: {reply}")


def trailing_metadata(call: grpc.Call) -> dict[str, str | bytes]:
    """Of a finished call."""
    return dict(call.trailing_metadata() or ())
