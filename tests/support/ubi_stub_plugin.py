"""Builds a plugin that meets ours as the User Behavior Insights plugin does (see ubi_stub/UbiPlugin.java)."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from iterqr_dev_node import NodeInstance
from iterqr_dev_node.java import find_jdk

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
    classes = folder / "classes"
    javac = find_jdk().home / "bin" / "javac"
    compiled = subprocess.run(
        [javac, "--release", "21", "-cp", f"{instance.home / 'lib'}/*", "-d", classes, _SOURCE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    jar = folder / "ubi-stub.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, str(path.relative_to(classes)))
    target = folder / "ubi-stub.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(jar, jar.name)
        archive.writestr("plugin-descriptor.properties", _DESCRIPTOR.format(version=instance.version))
    return target
