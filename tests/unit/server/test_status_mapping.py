"""Exceptions become gRPC codes in one place."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from iterqr_server.api.not_available import NotAvailableError
from iterqr_server.api.status import to_status
from iterqr_server.api.validation import InvalidFieldError
from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    DeadlineUnreachableError,
    EngineClosedError,
    EngineFatalError,
    EngineOverloadedError,
    PromptTooLongError,
    QueueFullError,
    RequestFailedError,
    RequestRefusedError,
)
from iterqr_server.rewrite.errors import NoScoresInTimeError, NothingInTimeError, NotReadyError, ShuttingDownError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidFieldError("query", "must not be empty"), grpc.StatusCode.INVALID_ARGUMENT),
        (PromptTooLongError(5000, 4096), grpc.StatusCode.INVALID_ARGUMENT),
        (RequestRefusedError("not taken"), grpc.StatusCode.INVALID_ARGUMENT),
        (RequestFailedError("out of blocks, with secrets"), grpc.StatusCode.INTERNAL),
        (NothingInTimeError(40), grpc.StatusCode.DEADLINE_EXCEEDED),
        (NoScoresInTimeError(40), grpc.StatusCode.DEADLINE_EXCEEDED),
        (DeadlineExpiredError(0.04), grpc.StatusCode.DEADLINE_EXCEEDED),
        (QueueFullError(64, 64, 0.2), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (DeadlineUnreachableError(3.4, 1.2, 2.2), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (NotReadyError(), grpc.StatusCode.UNAVAILABLE),
        (ShuttingDownError(), grpc.StatusCode.UNAVAILABLE),
        (EngineClosedError("closed"), grpc.StatusCode.UNAVAILABLE),
        (EngineFatalError("the model runner failed"), grpc.StatusCode.UNAVAILABLE),
        (NotAvailableError("LoadCheckpoint"), grpc.StatusCode.UNIMPLEMENTED),
        (RuntimeError("a bug, with secrets"), grpc.StatusCode.INTERNAL),
    ],
)
def test_codes(error: Exception, code: grpc.StatusCode) -> None:
    status = to_status(error)
    assert status.code is code
    assert "secrets" not in status.details


def details(error: Exception) -> status_pb2.Status:
    metadata = dict(to_status(error).trailing_metadata)
    return status_pb2.Status.FromString(metadata["grpc-status-details-bin"])


def test_a_wrong_field_is_told_to_programs_too() -> None:
    bad_request = error_details_pb2.BadRequest()
    assert details(InvalidFieldError("region", "must be at most 64 characters, got 65")).details[0].Unpack(bad_request)
    (violation,) = bad_request.field_violations
    assert violation.field == "region"
    assert violation.description == "must be at most 64 characters, got 65"


@pytest.mark.parametrize(
    ("error", "message", "retry_after_ms"),
    [
        (QueueFullError(64, 64, 0.2), "64 requests are waiting; the limit is 64; retry in 200 ms", 200),
        (
            DeadlineUnreachableError(3.4, 1.2, 2.2),
            "a first result is expected in 3400 ms; the deadline is in 1200 ms; retry in 2200 ms",
            2200,
        ),
        (EngineOverloadedError("busy", 0.0001), "busy; retry in 1 ms", 1),
    ],
)
def test_overload_says_why_and_when_to_retry(error: Exception, message: str, retry_after_ms: int) -> None:
    retry = error_details_pb2.RetryInfo()
    assert details(error).details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == retry_after_ms
    assert to_status(error).details == message
