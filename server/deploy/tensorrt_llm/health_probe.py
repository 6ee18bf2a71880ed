"""Asks the server's gRPC health service and exits 0 if it says SERVING, else 1 with one line: a container's probe.

health_probe.py [HOST:PORT [TIMEOUT_S]]    default 127.0.0.1:50051, 2 seconds
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def probe(target: str, timeout_s: float) -> str:
    """Returns the name of the status, or of the gRPC error."""
    with grpc.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # has no types
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            name: str = error.code().name
            return name
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def main() -> int:
    """Entry point."""
    target = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    status = probe(target, float(sys.argv[2]) if len(sys.argv) > 2 else 2.0)
    if status != "SERVING":
        print(f"{target}: {status}", file=sys.stderr)
    return 0 if status == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main())
