"""Builds a plugin that meets ours as the User Behavior Insights plugin does (see ubi_stub/UbiPlugin.java)."""

from __future__ import annotations

import zipfile
from pathlib import Path

from iterqr_dev_node import NodeInstance
from support.compiled_jar import compile_jar

_SOURCE = Path(__file__).parent / "ubi_stub" / "UbiPlugin.java"
_DESCRIPTOR = """\
name=opensearch-ubi
description=Stands for the User Behavior Insights plugin
version={version}.0
opensearch.version={version}
java.version=21
classname=org.opensearch.ubi.UbiPlugin
extended.plugins=
has.native.controller=false
"""


def build_ubi_stub(instance: NodeInstance, folder: Path) -> Path:
    """Compiles the stub against an instance's own libraries and returns its zip, made in `folder`."""
    jar = folder / "ubi-stub.jar"
    compile_jar(_SOURCE, jar, class_path=instance.home / "lib")
    target = folder / "ubi-stub.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(jar, jar.name)
        archive.writestr("plugin-descriptor.properties", _DESCRIPTOR.format(version=instance.version))
    return target
