"""The gRPC server: our services, standard health, and reflection."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from iterqr.rewrite.v1 import (
    checkpoint_service_pb2,
    checkpoint_service_pb2_grpc,
    query_rewrite_service_pb2,
    query_rewrite_service_pb2_grpc,
)

from iterqr_server.api.checkpoint_servicer import CheckpointServicer
from iterqr_server.api.interceptor import CallInterceptor
from iterqr_server.api.query_rewrite_servicer import QueryRewriteServicer
from iterqr_server.config import GrpcConfig

_REWRITE_SERVICE = query_rewrite_service_pb2.DESCRIPTOR.services_by_name["QueryRewriteService"].full_name
_CHECKPOINT_SERVICE = checkpoint_service_pb2.DESCRIPTOR.services_by_name["CheckpointService"].full_name
_OVERALL = ""
REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
_MAX_METADATA_BYTES = 16_384
_MIN_PING_INTERVAL_MS = 5_000  # clients that watch health ask each few seconds whether the connection still lives


class ListenError(OSError):
    """The configured address cannot be listened on, or not with the configured certificate."""


class GrpcServer:
    """Listens from `start` on; health says NOT_SERVING until `set_serving(True)`."""

    def __init__(
        self,
        *,
        config: GrpcConfig,
        interceptor: CallInterceptor,
        query_rewrite: QueryRewriteServicer,
        checkpoint: CheckpointServicer,
    ) -> None:
        self._config = config
        self._server = aio.server(
            interceptors=[interceptor],
            maximum_concurrent_rpcs=config.max_concurrent_rpcs,
            options=[
                ("grpc.max_receive_message_length", config.max_message_bytes),
                ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
                ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half of the calls
                ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
            ],
        )
        query_rewrite_service_pb2_grpc.add_QueryRewriteServiceServicer_to_server(query_rewrite, self._server)
        checkpoint_service_pb2_grpc.add_CheckpointServiceServicer_to_server(checkpoint, self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        _add_reflection(self._server)
        self.port = 0

    async def start(self) -> None:
        """Listens and answers.

        Raises:
            ListenError: the address or the certificate cannot be used.
        """
        await self.set_serving(False)
        address = f"{self._config.host}:{self._config.port}"
        credentials = _credentials(self._config)
        try:
            if credentials:
                self.port = self._server.add_secure_port(address, credentials)
            else:
                self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            culprit = "port, grpc.tls_certificate or grpc.tls_key" if credentials else "port"
            raise ListenError(f"grpc.{culprit}: cannot listen on {address}") from error
        await self._server.start()

    async def set_serving(self, serving: bool, *, checkpoints: bool = False) -> None:
        """Tells health checks, overall and for each service. `checkpoints`: whether CheckpointService serves."""
        for_calls, for_checkpoints = (
            health_pb2.HealthCheckResponse.SERVING if each else health_pb2.HealthCheckResponse.NOT_SERVING
            for each in (serving, checkpoints)
        )
        await self._health.set(_OVERALL, for_calls)
        await self._health.set(_REWRITE_SERVICE, for_calls)
        await self._health.set(_CHECKPOINT_SERVICE, for_checkpoints)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, gives those in flight `grace_s` seconds, and stops."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


def _credentials(config: GrpcConfig) -> grpc.ServerCredentials | None:
    """Returns what TLS needs, or None if there is to be none.

    Raises:
        ListenError: a file cannot be read.
    """
    if not config.tls_certificate:
        return None
    certificate = _pem("tls_certificate", config.tls_certificate)
    key = _pem("tls_key", config.tls_key)
    client_ca = _pem("tls_client_ca", config.tls_client_ca) if config.tls_client_ca else None
    return grpc.ssl_server_credentials([(key, certificate)], client_ca, require_client_auth=client_ca is not None)


def _pem(field: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ListenError(f"grpc.{field}: cannot read {path}: {error.strerror or error}") from error


def _add_reflection(server: aio.Server) -> None:
    """Serves reflection as v1 and, for older clients, as v1alpha. The two differ in the package's name only."""
    names = (_REWRITE_SERVICE, _CHECKPOINT_SERVICE, health.SERVICE_NAME, REFLECTION_V1, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(REFLECTION_V1, {"ServerReflectionInfo": handler})
    server.add_generic_rpc_handlers((generic,))
