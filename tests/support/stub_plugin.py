"""Builds plugins that stand on a node for what ours meets there."""

from __future__ import annotations

import zipfile
from pathlib import Path

from iterqr_dev_node import NodeInstance
from support.compiled_jar import compile_jar

_DESCRIPTOR = """\
name={name}
description={description}
version={version}.0
opensearch.version={version}
java.version=21
classname={class_name}
extended.plugins=
has.native.controller=false
"""


def build_stub_plugin(
    instance: NodeInstance, folder: Path, sources: Path, *, name: str, class_name: str, description: str
) -> Path:
    """Compiles sources against an instance's own libraries and returns the plugin's zip, made in `folder`."""
    jar = folder / f"{name}.jar"
    compile_jar(sources, jar, class_path=instance.home / "lib")
    target = folder / f"{name}.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(jar, jar.name)
        descriptor = _DESCRIPTOR.format(
            name=name, description=description, version=instance.version, class_name=class_name
        )
        archive.writestr("plugin-descriptor.properties", descriptor)
    return target
