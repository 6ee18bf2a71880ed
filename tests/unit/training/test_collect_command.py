"""`iterqr-train collect`: what it refuses, and what it says where there is no node."""

from __future__ import annotations

from pathlib import Path

import pytest
from iterqr_training.errors import SettingError
from iterqr_training.main import main
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.store.writer import SignalStore

NOWHERE = "http://user:secret@127.0.0.1:9"  # discard: nothing answers


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs the command, which fails with one message."""
    with pytest.raises(SystemExit) as ended:
        main(["collect", *arguments])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("iterqr-train: ")
    assert told.count("\n") == 1
    return told


def test_without_a_node_it_says_so_and_keeps_the_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = failing(capsys, "--url", NOWHERE, "--folder", str(tmp_path))
    assert "OpenSearch does not answer: ConnectionError" in told
    assert "secret" not in told


def test_a_folder_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SignalStore(tmp_path):
        told = failing(capsys, "--url", NOWHERE, "--folder", str(tmp_path))
    assert f"{tmp_path} is written by another process" in told


def test_a_folder_that_is_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "signals"
    file.write_text("")
    assert f"{file} cannot be written" in failing(capsys, "--url", NOWHERE, "--folder", str(file))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--client-key-file", "/nowhere/client.key"], "/nowhere/client.key cannot be read"),
        (["--client-key-env", "NO_SUCH_KEY"], "no variable NO_SUCH_KEY"),
        (["--follow-s", "0"], "--follow-s is 0.0"),
        (["--page-documents", "10001"], "page_documents is 10001, it must be from 1 to 10,000"),
        (["--commit-documents", "0"], "commit_documents is 0, it must be from 1 to 1,000,000"),
        (["--events-index", "ubi_*"], "events_index is 'ubi_*'"),
        (["--ca-file", "/nowhere/ca.pem"], "ca-file"),
    ],
)
def test_settings_out_of_their_limits_are_told(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in failing(capsys, "--url", NOWHERE, "--folder", str(tmp_path), *arguments)


def test_a_key_is_never_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["collect", "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "--client-key-file FILE" in told
    assert "--client-key-env NAME" in told
    assert "examples:" in told


@pytest.mark.parametrize("name", ["", "a,b", "a*", "_all", "-a", "A", "../a", "a b"])
def test_an_index_is_one_name(name: str) -> None:
    with pytest.raises(SettingError, match="impressions_index"):
        CollectSettings(impressions_index=name)


def test_names_that_opensearch_allows_are_taken() -> None:
    assert CollectSettings(events_index=".ds-ubi_events-000001").events_index == ".ds-ubi_events-000001"
