"""Writes into a node's keystore, which the assembled nodes have no command line tool for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from iterqr_dev_node.errors import NodeError
from iterqr_dev_node.java import find_jdk

_SOURCE = Path(__file__).parent / "KeystoreEntry.java"


def put_secret(home: Path, name: str, value: str) -> None:
    """Sets a secure setting in the keystore of a node's home; makes the keystore if there is none.

    Raises:
        NodeError: The keystore cannot be written; the message has the reason.
        JavaNotFoundError: There is no JDK.
    """
    config = home / "config"
    command = [str(find_jdk().java), "-cp", f"{home / 'lib'}/*", str(_SOURCE), str(config), name, value]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodeError(f"{name} could not be put into the keystore in {config}: {done.stderr.strip()[-500:]}")
    owner = config.stat()
    os.chown(config / "opensearch.keystore", owner.st_uid, owner.st_gid)
