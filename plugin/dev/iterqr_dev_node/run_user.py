"""Whom the node runs as: OpenSearch refuses root, so root hands the node to a user without rights."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from iterqr_dev_node.errors import NodeError


@dataclass(frozen=True, slots=True)
class RunUser:
    """A user to drop to."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Gives a folder and all in it to the user. Symbolic links are not followed."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder, name), self.uid, self.gid, follow_symlinks=False)


def user_to_drop_to(name: str = "nobody") -> RunUser | None:
    """The user the node must run as; None if this process is not root and the node may run as itself.

    Raises:
        NodeError: If this process is root and there is no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise NodeError(f"OpenSearch refuses to run as root and there is no user {name!r} to run it as") from None
    return RunUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def can_enter(folder: Path, user: RunUser | None) -> bool:
    """Tells whether the user can list a folder and reach what is in it.

    Asks the system, as that user, rather than reading mode bits: access lists and mount options count too.
    """
    if user is None:
        return os.access(folder, os.R_OK | os.X_OK)
    done = subprocess.run(
        ["test", "-r", str(folder), "-a", "-x", str(folder)],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return done.returncode == 0
