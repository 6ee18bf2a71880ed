"""A node's home folder: its own config, data, logs, tmp and plugins beside the layout's immutable parts.

The user who runs the node must reach its home. Where root's caches and checkouts lie in a folder only root may enter,
the home is made in the system's temporary folder, and the instance's folder links to it. The layout's files are
hard-linked into each home (copied across file systems): a link needs no space, works wherever the cache lies, and
outlives it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from iterqr_dev_node.errors import NodeError
from iterqr_dev_node.jvm import LOGGING
from iterqr_dev_node.layout import Layout
from iterqr_dev_node.run_user import RunUser, can_enter

WRITABLE = ("config", "data", "logs", "tmp")


def make_home(link: Path, layout: Layout, user: RunUser | None) -> Path:
    """Makes a node's home.

    Args:
        link: Where the home is wanted; becomes a link to it if the user cannot get there.
        layout: What is linked into it.
        user: Who runs the node.

    Returns:
        The home itself, absolute, no link in its path.

    Raises:
        NodeError: If the user can reach neither the folder nor a temporary one.
    """
    link.mkdir(parents=True)
    link.chmod(0o755)
    home = link.resolve()
    if not can_enter(home, user):
        link.rmdir()
        home = _reachable_folder(home, user)
        link.symlink_to(home)
    for part in layout.parts:
        shutil.copytree(part, home / part.name, copy_function=_link_or_copy)
    for name in ("bin", "extensions", "plugins", *WRITABLE):  # the node would make those that are not there
        (home / name).mkdir()
    (home / "config" / "log4j2.properties").write_text(LOGGING)
    return home


def delete_home(link: Path) -> None:
    """Deletes a home, wherever it lies."""
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    else:
        shutil.rmtree(link, ignore_errors=True)


def _reachable_folder(wanted: Path, user: RunUser | None) -> Path:
    candidates = [Path(tempfile.gettempdir()), Path("/var/tmp")]  # noqa: S108 - made by mkdtemp below
    for parent in candidates:
        if parent.is_dir() and can_enter(parent, user):
            home = Path(tempfile.mkdtemp(prefix="iterqr-node-", dir=parent.resolve()))
            home.chmod(0o755)
            return home
    name = user.name if user else "this user"
    raise NodeError(f"user {name}, as whom the node must run, can enter neither {wanted} nor {candidates[0]}")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
