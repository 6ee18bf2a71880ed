"""`iterqr-server checkpoints`, as an operator types it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from iterqr_proto.registry import CheckpointRegistry, Split
from iterqr_server.main import main
from support.checkpoint_server import BASE_ID, CheckpointServer, checkpoint_server, publish
from support.rewrite_server import free_port, running_server

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointServer]:
    folder = tmp_path_factory.mktemp("checkpoints")
    registry = CheckpointRegistry(str(folder / "registry"))
    for day, name in enumerate(("it1", "it2", "bad"), start=1):
        base = {"base_model": {"name": "other", "sha256": "b" * 64}} if name == "bad" else {}
        publish(registry, name, folder, manifest={"created_at": f"2026-11-0{day}T00:00:00Z", **base})
    with checkpoint_server(registry, folder / "cache") as server:
        yield server


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Runs a command and returns exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["iterqr-server", "checkpoints", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    return run


def test_an_operators_session(served: CheckpointServer, type_: Type) -> None:
    def at(*arguments: str) -> tuple[int, str]:
        code, out, err = type_(*arguments, "--target", served.running.address)
        return code, out + err

    code, out = at("list")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["checkpoint", "parent", "state", "reason"],
        ["bad", "-", "available"],
        ["it2", "-", "available"],
        ["it1", "-", "available"],
    ]
    assert at("list", "--limit", "1")[1].endswith("there are more than 1 (--limit)\n")
    code, out = at("load", "it1")
    assert (code, out.splitlines()[1].split()) == (0, ["it1", "-", "loaded"])
    code, out = at("split", "--champion", BASE_ID, "--canary", "it1", "--percent", "5")
    assert code == 0
    assert out == f"generation 1\nchampion   {BASE_ID}  95%\ncanary     it1  5%\n"
    code, out = at("split", "--champion", "it1")
    assert (code, out) == (0, "generation 2\nchampion   it1  100%\n")
    assert served.registry.read_state().split == Split("it1")
    assert at("load", "it2")[0] == 0
    assert at("unload", "it2") == (0, "it2 is unloaded\n")
    code, out = at("state")
    assert code == 0
    assert out.startswith("generation 2\nchampion   it1  100%\n\ncheckpoint")
    assert re.search(r"^it1 +- +loaded$", out, re.MULTILINE)


def test_refusals_are_told_and_exit_with_1(served: CheckpointServer, type_: Type) -> None:
    cases = [
        (("load", "bad"), "wrong base: it was trained on other"),
        (("load", "it9"), "it9: not in the registry"),
        (("unload", "it9"), "it9 is not loaded"),
        (("split", "--champion", "it2"), "it2 is not loaded on this server; load it first"),
        (("split", "--champion", "it1", "--percent", "5"), "canary_percent: must be 0 without a canary"),
        (("split", "--champion", "it1", "--generation", "77"), "not 77: it changed since"),
    ]
    served.load("it1")
    for arguments, words in cases:
        code, out, err = type_(*arguments, "--target", served.running.address)
        assert code == 1
        assert words in out + err


def test_a_server_that_is_not_there_or_has_no_registry(type_: Type) -> None:
    target = f"127.0.0.1:{free_port()}"
    code, _out, err = type_("state", "--target", target)
    assert code == 1
    assert err.startswith(f"iterqr-server: {target}: ")
    with running_server() as server:
        code, _out, err = type_("state", "--target", server.address)
    assert (code, err) == (1, f"iterqr-server: {server.address}: GetServingState is not available in this version\n")
    code, _out, err = type_("state", "--target", target, "--tls-ca", "/no/such.pem")
    assert (code, err) == (1, "iterqr-server: /no/such.pem: No such file or directory\n")


@pytest.mark.parametrize("command", ["list", "load", "split", "unload", "state"])
def test_help_has_examples(type_: Type, command: str) -> None:
    code, out, _err = type_(command, "--help")
    assert code == 0
    assert f"iterqr-server checkpoints {command}" in out
    assert "--target" in out


def test_without_a_command_there_is_a_usage_error(type_: Type, tmp_path: Path) -> None:
    assert type_()[0] == 2
    assert type_("split")[0] == 2
