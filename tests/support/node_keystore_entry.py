"""Writes into a node's keystore, which the assembled nodes have no command line tool for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from iterqr_dev_node import NodeInstance
from iterqr_dev_node.java import find_jdk

_SOURCE = Path(__file__).parent / "node_keystore" / "KeystoreEntry.java"


def put_in_keystore(instance: NodeInstance, name: str, value: str) -> None:
    """Sets a secure setting; a running node reads it at the next reload."""
    config = instance.home / "config"
    done = subprocess.run(
        [find_jdk().java, "-cp", f"{instance.home / 'lib'}/*", _SOURCE, config, name, value],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    owner = config.stat()
    os.chown(config / "opensearch.keystore", owner.st_uid, owner.st_gid)
