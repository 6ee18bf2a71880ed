"""Client ids are hashed as the plugin hashes them, under a key that is never on the command line."""

from pathlib import Path

import pytest
from iterqr_training.errors import SettingError
from iterqr_training.signals.collect.client_ids import (
    ClientIdHasher,
    hasher_from_environment,
    hasher_from_file,
    is_hash,
)

KEY = "0123456789abcdef"
EXPECTED = "68281a268c9144bfe7bda18fb638cc4709c0d762583c8c22e6a6ab39fa737c6f"
"""As in the plugin's `ClientIdHasherTests`."""


def test_hashes_are_the_plugins() -> None:
    hasher = ClientIdHasher(KEY)
    assert hasher.has_key
    assert hasher.hash("clïent") == EXPECTED
    assert hasher.hash("") == ""
    assert is_hash(EXPECTED)
    assert not is_hash(EXPECTED.upper())
    assert not is_hash(f"{EXPECTED}\n")


def test_without_a_key_there_are_no_client_ids() -> None:
    assert not ClientIdHasher(None).has_key
    assert ClientIdHasher(None).hash("client") == ""


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SettingError, match=r"15 characters.*at least 16.*plugins\.iterqr\.client_id\.hash_key"):
        ClientIdHasher(KEY[:15])


def test_the_key_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "client.key"
    file.write_text(f"{KEY}\r\n")
    assert hasher_from_file(file).hash("clïent") == EXPECTED
    with pytest.raises(SettingError, match=r"nowhere\.key cannot be read"):
        hasher_from_file(tmp_path / "nowhere.key")
    file.write_bytes(b"\xff" * 20)
    with pytest.raises(SettingError, match="cannot be read"):
        hasher_from_file(file)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALS_KEY", KEY)
    assert hasher_from_environment("SIGNALS_KEY").hash("clïent") == EXPECTED
    with pytest.raises(SettingError, match="no variable OTHER_KEY"):
        hasher_from_environment("OTHER_KEY")
