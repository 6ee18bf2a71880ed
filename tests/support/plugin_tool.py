"""OpenSearch's own plugin tool, from Maven Central, for the versions that Central has it for."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from iterqr_dev_node import NodeInstance
from iterqr_dev_node.cache import build_once, cache_folder
from iterqr_dev_node.java import find_jdk
from iterqr_dev_node.layout import Dependency, project_pom
from iterqr_dev_node.maven import error_lines, run_maven

TOOL_VERSION = "3.6.0"
_MAIN = "org.opensearch.tools.cli.plugin.PluginCli"


def run_plugin_tool(node: NodeInstance, *arguments: str) -> str:
    """Runs `opensearch-plugin` for a node's home, which must be of `TOOL_VERSION`; returns what it prints."""
    home = node.home
    # What lib and modules have must not come twice: the tool looks for classes of two jars, as the node does.
    theirs = {jar.name for part in ("lib", "modules") for jar in (home / part).rglob("*.jar")}
    own = [jar for jar in _jars().glob("*.jar") if jar.name not in theirs]
    class_path = ":".join([f"{home / 'lib'}/*", *map(str, own)])
    command = [
        str(find_jdk().java), f"-Dopensearch.path.home={home}", f"-Dopensearch.path.conf={home / 'config'}",
        "-Dopensearch.distribution.type=tar", "-cp", class_path, _MAIN, *arguments,
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def _jars() -> Path:
    def fetch(partial: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            tool = Dependency("org.opensearch", "opensearch-plugin-cli", TOOL_VERSION)
            Path(scratch, "pom.xml").write_text(project_pom("plugin-tool", [tool], partial))
            run = run_maven(Path(scratch), ["package"])
        assert run.returncode == 0, error_lines(run)

    return build_once(cache_folder() / "opensearch-plugin-tool" / TOOL_VERSION, fetch)
