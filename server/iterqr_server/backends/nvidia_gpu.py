"""Which NVIDIA GPUs this process may use, asked of the driver itself: no other library is needed to know."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_LIBRARY = "libcuda.so.1"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_* of cuda.h
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU. `capability` is the compute capability: (8, 0) Ampere A100, (8, 9) Ada, (9, 0) Hopper."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int


def find_gpus() -> tuple[Gpu, ...]:
    """Returns the GPUs in the driver's order, none where there is no driver; CUDA_VISIBLE_DEVICES counts."""
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError:
        return ()
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_read_gpu(cuda, number) for number in range(count.value))


def _read_gpu(cuda: ctypes.CDLL, number: int) -> Gpu:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, _NAME_BYTES, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode("utf-8", "replace"), (major.value, minor.value), memory.value)
