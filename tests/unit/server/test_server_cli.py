"""The command line: help with examples, one-line errors, exit codes."""

from __future__ import annotations

import logging
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from iterqr_proto.rewrite_format import Template, load_template
from iterqr_server.api.application import read_template
from iterqr_server.config import settings_from
from iterqr_server.main import EXIT_USAGE, main


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """`serve` configures the process's logs, to the standard error of this test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("opensearch").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["iterqr-server", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    "command", [(), ("serve",), ("model",), ("model", "build"), ("engine-check",), ("config",), ("config", "show")]
)
def test_every_command_has_help_with_examples(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command, "--help") == 0
    text = capsys.readouterr().out
    assert "examples:\n  iterqr-server " in text


def test_serve_help_lists_sections_and_defaults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "serve", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "--hints.budget_ms int Time for reading hints; after it the query is rewritten without. (default: 50)" in text
    )


def test_config_show_prints_a_file_with_the_flags_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[cache]\nmax_entries = 7\n")
    assert run(monkeypatch, "config", "show", "--config", str(file), "--grpc.port", "50052") == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert shown["cache"]["max_entries"] == 7
    assert shown["grpc"]["port"] == 50052


def test_a_wrong_field_is_one_line_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "serve", "--rewrite.max_rewrites", "9") == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.err == "iterqr-server: rewrite.max_rewrites: should be less than or equal to 8, got '9'\n"
    assert captured.out == ""


def test_a_template_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "serve", "--rewrite.template", "/no/such/file.toml") == EXIT_USAGE
    assert "iterqr-server: rewrite.template: /no/such/file.toml: No such file or directory" in capsys.readouterr().err


def test_a_template_of_the_package_goes_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = read_template(settings_from({"rewrite": {"template": "food_delivery_tuned"}}))
    assert tuned == Template(load_template().instruction, examples=())
    assert run(monkeypatch, "serve", "--rewrite.template", "food_delivry") == EXIT_USAGE
    assert "rewrite.template: 'food_delivry' is no .toml file and no template of the package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--checkpoints.registry", "nosuch://bucket"), "checkpoints.registry: nosuch://bucket: Protocol not known"),
        (("--checkpoints.registry", "folder", "--checkpoints.probes", "/no/such.toml"), "checkpoints.probes: /no/such"),
        (("--checkpoints.alarm_min_calls", "1"), "checkpoints.alarm_min_calls: should be greater than or equal to 5"),
    ],
)
def test_a_wrong_configuration_of_checkpoints_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], words: str
) -> None:
    assert run(monkeypatch, "serve", *flags) == EXIT_USAGE
    assert f"iterqr-server: {words}" in capsys.readouterr().err


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ("--grpc.port", str(port), "--telemetry.prometheus_port", "0", "--hints.url", "")
        assert run(monkeypatch, "serve", *arguments) == 1
    assert f"iterqr-server: grpc.port: cannot listen on 127.0.0.1:{port}\n" in capsys.readouterr().err


def test_a_model_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ITERQR_CACHE", str(tmp_path))
    missing = tmp_path / "missing.gguf"
    assert run(monkeypatch, "model", "build", "--name", str(missing)) == 1
    error = capsys.readouterr().err
    assert error.startswith("iterqr-server: ")
    assert str(missing) in error
    assert "Traceback" not in error
