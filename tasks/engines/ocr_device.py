"""Which engine of PaddleOCR's reads the pages, on which device, and why.

`choose` imports torch and asks CUDA where they are installed, and a process that has asked must not fork
afterwards. So it belongs in a worker's child, and everybody else runs this module in a process of its own:
`python -m tasks.engines.ocr_device auto` prints the choice as JSON.
"""

import importlib
import importlib.util
import os
import re
import sys
import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from tasks.gpu import gpus

Wanted = Literal["auto", "cpu", "gpu"]
"""The setting `ocr_device`. `gpu` differs from `auto` only in that its absence is complained of."""
Engine = Literal["onnxruntime", "transformers"]

CPU = "cpu"
GPU = "gpu:0"
"""As PaddleOCR names it. A worker's child sees one GPU only, by CUDA_VISIBLE_DEVICES."""
INSTALL = "./run.sh install gpu"
EXTRA = ("torch", "torchvision", "transformers", "onnx")
"""What the extra `gpu` brings that the engine on torch needs."""
_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")
"""There where a driver is, on Linux and under WSL, though nvidia-smi may be missing in a container."""
_DRIVER_FOR = {"13": "580", "12": "525"}
"""The oldest driver on Linux for each major version of CUDA, from NVIDIA's release notes."""


@dataclass(frozen=True)
class OcrDevice:
    """An engine of PaddleOCR's and where it computes."""

    engine: Engine
    device: str
    """`cpu` or `gpu:0`."""
    why: str
    """For people: what was seen."""
    remedy: str = ""
    """How OCR would get the GPU that is here; empty where nothing is amiss."""

    @property
    def on_gpu(self) -> bool:
        """Whether pages are read on a GPU."""
        return self.device != CPU


def choose(wanted: Wanted) -> OcrDevice:
    """The best engine for what is installed and what the machine has.

    onnxruntime's CUDA build runs the models as they are; else torch runs the same weights, converted; else
    the processor does the work. Takes seconds where torch is installed.
    """
    if wanted == "cpu":
        return on_cpu("the setting ocr_device says cpu")
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return on_cpu("CUDA_VISIBLE_DEVICES hides the GPUs")
    seen = gpu_names()
    if seen and _onnxruntime_has_cuda():
        why = f"onnxruntime {version_of('onnxruntime-gpu', 'onnxruntime')} with CUDA, on {seen}"
        return OcrDevice("onnxruntime", GPU, why)
    if missing := [name for name in EXTRA if not _is_installed(name)]:
        if not seen:
            return on_cpu("there is no NVIDIA GPU here")
        lacking = "" if len(missing) == len(EXTRA) else f" as a whole ({', '.join(missing)} missing)"
        return on_cpu(f"a GPU is here ({seen}), but the extra gpu is not installed{lacking}", INSTALL)
    return _on_torch(seen)


def on_cpu(why: str, remedy: str = "") -> OcrDevice:
    """The engine that is always there."""
    return OcrDevice("onnxruntime", CPU, why, remedy)


def gpu_names() -> str:
    """The GPUs of NVIDIA's by name; "a GPU" where only the driver's device files are seen; empty for none."""
    if names := ", ".join(gpu.name for gpu in gpus()):
        return names
    return "a GPU" if any(Path(file).exists() for file in _DEVICE_FILES) else ""


def version_of(*distributions: str) -> str:
    """The version of the first of these that is installed."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "of an unknown version"


def two_onnxruntimes() -> bool:
    """Whether both builds of onnxruntime are installed: they share a folder, and the last one wins."""
    try:
        return bool(version("onnxruntime") and version("onnxruntime-gpu"))
    except PackageNotFoundError:
        return False


def _is_installed(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None  # a bare folder of that name has no origin


def _onnxruntime_has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _on_torch(seen: str) -> OcrDevice:
    """What torch says of the machine; whatever it fails with, pages are read."""
    try:
        torch: Any = importlib.import_module("torch")
    except Exception as error:  # a library that is missing, or of another version
        return on_cpu(f"torch cannot be loaded ({error})", INSTALL)
    try:
        return _as_torch_sees_it(torch, seen)
    except Exception as error:  # a GPU that has failed, or that another process has for itself
        return on_cpu(f"torch cannot ask the GPU ({error})", "Check the NVIDIA driver with nvidia-smi.")


def _as_torch_sees_it(torch: Any, seen: str) -> OcrDevice:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = bool(torch.cuda.is_available())
    name = f"torch {torch.__version__}"
    if not there and not seen:
        return on_cpu("there is no NVIDIA GPU here")
    if torch.version.cuda is None:
        return on_cpu(f"{name} was built without CUDA", INSTALL)
    if not there:
        words = " ".join(str(one.message) for one in said)
        return on_cpu(*_blind(name, str(torch.version.cuda), words))
    major, minor = torch.cuda.get_device_capability(0)
    card = f"{torch.cuda.get_device_name(0)}, compute {major}.{minor}"
    if not _has_code_for(major, minor, torch.cuda.get_arch_list()):
        remedy = "Set ocr_device to cpu, or use a newer GPU."
        return on_cpu(f"{name} has no code for {card}", remedy)
    return OcrDevice("transformers", GPU, f"{name} (CUDA {torch.version.cuda}) sees {card}")


def _blind(name: str, cuda: str, words: str) -> tuple[str, str]:
    """Why torch sees no GPU though there is one, and what helps."""
    needed = _DRIVER_FOR.get(cuda.partition(".")[0], "")
    remedy = f"Install a newer NVIDIA driver{f' ({needed} or later)' if needed else ''}, then restart."
    if found := re.search(r"driver on your system is too old \(found version (\d+)\)", words):
        number = int(found[1])  # 12080 is CUDA 12.8
        serves = f"{number // 1000}.{number % 1000 // 10}"
        return f"the NVIDIA driver serves CUDA {serves}, {name} needs {cuda}", remedy
    reason = words.partition(" (Triggered")[0].strip() or "CUDA does not say why"
    return f"{name} cannot use the GPU that is here: {reason}", "Check the NVIDIA driver with nvidia-smi."


def _has_code_for(major: int, minor: int, architectures: list[str]) -> bool:
    """Whether one of `sm_80`, `compute_90` and the like runs on a GPU of this compute capability.

    Machine code serves later GPUs of the same major version, what CUDA compiles at start all later ones.
    """
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        number = int(re.sub(r"\D", "", digits) or 0)
        if kind == "compute" and number <= 10 * major + minor:
            return True
        if kind == "sm" and number // 10 == major and number % 10 <= minor:
            return True
    return not architectures


def main() -> None:
    """Print the choice for the setting that is named as the only argument."""
    import json

    wanted = sys.argv[1] if len(sys.argv) > 1 else "auto"
    if wanted not in ("auto", "cpu", "gpu"):
        raise SystemExit(f"ocr_device is auto, cpu or gpu, not {wanted}.")
    print(json.dumps(asdict(choose(wanted))))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
