"""Where ONNX Runtime computes: on the GPU where its GPU build is installed (extra ``gpu``) and finds one."""

from __future__ import annotations

from typing import Final

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"


def execution_providers() -> tuple[str, ...]:
    """The execution providers of this machine, best first; the CPU is always the last.

    The GPU build names CUDA on machines without a GPU, too, where each session then complains and takes the
    CPU: CUDA is only asked for where its driver counts a device.
    """
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers() or not _has_device():
        return (CPU,)
    # CUDA and cuDNN come in the packages that torch brings, which no loader path names.
    onnxruntime.preload_dlls()
    return (CUDA, CPU)


def _has_device() -> bool:
    """Whether the driver is there and counts a device: `cuInit` and `cuDeviceGetCount` of the driver API."""
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
