"""Compare the OCR engine with a bare PaddleOCR loop: speed, errors, memory.

    python -m tests.bench_ocr
    python -m tests.bench_ocr --device gpu     beside the CPU: speed, errors, memory and running out of it

Prints one line a figure and the bar it has to keep; the exit status is 1 if one is not kept. It is no
test: a busy machine changes the speeds (their ratio less, as the two take turns).
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.engines import ocr_device, paddle
from tests import bench_ocr_gpu, pageimages
from tests.pageimages import BgrImage, PageImage, cer

MIN_RATIO = 0.95
MAX_GIGABYTES = 1.5
ROUNDS = 5
LARGE_PAGE = (3000, 4000)
"""Width and height of a page of 12 million pixels."""


def main() -> int:
    """Run all measurements and say whether the bars are kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peak-memory", type=Path, metavar="MODELS", help=argparse.SUPPRESS)
    parser.add_argument(
        "--device", choices=("cpu", "gpu", "torch"), default="cpu", help="torch: without a GPU"
    )
    arguments = parser.parse_args()
    if arguments.peak_memory:
        print(peak_gigabytes(arguments.peak_memory))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        models_dir = Path(folder)
        if arguments.device != "cpu":
            return 0 if bench_ocr_gpu.compare(arguments.device, models_dir) else 1
        kept = [*compare_errors(models_dir), compare_speed(models_dir), compare_memory(models_dir)]
    return 0 if all(kept) else 1


def compare_errors(models_dir: Path) -> list[bool]:
    """The error rate for every kind of page against its bar."""
    engine = paddle.PaddleEngine(models_dir)
    letter = pageimages.letter()
    columns = pageimages.two_columns()
    bars: list[tuple[PageImage, float]] = [
        (letter, 0.005),
        (pageimages.letter(dpi=200, kind="200 dpi"), 0.005),
        (pageimages.letter(dpi=200, points=6, kind="6 points, 200 dpi"), 0.005),
        (pageimages.noisy_tilted(letter), 0.01),
        (columns, 0.01),
        (pageimages.invoice_table(), 0.005),
        *(
            (pageimages.turned(page, degrees), 0.02)
            for page in (letter, columns)
            for degrees in (90, 180, 270)
        ),
    ]
    kept = []
    for page, bar in bars:
        got = engine.read(page.image, 1)
        rate = cer(page.text, got.text)
        kept.append(rate <= bar)
        print(
            f"CER {page.kind:20} {rate:7.2%}  bar {bar:.1%}  score {got.score:.3f}  turned by {got.rotation}"
        )
    return kept


def compare_speed(models_dir: Path) -> bool:
    """Pages a second of the bare pipeline and of the engine, which take turns on the same images."""
    images = [
        page.image
        for page in (
            pageimages.letter(),
            pageimages.noisy_tilted(pageimages.letter()),
            pageimages.two_columns(),
        )
    ]
    bare = paddle._load(models_dir, 0, ocr_device.on_cpu("to compare with"))
    engine = paddle.PaddleEngine(models_dir)
    contestants: list[Callable[[BgrImage], object]] = [bare.predict, lambda image: engine.read(image, 1)]
    seconds = [0.0, 0.0]
    for image in images:
        timings: list[list[float]] = [[], []]
        for round_number in range(ROUNDS):
            for contestant in (0, 1) if round_number % 2 else (1, 0):
                start = time.perf_counter()
                contestants[contestant](image)
                timings[contestant].append(time.perf_counter() - start)
        for contestant in (0, 1):
            seconds[contestant] += min(timings[contestant])  # the round that other work disturbed least
    speeds = [len(images) / total for total in seconds]
    ratio = speeds[1] / speeds[0]
    print(f"pages/s bare {speeds[0]:.3f}, engine {speeds[1]:.3f}, ratio {ratio:.3f}  bar {MIN_RATIO}")
    return ratio >= MIN_RATIO


def compare_memory(models_dir: Path) -> bool:
    """Peak memory of a fresh process that reads large pages, one of them on its side."""
    command = [sys.executable, "-m", "tests.bench_ocr", "--peak-memory", str(models_dir)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak = float(done.stdout)
    print(f"peak memory {peak:.2f} GB  bar {MAX_GIGABYTES} GB")
    return peak < MAX_GIGABYTES


def peak_gigabytes(models_dir: Path) -> float:
    """Read large pages in this process and say how much memory it took at most."""
    engine = paddle.PaddleEngine(models_dir)
    width, height = LARGE_PAGE
    page = np.full((height, width, 3), pageimages.WHITE, np.uint8)
    text = pageimages.letter((pageimages.ENGLISH + pageimages.GERMAN) * 3, width_inches=width / 300).image
    page[: len(text)] = text[:height]
    square = np.ascontiguousarray(np.tile(text[:1700, :1700], (2, 2, 1)))
    for image in (page, np.ascontiguousarray(np.rot90(page)), square):
        if not engine.read(image, 1).text:
            raise SystemExit("Nothing was read from the large page.")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == "__main__":
    sys.exit(main())
