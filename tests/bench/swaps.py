"""How often the GPU needs another model, with two large models and OCR, against one document at a time."""

import io
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tasks.documents import Stage
from tasks.units import UnitRow
from tests.bench.house import House, house
from tests.bench.papers import paper, write_papers
from tests.bench.result import BenchResult, at_most
from tests.ollama import ModelSpec, OllamaDouble

CHOOSER, FINDER = "chooser:7b", "finder:14b"
DOCUMENTS = 200
LOAD_SECONDS = 1.0
"""What a load costs. A real one takes longer; the fewer swaps, the less it matters."""
_STAGES = (Stage.OCR, Stage.CLASSIFY, Stage.ANALYSE)


def run(scale: float) -> BenchResult:
    """Half of the documents are scans; one model chooses the category, another finds the fields."""
    count = max(4, round(DOCUMENTS * scale))
    models = tuple(
        ModelSpec(
            name,
            parameter_size=size,
            context_length=32768,
            scripted=True,
            layers=1,
            load_seconds=LOAD_SECONDS,
        )
        for name, size in ((CHOOSER, "7.6B"), (FINDER, "14B"))
    )
    settings = {
        "SHOEBOX_SMALL_MODEL": CHOOSER,
        "SHOEBOX_LARGE_MODEL": FINDER,
        "SHOEBOX_SMALL_NUM_CTX": "4096",
        "SHOEBOX_LARGE_NUM_CTX": "4096",
    }
    with (
        tempfile.TemporaryDirectory(prefix="shoebox-bench-") as name,
        OllamaDouble(models, max_loaded=1) as double,
    ):
        folder = Path(name)
        papers = _papers(folder / "papers", count)
        with house(folder / "house", double, **settings) as at_home:
            begun = time.time()
            at_home.system.run("add", *papers)
            rows = at_home.await_ended(count)
            wall = max(row.finished_at or 0.0 for row in rows) - begun
            return _result(at_home, double, count, wall)


def _result(at_home: House, double: OllamaDouble, count: int, wall: float) -> BenchResult:
    order = at_home.gpu_times()
    units = [unit for _, unit in order]
    workers = {times.worker_pid for times, _ in order}
    shoebox = sum(swaps(unit.model for times, unit in order if times.worker_pid == one) for one in workers)
    document_by_document = swaps(unit.model for unit in sorted(units, key=_by_document))
    stage_by_stage = swaps(unit.model for unit in sorted(units, key=_by_stage))
    scans = len({unit.document for unit in units if unit.stage is Stage.OCR})
    return BenchResult(
        name="swaps",
        figures={
            "documents": count,
            "of them scans": scans,
            "units on the gpu queue": len(units),
            "swaps, Shoebox": shoebox,
            "swaps, documents in order, each through its stages": document_by_document,
            "swaps, first in first out, all documents handed in at once": stage_by_stage,
            "loads of models that the server counted": len(double.loads()),
            "swaps that the workers told of": sum(unit.swaps for unit in units),
            "wall, s": wall,
        },
        ratios={
            "swaps, Shoebox over documents in order": at_most(shoebox / max(1, document_by_document), 0.05)
        },
        notes=[
            "A swap is a unit that needs another model than the unit before it on the gpu queue.",
            "The counts of the others are those of the same units in their order.",
        ],
    )


def swaps(models: Iterable[str]) -> int:
    """How often the next one is another; the first has to be loaded too."""
    wanted = ["", *models]
    return sum(before != after for before, after in pairwise(wanted))


def _by_document(unit: UnitRow) -> tuple[int, int, int]:
    return unit.seq, _STAGES.index(unit.stage), unit.id


def _by_stage(unit: UnitRow) -> tuple[int, int, int]:
    """How a plain queue runs chains that are handed in together: each link goes behind all that wait."""
    return _STAGES.index(unit.stage), unit.seq, unit.id


def _papers(folder: Path, count: int) -> list[Path]:
    """Texts and small scans in turn."""
    texts = write_papers(folder, count, 400)
    for number, path in enumerate(texts):
        if number % 2:
            path.unlink()
            texts[number] = path.with_suffix(".png")
            texts[number].write_bytes(_scan(paper(number, 200)))
    return texts


def _scan(text: str) -> bytes:
    """The first lines of a text as a small picture, which OCR reads in a moment."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (640, 200), 255)
    lines = "\n".join(text.splitlines()[:6])
    ImageDraw.Draw(picture).multiline_text((10, 8), lines, fill=0, font=ImageFont.load_default(22))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
