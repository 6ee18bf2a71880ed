"""`iterqr-dev-node`: assemble, run and look after development nodes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from iterqr_dev_node.components import DEFAULT_VERSION, KNN_RELEASES
from iterqr_dev_node.errors import DevNodeError
from iterqr_dev_node.instance import NodeInstance, NodeOptions
from iterqr_dev_node.java import find_jdk
from iterqr_dev_node.layout import ensure_knn_zip, ensure_layout
from iterqr_dev_node.maven import MavenProgress, ProgressListener
from iterqr_dev_node.plugin_build import build_plugin

_EXAMPLES = """\
examples:
  iterqr-dev-node build --version 3.8.0            assemble the server into the cache
  iterqr-dev-node install build/node               build this checkout's plugin and install it
  iterqr-dev-node start build/node --port 9200     start it in the background, wait until it answers
  iterqr-dev-node status build/node                what it is, where it answers, its process
  iterqr-dev-node stop build/node                  stop it and wait until it has ended
  iterqr-dev-node start build/knn --version 3.6.0  another one beside it ...
  iterqr-dev-node install build/knn36 --version 3.6.0 --knn     ... or one with the k-NN plugin
  iterqr-dev-node run build/node -E plugins.iterqr.server.endpoints=127.0.0.1:50051

A node lives in the FOLDER given: its data, logs, configuration and plugins. The server itself lies in
$ITERQR_CACHE/opensearch (default ~/.cache/iterqr). Run as root, the node runs as user nobody, as OpenSearch
refuses root.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit status: 0 done; 1 failed, with one message; 2 wrong usage; 3 `status`: not running."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
    except DevNodeError as error:
        print(f"iterqr-dev-node: {error}", file=sys.stderr)
        status = 1
    if status:
        sys.exit(status)


def _build(options: argparse.Namespace) -> int:
    with _maven_progress(f"OpenSearch {options.version}") as on_progress:
        layout = ensure_layout(options.version, on_progress)
    if options.knn:
        with _maven_progress("k-NN plugin") as on_progress:
            ensure_knn_zip(options.version, on_progress)
    print(layout.folder)
    return 0


def _build_plugin(options: argparse.Namespace) -> int:
    with _maven_progress(f"plugin for OpenSearch {options.version}") as on_progress:
        print(build_plugin(options.version, force=options.force, on_progress=on_progress))
    return 0


def _install(options: argparse.Namespace) -> int:
    instance = _instance(options)
    if options.knn:
        with _maven_progress("k-NN plugin") as on_progress:
            zip_path = ensure_knn_zip(instance.version, on_progress)
    elif options.zip is None:
        with _maven_progress(f"plugin for OpenSearch {instance.version}") as on_progress:
            zip_path = build_plugin(instance.version, on_progress=on_progress)
    else:
        zip_path = options.zip
    print(f"installed {instance.install(zip_path, replace=options.replace)}")
    return 0


def _start(options: argparse.Namespace) -> int:
    instance = _instance(options)
    with _waiting("starting the node"):
        status = instance.start(_node_options(options), timeout_s=options.timeout)
    print(f"OpenSearch {status.version} answers at {status.url} (process {status.pid}, log {instance.log})")
    return 0


def _run(options: argparse.Namespace) -> int:
    _instance(options).run(_node_options(options))
    return 0


def _stop(options: argparse.Namespace) -> int:
    instance = NodeInstance(options.folder)
    was_running = instance.status().is_running
    instance.stop()
    print("stopped" if was_running else "was not running")
    return 0


def _delete(options: argparse.Namespace) -> int:
    instance = NodeInstance(options.folder)
    instance.status()  # refuses a folder that holds no node
    instance.delete()
    print(f"deleted {options.folder}")
    return 0


def _status(options: argparse.Namespace) -> int:
    status = NodeInstance(options.folder).status()
    print(json.dumps(asdict(status), indent=2))
    return 0 if status.is_running else 3


def _java_home(_options: argparse.Namespace) -> int:
    print(find_jdk().home)
    return 0


def _instance(options: argparse.Namespace) -> NodeInstance:
    """The instance in the folder given, of the version it has; a new one if there is none."""
    version = options.version
    if version is None:
        version = NodeInstance(options.folder).version if (options.folder / "version").is_file() else DEFAULT_VERSION
    with _maven_progress(f"OpenSearch {version}") as on_progress:
        return NodeInstance.create(options.folder, version, on_progress)


def _node_options(options: argparse.Namespace) -> NodeOptions:
    return NodeOptions(
        http_port=options.port,
        heap_mb=options.heap,
        quick_start=not options.full_speed,
        settings=dict(options.setting),
    )


@contextmanager
def _maven_progress(what: str) -> Iterator[ProgressListener]:
    """Shows how far Maven is; shows nothing if Maven is not needed."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None, detail="", visible=False)
        shown = MavenProgress()

        def on_progress(now: MavenProgress) -> None:
            nonlocal shown
            if not console.is_terminal and now.project != shown.project:
                print(f"{what}: {now.project} {now.project_index}/{now.project_count}", file=sys.stderr, flush=True)
            shown = now
            progress.update(
                task,
                visible=True,
                total=now.project_count or None,
                completed=max(0, now.project_index - 1),
                detail=f"{now.project}  {now.files} files, {now.downloaded_bytes / 1e6:.0f} MB",
            )

        yield on_progress


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    with Console(stderr=True).status(what):
        yield


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _heap(text: str) -> int:
    if not text.isdecimal() or int(text) < 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of MiB, at least 256")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iterqr-dev-node",
        description="Real OpenSearch nodes for development, assembled from Maven Central.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("folder", type=Path, metavar="FOLDER", help="where the node lives")
    version = argparse.ArgumentParser(add_help=False)
    version.add_argument("--version", default=DEFAULT_VERSION, help=f"of OpenSearch (default {DEFAULT_VERSION})")
    instance = argparse.ArgumentParser(add_help=False, parents=[folder])
    instance.add_argument("--version", help=f"of OpenSearch (default: what FOLDER holds, else {DEFAULT_VERSION})")
    node = argparse.ArgumentParser(add_help=False, parents=[instance])
    node.add_argument("--port", type=_port, default=9200, help="for HTTP; 0 takes any free one (default 9200)")
    node.add_argument("--heap", type=_heap, default=512, metavar="MIB", help="Java heap (default 512)")
    node.add_argument("--full-speed", action="store_true", help="compile well rather than quickly; slower start")
    node.add_argument(
        "-E", dest="setting", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="a node setting"
    )

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=parents)
        command.set_defaults(command=run)
        return command

    knn = f"the k-NN plugin, lucene engine only (OpenSearch {', '.join(KNN_RELEASES)})"
    build = add("build", _build, "assemble a server into the cache", version)
    build.add_argument("--knn", action="store_true", help=f"download {knn} as well")
    install = add("install", _install, "install a plugin: this checkout's, k-NN, or a zip", instance)
    install.add_argument("zip", type=Path, nargs="?", metavar="ZIP", help="default: this checkout's, built first")
    install.add_argument("--knn", action="store_true", help=f"install {knn}")
    install.add_argument("--replace", action="store_true", help="replace a plugin of that name")
    start = add("start", _start, "start a node in the background and wait until it answers", node)
    start.add_argument("--timeout", type=float, default=120.0, metavar="S", help="for the start (default 120)")
    add("stop", _stop, "stop a node and wait until it has ended", folder)
    add("run", _run, "run a node in the foreground", node)
    add("status", _status, "tell what a node is and where it answers; exit status 3 if it does not run", folder)
    add("delete", _delete, "stop a node and delete its folder, data included", folder)
    plugin = add("build-plugin", _build_plugin, "build this checkout's plugin if a source is newer", version)
    plugin.add_argument("--force", action="store_true", help="build in any case")
    add("java-home", _java_home, "print the home folder of the JDK that is used")
    return parser
