"""Writes into a node's keystore."""

from __future__ import annotations

from iterqr_dev_node import NodeInstance


def put_in_keystore(instance: NodeInstance, name: str, value: str) -> None:
    """Sets a secure setting; a running node reads it at the next reload."""
    instance.put_secret(name, value)
