"""What the OCR engine does when memory runs out or CUDA fails: pipelines that fail as the real ones do."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tasks.engines import ocr_device, paddle
from tasks.engines.ocr_device import OcrDevice
from tasks.engines.ocr_memory import Trouble, trouble_of
from tasks.engines.paddle import PaddleEngine

IMAGE = np.full((2339, 1654, 3), 255, np.uint8)
"""An A4 page at 200 dpi."""
ON_GPU = OcrDevice("transformers", ocr_device.GPU, "torch sees a GPU")
SIDE = paddle.DETECTION_SIDE


class OutOfMemoryError(RuntimeError):
    """By name and base what torch.OutOfMemoryError is."""


class AcceleratorError(RuntimeError):
    """By name and base what torch raises after a kernel failed."""


TORCH_FULL = OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity ..."
)
# As users of onnxruntime reported them (issues 16307, 22702), and as cuDNN and cuBLAS name theirs.
ORT_FULL = RuntimeError(
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
    "Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::"
    "BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for "
    "requested buffer of size 939524096"
)
BROKEN = AcceleratorError("CUDA error: an illegal memory access was encountered")


@dataclass
class Machine:
    """Pipelines by device. `fails` is asked before each look, `load_fails` before each load."""

    fails: Callable[[str, int], Exception | None] = lambda device, side: None
    load_fails: Callable[[str], Exception | None] = lambda device: None
    looks: list[tuple[str, int]] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def load(self, models_dir: Path, threads: int, where: OcrDevice) -> "Pipeline":
        self.loads.append(where.device)
        if error := self.load_fails(where.device):
            raise error
        return Pipeline(self, where.device)


@dataclass
class Pipeline:
    machine: Machine
    device: str

    def predict(self, image: object, text_det_limit_side_len: int) -> list[dict[str, list[object]]]:
        self.machine.looks.append((self.device, text_det_limit_side_len))
        if error := self.machine.fails(self.device, text_det_limit_side_len):
            raise error
        box = [[10, 10], [200, 10], [200, 40], [10, 40]]
        return [{"rec_texts": ["Dear Sir"], "rec_scores": [0.99], "rec_polys": [box]}]


@pytest.fixture
def engine_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[Machine, OcrDevice], PaddleEngine]:
    def make(machine: Machine, device: OcrDevice) -> PaddleEngine:
        monkeypatch.setattr(paddle, "_load", machine.load)
        monkeypatch.setattr(ocr_device, "choose", lambda wanted: device)
        return PaddleEngine(tmp_path, wanted="auto")

    return make


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "shoebox.ocr"):
        yield


Make = Callable[[Machine, OcrDevice], PaddleEngine]


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (TORCH_FULL, Trouble.MEMORY),
        (OutOfMemoryError("no words at all"), Trouble.MEMORY),
        (ORT_FULL, Trouble.MEMORY),
        (RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; hostname=box"), Trouble.MEMORY),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            Trouble.MEMORY,
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), Trouble.MEMORY),
        (RuntimeError("GET was unable to find an engine to execute this computation"), Trouble.MEMORY),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            Trouble.MEMORY,
        ),
        (np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("u1")), Trouble.MEMORY),  # type: ignore[attr-defined]
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), Trouble.GPU),
        (BROKEN, Trouble.GPU),
        (RuntimeError("no kernel image is available for execution on the device"), Trouble.GPU),
        (ValueError("the page is a memory of summer"), Trouble.OTHER),
    ],
)
def test_troubles_are_told_apart(error: Exception, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble


def test_a_page_that_fits_after_freeing_is_read_at_full_size(engine_on: Make) -> None:
    failures = [TORCH_FULL]
    machine = Machine(fails=lambda *_: failures.pop() if failures else None)
    page = engine_on(machine, ON_GPU).read(IMAGE, 1)
    assert page.text == "Dear Sir"
    assert machine.looks == [("gpu:0", SIDE)] * 2
    assert machine.loads == ["gpu:0"] * 2, "everything was released and loaded again"


@pytest.mark.parametrize("error", [TORCH_FULL, ORT_FULL], ids=["torch", "onnxruntime"])
def test_a_page_is_looked_at_smaller_and_the_next_at_full_size(
    engine_on: Make, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(fails=lambda device, side: error if side > 1000 and not done else None)
    done: list[int] = []
    engine = engine_on(machine, ON_GPU)
    engine.read(IMAGE, 7)
    assert [side for _, side in machine.looks] == [1600, 1600, 1120, 800]
    assert "page 7: text is looked for at 1120 pixels instead of 1600 for want of memory\n" in caplog.text
    assert (
        "at 800 pixels instead of 1600 for want of memory; print below 8 points may be missing" in caplog.text
    )
    done.append(7)
    engine.read(IMAGE, 8)
    assert machine.looks[-1] == ("gpu:0", 1600)
    assert {device for device, _ in machine.looks} == {"gpu:0"}


def test_a_step_is_one_for_small_images_too(engine_on: Make) -> None:
    """Text is never looked for at more pixels than the image has."""
    machine = Machine(fails=lambda device, side: TORCH_FULL if side > 600 else None)
    engine_on(machine, ON_GPU).read(IMAGE[:1000, :1000], 1)
    assert [side for _, side in machine.looks] == [1000, 1000, 700, 500]


def test_a_page_too_large_for_the_gpu_is_read_on_the_cpu_and_the_next_on_the_gpu(
    engine_on: Make, caplog: pytest.LogCaptureFixture
) -> None:
    full = [True]
    machine = Machine(fails=lambda device, side: TORCH_FULL if device != "cpu" and full[0] else None)
    engine = engine_on(machine, ON_GPU)
    assert engine.read(IMAGE, 3).text == "Dear Sir"
    assert machine.looks[-1] == ("cpu", 1600)
    assert "page 3: read on the CPU" in caplog.text
    assert engine.device == "gpu:0"
    full[0] = False
    engine.read(IMAGE, 4)
    assert machine.looks[-1] == ("gpu:0", 1600)


def test_after_three_such_pages_in_a_row_the_cpu_is_kept(
    engine_on: Make, caplog: pytest.LogCaptureFixture
) -> None:
    pages = iter((True, True, False, True, True, True))
    too_large = [False]
    machine = Machine(fails=lambda device, side: TORCH_FULL if device != "cpu" and too_large[0] else None)
    engine = engine_on(machine, ON_GPU)
    devices = []
    for number, too_large[0] in enumerate(pages, 1):
        engine.read(IMAGE, number)
        devices.append(engine.device)
    assert devices == ["gpu:0"] * 5 + ["cpu"], "one that fits in between begins the count anew"
    assert "3 pages in a row did not fit into the GPU's memory" in caplog.text
    before = len(machine.looks)
    engine.read(IMAGE, 7)
    assert machine.looks[before:] == [("cpu", 1600)]


def test_after_a_failure_of_cuda_the_page_is_read_on_the_cpu_which_is_kept(
    engine_on: Make, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(fails=lambda device, side: BROKEN if device != "cpu" else None)
    engine = engine_on(machine, ON_GPU)
    assert engine.read(IMAGE, 1).text == "Dear Sir"
    assert machine.looks == [("gpu:0", 1600), ("cpu", 1600)]
    assert engine.device == "cpu"
    assert "an illegal memory access" in caplog.text


def test_an_engine_that_does_not_load_on_the_gpu_is_replaced_by_the_cpus(
    engine_on: Make, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(load_fails=lambda device: ImportError("libfoo.so") if device != "cpu" else None)
    engine = engine_on(machine, ON_GPU)
    assert engine.read(IMAGE, 1).text == "Dear Sir"
    assert (engine.device, machine.loads) == ("cpu", ["gpu:0", "cpu"])
    assert "OCR stays on the CPU: transformers on gpu:0 failed (ImportError: libfoo.so)" in caplog.text


def test_a_gpu_without_room_for_the_models_is_not_tried_with_a_smaller_page(engine_on: Make) -> None:
    machine = Machine(load_fails=lambda device: TORCH_FULL if device != "cpu" else None)
    engine_on(machine, ON_GPU).read(IMAGE, 1)
    assert machine.loads == ["gpu:0", "gpu:0", "cpu"]
    assert machine.looks == [("cpu", 1600)]


def test_on_the_cpu_alone_the_last_step_is_a_memory_error(engine_on: Make) -> None:
    machine = Machine(fails=lambda *_: RuntimeError("std::bad_alloc"))
    engine = engine_on(machine, ocr_device.on_cpu("no GPU"))
    with pytest.raises(MemoryError, match="2339, 1654"):
        engine.read(IMAGE, 1)
    assert machine.looks == [("cpu", side) for side in (1600, 1600, 1120, 800)]
    assert not engine.is_loaded, "what did not suffice is not kept"


def test_other_errors_are_not_the_gpus_fault(engine_on: Make) -> None:
    machine = Machine(fails=lambda *_: ValueError("no such node"))
    engine = engine_on(machine, ON_GPU)
    with pytest.raises(ValueError, match="no such node"):
        engine.read(IMAGE, 1)
    assert engine.device == "gpu:0"


def test_the_tensors_of_a_failed_attempt_are_gone_before_the_next(engine_on: Make) -> None:
    """An exception holds its frames, and they hold what lies in the GPU's memory."""
    import weakref

    class Tensor:
        pass

    kept: list[weakref.ref[Tensor]] = []

    class Greedy(Pipeline):
        def predict(self, image: object, text_det_limit_side_len: int) -> list[dict[str, list[object]]]:
            if not kept:
                tensor = Tensor()
                kept.append(weakref.ref(tensor))
                raise OutOfMemoryError("CUDA out of memory")
            assert kept[0]() is None
            return super().predict(image, text_det_limit_side_len)

    machine = Machine()
    machine.load = lambda *arguments: Greedy(machine, arguments[2].device)  # type: ignore[method-assign]
    assert engine_on(machine, ON_GPU).read(IMAGE, 1).text == "Dear Sir"


def test_releasing_forgets_the_models_until_the_next_page(engine_on: Make) -> None:
    machine = Machine()
    engine = engine_on(machine, ON_GPU)
    engine.release()  # nothing is loaded
    assert not engine.is_loaded and machine.loads == []
    engine.read(IMAGE, 1)
    assert engine.is_loaded
    engine.release()
    assert not engine.is_loaded
    engine.read(IMAGE, 2)
    assert machine.loads == ["gpu:0"] * 2
