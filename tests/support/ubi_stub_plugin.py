"""Builds a plugin that meets ours as the User Behavior Insights plugin does (see ubi_stub/UbiPlugin.java)."""

from __future__ import annotations

from pathlib import Path

from iterqr_dev_node import NodeInstance
from support.stub_plugin import build_stub_plugin

_SOURCES = Path(__file__).parent / "ubi_stub"


def build_ubi_stub(instance: NodeInstance, folder: Path) -> Path:
    """Compiles the stub against an instance's own libraries and returns its zip, made in `folder`."""
    return build_stub_plugin(
        instance,
        folder,
        _SOURCES,
        name="opensearch-ubi",
        class_name="org.opensearch.ubi.UbiPlugin",
        description="Stands for the User Behavior Insights plugin",
    )
