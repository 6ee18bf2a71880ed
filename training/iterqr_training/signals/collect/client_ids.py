"""Client ids are replaced by keyed hashes, the same that the plugin writes into impressions."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from pathlib import Path

from iterqr_training.errors import SettingError

_MIN_KEY_CHARACTERS = 16
_HASH = re.compile(r"[0-9a-f]{64}")


class ClientIdHasher:
    """HMAC-SHA256 in hexadecimal, as the plugin's `ClientIdHasher` makes it.

    Args:
        key: The one in the nodes' keystores, `plugins.iterqr.client_id.hash_key`; None if client ids are dropped.

    Raises:
        SettingError: The key is too short to be one.
    """

    def __init__(self, key: str | None) -> None:
        if key is not None and len(key) < _MIN_KEY_CHARACTERS:
            raise SettingError(
                f"the client id key has {len(key)} characters, it must have at least {_MIN_KEY_CHARACTERS}: "
                "take the one of the nodes' keystores, plugins.iterqr.client_id.hash_key"
            )
        self._key = None if key is None else key.encode()

    @property
    def has_key(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def hash(self, client_id: str) -> str:
        """Returns 64 hexadecimal digits; "" without a key or an id."""
        if self._key is None or not client_id:
            return ""
        return hmac.new(self._key, client_id.encode(), hashlib.sha256).hexdigest()


def is_hash(client_id: str) -> bool:
    """Whether a client id looks like one that was hashed already."""
    return _HASH.fullmatch(client_id) is not None


def hasher_from_file(file: Path) -> ClientIdHasher:
    """Takes the key from a file: its text, without the line end.

    Raises:
        SettingError: The file cannot be read, or its key is too short.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the client id key file {file} cannot be read: {error}") from error
    return ClientIdHasher(text.rstrip("\r\n"))


def hasher_from_environment(name: str) -> ClientIdHasher:
    """Takes the key from an environment variable.

    Raises:
        SettingError: There is no such variable, or its key is too short.
    """
    key = os.environ.get(name)
    if key is None:
        raise SettingError(f"the environment has no variable {name} with the client id key")
    return ClientIdHasher(key)
