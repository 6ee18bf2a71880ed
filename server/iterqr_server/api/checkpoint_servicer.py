"""CheckpointService: this version serves the one model of its configuration and refuses every method by name."""

from __future__ import annotations

from iterqr.rewrite.v1 import checkpoint_service_pb2_grpc as pb_grpc

from iterqr_server.api.not_available import not_available


class CheckpointServicer(pb_grpc.CheckpointServiceServicer):
    """See the contract."""

    ListCheckpoints = not_available("ListCheckpoints")
    LoadCheckpoint = not_available("LoadCheckpoint")
    SetTrafficSplit = not_available("SetTrafficSplit")
    UnloadCheckpoint = not_available("UnloadCheckpoint")
    GetServingState = not_available("GetServingState")
