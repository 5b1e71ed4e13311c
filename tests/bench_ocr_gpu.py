"""The part of `tests.bench_ocr` that needs a GPU: speed, errors, memory, and running out of it."""

import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks.engines import ocr_device, paddle
from tasks.engines.ocr_device import OcrDevice
from tasks.gpu import gpus
from tests import pageimages
from tests.pageimages import BgrImage, PageImage, cer

ROUNDS = 5
LIMITS = (2000, 1000, 500, 250, 100, 50)
"""Megabytes of the GPU's memory that the engine is held to."""
A4 = (2339, 1654)
"""Height and width at 200 dpi."""
ON_TORCH = OcrDevice("transformers", "cpu", "the engine on torch, without a GPU")


def compare(device: str, models_dir: Path) -> bool:
    """Measure the engine on `device` (`gpu`, or `torch`: the GPU's engine on the CPU) beside the CPU's.

    Returns whether there was something to measure and every text was read as well as on the CPU.
    """
    where = ON_TORCH if device == "torch" else ocr_device.choose("gpu")
    print(f"{where.engine} on {where.device}: {where.why}. {where.remedy}".strip())
    if where.engine == "onnxruntime" and not where.on_gpu:
        print("No GPU can be used here, so nothing was measured.")
        return False
    kept = _compare_texts_and_speed(where, models_dir)
    _measure_memory(where, models_dir)
    _run_out_of_memory(where, models_dir)
    return kept


def _pages() -> list[PageImage]:
    letter = pageimages.letter()
    columns = pageimages.two_columns()
    return [
        letter,
        pageimages.letter(dpi=200, kind="200 dpi"),
        pageimages.letter(dpi=200, points=6, kind="6 points, 200 dpi"),
        pageimages.noisy_tilted(letter),
        columns,
        pageimages.invoice_table(),
        pageimages.turned(letter, 180),
        pageimages.turned(columns, 90),
    ]


def _engine(where: OcrDevice, models_dir: Path) -> paddle.PaddleEngine:
    made = paddle.PaddleEngine(models_dir)
    made._ladder._choose = lambda: where
    return made


def _compare_texts_and_speed(where: OcrDevice, models_dir: Path) -> bool:
    contestants = [_engine(one, models_dir) for one in (ocr_device.on_cpu("to compare"), where)]
    started = time.perf_counter()
    contestants[1].read(pageimages.blank(), 1)
    print(f"load {time.perf_counter() - started:.1f} s, converting the models included")
    seconds, kept = [0.0, 0.0], True
    for page in _pages():
        texts, best = ["", ""], [float("inf")] * 2
        for round_number in range(ROUNDS):
            for index in (0, 1) if round_number % 2 else (1, 0):
                started = time.perf_counter()
                texts[index] = contestants[index].read(page.image, 1).text
                best[index] = min(best[index], time.perf_counter() - started)
        rates = [cer(page.text, text) for text in texts]
        kept = kept and rates[1] <= rates[0] + 0.001
        seconds = [total + one for total, one in zip(seconds, best, strict=True)]
        same = "same text" if texts[0] == texts[1] else "other text"
        print(f"CER {page.kind:20} cpu {rates[0]:7.2%}  {where.device} {rates[1]:7.2%}  {same}")
    speeds = [len(_pages()) / total for total in seconds]
    print(f"pages/s cpu {speeds[0]:.3f}, {where.device} {speeds[1]:.3f}, ratio {speeds[1] / speeds[0]:.2f}")
    print(f"still on {contestants[1].device}")
    return kept and contestants[1].device == where.device


# --- in a process of its own, so that peaks and limits are the engine's


def _measure_memory(where: OcrDevice, models_dir: Path) -> None:
    before = sum(gpu.memory_used for gpu in gpus())
    seen = _aside(where, models_dir, limit=0)
    print(f"peak RSS {seen['rss'] / 1e9:.2f} GB", end="")
    if where.on_gpu:
        held = (seen["driver"] - before) / 1e9
        print(
            f"; torch allocated {seen['allocated'] / 1e9:.2f} GB, reserved {seen['reserved'] / 1e9:.2f} GB",
            end="",
        )
        print(
            f"; by nvidia-smi {held:.2f} GB, {(seen['released'] - before) / 1e9:.2f} GB after release()",
            end="",
        )
    print()


def _run_out_of_memory(where: OcrDevice, models_dir: Path) -> None:
    if where.device == ocr_device.CPU or where.engine != "transformers":
        print("out of memory: no CUDA by torch here, so it was not forced")
        return
    for limit in LIMITS:
        seen = _aside(where, models_dir, limit)
        print(f"held to {limit} MB: CER {seen['cer']:.2%}, {seen['seconds']:.1f} s; then on {seen['device']}")
        for line in seen["heard"]:
            print(f"    {line}")


def _aside(where: OcrDevice, models_dir: Path, limit: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "tests.bench_ocr_gpu",
        str(models_dir),
        where.device,
        where.engine,
        str(limit),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def read_aside(models_dir: Path, where: OcrDevice, limit: int) -> dict[str, Any]:
    """Read an A4 page in this process, with at most `limit` megabytes of the GPU (0: all)."""
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("shoebox.ocr").addHandler(handler)
    page, image = _a4()
    engine = _engine(where, models_dir)
    torch: Any = _torch(where)
    if limit:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(limit * 2**20 / total)
    started = time.perf_counter()
    text = engine.read(image, 1).text
    seen: dict[str, Any] = {"seconds": time.perf_counter() - started, "cer": cer(page.text, text)}
    seen |= {"heard": heard, "device": engine.device, "driver": sum(gpu.memory_used for gpu in gpus())}
    if torch is not None:
        seen |= {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
    engine.release()
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kilobytes elsewhere
    seen["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    seen["released"] = sum(gpu.memory_used for gpu in gpus())
    return seen


def _torch(where: OcrDevice) -> Any:
    """torch, if it computes on a GPU here."""
    if where.engine != "transformers" or not where.on_gpu:
        return None
    import importlib

    return importlib.import_module("torch")


def _a4() -> tuple[PageImage, BgrImage]:
    page = pageimages.letter(dpi=200, points=8)
    image = np.full((*A4, 3), pageimages.WHITE, np.uint8)
    height, width = page.image.shape[:2]
    image[150 : 150 + height, :width] = page.image
    return page, image


if __name__ == "__main__":
    folder, device, engine, megabytes = sys.argv[1:]
    described = OcrDevice(engine, device, "measured aside")  # type: ignore[arg-type]
    print(json.dumps(read_aside(Path(folder), described, int(megabytes))))
