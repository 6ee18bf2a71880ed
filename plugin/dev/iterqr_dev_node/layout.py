"""Assembles an OpenSearch server from Maven Central: `lib`, `modules` and `agent` of one version.

A layout is immutable and shared by all instances of its version; it lies in the cache folder.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from iterqr_dev_node.cache import build_once, cache_folder
from iterqr_dev_node.components import DEFAULT_VERSION, KNN_RELEASES, MODULES, Module
from iterqr_dev_node.errors import LayoutError, MavenError, PluginError
from iterqr_dev_node.maven import (
    DEPENDENCY_PLUGIN,
    MavenRun,
    ProgressListener,
    copy_artifact,
    error_lines,
    run_maven,
)

_POM_NAMESPACE = "{http://maven.apache.org/POM/4.0.0}"
_PAINLESS_EXTENSION = "META-INF/services/org.opensearch.painless.spi.PainlessExtension"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Layout:
    """A server's immutable files."""

    version: str
    folder: Path

    @property
    def parts(self) -> tuple[Path, Path, Path]:
        """The folders an instance needs in its home."""
        return (self.folder / "lib", self.folder / "modules", self.folder / "agent")


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dependency in a pom."""

    group: str
    artifact: str
    version: str
    alone: bool = False  # without what it depends on itself

    def xml(self) -> str:
        """As a pom spells it."""
        exclusions = (
            "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
            if self.alone
            else ""
        )
        return (
            f"<dependency><groupId>{escape(self.group)}</groupId><artifactId>{escape(self.artifact)}</artifactId>"
            f"<version>{escape(self.version)}</version>{exclusions}</dependency>"
        )


def ensure_layout(version: str = DEFAULT_VERSION, on_progress: ProgressListener | None = None) -> Layout:
    """Returns the layout of a version, assembled first if the cache does not have it.

    Raises:
        LayoutError: If the version is not one, or Central lacks a part that a node needs.
        MavenError: If Maven is missing or the network fails.
    """
    if not _VERSION.fullmatch(version):
        raise LayoutError(f"version: {version!r} is not an OpenSearch version like {DEFAULT_VERSION}")
    folder = build_once(
        cache_folder() / "opensearch" / version, lambda partial: _assemble(partial, version, on_progress)
    )
    return Layout(version=version, folder=folder)


def ensure_knn_zip(version: str, on_progress: ProgressListener | None = None) -> Path:
    """Returns the zip of the k-NN plugin for a version (lucene engine only), downloaded first if need be.

    Raises:
        PluginError: If there is none for this version.
        MavenError: If Maven is missing or the network fails.
    """
    release = KNN_RELEASES.get(version)
    if release is None:
        raise PluginError(f"no k-NN plugin for OpenSearch {version}; there is one for {', '.join(KNN_RELEASES)}")
    coordinates = f"org.opensearch.plugin:opensearch-knn:{release.version}:zip"

    def fetch(partial: Path) -> None:
        copy_artifact(coordinates, partial, on_progress, sha256=release.sha256)

    folder = build_once(cache_folder() / "opensearch-plugins" / f"opensearch-knn-{release.version}", fetch)
    return next(folder.glob("*.zip"))


def optional_dependencies(pom: str) -> list[Dependency]:
    """The optional dependencies that the server's pom names.

    A server needs them (log4j-core, jts, spatial4j), yet as optional ones they are not resolved with it.
    """
    root = ET.fromstring(pom)  # noqa: S314 - checked by its digest
    found = []
    for each in root.iter(f"{_POM_NAMESPACE}dependency"):
        if each.findtext(f"{_POM_NAMESPACE}optional") == "true":
            group, artifact, version = (
                each.findtext(f"{_POM_NAMESPACE}{name}", "") for name in ("groupId", "artifactId", "version")
            )
            found.append(Dependency(group=group, artifact=artifact, version=version, alone=True))
    return found


def project_pom(name: str, dependencies: Iterable[Dependency], jars: Path) -> str:
    """A pom whose `package` copies the jars of all its dependencies into a folder."""
    return (
        f"<project>{_coordinates(name)}<dependencies>{''.join(each.xml() for each in dependencies)}</dependencies>"
        "<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId>"
        f"<artifactId>maven-dependency-plugin</artifactId><version>{DEPENDENCY_PLUGIN.rsplit(':', 1)[1]}</version>"
        "<executions><execution><id>jars</id><phase>package</phase><goals><goal>copy-dependencies</goal></goals>"
        f"<configuration><outputDirectory>{escape(str(jars))}</outputDirectory><includeScope>runtime</includeScope>"
        "</configuration></execution></executions></plugin></plugins></build></project>"
    )


def unresolved_reason(run: MavenRun, project: str) -> str | None:
    """Which artifact Central lacks for a project; None if it failed for another reason, such as the network."""
    pattern = rf"on project {re.escape(project)}: [^\n]*?Could not find artifact (\S+)"
    found = re.search(pattern, run.output)
    return found[1] if found else None


def _coordinates(name: str) -> str:
    return (
        "<modelVersion>4.0.0</modelVersion><groupId>org.iterqr.devnode</groupId>"
        f"<artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>"
    )


def _assemble(target: Path, version: str, on_progress: ProgressListener | None) -> None:
    with tempfile.TemporaryDirectory(prefix="iterqr-layout-") as scratch_name:
        scratch = Path(scratch_name)
        jars = scratch / "jars"
        missing = _resolve(scratch, jars, version, on_progress)
        shutil.copytree(jars / "lib", target / "lib")
        _copy_agent(jars / "agent", target / "agent", version)
        in_lib = {jar.name for jar in (target / "lib").iterdir()}
        for module in MODULES:
            if module.name not in missing:
                _copy_module(module, jars / _project(module), target / "modules" / module.name, version, in_lib)
    notes = [f"left out {name}: Central has no {artifact}" for name, artifact in sorted(missing.items())]
    (target / "ASSEMBLY.txt").write_text("\n".join([f"OpenSearch {version}, assembled from Maven Central", *notes, ""]))
    for path in target.rglob("*"):
        # Read by whichever user runs the node, whatever umask this process has.
        path.chmod(0o755 if path.is_dir() else 0o644)


def _project(module: Module) -> str:
    return f"module-{module.name}"


def _resolve(scratch: Path, jars: Path, version: str, on_progress: ProgressListener | None) -> dict[str, str]:
    """Lets Maven copy all jars below `jars`; returns the modules left out, each with the artifact Central lacks."""
    pom_folder = scratch / "server-pom"
    pom_folder.mkdir()
    pom = copy_artifact(f"org.opensearch:opensearch:{version}:pom", pom_folder, on_progress)
    projects: dict[str, Sequence[Dependency]] = {
        "lib": [
            Dependency("org.opensearch", "opensearch", version),
            Dependency("org.opensearch", "opensearch-plugin-classloader", version),
            *optional_dependencies(pom.read_text()),
        ],
        "agent": [Dependency("org.opensearch", "opensearch-agent", version)],
        **{_project(module): [Dependency("org.opensearch.plugin", module.artifact, version)] for module in MODULES},
    }
    for name, dependencies in projects.items():
        (scratch / name).mkdir()
        (scratch / name / "pom.xml").write_text(project_pom(name, dependencies, jars / name))
    modules = "".join(f"<module>{name}</module>" for name in projects)
    (scratch / "pom.xml").write_text(f"<project>{_coordinates('all')}<modules>{modules}</modules></project>")
    # Go on after a module that Central lacks, and ask again for what an earlier run did not find.
    run = run_maven(scratch, ["--fail-at-end", "--update-snapshots", "package"], on_progress)
    missing = {}
    for module in MODULES:
        if not (jars / _project(module)).is_dir():
            artifact = unresolved_reason(run, _project(module))
            if artifact is None:
                raise MavenError(f"Maven could not resolve module {module.name}\n{error_lines(run)}")
            if module.required:
                raise LayoutError(
                    f"OpenSearch {version} is not whole on Central: module {module.name} needs {artifact}"
                )
            missing[module.name] = artifact
    for name in ("lib", "agent"):
        if not (jars / name).is_dir():
            raise MavenError(f"Maven could not resolve {name} of OpenSearch {version}\n{error_lines(run)}")
    return missing


def _copy_agent(jars: Path, target: Path, version: str) -> None:
    """The agent's manifest names its neighbours by file name, so only the agent itself gets a plain name."""
    target.mkdir()
    for jar in jars.iterdir():
        name = "opensearch-agent.jar" if jar.name == f"opensearch-agent-{version}.jar" else jar.name
        shutil.copyfile(jar, target / name)


def _copy_module(module: Module, jars: Path, target: Path, version: str, in_lib: set[str]) -> None:
    target.mkdir(parents=True)
    for jar in jars.iterdir():
        if jar.name not in in_lib:
            shutil.copyfile(jar, target / jar.name)
    own = target / f"{module.artifact}-{version}.jar"
    if not own.is_file():
        raise LayoutError(f"module {module.name}: Maven copied no {own.name}")
    with zipfile.ZipFile(own) as opened:
        entries = set(opened.namelist())
    if module.plugin_class.replace(".", "/") + ".class" not in entries:
        raise LayoutError(f"module {module.name}: {own.name} has no class {module.plugin_class}")
    extends_painless = _PAINLESS_EXTENSION in entries
    if extends_painless:
        for jar in target.glob("*painless*.jar"):
            jar.unlink()  # comes from the parent class loader, lang-painless's
    descriptor = {
        "name": module.name,
        "description": f"{module.name} (assembled from Maven Central)",
        "version": version,
        "opensearch.version": version,
        "java.version": "21",
        "classname": module.plugin_class,
        "extended.plugins": "lang-painless" if extends_painless else "",
        "has.native.controller": "false",
    }
    lines = "".join(f"{key}={value}\n" for key, value in descriptor.items())
    (target / "plugin-descriptor.properties").write_text(lines)
    if module.policy:
        (target / "plugin-security.policy").write_text(module.policy)
