"""CheckpointService over one server's checkpoints; without a registry every method is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc import aio
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import checkpoint_service_pb2_grpc as pb_grpc
from iterqr_proto.registry import ListedCheckpoint, Split

from iterqr_server.api.checkpoint_requests import page_of, validate_id, validate_page, validate_split
from iterqr_server.api.not_available import NotAvailableError
from iterqr_server.checkpoints.manager import CheckpointManager
from iterqr_server.checkpoints.status import Status, StatusKind

_STATES = {
    StatusKind.AVAILABLE: pb.CHECKPOINT_STATE_AVAILABLE,
    StatusKind.LOADING: pb.CHECKPOINT_STATE_LOADING,
    StatusKind.LOADED: pb.CHECKPOINT_STATE_LOADED,
    StatusKind.FAILED: pb.CHECKPOINT_STATE_FAILED,
    StatusKind.STAGED: pb.CHECKPOINT_STATE_STAGED,
}
_Context = aio.ServicerContext[Any, Any]


class CheckpointServicer(pb_grpc.CheckpointServiceServicer):
    """Translates between messages and the manager.

    `manager` returns it, or None without a registry; it raises NotReadyError while the server starts.
    """

    def __init__(self, manager: Callable[[], CheckpointManager | None]) -> None:
        self._manager = manager

    async def ListCheckpoints(  # noqa: N802 - the contract's name
        self, request: pb.ListCheckpointsRequest, _context: _Context
    ) -> pb.ListCheckpointsResponse:
        """See the contract."""
        manager = self._available("ListCheckpoints")
        size, after = validate_page(request)
        listed = await manager.list_checkpoints()
        page = page_of(listed, key=lambda entry: entry[0].checkpoint_id, size=size, after=after)
        return pb.ListCheckpointsResponse(
            checkpoints=[_checkpoint(status, entry) for entry, status in page.items], next_page_token=page.next_token
        )

    async def LoadCheckpoint(  # noqa: N802
        self, request: pb.LoadCheckpointRequest, _context: _Context
    ) -> pb.LoadCheckpointResponse:
        """See the contract."""
        manager = self._available("LoadCheckpoint")
        return pb.LoadCheckpointResponse(checkpoint=_checkpoint(await manager.load(validate_id(request.checkpoint_id))))

    async def SetTrafficSplit(  # noqa: N802
        self, request: pb.SetTrafficSplitRequest, _context: _Context
    ) -> pb.SetTrafficSplitResponse:
        """See the contract."""
        manager = self._available("SetTrafficSplit")
        split = validate_split(request)
        state = await manager.set_split(split, request.expected_generation)
        return pb.SetTrafficSplitResponse(traffic_split=_split(split), generation=state.generation)

    async def UnloadCheckpoint(  # noqa: N802
        self, request: pb.UnloadCheckpointRequest, _context: _Context
    ) -> pb.UnloadCheckpointResponse:
        """See the contract."""
        manager = self._available("UnloadCheckpoint")
        await manager.unload(validate_id(request.checkpoint_id))
        return pb.UnloadCheckpointResponse()

    async def GetServingState(  # noqa: N802
        self, _request: pb.GetServingStateRequest, _context: _Context
    ) -> pb.GetServingStateResponse:
        """See the contract."""
        manager = self._available("GetServingState")
        return pb.GetServingStateResponse(
            traffic_split=_split(manager.split()),
            loaded=[_checkpoint(status) for status in manager.statuses()],
            generation=manager.generation,
        )

    def _available(self, method: str) -> CheckpointManager:
        manager = self._manager()
        if manager is None:
            raise NotAvailableError(method)
        return manager


def _checkpoint(status: Status, listed: ListedCheckpoint | None = None) -> pb.Checkpoint:
    manifest = (listed.manifest if listed else None) or {}
    return pb.Checkpoint(
        checkpoint_id=status.checkpoint_id,
        parent_checkpoint_id=manifest.get("parent_checkpoint_id") or "",
        state=_STATES[status.kind],
        reason=status.reason,
    )


def _split(split: Split) -> pb.TrafficSplit:
    return pb.TrafficSplit(
        champion_checkpoint_id=split.champion,
        canary_checkpoint_id=split.canary,
        canary_percent=split.canary_percent,
    )
