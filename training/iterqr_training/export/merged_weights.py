"""The base model's weights with an adapter's updates added, one tensor at a time; without torch."""

from __future__ import annotations

import numpy as np
from iterqr_server.models.architecture import Architecture
from iterqr_server.models.errors import ModelError
from iterqr_server.models.weights import Weights
from numpy.typing import NDArray

from iterqr_training.errors import ExportError
from iterqr_training.export.adapter import Adapter


class MergedWeights:
    """See `Weights` of the server's models: W + scale B A in float32 for the modules of the adapter, W for all else."""

    def __init__(self, base: Weights, adapter: Adapter | None) -> None:
        self._base = base
        self._adapter = adapter

    @property
    def architecture(self) -> Architecture:
        """See `Weights`."""
        return self._base.architecture

    @property
    def has_own_head(self) -> bool:
        """See `Weights`."""
        return self._base.has_own_head

    def tensor(self, name: str) -> NDArray[np.float32]:
        """See `Weights`.

        Raises:
            ExportError: The base has no such tensor or another shape, or the sum is not finite.
        """
        try:
            values = self._base.tensor(name)
        except ModelError as error:
            raise ExportError(str(error)) from error
        module = name.removesuffix(".weight")
        if self._adapter is not None and module in self._adapter.modules:
            values = values + self._adapter.update(module)
        if not np.isfinite(values).all():
            raise ExportError(f"{name}: the merged weights hold values that are not finite")
        return values

    def tokenizer_json(self) -> str:
        """See `Weights`."""
        return self._base.tokenizer_json()
