"""What a worker runs on: the versions of Python and of the libraries that OCR and models need."""

import importlib.metadata
import platform
from functools import lru_cache

_LIBRARIES = ("paddleocr", "onnxruntime", "onnxruntime-gpu", "torch")


@lru_cache(maxsize=1)
def software() -> dict[str, str]:
    """Versions by name. Nothing is imported, so that the process stays fit to fork workers that use CUDA."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
