"""What is in the plugin's zip, how it is built, and that OpenSearch's own tool installs it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from iterqr_dev_node.maven import MavenRun, error_lines, run_maven
from iterqr_dev_node.plugin_build import plugin_folder
from opensearchpy import OpenSearch
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION
from support.plugin_search import STATS
from support.plugin_tool import TOOL_VERSION, run_plugin_tool

VERSIONS = (DEFAULT_VERSION, KNN_VERSION)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_zip_has_a_licence_for_every_jar_it_bundles(version: str) -> None:
    with zipfile.ZipFile(build_plugin(version)) as opened:
        names = set(opened.namelist())
        descriptor = dict(
            line.split("=", 1) for line in opened.read("plugin-descriptor.properties").decode().splitlines()
        )
    assert {"LICENSE.txt", "NOTICE.txt", "plugin-security.policy"} <= names
    bundled = {name for name in names if name.endswith(".jar")} - {"iterqr-opensearch-0.1.0.jar"}
    licensed = {name.removeprefix("licenses/").removesuffix("-LICENSE.txt") for name in names if "-LICENSE" in name}
    assert bundled
    assert {jar for jar in bundled if not any(jar.startswith(f"{name}-") for name in licensed)} == set()
    assert "licenses/grpc-netty-shaded/LICENSE.boringssl.txt" in names
    assert descriptor["opensearch.version"] == version
    assert descriptor["name"] == "iterqr"
    assert descriptor["java.version"] == "21"
    assert "$" not in "".join(descriptor.values())


@pytest.mark.timeout(600)
def test_the_zip_is_the_same_wherever_it_is_built_and_no_jar_comes_without_licence(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "plugin"
    checkout = plugin_folder().parent
    shutil.copytree(checkout / "plugin", copy, ignore=shutil.ignore_patterns("target", "dev"))
    shutil.copytree(checkout / "proto", copy.parent / "proto", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copyfile(checkout / "LICENSE", copy.parent / "LICENSE")
    run = _package(copy)
    assert run.returncode == 0, error_lines(run)
    zipped = copy / "target" / DEFAULT_VERSION / f"iterqr-opensearch-{DEFAULT_VERSION}.zip"
    assert zipped.read_bytes() == build_plugin(DEFAULT_VERSION).read_bytes()

    (copy / "licenses" / "gson-LICENSE.txt").unlink()
    run = _package(copy)
    assert run.returncode
    assert "plugin/licenses has no licence for" in run.output
    assert "gson-" in run.output.partition("no licence for")[2].splitlines()[0]


def _package(folder: Path) -> MavenRun:
    return run_maven(folder, ["-q", f"-Dopensearch.version={DEFAULT_VERSION}", "-DskipTests", "package"])


@pytest.mark.node
def test_opensearchs_own_tool_installs_it(tmp_path: Path) -> None:
    instance = NodeInstance.create(tmp_path / "node", TOOL_VERSION)
    try:
        told = run_plugin_tool(instance, "install", "--batch", build_plugin(TOOL_VERSION).as_uri())
        assert "Installed iterqr" in told
        assert run_plugin_tool(instance, "list").split() == ["iterqr"]
        url = instance.start(NodeOptions()).url
        assert url is not None
        with OpenSearch(url, timeout=30) as client:
            assert client.transport.perform_request("GET", STATS)["outcomes"]["fused"] == 0
    finally:
        instance.delete()
