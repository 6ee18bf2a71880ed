"""Finds a model's weights: by known name, local folder or file, or hub id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from iterqr_server.models.cache import cache_folder
from iterqr_server.models.carried import QWEN2_5_CODER_0_5B, fetch
from iterqr_server.models.errors import ModelDownloadError, ModelNotFoundError
from iterqr_server.models.progress import ProgressListener

KNOWN_MODELS = {"qwen2.5-coder-0.5b-instruct": QWEN2_5_CODER_0_5B}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUB_FILES = [
    "config.json",
    "generation_config.json",
    "hf_quant_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "*.safetensors",
]


@dataclass(frozen=True, slots=True)
class FoundWeights:
    """A .gguf file or a folder with safetensors files, and what was published of them.

    `sha256` is the file's digest, where it is one file; `file_sha256` has those of a folder's files, by name, as far as
    they are known.
    """

    path: Path
    sha256: str | None = None
    file_sha256: Mapping[str, str] = field(default_factory=dict)


def find_weights(name: str, listener: ProgressListener) -> FoundWeights:
    """Returns the weights, downloaded first if need be.

    A path that exists wins over a hub id of the same spelling. Hub downloads go where the hub's own client keeps them
    (HF_HOME), and resume; their digests are those the hub names them by.

    Raises:
        ModelNotFoundError: `name` is none of the three.
        ModelDownloadError: the download failed; the next try goes on where it stopped.
        ModelDigestError: the bytes are not the published ones.
    """
    if carried := KNOWN_MODELS.get(name):
        return FoundWeights(fetch(carried, cache_folder() / "weights", listener), carried.sha256)
    path = Path(name).expanduser()
    if path.exists():
        return FoundWeights(path.resolve())
    if name.count("/") == 1 and _HUB_ID.fullmatch(name) and not name.startswith("."):
        folder = _from_hub(name)
        return FoundWeights(folder, file_sha256=_published_digests(folder))
    known = ", ".join(KNOWN_MODELS)
    raise ModelNotFoundError(f"model.name: {name!r} is no known model ({known}), no file or folder, and no hub id")


def _published_digests(snapshot: Path) -> dict[str, str]:
    """Digests of a snapshot's large files: the hub's cache keeps each under its SHA-256 and links to it."""
    targets = {file.name: file.resolve().name for file in snapshot.iterdir() if file.is_symlink()}
    return {name: target for name, target in targets.items() if _SHA256.fullmatch(target)}


def _from_hub(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(f"model.name: the hub has no model {name!r}, or it needs a token") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelDownloadError(f"model.name: {name!r} could not be downloaded from the hub: {first_line}") from error
