"""One node: its folder, its life cycle."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from iterqr_dev_node import process
from iterqr_dev_node.components import DEFAULT_VERSION
from iterqr_dev_node.errors import NodeError, NodeStartError
from iterqr_dev_node.home import WRITABLE, delete_home, make_home
from iterqr_dev_node.java import find_jdk
from iterqr_dev_node.jvm import node_command, node_settings
from iterqr_dev_node.keystore import put_secret
from iterqr_dev_node.layout import ensure_layout
from iterqr_dev_node.maven import ProgressListener
from iterqr_dev_node.plugins import unpack_plugin
from iterqr_dev_node.run_user import RunUser, user_to_drop_to

_POLL_S = 0.05
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the node is on this machine
_LOG_LINES_SHOWN = 25


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How to run a node.

    `http_port`: 0 takes any free port. `heap_mb`: Java heap, MiB. `quick_start`: see `node_command`. `settings`: lines
    of opensearch.yml, such as plugin settings. `java_agents`: see `node_command`.
    """

    http_port: int = 0
    heap_mb: int = 512
    quick_start: bool = True
    settings: Mapping[str, str] | None = None
    java_agents: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What an instance is and whether it runs. `pid` and `url` are None unless it runs."""

    folder: str
    version: str
    plugins: tuple[str, ...]
    pid: int | None
    url: str | None

    @property
    def is_running(self) -> bool:
        """Whether the process lives; it may not answer yet, or be frozen."""
        return self.pid is not None


class NodeInstance:
    """A node that lives in a folder of its own.

    The folder holds `home` (or a link to it, see home.py), `node.log` (output of the last start), `version` and, while
    the node runs, `running.json`. Any number of instances can run side by side. One process at a time may change an
    instance; another may read its status.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @classmethod
    def create(
        cls, folder: Path, version: str = DEFAULT_VERSION, on_progress: ProgressListener | None = None
    ) -> NodeInstance:
        """Makes an instance, or returns the one that is there.

        Assembles the version's layout first if the cache does not have it, which takes about 20 s and 130 MB.

        Raises:
            NodeError: If there is one of another version.
            LayoutError, MavenError, JavaNotFoundError: If the layout cannot be assembled.
        """
        instance = cls(folder)
        if instance._exists():
            if instance.version != version:
                raise NodeError(
                    f"{folder} holds a node of OpenSearch {instance.version}, not {version}; delete it first"
                )
            if instance.home.is_dir():
                return instance
            delete_home(instance._home_link)  # its temporary folder was cleared
        layout = ensure_layout(version, on_progress)
        instance.folder.mkdir(parents=True, exist_ok=True)
        delete_home(instance._home_link)  # what a killed process may have left
        make_home(instance._home_link, layout, user_to_drop_to())
        instance._version_file.write_text(version + "\n")
        return instance

    @property
    def version(self) -> str:
        """OpenSearch's version."""
        self._check_exists()
        return self._version_file.read_text().strip()

    @property
    def home(self) -> Path:
        """The node's home folder, no link in its path."""
        return self._home_link.resolve()

    @property
    def log(self) -> Path:
        """Output of the last start."""
        return self.folder / "node.log"

    def install(self, zip_path: Path, *, replace: bool = False) -> str:
        """Installs a plugin; the node must not be running. Returns its name.

        Raises:
            PluginError: See `unpack_plugin`.
            NodeError: If the node is running.
        """
        if self.status().is_running:
            raise NodeError(f"the node in {self.folder} is running; stop it before installing a plugin")
        return unpack_plugin(
            zip_path,
            self.home / "plugins",
            self.home / "config",
            opensearch_version=self.version,
            replace=replace,
        )

    def put_secret(self, name: str, value: str) -> None:
        """Sets a secure setting in the node's keystore; a running node reads it at the next reload.

        Raises:
            NodeError: If there is no instance, or its keystore cannot be written.
            JavaNotFoundError: If there is no JDK.
        """
        self._check_exists()
        put_secret(self.home, name, value)

    def start(self, options: NodeOptions | None = None, *, timeout_s: float = 120.0) -> NodeStatus:
        """Starts the node in the background and waits until it is at least yellow.

        Raises:
            NodeError: If it is already running.
            NodeStartError: If it ended or did not answer within `timeout_s`; the node is not left running.
            JavaNotFoundError: If there is no JDK that the node's user can run.
        """
        command, user = self._prepare(options or NodeOptions())
        pid = process.spawn(command, folder=self.home, environ=self._environ(), log=self.log, user=user)
        self._write_running(pid, None)
        deadline = time.monotonic() + timeout_s
        try:
            port = self._wait_for_port(pid, deadline)
            url = f"http://127.0.0.1:{port}"
            self._wait_until_yellow(pid, url, deadline)
        except BaseException:
            self.stop(timeout_s=5.0)
            raise
        self._write_running(pid, url)
        return self.status()

    def run(self, options: NodeOptions | None = None) -> None:
        """Becomes the node: replaces this process, which ends when the node ends.

        Raises:
            NodeError: If it is already running.
            JavaNotFoundError: If there is no JDK that the node's user can run.
        """
        command, user = self._prepare(options or NodeOptions())
        # The process keeps its id, so status and stop from elsewhere work.
        self._write_running(os.getpid(), None)
        os.chdir(self.home)
        if user is not None:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
        os.execve(command[0], command, self._environ())  # noqa: S606 - no shell is wanted

    def stop(self, *, timeout_s: float = 30.0) -> None:
        """Stops the node and waits until it has ended; kills it after `timeout_s`. Does nothing if it does not run."""
        running = self._read_running()
        if running is not None:
            process.stop(running.pid, self._marker, timeout_s=timeout_s)
            self._running_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends the node at once (SIGKILL), as a crash does, and waits until it has ended."""
        process.kill(self._pid(), self._marker)
        self._running_file.unlink(missing_ok=True)

    def status(self) -> NodeStatus:
        """What the instance is and whether it runs.

        Raises:
            NodeError: If there is no instance in the folder.
        """
        self._check_exists()
        running = self._read_running()
        plugins = self.home / "plugins"
        return NodeStatus(
            folder=str(self.folder),
            version=self.version,
            plugins=tuple(sorted(each.name for each in plugins.iterdir())) if plugins.is_dir() else (),
            pid=running.pid if running else None,
            url=(running.url or self._published_url()) if running else None,
        )

    def freeze(self) -> None:
        """Stops the node where it stands (SIGSTOP): connections stay open, nothing is answered."""
        process.freeze(self._pid())

    def thaw(self) -> None:
        """Lets a frozen node go on."""
        process.thaw(self._pid())

    def delete(self) -> None:
        """Stops the node and deletes all it has, data included."""
        if self._exists():
            self.stop()
        delete_home(self._home_link)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _home_link(self) -> Path:
        return self.folder / "home"

    @property
    def _version_file(self) -> Path:
        return self.folder / "version"

    @property
    def _running_file(self) -> Path:
        return self.folder / "running.json"

    @property
    def _ports_file(self) -> Path:
        return self.home / "logs" / "http.ports"

    @property
    def _marker(self) -> str:
        """Is on the command line of this instance's process and of no other's."""
        return f"-Dopensearch.path.home={self.home} "

    def _exists(self) -> bool:
        return self._version_file.is_file()

    def _check_exists(self) -> None:
        if not self._exists():
            raise NodeError(f"no node in {self.folder}")

    def _pid(self) -> int:
        running = self._read_running()
        if running is None:
            raise NodeError(f"the node in {self.folder} is not running")
        return running.pid

    def _prepare(self, options: NodeOptions) -> tuple[list[str], RunUser | None]:
        status = self.status()
        if status.is_running:
            raise NodeError(f"the node in {self.folder} is already running (process {status.pid}, {status.url})")
        user = user_to_drop_to()
        home = self.home
        settings = node_settings(name="iterqr-dev", http_port=options.http_port, extra=options.settings or {})
        (home / "config" / "opensearch.yml").write_text(settings)
        self._ports_file.unlink(missing_ok=True)
        if user is not None:
            for name in WRITABLE:
                user.own(home / name)
        jdk = find_jdk(user=user)
        command = node_command(
            jdk,
            home,
            heap_mb=options.heap_mb,
            quick_start=options.quick_start,
            java_agents=options.java_agents,
        )
        return command, user

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home / "tmp")}

    def _wait_for_port(self, pid: int, deadline: float) -> int:
        while True:
            port = self._published_port()
            if port is not None:
                return port
            self._check_starting(pid, deadline)
            time.sleep(_POLL_S)

    def _wait_until_yellow(self, pid: int, url: str, deadline: float) -> None:
        while True:
            patience_s = max(1, min(10, int(deadline - time.monotonic())))
            try:
                health = f"{url}/_cluster/health?wait_for_status=yellow&timeout={patience_s}s"
                with _DIRECT.open(health, timeout=patience_s + 5) as reply:
                    if not json.load(reply)["timed_out"]:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(_POLL_S)  # asked again below, until the deadline
            self._check_starting(pid, deadline)

    def _check_starting(self, pid: int, deadline: float) -> None:
        if not process.is_running(pid, self._marker):
            raise NodeStartError(f"the node in {self.folder} ended while starting\n{self._last_log_lines()}")
        if time.monotonic() > deadline:
            raise NodeStartError(f"the node in {self.folder} did not answer in time\n{self._last_log_lines()}")

    def _last_log_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        told = [line for line in lines if not line.lstrip().startswith("at ")][-_LOG_LINES_SHOWN:]
        return "\n".join([f"last lines of {self.log} (without stack frames):", *("  " + line for line in told)])

    def _published_port(self) -> int | None:
        """The port the node says it got; None as long as it has not."""
        try:
            lines = self._ports_file.read_text().splitlines()
        except FileNotFoundError:
            return None
        return int(lines[0].rsplit(":", 1)[1]) if lines else None

    def _published_url(self) -> str | None:
        port = self._published_port()
        return f"http://127.0.0.1:{port}" if port is not None else None

    def _write_running(self, pid: int, url: str | None) -> None:
        partial = self._running_file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(_Running(pid=pid, url=url))))
        partial.rename(self._running_file)

    def _read_running(self) -> _Running | None:
        """The process that runs the node; None if it has ended or there never was one."""
        try:
            written = json.loads(self._running_file.read_text())
        except FileNotFoundError:
            return None
        running = _Running(pid=written["pid"], url=written["url"])
        return running if process.is_running(running.pid, self._marker) else None


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    url: str | None
