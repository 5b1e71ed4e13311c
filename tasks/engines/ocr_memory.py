"""Running out of memory, on a GPU or not: how the libraries under PaddleOCR say it, and giving it back."""

import gc
import logging
import sys
from enum import Enum

log = logging.getLogger("shoebox.ocr")

_OUT_OF_MEMORY = (
    "bad_alloc",  # onnxruntime, seen under a limit
    "insufficient memory",  # OpenCV, seen under a limit
    "allocate memory",  # onnxruntime's BFCArena on GPU and CPU; torch's DefaultCPUAllocator
    "out of memory",  # torch.OutOfMemoryError, "CUDA error: ...", "CUDA failure 2: ..."
    "cudaerrormemoryallocation",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "device_allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED of cuDNN 9
    "unable to find an engine to execute this computation",  # cuDNN, when there is no room for a workspace
)
"""What the texts of exceptions hold, in small letters. What concerns CUDA was read in reports, not seen."""
_GPU_TROUBLE = ("cuda", "cudnn_status", "cublas_status", "cudnn error", "nvrtc", "no kernel image")


class Trouble(Enum):
    """What an exception of the engine's means."""

    MEMORY = "memory"
    GPU = "gpu"
    """CUDA is in a state in which this process should not use it again."""
    OTHER = "other"


def trouble_of(error: Exception) -> Trouble:
    """Tell by class and text: onnxruntime's exceptions have no common base but `Exception`."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if "MemoryError" in kinds or "OutOfMemoryError" in kinds or any(sign in text for sign in _OUT_OF_MEMORY):
        return Trouble.MEMORY
    if "AcceleratorError" in kinds or any(sign in text for sign in _GPU_TROUBLE):
        return Trouble.GPU
    return Trouble.OTHER


def give_back() -> None:
    """Return what nothing refers to any more to the system and to the other users of the GPU.

    Never the first to import torch or to wake CUDA.
    """
    gc.collect()  # pipelines refer to themselves in circles
    torch = sys.modules.get("torch")
    try:
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    except Exception as error:  # after a failure of CUDA every call fails, this one as well
        log.debug("CUDA's cache cannot be emptied: %s", error)
