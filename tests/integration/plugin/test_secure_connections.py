"""TLS and mTLS between a node and the real rewrite server, with the key's passphrase in the node's keystore."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from opensearchpy import OpenSearch
from support.certificates import Identity, make_identity
from support.dish_catalog import REWRITES, TYPO, index_dishes
from support.node_keystore_entry import put_in_keystore
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION, TEST_SETTINGS, RunningNode
from support.plugin_search import PluginSearch, assert_plain_hits, eventually, match, outcome
from support.rewrite_server import Overrides, rewrites_script, running_server

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO)}
TLS = "plugins.iterqr.server.tls."
PASSPHRASE = "open sesame"


@dataclass(frozen=True, slots=True)
class SecuredNode:
    """A node that shows a certificate and trusts that of `server`."""

    search: PluginSearch
    server: Identity
    own: Identity
    config: Path

    def trust(self, text: str) -> dict[str, Any]:
        """Changes what the node trusts and has it read again; returns its answer."""
        (self.config / "trusted.pem").write_text(text)
        answer = self.search.client.transport.perform_request("POST", "/_nodes/reload_secure_settings")
        node: dict[str, Any] = next(iter(answer["nodes"].values()))
        return node


@pytest.fixture(scope="module", params=[DEFAULT_VERSION, KNN_VERSION])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredNode]:
    folder: Path = tmp_path_factory.mktemp("tls")
    server, own = make_identity(folder, "rewriter"), make_identity(folder, "node")
    instance = NodeInstance.create(folder / "node", request.param)
    try:
        instance.install(build_plugin(request.param))
        config = instance.home / "config"
        shutil.copy(server.certificate, config / "trusted.pem")
        shutil.copy(own.certificate, config / "node.pem")
        shutil.copy(own.encrypted_key(PASSPHRASE), config / "node.key")
        settings = {
            **TEST_SETTINGS,
            f"{TLS}enabled": "true",
            f"{TLS}trusted_certificates": "trusted.pem",
            f"{TLS}certificate": "node.pem",
            f"{TLS}key": "node.key",
        }
        put_in_keystore(instance, f"{TLS}key_passphrase", PASSPHRASE)
        url = instance.start(NodeOptions(settings=settings)).url
        assert url is not None
        client = OpenSearch(url, timeout=30)
        node = RunningNode(instance=instance, version=request.param, url=url, client=client)
        index_dishes(client, "dishes")
        search = PluginSearch(node, "dishes", pipeline="")
        yield SecuredNode(PluginSearch(node, "dishes", search.create_pipeline()), server, own, config)
        client.close()
    finally:
        instance.delete()


def tls(identity: Identity, client_ca: Identity | None = None) -> Overrides:
    return {
        "grpc": {
            "tls_certificate": str(identity.certificate),
            "tls_key": str(identity.key),
            "tls_client_ca": str(client_ca.certificate) if client_ca else "",
        }
    }


def assert_away(search: PluginSearch) -> None:
    """The plain response, time and again."""
    plain = search.plain(BODY)
    for _ in range(12):
        response = search.search(BODY)
        assert outcome(response) in ("unavailable", "breaker_open")
        assert_plain_hits(response, plain)


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mtls"])
def test_a_trusted_server_is_asked(secured: SecuredNode, mutual: bool) -> None:
    overrides = tls(secured.server, secured.own if mutual else None)
    with (
        running_server(script=rewrites_script(REWRITES), overrides=overrides) as server,
        secured.search.served_by(server.address),
    ):
        eventually(lambda: outcome(secured.search.search(BODY)) == "fused")


def test_a_server_without_tls_is_not_asked(secured: SecuredNode) -> None:
    with running_server(script=rewrites_script(REWRITES)) as server, secured.search.served_by(server.address):
        assert_away(secured.search)


def test_a_server_that_does_not_know_the_node(secured: SecuredNode) -> None:
    overrides = tls(secured.server, secured.server)
    with (
        running_server(script=rewrites_script(REWRITES), overrides=overrides) as server,
        secured.search.served_by(server.address),
    ):
        assert_away(secured.search)


def test_certificates_are_renewed_without_a_restart(secured: SecuredNode) -> None:
    with (
        running_server(script=rewrites_script(REWRITES), overrides=tls(secured.server, secured.own)) as server,
        secured.search.served_by(server.address),
    ):

        def is_fused() -> bool:
            return outcome(secured.search.search(BODY)) == "fused"

        eventually(is_fused)
        refused = secured.trust("nonsense")
        assert "trusted_certificates" in refused["reload_exception"]["reason"]
        assert is_fused(), "as it was before"
        assert "reload_exception" not in secured.trust(secured.own.certificate.read_text())
        assert_away(secured.search)
        assert "reload_exception" not in secured.trust(secured.server.certificate.read_text())
        eventually(is_fused)
