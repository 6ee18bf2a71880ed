"""A rewrite server over predictable checkpoints: what each of them says stands in its artifact.

publish(registry, "it1", tmp_path, suffix="stew")          # every query's rewrite is "<query> stew"
with checkpoint_server(registry) as server:                # serves the base, whose rewrites end in "base"
    server.split("it1")                                    # loads it and makes it the champion
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import checkpoint_service_pb2_grpc as pb_grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as rewrite_grpc
from iterqr_proto.registry import CheckpointRegistry
from iterqr_server.checkpoints.loading import CheckpointEngines
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.models.errors import BuiltModelError
from support.checkpoints import BASE, checkpoint_folder
from support.predictable import last_query, predictable_engine
from support.rewrite_server import Overrides, RunningServer, answer, running_server

BASE_ID = "predictable"
BEHAVIOUR = "onnx/behaviour.json"
TEMPLATE = 'format_version = "v1"\ninstruction = "Rewrite."\n'
PROBES = 'queries = ["pho", "pad tai"]\n'


def behaving_engine(behaviour: Mapping[str, Any]) -> GenerationEngine:
    """An engine that does as its artifact says.

    `suffix`: what is added to each query. `says`: the whole output, whatever the query, but not of probes. `babbles`:
    never in the format. `step_s`: how long each step takes, from step `slow_from` on. `waits_for`: a file without which
    no step begins. `breaks_at`: the step at which the model fails.
    """
    steps = 0

    def before_step(_step: object) -> None:
        nonlocal steps
        steps += 1
        if steps >= behaviour.get("breaks_at", steps + 1):
            raise RuntimeError("the model broke as planned")
        while "waits_for" in behaviour and not Path(behaviour["waits_for"]).exists():
            time.sleep(0.01)
        if steps >= behaviour.get("slow_from", 0):
            time.sleep(behaviour.get("step_s", 0.0))

    def script(prompt: str) -> str:
        query = last_query(prompt)
        if "says" in behaviour and query not in ("pho", "pad tai"):
            return str(behaviour["says"])
        if behaviour.get("babbles"):
            return "once upon a time"
        return answer(query, [f"{query} {behaviour.get('suffix', 'bowl')}"])

    return predictable_engine(script, before_step=before_step)


class BehavingEngines:
    """A `CheckpointEngines` for such artifacts."""

    kinds = ("onnx-int4",)
    memory_name = "memory"

    def base_sha256(self) -> str:
        return BASE["sha256"]

    def needed_bytes(self, artifact: Path | None) -> int:  # noqa: ARG002 - all are alike
        return 1 << 20

    def available_bytes(self) -> int | None:
        return 1 << 40

    def open(self, artifact: Path) -> GenerationEngine:
        try:
            return behaving_engine(json.loads((artifact / "behaviour.json").read_text("utf-8")))
        except ValueError as error:
            raise BuiltModelError(f"behaviour.json: is not readable: {error}") from error


def publish(
    registry: CheckpointRegistry,
    checkpoint_id: str,
    parent: Path,
    *,
    manifest: Mapping[str, Any] | None = None,
    **behaviour: Any,  # noqa: ANN401 - as JSON
) -> None:
    """Publishes a checkpoint that behaves so; without a suffix it adds its own id to queries."""
    content = json.dumps({"suffix": checkpoint_id, **behaviour}).encode()
    fields = {"template": TEMPLATE.encode(), **(manifest or {})}
    registry.publish(checkpoint_folder(parent, checkpoint_id, {BEHAVIOUR: content}, **fields))


@dataclass(frozen=True, slots=True)
class CheckpointServer:
    """A running server and stubs to call it, with the longest wait for an answer."""

    running: RunningServer
    registry: CheckpointRegistry
    checkpoints: pb_grpc.CheckpointServiceStub
    rewriting: rewrite_grpc.QueryRewriteServiceStub
    timeout_s: float = 20

    def rewrite(self, query: str, **fields: Any) -> rewrite_pb.RewriteQueryResponse:  # noqa: ANN401
        return self.rewriting.RewriteQuery(
            rewrite_pb.RewriteQueryRequest(query=query, **fields), timeout=self.timeout_s
        )

    def score(self, query: str, rewrites: list[str]) -> rewrite_pb.ScoreRewritesResponse:
        request = rewrite_pb.ScoreRewritesRequest(query=query, rewrites=rewrites)
        return self.rewriting.ScoreRewrites(request, timeout=self.timeout_s)

    def state(self) -> pb.GetServingStateResponse:
        return self.checkpoints.GetServingState(pb.GetServingStateRequest(), timeout=self.timeout_s)

    def loaded(self) -> list[pb.Checkpoint]:
        """What is in memory, without what was refused or staged."""
        return [each for each in self.state().loaded if each.state == pb.CHECKPOINT_STATE_LOADED]

    def load(self, checkpoint_id: str) -> pb.Checkpoint:
        request = pb.LoadCheckpointRequest(checkpoint_id=checkpoint_id)
        return self.checkpoints.LoadCheckpoint(request, timeout=3 * self.timeout_s).checkpoint

    def set_split(self, champion: str, canary: str = "", percent: int = 0) -> pb.SetTrafficSplitResponse:
        wanted = pb.TrafficSplit(champion_checkpoint_id=champion, canary_checkpoint_id=canary, canary_percent=percent)
        generation = self.registry.read_state().generation
        request = pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=generation)
        return self.checkpoints.SetTrafficSplit(request, timeout=3 * self.timeout_s)

    def split(self, champion: str, canary: str = "", percent: int = 0) -> None:
        """Loads, or stages, what is needed first."""
        for checkpoint_id in filter(None, (champion, canary)):
            loaded = self.load(checkpoint_id)
            assert loaded.state in (pb.CHECKPOINT_STATE_LOADED, pb.CHECKPOINT_STATE_STAGED), loaded.reason
        self.set_split(champion, canary, percent)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        self.running.wait_until(condition)


@contextmanager
def checkpoint_server(
    registry: CheckpointRegistry,
    cache: Path,
    overrides: Overrides | None = None,
    *,
    engines: CheckpointEngines | None = None,
    open_base: Callable[[], GenerationEngine] | None = None,
    timeout_s: float = 20,
) -> Iterator[CheckpointServer]:
    """Runs a server of the registry, polling it often, with probes that take no time.

    `engines` and `open_base` take the place of the behaving engines and the predictable base.
    """
    probes = cache.with_name("probes.toml")
    probes.write_text(PROBES, "utf-8")
    section = {"registry": registry.url, "cache": str(cache), "poll_s": 0.1, "probes": str(probes)}
    values = {name: dict(fields) for name, fields in (overrides or {}).items()}
    template = cache.with_name("template.toml")
    template.write_text(TEMPLATE, "utf-8")
    values["rewrite"] = {"template": str(template), "max_new_tokens": 1000} | values.get("rewrite", {})
    values["checkpoints"] = section | values.get("checkpoints", {})

    def base_script(prompt: str) -> str:
        query = last_query(prompt)
        return answer(query, [f"{query} base"])

    with (
        running_server(
            script=base_script,
            overrides=values,
            checkpoint_engines=engines or BehavingEngines(),
            open_engine=open_base,
            patience_s=3 * timeout_s,
        ) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        yield CheckpointServer(
            running,
            registry,
            pb_grpc.CheckpointServiceStub(channel),
            rewrite_grpc.QueryRewriteServiceStub(channel),
            timeout_s,
        )
