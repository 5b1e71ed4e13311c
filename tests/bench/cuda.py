"""PaddleOCR on a CUDA GPU beside the same on the processor; says so where there is no such GPU."""

import subprocess
import sys

from tests.bench.machine import cuda_gpus
from tests.bench.result import BenchResult

NONE = "no CUDA GPU at hand: nvidia-smi is absent or finds none"


def run(scale: float) -> BenchResult:
    """Hand over to the bench of OCR, whose lines become the notes."""
    gpus = cuda_gpus()
    if not gpus:
        return BenchResult(name="cuda", notes=[NONE])
    command = [sys.executable, "-m", "tests.bench_ocr", "--device", "gpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout if done.stdout.strip() else done.stderr[-2000:]).strip().splitlines()
    return BenchResult(name="cuda", figures={"exit status": done.returncode}, notes=[*gpus, *lines])
