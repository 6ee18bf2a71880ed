"""The one place where exceptions become gRPC codes.

| exception | code | details |
|---|---|---|
| InvalidFieldError, PromptTooLongError | INVALID_ARGUMENT | BadRequest with field and limit |
| NothingInTimeError, NoScoresInTimeError, DeadlineExpiredError | DEADLINE_EXCEEDED | |
| RequestRefusedError | INVALID_ARGUMENT | |
| EngineOverloadedError (QueueFullError, DeadlineUnreachableError) | RESOURCE_EXHAUSTED | RetryInfo |
| NotReadyError, ShuttingDownError, EngineClosedError, EngineFatalError | UNAVAILABLE | |
| NotAvailableError | UNIMPLEMENTED | |
| SplitError | INVALID_ARGUMENT | BadRequest with field and limit |
| CheckpointNotFoundError | NOT_FOUND | |
| CheckpointDamagedError, StateUnreadableError, InTrafficError, NotLoadedError | FAILED_PRECONDITION | |
| StateConflictError | ABORTED | |
| LeaseHeldError, LeaseLostError, RegistryUnreachableError | UNAVAILABLE | |
| RequestFailedError, anything else | INTERNAL | says nothing of its cause; the log does |
"""

from __future__ import annotations

import math

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import (  # type: ignore[import-untyped]
    code_pb2,
    error_details_pb2,
    status_pb2,
)
from grpc_status import rpc_status
from iterqr_proto.registry import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    LeaseHeldError,
    LeaseLostError,
    RegistryUnreachableError,
    SplitError,
    StateConflictError,
    StateUnreadableError,
)

from iterqr_server.api.checkpoint_requests import invalid_split
from iterqr_server.api.not_available import NotAvailableError
from iterqr_server.api.validation import InvalidFieldError
from iterqr_server.checkpoints.errors import InTrafficError, NotLoadedError
from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    EngineClosedError,
    EngineFatalError,
    EngineOverloadedError,
    PromptTooLongError,
    RequestRefusedError,
)
from iterqr_server.rewrite.errors import NoScoresInTimeError, NothingInTimeError, NotReadyError, ShuttingDownError


def to_status(error: Exception) -> grpc.Status:
    """Returns the status, with details, that a call ends with after `error`."""
    match error:
        case InvalidFieldError():
            return _status(code_pb2.INVALID_ARGUMENT, str(error), _bad_request(error.field, error.description))
        case PromptTooLongError():
            description = f"too long for the model together with its hints: {error}"
            return _status(code_pb2.INVALID_ARGUMENT, f"query: {description}", _bad_request("query", description))
        case RequestRefusedError():
            return _status(code_pb2.INVALID_ARGUMENT, str(error))
        case NothingInTimeError() | NoScoresInTimeError() | DeadlineExpiredError():
            return _status(code_pb2.DEADLINE_EXCEEDED, str(error))
        case EngineOverloadedError():
            delay = Duration()
            delay.FromMilliseconds(math.ceil(error.retry_after_s * 1000))
            return _status(code_pb2.RESOURCE_EXHAUSTED, str(error), error_details_pb2.RetryInfo(retry_delay=delay))
        case NotReadyError() | ShuttingDownError() | EngineClosedError():
            return _status(code_pb2.UNAVAILABLE, str(error))
        case EngineFatalError():
            return _status(code_pb2.UNAVAILABLE, "the engine failed and the server is stopping")
        case NotAvailableError():
            return _status(code_pb2.UNIMPLEMENTED, str(error))
        case SplitError():
            return to_status(invalid_split(error))
        case CheckpointNotFoundError():
            return _status(code_pb2.NOT_FOUND, str(error))
        case NotLoadedError() | InTrafficError() | CheckpointDamagedError() | StateUnreadableError():
            return _status(code_pb2.FAILED_PRECONDITION, str(error))
        case StateConflictError():
            return _status(code_pb2.ABORTED, str(error))
        case LeaseHeldError() | LeaseLostError() | RegistryUnreachableError():
            return _status(code_pb2.UNAVAILABLE, str(error))
        case _:
            return _status(code_pb2.INTERNAL, "internal error; see the server's log for this request id")


def _bad_request(field: str, description: str) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
    bad_request: Message = error_details_pb2.BadRequest(field_violations=[violation])
    return bad_request


def _status(code: int, message: str, *details: Message) -> grpc.Status:
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)
