import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from iterqr_dev_node import LayoutError, PluginError, ensure_knn_zip, ensure_layout
from iterqr_dev_node.layout import Dependency, optional_dependencies, project_pom, unresolved_reason
from iterqr_dev_node.maven import MavenRun

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><dependencies>
  <dependency><groupId>org.apache.lucene</groupId><artifactId>lucene-core</artifactId><version>10</version></dependency>
  <dependency><groupId>org.locationtech.jts</groupId><artifactId>jts-core</artifactId><version>1.15.0</version>
    <optional>true</optional></dependency>
</dependencies></project>"""


def parsed(xml: str) -> ET.Element:
    return ET.fromstring(xml)  # noqa: S314 - our own


def test_finds_optional_dependencies_and_takes_them_alone() -> None:
    assert optional_dependencies(POM) == [Dependency("org.locationtech.jts", "jts-core", "1.15.0", alone=True)]


def test_a_project_copies_the_jars_of_its_dependencies() -> None:
    pom = project_pom("lib", [Dependency("org.opensearch", "opensearch", "3.8.0")], Path("/a & b/<jars>"))
    root = parsed(pom)
    assert [each.text for each in root.iter("version")][:2] == ["1", "3.8.0"]
    assert [each.text for each in root.iter("outputDirectory")] == ["/a & b/<jars>"]


def test_a_dependency_taken_alone_excludes_all_others() -> None:
    root = parsed(Dependency("g", "a", "1", alone=True).xml())
    assert [each.text for each in root.iter("groupId")] == ["g", "*"]


OUTPUT = """\
[ERROR] Failed to execute goal on project module-rank-eval: Could not resolve dependencies for project \
x:module-rank-eval:pom:1: Could not find artifact org.opensearch.plugin:rank-eval-client:jar:3.6.0 in central (...)
[ERROR] Failed to execute goal on project module-geo: Could not resolve dependencies: Could not transfer artifact \
org.opensearch.plugin:geo:jar:3.6.0 from/to central: Connection refused
"""


def test_tells_what_central_lacks_from_what_the_network_broke() -> None:
    run = MavenRun(returncode=1, output=OUTPUT)
    assert unresolved_reason(run, "module-rank-eval") == "org.opensearch.plugin:rank-eval-client:jar:3.6.0"
    assert unresolved_reason(run, "module-geo") is None
    assert unresolved_reason(run, "module-percolator") is None


@pytest.mark.parametrize("version", ["", "3", "../3.8.0", "3.8.0/..", "3.8.0-SNAPSHOT", "latest"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(LayoutError, match="version"):
        ensure_layout(version)


def test_knn_is_refused_where_there_is_none() -> None:
    with pytest.raises(PluginError, match=r"no k-NN plugin for OpenSearch 3\.8\.0; there is one for 3\.6\.0"):
        ensure_knn_zip("3.8.0")
