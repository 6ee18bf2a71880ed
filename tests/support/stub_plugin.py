"""Builds plugins that stand on a node for what ours meets there."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from iterqr_dev_node import NodeInstance
from iterqr_dev_node.java import find_jdk

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
    classes = folder / f"{name}-classes"
    javac = find_jdk().home / "bin" / "javac"
    compiled = subprocess.run(
        [javac, "--release", "21", "-cp", f"{instance.home / 'lib'}/*", "-d", classes, *sorted(sources.glob("*.java"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    jar = folder / f"{name}.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, str(path.relative_to(classes)))
    target = folder / f"{name}.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(jar, jar.name)
        descriptor = _DESCRIPTOR.format(
            name=name, description=description, version=instance.version, class_name=class_name
        )
        archive.writestr("plugin-descriptor.properties", descriptor)
    return target
