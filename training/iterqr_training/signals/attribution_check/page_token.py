"""A page token with rewrites of our own: how a search is made to use rewrites that are known.

A token pins the rewrites of a search so that its later pages show the same list. It is not signed: the plugin holds it
to the limits of a reply and to the search that it was made for (plugin/README.md, "Pages"). So the check makes a
search, takes the token that the node gave for it, puts its own rewrites in the place of the server's, and searches
again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from iterqr_training.errors import SourceError
from iterqr_training.signals.attribution_check.planting import PlantedRewrite

_VERSION = 2
_CONFIDENCE = 0.5
_WEIGHT = 1.0


def pin(token: str, rewrites: Sequence[PlantedRewrite], window_size: int) -> str:
    """Returns the token with other rewrites, all channels at equal weight, and this window.

    Raises:
        SourceError: It is not a token of the version that is known.
    """
    fields = _fields(token)
    fields["rw"] = [{"id": each.rewrite_id, "t": each.text, "c": _CONFIDENCE, "w": _WEIGHT} for each in rewrites]
    fields |= {"f": "rrf", "ow": _WEIGHT, "w": window_size}
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()


def _fields(token: str) -> dict[str, Any]:
    try:
        fields = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError) as error:
        raise SourceError("page_token: the node's token is not base64url of JSON") from error
    if not isinstance(fields, dict) or fields.get("v") != _VERSION:
        raise SourceError(f"page_token: the node's token is not of version {_VERSION}; plugin and check must be alike")
    return fields
