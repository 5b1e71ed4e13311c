"""Image classifiers in TorchScript: loading one, and probabilities for page images, one or many at a time.

Needs torch, which is not among the packages of a base install. Loading a TorchScript file runs the code in
it. Imported and used only in a worker's child: CUDA must not be initialised before the fork.
"""

import importlib
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ShoeboxError
from tasks.image_classifiers import Sidecar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CPU = "cpu"
_GPU = "cuda:0"
"""The first of those that this process is shown: a worker is pinned to one."""
_GPU_AGAIN_SECONDS = 60.0
_RETRACE = "Look at its .toml and at how it was traced; docs/image-classifier.md says how."
_NO_ROOM = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
"""Of CUDA, of torch's allocator for the processor on Linux and elsewhere, of cuBLAS. Told by words, because
what fails inside TorchScript is raised as a plain RuntimeError (torch/csrc/jit/runtime/interpreter.cpp)."""

log = logging.getLogger("shoebox.look")


class LookError(ShoeboxError):
    """An image classifier cannot be used, or gave what is no answer."""


class _NoRoomError(Exception):
    """The memory of the GPU, or of the machine, is full."""


class _GpuError(Exception):
    """Something failed on the GPU."""


class TorchClassifier:
    """One classifier of the user's own, on a GPU where torch finds one. It is loaded when it is made.

    Raises:
        LookError: torch is not installed, or cannot load the file.
    """

    def __init__(self, path: Path, sidecar: Sidecar) -> None:
        self.labels = sidecar.labels
        self.device = CPU
        """Where it runs now."""
        self._name = path.stem
        self._path = path
        self._sidecar = sidecar
        self._batch = sidecar.batch
        self._torch = _import_torch()
        self._network = self._load(path)
        self._gpu_again_at = 0.0

    def _load(self, path: Path) -> Any:
        """On the processor: from there it can be moved to a GPU, and back if that has no room."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch says so of all of torch.jit
                network = self._torch.jit.load(str(path), map_location=CPU)
        except (RuntimeError, ValueError, OSError) as error:
            message = f"torch cannot load the image classifier {self._name!r}: {_last_line(error)}"
            raise LookError(message, _RETRACE) from error
        network.eval()
        return network

    def predict(self, images: Sequence["NDArray[np.uint8]"]) -> list[list[float]]:
        """The probability of each label for each image (height, width, 3; BGR), in their order.

        Runs as many at a time as the sidecar allows, and fewer where the GPU has no room; at last on the
        processor. The probabilities of an image are the same in a batch as alone, to within 1e-5.

        Raises:
            LookError: the network does not take the images, or its output is no answer.
            MemoryError: not even one image fits into the machine's memory.
        """
        self._try_gpu()
        found: list[list[float]] = []
        while len(found) < len(images):
            chunk = images[len(found) : len(found) + self._batch]
            try:
                found += self._forward(chunk)
            except _NoRoomError as error:
                self._make_room(len(chunk), error)
            except _GpuError as error:  # or the network is at fault: the processor will tell
                self._leave_gpu(str(error))
        return found

    def _try_gpu(self) -> None:
        """Move to the GPU, if there is one and it did not fail a moment ago."""
        if self.device != CPU or time.monotonic() < self._gpu_again_at:
            return
        try:
            if self._torch.cuda.is_available():
                self._network = self._network.to(_GPU)
                self.device = _GPU
        except RuntimeError as error:  # no room, or a GPU that has failed
            self._leave_gpu(_last_line(error))

    def _leave_gpu(self, why: str) -> None:
        log.warning("%s: on the processor for the next minute: %s", self._name, why)
        self.device = CPU
        self._batch = self._sidecar.batch
        self._gpu_again_at = time.monotonic() + _GPU_AGAIN_SECONDS
        try:
            self._network = self._network.to(CPU)
            self._torch.cuda.empty_cache()
        except RuntimeError:  # a GPU that has failed gives nothing back
            self._network = self._load(self._path)

    def _make_room(self, tried: int, error: Exception) -> None:
        """After `tried` images did not fit: half as many at a time, and after a single one the processor."""
        log.warning("%s: %d images do not fit on %s", self._name, tried, self.device)
        if tried > 1:
            self._batch = tried // 2
            if self.device != CPU:
                self._torch.cuda.empty_cache()
        elif self.device != CPU:
            self._leave_gpu("the GPU has no room for one image")
        else:
            raise MemoryError(f"There is no room for one image of {self._name!r}.") from error

    def _forward(self, images: Sequence["NDArray[np.uint8]"]) -> list[list[float]]:
        torch = self._torch
        batch = torch.from_numpy(self._prepared(images))
        with torch.inference_mode():
            try:
                output = self._network(batch.to(self.device))
            except (RuntimeError, ValueError, TypeError, MemoryError) as error:
                raise self._failure(error, batch.shape) from error
            rows: list[list[float]] = self._probabilities(output, len(images)).tolist()
        return rows

    def _failure(self, error: Exception, shape: Sequence[int]) -> Exception:
        """What an error of the network means."""
        words = _last_line(error)
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _NO_ROOM):
            return _NoRoomError(words)
        if self.device != CPU:
            return _GpuError(words)
        message = (
            f"The image classifier {self._name!r} does not take {shape[0]} images of {tuple(shape[1:])}: "
        )
        return LookError(message + words, _RETRACE + " Traced for one image only, it needs batch = 1.")

    def _prepared(self, images: Sequence["NDArray[np.uint8]"]) -> "NDArray[np.float32]":
        """The images as the network was trained on them: (images, channels, height, width)."""
        import numpy as np

        about = self._sidecar
        shape = (about.height, about.width, 3)
        if any(image.shape != shape for image in images):
            raise LookError(
                f"{self._name!r} was given an image that is not of the size in its .toml.", _RETRACE
            )
        batch = np.stack(images).astype(np.float32) / 255
        if about.channels == "rgb":
            batch = batch[..., ::-1]
        elif about.channels == "gray":
            # The weights of ITU-R BT.601, as Pillow's and OpenCV's conversions use them.
            batch = batch @ np.array([[0.114], [0.587], [0.299]], dtype=np.float32)
        batch = (batch - np.array(about.mean, np.float32)) / np.array(about.std, np.float32)
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)

    def _probabilities(self, output: Any, count: int) -> Any:
        """Softmax in single precision, whatever the network computes in."""
        torch, about = self._torch, self._sidecar
        wanted = (count, len(about.labels))
        if not isinstance(output, torch.Tensor):
            raise LookError(f"{self._name!r} gave a {type(output).__name__} instead of one tensor.", _RETRACE)
        if tuple(output.shape) != wanted:
            raise LookError(
                f"{self._name!r} gave an output of shape {tuple(output.shape)}; with {wanted[1]} labels and"
                f" {count} images it has to be {wanted}.",
                _RETRACE,
            )
        output = output.to(CPU, torch.float32)
        if not bool(torch.isfinite(output).all()):
            raise LookError(f"{self._name!r} gave an output that is not finite (NaN or infinite).", _RETRACE)
        if about.output == "logits":
            return torch.softmax(output / about.temperature, dim=1)
        if bool((output < 0).any()) or bool(((output.sum(dim=1) - 1).abs() > 0.01).any()):
            raise LookError(
                f"The output of {self._name!r} is no probabilities: below 0, or not 1 in all.",
                'Set output = "logits" in its .toml if that is what it gives.',
            )
        return output.clamp(0, 1)


def _import_torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise LookError(
            "torch is not installed here, which image classifiers need.",
            "docs/image-classifier.md says how to get it.",
        ) from error


def _last_line(error: Exception) -> str:
    """What went wrong, without the way there: that is in the lines before."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
