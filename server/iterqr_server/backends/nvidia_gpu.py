"""Which NVIDIA GPUs this process may use, and how much of their memory is free.

Both are asked of the driver's own libraries: CUDA's for the GPUs, NVML for the memory, which makes no context and so
takes none itself.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_LIBRARY = "libcuda.so.1"
_MANAGEMENT_LIBRARY = "libnvidia-ml.so.1"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_* of cuda.h
_NAME_BYTES = 256
_BUS_ID_BYTES = 32
_SAME_DEVICE = 0.1
"""Share by which what the two say of one GPU's memory may differ; for a slice of a GPU (MIG), NVML tells of it all."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU. `capability` is the compute capability: (8, 0) Ampere A100, (8, 9) Ada, (9, 0) Hopper."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    bus_id: str = ""


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


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


def free_bytes(gpu: Gpu) -> int | None:
    """Returns how much memory of a GPU nobody has taken; None where that cannot be read, as of a slice of one."""
    try:
        nvml = ctypes.CDLL(_MANAGEMENT_LIBRARY)
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    try:
        handle, memory = ctypes.c_void_p(), _Memory()
        found = nvml.nvmlDeviceGetHandleByPciBusId_v2(gpu.bus_id.encode("ascii"), ctypes.byref(handle)) == 0
        if not found or nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
            return None
        is_whole = abs(memory.total - gpu.memory_bytes) <= _SAME_DEVICE * memory.total
        return int(memory.free) if is_whole else None
    finally:
        nvml.nvmlShutdown()


def _read_gpu(cuda: ctypes.CDLL, number: int) -> Gpu:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name, bus_id = ctypes.create_string_buffer(_NAME_BYTES), ctypes.create_string_buffer(_BUS_ID_BYTES)
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, _NAME_BYTES, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    known = cuda.cuDeviceGetPCIBusId(bus_id, _BUS_ID_BYTES, device) == 0
    where = bus_id.value.decode("ascii", "replace") if known else ""
    return Gpu(name.value.decode("utf-8", "replace"), (major.value, minor.value), memory.value, where)
