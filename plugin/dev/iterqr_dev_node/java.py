"""Finds a JDK that OpenSearch 3 runs on."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from iterqr_dev_node.errors import JavaNotFoundError
from iterqr_dev_node.run_user import RunUser, can_enter

MINIMUM_JAVA = 21

# Where package managers, vendors' archives and version managers put JDKs, beside JAVA_HOME and PATH.
_INSTALL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/usr/local/*jdk*",
    "/opt/*jdk*",
    "/opt/java/*",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
    "~/.asdf/installs/java/*",
)


@dataclass(frozen=True, slots=True)
class Jdk:
    """A JDK's home folder and its major version."""

    home: Path
    major: int

    @property
    def java(self) -> Path:
        """The launcher."""
        return self.home / "bin" / "java"


def find_jdk(environ: Mapping[str, str] | None = None, *, user: RunUser | None = None) -> Jdk:
    """Finds a JDK of version 21 or later: JAVA_HOME, else `java` on PATH, else the newest one installed.

    Args:
        environ: Read instead of the process's environment.
        user: Only a JDK that this user can run will do.

    Raises:
        JavaNotFoundError: If there is none; the message names the JDKs that were too old.
    """
    environ = os.environ if environ is None else environ
    seen: list[Jdk] = []
    for home in _preferred_homes(environ):
        jdk = read_jdk(home)
        if jdk is not None:
            seen.append(jdk)
            if jdk.major >= MINIMUM_JAVA and can_enter(jdk.home / "bin", user):
                return jdk
    installed = [jdk for home in _installed_homes(environ) if (jdk := read_jdk(home)) is not None]
    for jdk in sorted(installed, key=lambda each: (each.major, str(each.home)), reverse=True):
        if jdk.major >= MINIMUM_JAVA and can_enter(jdk.home / "bin", user):
            return jdk
    raise JavaNotFoundError(_not_found([*seen, *installed], user))


def read_jdk(home: Path) -> Jdk | None:
    """Reads a folder as a JDK; None if it is not one (no compiler, no `release` file)."""
    release = home / "release"
    if not (home / "bin" / "java").is_file() or not (home / "bin" / "javac").is_file() or not release.is_file():
        return None
    version = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(errors="replace"), re.MULTILINE)
    return Jdk(home=home, major=int(version[1])) if version else None


def _preferred_homes(environ: Mapping[str, str]) -> Iterable[Path]:
    if environ.get("JAVA_HOME"):
        yield Path(environ["JAVA_HOME"])
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path).resolve().parent.parent


def _installed_homes(environ: Mapping[str, str]) -> Iterable[Path]:
    user_home = environ.get("HOME", "")
    for pattern in _INSTALL_FOLDERS:
        if pattern.startswith("~") and not user_home:
            continue
        absolute = pattern.replace("~", user_home, 1)
        yield from Path("/").glob(absolute.lstrip("/"))


def _not_found(seen: list[Jdk], user: RunUser | None) -> str:
    message = f"no JDK of version {MINIMUM_JAVA} or later found"
    if seen:
        message += " (saw " + ", ".join(dict.fromkeys(f"{jdk.major} in {jdk.home}" for jdk in seen)) + ")"
    if user is not None and any(jdk.major >= MINIMUM_JAVA for jdk in seen):
        message += f"; user {user.name}, as whom the node must run, cannot enter them"
    return message + "; install one or set JAVA_HOME"
