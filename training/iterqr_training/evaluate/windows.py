"""What a real index retrieves for a text, asked once and kept: `windows.jsonl`.

Results are measured on plain windows that are fused here as the plugin fuses them (`fusion`, golden file
`fusion_v1`): each text is searched once whatever the number of systems, and policies can be fitted without searching.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from iterqr_training.errors import SettingError, SourceError, StoreError
from iterqr_training.evaluate.fusion import WindowHit
from iterqr_training.evaluate.json_lines import JsonLines

SCHEMA = "iterqr-windows/v1"
WINDOW_SIZE = 50
Window = tuple[WindowHit, ...]
_QUERY, _REGION = "{{query}}", "{{region}}"


class SearchIndex(Protocol):
    """Retrieves."""

    @property
    def identity(self) -> str:
        """Which index in which state, and how it is searched."""
        ...

    def window(self, region: str, text: str) -> Window:
        """Returns the first `WINDOW_SIZE` hits of a text in a region, best first.

        Raises:
            SourceError: The node does not answer.
        """
        ...


class NodeIndex:
    """An index of an OpenSearch node, without any pipeline."""

    def __init__(self, client: OpenSearch, index: str, body: Mapping[str, Any]) -> None:
        """Looks up the index's state.

        Args:
            client: Of the node.
            index: Name.
            body: A search of which each value "{{query}}" and "{{region}}" stands for the text; see `read_body`.

        Raises:
            SourceError: The node or the index is not there.
        """
        self._client, self._index, self._body = client, index, body
        try:
            settings = client.indices.get_settings(index=index)
            documents = client.count(index=index)["count"]
        except OpenSearchException as error:
            raise SourceError(f"index {index} cannot be read: {error}") from error
        uuids = sorted(each["settings"]["index"]["uuid"] for each in settings.values())
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        self.identity = f"{','.join(uuids)}/{documents}/{digest[:16]}/{WINDOW_SIZE}"

    def window(self, region: str, text: str) -> Window:
        """See `SearchIndex`."""
        body = {
            **_filled(self._body, region, text), "size": WINDOW_SIZE, "_source": False, "seq_no_primary_term": True
        }  # fmt: skip
        try:
            response = self._client.search(index=self._index, body=body, params={"search_pipeline": "_none"})
        except OpenSearchException as error:
            raise SourceError(f"index {self._index}: {text!r} could not be searched: {error}") from error
        if response["timed_out"] or response["_shards"]["failed"]:
            raise SourceError(f"index {self._index}: the search for {text!r} is not whole: time-out or failed shards")
        return tuple(WindowHit(hit["_id"], hit["_seq_no"], hit["_score"]) for hit in response["hits"]["hits"])


def read_body(file: Path) -> Mapping[str, Any]:
    """Reads the search that the application makes, as JSON; the text is a value "{{query}}", never query syntax.

    Raises:
        StoreError: It cannot be read.
        SettingError: "{{query}}" is no value of it.
    """
    try:
        body: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    if not isinstance(body, dict) or _filled(body, "", "\0") == _filled(body, "", ""):
        raise SettingError(f"{file}: must be a JSON object with a value {_QUERY!r} in it")
    return body


def ask_windows(
    index: SearchIndex, asked: Iterable[tuple[str, str]], folder: Path, on_window: Callable[[], None]
) -> Mapping[tuple[str, str], Window]:
    """Returns the window of each region and text; those that are in the folder are not asked again.

    Raises:
        SourceError: The node does not answer.
        StoreError: The folder cannot be used, or holds windows of another index or search.
    """
    wanted = list(dict.fromkeys(asked))
    with JsonLines(folder / "windows.jsonl", SCHEMA, index.identity) as lines:
        known = {
            (each["region"], each["text"]): tuple(WindowHit(**hit) for hit in each["hits"]) for each in lines.records
        }
        for region, text in wanted:
            if (region, text) not in known:
                window = index.window(region, text)
                lines.append({"region": region, "text": text, "hits": [asdict(hit) for hit in window]})
                known[region, text] = window
            on_window()
    return {key: known[key] for key in wanted}


def _filled(part: Any, region: str, text: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(part, dict):
        return {key: _filled(value, region, text) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, region, text) for value in part]
    return {_QUERY: text, _REGION: region}.get(part, part) if isinstance(part, str) else part
