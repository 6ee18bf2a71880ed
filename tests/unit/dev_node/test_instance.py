"""Life of an instance as far as it goes without running OpenSearch."""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from iterqr_dev_node import NodeError, NodeInstance, NodeStartError
from iterqr_dev_node.main import main
from iterqr_dev_node.run_user import can_enter, user_to_drop_to

VERSION = "3.8.0"


@pytest.fixture(autouse=True)
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that already has a layout, of two small files."""
    folder = tmp_path / "cache" / "opensearch" / VERSION
    for name in ("lib/server.jar", "modules/geo/geo.jar", "agent/opensearch-agent.jar"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"jar")
    monkeypatch.setenv("ITERQR_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[NodeInstance]:
    made = NodeInstance.create(tmp_path / "node", VERSION)
    yield made
    made.delete()


def test_home_shares_the_layouts_files(instance: NodeInstance, layout: Path) -> None:
    for name in ("lib/server.jar", "modules/geo/geo.jar", "agent/opensearch-agent.jar"):
        assert (instance.home / name).read_bytes() == b"jar"
        if instance.home.stat().st_dev == layout.stat().st_dev:
            assert (instance.home / name).samefile(layout / name)


def test_the_nodes_user_can_enter_its_home_wherever_it_lies(instance: NodeInstance) -> None:
    """As root under pytest's 0700 folders this is a folder elsewhere, linked to."""
    assert can_enter(instance.home, user_to_drop_to())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the node to another user")
def test_a_folder_only_root_may_enter_links_to_one_in_reach(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    instance = NodeInstance.create(private / "node", VERSION)
    assert (private / "node" / "home").is_symlink()
    home = instance.home
    instance.delete()
    assert not home.exists()
    assert not (private / "node").exists()


def test_a_home_that_was_cleared_is_made_again(instance: NodeInstance) -> None:
    link = instance.folder / "home"
    for path in sorted(instance.home.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    instance.home.rmdir()
    again = NodeInstance.create(instance.folder, VERSION)
    assert (again.home / "lib" / "server.jar").is_file()
    assert link.resolve() == again.home


def test_create_returns_the_instance_that_is_there(instance: NodeInstance) -> None:
    (instance.home / "data" / "kept").touch()
    assert (NodeInstance.create(instance.folder, VERSION).home / "data" / "kept").exists()


def test_another_version_in_the_folder_is_refused(instance: NodeInstance) -> None:
    with pytest.raises(NodeError, match=r"holds a node of OpenSearch 3\.8\.0, not 3\.6\.0"):
        NodeInstance.create(instance.folder, "3.6.0")


def test_status_of_one_that_does_not_run(instance: NodeInstance) -> None:
    status = instance.status()
    assert (status.version, status.plugins, status.pid, status.url, status.is_running) == (
        VERSION,
        (),
        None,
        None,
        False,
    )
    instance.stop()  # and stopping it does nothing


def test_a_process_id_that_another_process_has_now_means_not_running(instance: NodeInstance) -> None:
    (instance.folder / "running.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:1"}))
    assert not instance.status().is_running
    instance.stop()  # and stopping does not touch that process


def test_a_node_that_ends_at_once_tells_why(instance: NodeInstance) -> None:
    """Java cannot run these jars."""
    with pytest.raises(NodeStartError, match=r"ended while starting\nlast lines of .*node\.log") as failed:
        instance.start(timeout_s=30)
    assert "opensearch-agent.jar" in str(failed.value)
    assert not instance.status().is_running


def test_a_secret_that_cannot_be_written_is_told(instance: NodeInstance, tmp_path: Path) -> None:
    """The layout of these tests has none of the node's classes."""
    with pytest.raises(NodeError, match=r"some\.key could not be put into the keystore"):
        instance.put_secret("some.key", "value")
    with pytest.raises(NodeError, match="no node in"):
        NodeInstance(tmp_path / "none").put_secret("some.key", "value")


def test_commands_on_a_folder_without_a_node_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("stop", "status", "delete"):
        with pytest.raises(SystemExit) as ended:
            main([command, str(tmp_path / "none")])
        assert ended.value.code == 1
        assert capsys.readouterr().err == f"iterqr-dev-node: no node in {tmp_path / 'none'}\n"


def test_status_command(instance: NodeInstance, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", str(instance.folder)])
    assert ended.value.code == 3
    assert json.loads(capsys.readouterr().out)["version"] == VERSION


def test_install_command(instance: NodeInstance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "demo.zip", "w") as opened:
        opened.writestr("plugin-descriptor.properties", f"name=demo\nopensearch.version={VERSION}\n")
    main(["install", str(instance.folder), str(tmp_path / "demo.zip")])
    assert capsys.readouterr().out == "installed demo\n"
    assert instance.status().plugins == ("demo",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start", "x", "--port", "70000"], "'70000' is not a port, 0 to 65535"),
        (["start", "x", "--heap", "10"], "'10' is not a number of MiB, at least 256"),
        (["start", "x", "-E", "novalue"], "'novalue' is not NAME=VALUE"),
        ([], "required"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "iterqr-dev-node start build/node" in capsys.readouterr().out
