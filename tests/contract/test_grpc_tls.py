"""The server with certificates: callers are sure of it and, with mTLS, it of them."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.api.grpc_server import ListenError
from iterqr_server.config import ConfigError
from support.certificates import Identity, make_identity
from support.grpc_calls import failure_of
from support.rewrite_server import Overrides, running_server, settings_for_tests


@pytest.fixture(scope="module")
def server_identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("server"), "rewriter")


@pytest.fixture(scope="module")
def client_identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("client"), "node")


def tls(identity: Identity, client_ca: Path | None = None) -> Overrides:
    return {
        "grpc": {
            "tls_certificate": str(identity.certificate),
            "tls_key": str(identity.key),
            "tls_client_ca": str(client_ca or ""),
        }
    }


def trusting(server: Identity, own: Identity | None = None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        server.certificate.read_bytes(),
        own.key.read_bytes() if own else None,
        own.certificate.read_bytes() if own else None,
    )


def rewrites(channel: grpc.Channel) -> int:
    """How many a call gets."""
    with channel:
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        return len(stub.RewriteQuery(pb.RewriteQueryRequest(query="pad tai"), timeout=20).rewrites)


def test_who_trusts_the_certificate_is_served(server_identity: Identity) -> None:
    with running_server(overrides=tls(server_identity)) as server:
        assert rewrites(grpc.secure_channel(server.address, trusting(server_identity))) > 0
        plain = failure_of(lambda: rewrites(grpc.insecure_channel(server.address)))
        assert plain.code is grpc.StatusCode.UNAVAILABLE


def test_who_does_not_trust_it_is_not(server_identity: Identity, client_identity: Identity) -> None:
    with running_server(overrides=tls(server_identity)) as server:
        other = failure_of(lambda: rewrites(grpc.secure_channel(server.address, trusting(client_identity))))
        assert other.code is grpc.StatusCode.UNAVAILABLE


def test_callers_show_a_certificate_where_it_is_asked_for(server_identity: Identity, client_identity: Identity) -> None:
    with running_server(overrides=tls(server_identity, client_identity.certificate)) as server:
        known = trusting(server_identity, client_identity)
        assert rewrites(grpc.secure_channel(server.address, known)) > 0
        for unknown in (trusting(server_identity), trusting(server_identity, server_identity)):
            refused = failure_of(lambda: rewrites(grpc.secure_channel(server.address, unknown)))  # noqa: B023
            assert refused.code is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_cannot_be_used_ends_the_start(server_identity: Identity, tmp_path: Path) -> None:
    missing = Identity(tmp_path / "missing.pem", server_identity.key)
    with (
        pytest.raises(ListenError, match=r"grpc\.tls_certificate: cannot read"),
        running_server(overrides=tls(missing)),
    ):
        pass
    swapped = Identity(server_identity.key, server_identity.certificate)
    with (
        pytest.raises(ListenError, match=r"grpc\.tls_certificate or grpc\.tls_key"),
        running_server(overrides=tls(swapped)),
    ):
        pass


@pytest.mark.parametrize("alone", ["tls_certificate", "tls_key", "tls_client_ca"])
def test_half_a_configuration_is_refused(alone: str) -> None:
    with pytest.raises(ConfigError, match="grpc: tls_"):
        settings_for_tests({"grpc": {alone: "file.pem"}})
