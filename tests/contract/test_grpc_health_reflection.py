"""What orchestrators and command-line tools rely on: standard health and reflection, and good manners at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.hints.interface import NoHints
from support.grpc_calls import failure_of
from support.predictable import StepGate, predictable_engine
from support.rewrite_server import RunningServer, rewrite_server_process, running_server

SERVICE = "iterqr.rewrite.v1.QueryRewriteService"
CHECKPOINTS = "iterqr.rewrite.v1.CheckpointService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


def health_of(channel: grpc.Channel, service: str = "") -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    status: int = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20).status
    return status


def rewrite(channel: grpc.Channel, query: str = "pad tai") -> Callable[[], pb.RewriteQueryResponse]:
    stub = pb_grpc.QueryRewriteServiceStub(channel)
    return lambda: stub.RewriteQuery(pb.RewriteQueryRequest(query=query), timeout=20)


def test_health_overall_and_of_each_service(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        assert health_of(channel) == SERVING
        assert health_of(channel, SERVICE) == SERVING
        assert health_of(channel, CHECKPOINTS) == NOT_SERVING
        assert failure_of(lambda: health_of(channel, "no.such.Service")).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_and_describes_the_services(server: RunningServer, version: str) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        listed, described = list(call(iter(requests), timeout=20))
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, CHECKPOINTS, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= names
    files = [FileDescriptorProto.FromString(data) for data in described.file_descriptor_response.file_descriptor_proto]
    methods = [m.name for file in files for service in file.service for m in service.method]
    assert methods == ["RewriteQuery", "RewriteQueries", "ScoreRewrites"]


def test_until_the_model_is_warm_health_says_so_and_calls_are_unavailable() -> None:
    gate = StepGate()
    with (
        running_server(predictable_engine(before_step=gate), wait_until_serving=False) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        assert health_of(channel) == NOT_SERVING
        assert health_of(channel, SERVICE) == NOT_SERVING
        failure = failure_of(rewrite(channel))
        assert (failure.code, failure.details) == (grpc.StatusCode.UNAVAILABLE, "the model is still loading")
        assert server.metric("iterqr_ready") == 0
        gate.open()
        server.wait_until(lambda: health_of(channel) == SERVING)
        assert rewrite(channel)().rewrites
        assert server.metric("iterqr_ready") == 1


def test_the_event_loop_is_free_while_the_model_loads() -> None:
    """Health answers while the executor blocks its thread; were it the loop's, this test would time out."""
    loading, loaded = threading.Event(), threading.Event()

    def block(_step: object) -> None:
        loading.set()
        assert loaded.wait(60)

    with running_server(predictable_engine(before_step=block), wait_until_serving=False) as server:
        assert loading.wait(60)
        try:
            with grpc.insecure_channel(server.address) as channel:
                assert health_of(channel) == NOT_SERVING
        finally:
            loaded.set()


def test_a_broken_engine_ends_serving() -> None:
    broken = threading.Event()

    def fail(_step: object) -> None:
        if broken.is_set():
            raise RuntimeError("the model's memory is gone")

    with running_server(predictable_engine(before_step=fail)) as server:
        with grpc.insecure_channel(server.address) as channel:
            assert rewrite(channel, "before")().rewrites
            broken.set()
            failure = failure_of(rewrite(channel, "after"))
            assert failure.code is grpc.StatusCode.UNAVAILABLE
            assert failure.details == "the engine failed and the server is stopping"
            server.wait_until(lambda: health_of(channel) == NOT_SERVING)
        server.run(asyncio.wait_for(server.application.failed(), 20))


def test_a_drain_lets_calls_in_flight_finish_and_refuses_new_ones() -> None:
    gate = StepGate()
    gate.open()
    overrides = {"grpc": {"shutdown_grace_ms": 20_000}}
    with (
        running_server(predictable_engine(before_step=gate), overrides=overrides) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor() as pool,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == SERVING
        gate.close()
        in_flight = pool.submit(rewrite(channel, "in flight"))
        server.wait_until(lambda: server.metric("iterqr_engine_running") > 0)
        stopping = asyncio.run_coroutine_threadsafe(server.application._server.stop(20), server.loop)
        assert next(watch).status == NOT_SERVING
        with grpc.insecure_channel(server.address) as newcomer:
            assert failure_of(rewrite(newcomer)).code is grpc.StatusCode.UNAVAILABLE
        gate.open()
        assert in_flight.result().rewrites
        watch.cancel()
        stopping.result(20)


def test_a_process_ends_well_on_sigterm_and_comes_back_on_its_port() -> None:
    with rewrite_server_process({"pad tai": ["pad thai"]}) as server:
        for _ in range(2):
            with grpc.insecure_channel(server.address) as channel:
                assert [r.text for r in rewrite(channel)().rewrites] == ["pad thai"]
            assert server.stop() == 0
            server.start()


def test_a_frozen_process_costs_the_callers_deadline_and_no_more() -> None:
    with (
        rewrite_server_process({"pad tai": ["pad thai"]}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        assert rewrite(channel)().rewrites
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        server.freeze()
        failure = failure_of(lambda: stub.RewriteQuery(pb.RewriteQueryRequest(query="pad tai"), timeout=0.3))
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        server.thaw()
        assert rewrite(channel)().rewrites


def test_two_servers_cannot_share_a_port(server: RunningServer) -> None:
    port = int(server.address.rpartition(":")[2])
    with (
        pytest.raises(OSError, match=f"grpc.port: cannot listen on 127.0.0.1:{port}"),
        running_server(overrides={"grpc": {"port": port}}, hints=NoHints()),
    ):
        pass
