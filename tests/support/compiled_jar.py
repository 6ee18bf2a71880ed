"""Java sources of the tests, compiled into a jar."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from pathlib import Path

from iterqr_dev_node.java import find_jdk


def compile_jar(sources: Path, jar: Path, *, class_path: Path, manifest: str = "") -> None:
    """Compiles a folder of sources against the jars of another; writes the classes, and a manifest if there is one."""
    with tempfile.TemporaryDirectory() as scratch:
        classes = Path(scratch)
        javac = find_jdk().home / "bin" / "javac"
        options = ["--release", "21", "-cp", f"{class_path}/*", "-d", str(classes)]
        command = [str(javac), *options, *map(str, sorted(sources.glob("*.java")))]
        compiled = subprocess.run(command, capture_output=True, text=True, check=False)
        assert compiled.returncode == 0, compiled.stderr
        with zipfile.ZipFile(jar, "w") as archive:
            if manifest:
                archive.writestr("META-INF/MANIFEST.MF", manifest)
            for path in sorted(classes.rglob("*.class")):
                archive.write(path, str(path.relative_to(classes)))
