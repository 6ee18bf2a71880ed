"""The registry's one state file: which checkpoints take traffic. Pure.

{"state_version": 1, "generation": 7, "champion": "it2", "canary": "it3", "canary_percent": 5,
 "writer": "host-a:4711", "reason": "SetTrafficSplit", "written_at": "2026-11-28T20:00:00Z", "lease_number": 12}
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from iterqr_proto.registry.errors import StateUnreadableError

STATE_VERSION = 1
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class SplitError(ValueError):
    """Shares of traffic that make no sense; the message names the field."""


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of traffic. An empty champion is the server's configured base model; an empty canary is none.

    `canary_percent` is the canary's share of clients, 0 to 100; at 0 it is loaded and takes nothing.
    """

    champion: str = ""
    canary: str = ""
    canary_percent: int = 0

    def checked(self) -> Split:
        """Returns itself.

        Raises:
            SplitError: a field breaks its rule.
        """
        for field, value in (("champion", self.champion), ("canary", self.canary)):
            if value and not is_checkpoint_id(value):
                raise SplitError(f"{field}: {value!r} is no checkpoint id (letters, digits and ._-, at most 128)")
        if not 0 <= self.canary_percent <= 100:
            raise SplitError(f"canary_percent: must be 0 to 100, got {self.canary_percent}")
        if self.canary_percent and not self.canary:
            raise SplitError("canary_percent: must be 0 without a canary")
        if self.canary and self.canary == self.champion:
            raise SplitError("canary: must be another checkpoint than the champion")
        return self


@dataclass(frozen=True, slots=True)
class RegistryState:
    """One generation of the state. Generation 0 is that of a registry whose state was never written.

    `lease_number` is that of the lease it was written under: a later one fences off earlier writers.
    """

    generation: int = 0
    split: Split = Split()
    writer: str = ""
    reason: str = ""
    written_at: str = ""
    lease_number: int = 0


def state_to_json(state: RegistryState) -> str:
    """Returns the state file's text."""
    data = {"state_version": STATE_VERSION, **asdict(state)}
    data |= data.pop("split")
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def state_from_json(text: str) -> RegistryState:
    """Reads the state file's text.

    Raises:
        StateUnreadableError: it breaks the format; the message names the field.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise StateUnreadableError(f"state.json: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise StateUnreadableError("state.json: must be a JSON object")
    if data.pop("state_version", None) != STATE_VERSION:
        raise StateUnreadableError(f"state.json: state_version: this version reads {STATE_VERSION}")
    split = Split(**{field.name: _take(data, field.name, field.default) for field in fields(Split)})
    others = [field for field in fields(RegistryState) if field.name != "split"]
    state = RegistryState(split=split, **{field.name: _take(data, field.name, field.default) for field in others})
    if data:
        raise StateUnreadableError(f"state.json: {min(data)}: unknown field")
    if state.generation < 1:
        raise StateUnreadableError(f"state.json: generation: must be at least 1, got {state.generation}")
    try:
        split.checked()
    except SplitError as error:
        raise StateUnreadableError(f"state.json: {error}") from error
    return state


def is_checkpoint_id(text: str) -> bool:
    """Whether a text may name a checkpoint (the manifest schema's rule)."""
    return _ID.fullmatch(text) is not None


def _take(data: dict[str, Any], name: str, like: object) -> Any:  # noqa: ANN401 - of the default's type
    value = data.pop(name, None)
    if type(value) is not type(like):
        raise StateUnreadableError(f"state.json: {name}: must be {type(like).__name__}, got {value!r}")
    return value
