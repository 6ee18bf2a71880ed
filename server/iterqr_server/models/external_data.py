"""The file beside model.onnx that holds its weights."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

_ALIGNMENT = 4096  # a page, so that the runtime can map tensors into memory instead of reading them


class ExternalData:
    """Appends tensors to one file and returns the entries that refer to them. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")

    def store(self, name: str, values: NDArray[Any]) -> onnx.TensorProto:
        """Writes `values` and returns the initializer that stands for them in the graph."""
        self._file.write(bytes(-self._file.tell() % _ALIGNMENT))
        offset = self._file.tell()
        values.tofile(self._file)
        tensor = TensorProto(name=name, dims=values.shape, data_type=helper.np_dtype_to_tensor_dtype(values.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._path.name), ("offset", offset), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
