"""CheckpointService of the server that has the traffic: which checkpoint serves, the canary's trial, promotion."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub

from iterqr_training.errors import SourceError

_LOCAL = [("grpc.enable_http_proxy", 0)]
_TIMEOUT_S = 600.0  # a load fetches, builds nothing, starts and probes
_POLL_S = 0.5
_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Serving:
    """What takes the traffic. `canary` is "" if there is none; `generation` of the registry's state."""

    champion: str
    canary: str
    generation: int


class Checkpoints:
    """One server. All methods raise `SourceError` if it cannot be reached or refuses."""

    def __init__(self, address: str, channel: grpc.Channel) -> None:
        self._address = address
        self._stub = CheckpointServiceStub(channel)

    def serving(self) -> Serving:
        """Returns what takes the traffic."""
        reply = self._ask(self._stub.GetServingState, pb.GetServingStateRequest())
        split = reply.traffic_split
        return Serving(split.champion_checkpoint_id, split.canary_checkpoint_id, reply.generation)

    def wait_until_loaded(self, checkpoint_id: str) -> None:
        """Waits until a checkpoint is in memory: a server that starts follows the registry a little later."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            reply = self._ask(self._stub.GetServingState, pb.GetServingStateRequest())
            found = {each.checkpoint_id: each for each in reply.loaded}.get(checkpoint_id)
            if found is not None and found.state == pb.CHECKPOINT_STATE_LOADED:
                return
            if time.monotonic() > deadline:
                raise SourceError(f"server {self._address}: {checkpoint_id} was not loaded within {_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)

    def load(self, checkpoint_id: str) -> str:
        """Loads a checkpoint beside those that serve. Returns why it was refused; "" if it is ready."""
        reply = self._ask(self._stub.LoadCheckpoint, pb.LoadCheckpointRequest(checkpoint_id=checkpoint_id))
        return "" if reply.checkpoint.state == pb.CHECKPOINT_STATE_LOADED else str(reply.checkpoint.reason)

    def split(self, champion: str, canary: str = "", percent: int = 0) -> None:
        """Sets who serves."""
        wanted = pb.TrafficSplit(champion_checkpoint_id=champion, canary_checkpoint_id=canary, canary_percent=percent)
        request = pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=self.serving().generation)
        self._ask(self._stub.SetTrafficSplit, request)

    def reason(self, checkpoint_id: str) -> str:
        """Returns what the server says of a checkpoint that it took back; "" if nothing."""
        token = ""
        while True:
            request = pb.ListCheckpointsRequest(page_size=_PAGE_SIZE, page_token=token)
            page = self._ask(self._stub.ListCheckpoints, request)
            for each in page.checkpoints:
                if each.checkpoint_id == checkpoint_id:
                    return str(each.reason)
            token = page.next_page_token
            if not token:
                return ""

    def _ask(self, method: Any, request: object) -> Any:  # noqa: ANN401 - each method has its own types
        try:
            return method(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            ended: Any = error  # a grpc.Call too, which the library's types do not say
            raise SourceError(f"server {self._address}: {ended.details() or ended.code().name}") from error


@contextmanager
def checkpoints_at(address: str) -> Iterator[Checkpoints]:
    """Opens a connection."""
    with grpc.insecure_channel(address, options=_LOCAL) as channel:
        yield Checkpoints(address, channel)
