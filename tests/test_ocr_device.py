"""Which engine OCR uses: real decisions over libraries and an nvidia-smi that are made up."""

import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import ocr_check
from app.checks import Verdict
from tasks.engines import ocr_device, ocr_pipeline
from tasks.engines.ocr_device import OcrDevice, choose
from tasks.engines.ocr_pipeline import GpuEngineError
from tasks.settings import Settings

OLD_DRIVER = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 12080). Please update "
    "your GPU driver by downloading and installing a new version ... (Triggered internally at x.cpp:119.)"
)
TORCH = """
import types, warnings
__version__ = "2.13.0"
version = types.SimpleNamespace(cuda={cuda!r})
class cuda:
    @staticmethod
    def is_available():
        if {warning!r}:
            warnings.warn({warning!r})
        return {available!r}
    get_device_capability = staticmethod(lambda index: {capability!r})
    get_device_name = staticmethod(lambda index: "NVIDIA L4")
    get_arch_list = staticmethod(lambda: ["sm_75", "sm_80", "sm_86", "sm_90", "compute_120"])
"""


@dataclass(frozen=True)
class Box:
    """A machine of which the tests say what it has."""

    tools: Path
    modules: Path

    def has_gpu(self) -> None:
        tool = self.tools / "nvidia-smi"
        tool.write_text("#!/bin/sh\necho '0, NVIDIA L4, 23034, 1, 0, GPU-11111111-2222'\n")
        tool.chmod(0o755)

    def has_torch(
        self,
        *,
        cuda: str | None = "13.0",
        available: bool = True,
        warning: str = "",
        capability: tuple[int, int] = (8, 9),
    ) -> None:
        words = {"cuda": cuda, "available": available, "warning": warning, "capability": capability}
        (self.modules / "torch.py").write_text(TORCH.format(**words))
        for name in ("torchvision", "transformers", "onnx"):
            (self.modules / f"{name}.py").write_text("")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(tmp_path / "tools", tmp_path / "modules")
    for folder in (made.tools, made.modules):
        folder.mkdir()
    monkeypatch.setenv("PATH", f"{made.tools}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(ocr_device, "_DEVICE_FILES", ())
    # No other module of these names is found, installed or not.
    here = [str(made.modules), *(place for place in sys.path if "site-packages" not in place)]
    monkeypatch.setattr(sys, "path", here)
    for name in ocr_device.EXTRA:
        monkeypatch.delitem(sys.modules, name, raising=False)
    runtime = types.ModuleType("onnxruntime")
    runtime.get_available_providers = lambda: ["CPUExecutionProvider"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return made


def cuda_runtime() -> None:
    sys.modules["onnxruntime"].get_available_providers = lambda: ["CUDAExecutionProvider"]  # type: ignore[attr-defined]


def test_a_machine_without_a_gpu(box: Box) -> None:
    assert choose("auto") == OcrDevice("onnxruntime", "cpu", "there is no NVIDIA GPU here")


def test_a_gpu_without_the_extra(box: Box) -> None:
    box.has_gpu()
    chosen = choose("auto")
    assert (chosen.engine, chosen.device) == ("onnxruntime", "cpu")
    assert chosen.why == "a GPU is here (NVIDIA L4), but the extra gpu is not installed"
    assert chosen.remedy == "./run.sh install gpu"


def test_a_gpu_with_half_of_the_extra(box: Box) -> None:
    box.has_gpu()
    box.has_torch()
    (box.modules / "torchvision.py").unlink()
    assert choose("auto").why.endswith("as a whole (torchvision missing)")
    assert "torch" not in sys.modules, "what cannot be used is not loaded"


def test_torch_that_sees_the_gpu(box: Box) -> None:
    box.has_gpu()
    box.has_torch()
    why = "torch 2.13.0 (CUDA 13.0) sees NVIDIA L4, compute 8.9"
    assert choose("auto") == OcrDevice("transformers", "gpu:0", why)


def test_a_container_in_which_only_torch_sees_the_gpu(box: Box) -> None:
    box.has_torch()
    assert choose("auto").on_gpu


def test_the_models_as_they_are_go_before_converted_ones(box: Box) -> None:
    box.has_gpu()
    box.has_torch()
    cuda_runtime()
    chosen = choose("auto")
    assert (chosen.engine, chosen.device) == ("onnxruntime", "gpu:0")
    assert "torch" not in sys.modules


def test_an_onnxruntime_for_cuda_on_a_machine_without_a_gpu(box: Box) -> None:
    cuda_runtime()
    assert not choose("auto").on_gpu


@pytest.mark.parametrize(
    ("torch", "why", "remedy"),
    [
        (
            {"available": False, "warning": OLD_DRIVER},
            "the NVIDIA driver serves CUDA 12.8, torch 2.13.0 needs 13.0",
            "Install a newer NVIDIA driver (580 or later), then restart.",
        ),
        (
            {"available": False, "warning": "CUDA initialization: CUDA unknown error (Triggered internally)"},
            "torch 2.13.0 cannot use the GPU that is here: CUDA initialization: CUDA unknown error",
            "Check the NVIDIA driver with nvidia-smi.",
        ),
        ({"cuda": None}, "torch 2.13.0 was built without CUDA", "./run.sh install gpu"),
        (
            {"capability": (6, 1)},
            "torch 2.13.0 has no code for NVIDIA L4, compute 6.1",
            "Set ocr_device to cpu, or use a newer GPU.",
        ),
    ],
)
def test_a_gpu_that_torch_cannot_use(box: Box, torch: dict[str, object], why: str, remedy: str) -> None:
    box.has_gpu()
    box.has_torch(**torch)  # type: ignore[arg-type]
    assert choose("auto") == OcrDevice("onnxruntime", "cpu", why, remedy)


def test_a_torch_that_lacks_a_library(box: Box) -> None:
    box.has_gpu()
    box.has_torch()
    (box.modules / "torch.py").write_text("raise OSError('libcudnn.so.9: cannot open shared object file')")
    assert choose("auto").why == "torch cannot be loaded (libcudnn.so.9: cannot open shared object file)"


def test_a_gpu_that_torch_cannot_ask(box: Box) -> None:
    box.has_gpu()
    box.has_torch()
    with (box.modules / "torch.py").open("a") as file:
        file.write("\ndef busy(index): raise RuntimeError('CUDA-capable device(s) is/are busy')\n")
        file.write("cuda.get_device_capability = staticmethod(busy)\n")
    assert choose("auto").why == "torch cannot ask the GPU (CUDA-capable device(s) is/are busy)"


@pytest.mark.parametrize(
    ("capability", "fits"), [((7, 5), True), ((7, 0), False), ((8, 9), True), ((12, 1), True)]
)
def test_which_gpus_torch_has_code_for(capability: tuple[int, int], fits: bool) -> None:
    known = ["sm_75", "sm_80", "sm_86", "sm_90a", "compute_120"]
    assert ocr_device._has_code_for(*capability, known) is fits


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_none(box: Box, monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    box.has_gpu()
    box.has_torch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert choose("auto").device == "cpu"
    assert "torch" not in sys.modules


def test_the_setting_cpu_asks_nobody(box: Box) -> None:
    box.has_gpu()
    box.has_torch()
    assert choose("cpu").device == "cpu"
    assert "torch" not in sys.modules


# --- onnxruntime that would quietly use the CPU


@dataclass
class Session:
    providers: list[str]
    falls_back: bool = True

    def get_providers(self) -> list[str]:
        return self.providers

    def disable_fallback(self) -> None:
        self.falls_back = False


def pipeline_on(*sessions: Session) -> object:
    detection, recognition = (
        types.SimpleNamespace(runner=types.SimpleNamespace(session=session)) for session in sessions
    )
    inner = types.SimpleNamespace(text_det_model=detection, text_rec_model=recognition)
    return types.SimpleNamespace(paddlex_pipeline=types.SimpleNamespace(_pipeline=inner))


def test_onnxruntime_is_held_to_cuda() -> None:
    good = Session(["CUDAExecutionProvider", "CPUExecutionProvider"])
    ocr_pipeline._insist_on_cuda(pipeline_on(good, good))
    assert not good.falls_back
    with pytest.raises(GpuEngineError, match="cannot use CUDA"):
        ocr_pipeline._insist_on_cuda(pipeline_on(good, Session(["CPUExecutionProvider"])))


# --- the doctor


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Verdict, str, str]]:
    def ask(wanted: str) -> tuple[Verdict, str, str]:
        found = ocr_check.check_ocr_engine(Settings(data_dir=tmp_path, ocr_device=wanted))  # type: ignore[arg-type]
        assert found.name == "ocr engine"
        return found.verdict, found.found, found.remedy

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return ask


Ask = Callable[[str], tuple[Verdict, str, str]]


def test_the_doctor_says_what_is_used_without_loading_torch_itself(
    check: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").mkdir()
    box = Box(tmp_path, tmp_path / "modules")
    box.has_gpu()
    box.has_torch()
    monkeypatch.setenv("PATH", f"{box.tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(box.modules))
    loaded = "torch" in sys.modules
    assert check("auto") == (
        Verdict.OK,
        "transformers on gpu:0: torch 2.13.0 (CUDA 13.0) sees NVIDIA L4, compute 8.9",
        "",
    )
    assert ("torch" in sys.modules) is loaded


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let asking print this, without a process."""

    def set_answer(text: str, status: int = 0) -> None:
        done = subprocess.CompletedProcess([], status, text, "ImportError: no such thing\n" if status else "")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    return set_answer


ON_CPU = '{"engine": "onnxruntime", "device": "cpu", "why": "no GPU", "remedy": ""}'
MISSING = (
    '{"engine": "onnxruntime", "device": "cpu", "why": "a GPU is here", "remedy": "./run.sh install gpu"}'
)


def test_the_doctor_warns_of_a_gpu_that_is_not_used(check: Ask, answer: Callable[..., None]) -> None:
    answer("a library says hello\n" + MISSING)
    assert check("auto") == (Verdict.WARN, "onnxruntime on cpu: a GPU is here", "./run.sh install gpu")
    answer(ON_CPU)
    assert check("auto")[0] is Verdict.OK
    verdict, found, remedy = check("gpu")
    assert (verdict, remedy) == (Verdict.WARN, "Set ocr_device to auto.")
    assert found.endswith("the setting ocr_device says gpu")
    answer("", 1)
    assert check("auto")[:2] == (Verdict.FAIL, "ImportError: no such thing")


def test_the_doctor_tells_of_two_builds_of_onnxruntime(
    check: Ask, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr_check, "two_onnxruntimes", lambda: True)
    answer(ON_CPU)
    verdict, found, remedy = check("auto")
    assert verdict is Verdict.WARN
    assert "both installed and share a folder" in found
    assert "--force-reinstall --no-deps onnxruntime-gpu" in remedy
    answer(ON_CPU.replace('"cpu"', '"gpu:0"'))
    assert check("auto")[0] is Verdict.OK
