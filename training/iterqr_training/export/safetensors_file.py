"""Opens a safetensors file, refusing what is damaged before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - lets numpy know bfloat16, which safetensors needs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from iterqr_training.errors import ExportError


class SafetensorsFile:
    """One file, mapped into memory. `shapes` and `kinds` (such as BF16) are of each tensor, by name."""

    def __init__(self, path: Path) -> None:
        """Opens it.

        Raises:
            ExportError: It is missing, truncated or of another kind.
        """
        self.path = path
        open_file: Any = safe_open  # its handle is typed in part only
        try:
            opened = open_file(path, framework="numpy")
        except FileNotFoundError as error:
            raise ExportError(f"{path} is missing") from error
        except (SafetensorError, OSError) as error:
            raise ExportError(f"{path} is truncated or no safetensors file: {error}") from error
        self._file = opened
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
        self.shapes: Mapping[str, tuple[int, ...]] = {name: tuple(s.get_shape()) for name, s in slices.items()}
        self.kinds: Mapping[str, str] = {name: str(s.get_dtype()) for name, s in slices.items()}

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Reads a tensor as float32.

        Raises:
            ExportError: It holds something that is no number.
        """
        values: NDArray[np.float32] = self._file.get_tensor(name).astype(np.float32)
        if not np.isfinite(values).all():
            raise ExportError(f"{self.path}: {name} holds values that are not finite")
        return values
