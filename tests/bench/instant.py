"""Documents a second of the whole pipeline with a model that answers at once, and what each unit costs."""

import tempfile
from pathlib import Path

from tests.bench.house import house, one_model
from tests.bench.overhead import CHARACTERS, measure_batch
from tests.bench.papers import write_papers
from tests.bench.result import BenchResult
from tests.ollama import ModelSpec, OllamaDouble

MODEL = "instant:8b"
INSTANT = ModelSpec(MODEL, parameter_size="8.2B", context_length=32768, scripted=True, layers=1)
DOCUMENTS = 150


def run(scale: float) -> BenchResult:
    """One batch."""
    result = BenchResult(name="instant")
    with tempfile.TemporaryDirectory(prefix="shoebox-bench-") as name, OllamaDouble((INSTANT,)) as double:
        folder = Path(name)
        papers = write_papers(folder / "papers", max(5, round(DOCUMENTS * scale)), CHARACTERS)
        with house(folder / "house", double, **one_model(MODEL, 4096)) as at_home:
            measure_batch(result, at_home, papers)
        calls = [call for call in double.settled("/api/chat") if call.ended]
    spent = sum((call.ended or 0.0) - call.started for call in calls)
    result.figures["the model server, ms a call"] = spent * 1000 / max(1, len(calls))
    return result
