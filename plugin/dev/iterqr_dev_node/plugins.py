"""Unpacks a plugin zip, as OpenSearch's own tool does, less signature and jar-hell checks (the node repeats these)."""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from iterqr_dev_node.errors import PluginError

DESCRIPTOR = "plugin-descriptor.properties"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class PluginDescriptor:
    """What a plugin says about itself."""

    name: str
    version: str
    opensearch_version: str


def parse_descriptor(text: str) -> PluginDescriptor:
    """Reads plugin-descriptor.properties.

    Raises:
        PluginError: If the name is missing or no plain folder name.
    """
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    values = {key.strip(): value.strip() for key, value in pairs}
    name = values.get("name", "")
    if not _NAME.fullmatch(name):
        raise PluginError(f"{DESCRIPTOR}: name {name!r} is not 1 to 64 letters, digits, '-' or '_'")
    return PluginDescriptor(
        name=name, version=values.get("version", ""), opensearch_version=values.get("opensearch.version", "")
    )


def refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    """Refuses an entry that would land outside the folder it is unpacked into, or is a link.

    Raises:
        PluginError: Names the entry.
    """
    path = PurePosixPath(entry.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename
    if outside or stat.S_ISLNK(entry.external_attr >> 16):
        raise PluginError(f"unsafe entry in the zip: {entry.filename!r}")


def unpack_plugin(zip_path: Path, plugins: Path, config: Path, *, opensearch_version: str, replace: bool) -> str:
    """Unpacks a plugin into `plugins/<name>`, its configuration into `config/<name>`.

    Args:
        zip_path: What a plugin's build makes.
        plugins: The node's plugin folder.
        config: The node's configuration folder.
        opensearch_version: What the plugin must have been built for; the node would refuse another.
        replace: Whether to replace a plugin of that name.

    Returns:
        The plugin's name.

    Raises:
        PluginError: If the zip is damaged or unsafe, made for another version, or already installed.
    """
    if not zip_path.is_file():
        raise PluginError(f"no plugin zip at {zip_path}")
    try:
        with zipfile.ZipFile(zip_path) as opened:
            descriptor = parse_descriptor(opened.read(DESCRIPTOR).decode())
            for entry in opened.infolist():
                refuse_unsafe(entry)
            if descriptor.opensearch_version != opensearch_version:
                raise PluginError(
                    f"{zip_path.name} is built for OpenSearch {descriptor.opensearch_version}, the node is "
                    f"{opensearch_version}"
                )
            target = plugins / descriptor.name
            if target.exists() and not replace:
                raise PluginError(f"plugin {descriptor.name} is already installed; --replace replaces it")
            # Beside the plugin folder: whatever lies in it, hidden or not, the node takes for a plugin.
            with tempfile.TemporaryDirectory(prefix="unpack-", dir=plugins.parent) as scratch:
                unpacked = Path(scratch, descriptor.name)
                opened.extractall(unpacked)
                _publish(unpacked, target, config / descriptor.name)
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise PluginError(f"{zip_path} is not a plugin zip: {error}") from error
    return descriptor.name


def _publish(unpacked: Path, target: Path, config: Path) -> None:
    for path in (unpacked, *unpacked.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    if (unpacked / "config").is_dir():
        shutil.rmtree(config, ignore_errors=True)
        (unpacked / "config").rename(config)
    unpacked.rename(target)
