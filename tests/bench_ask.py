"""How quickly it is found what to read for a question in 100,000 pages: `python -m tests.bench_ask`."""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tasks.asking.retrieval import passages
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.bench_search import PAGES, fill, make_words

BUDGET = 16_000


def main() -> None:
    """See the module."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Settings(data_dir=Path(folder))) as ledger:
        words = make_words(random.Random(3))
        fill(ledger, pages // len(PAGES), words)
        questions = {
            "a rare word": words[-1:],
            "three usual words": words[20:23],
            "three words of nearly every page": words[:3],
            "eight words of all kinds": [*words[:2], *words[200:203], *words[5_000:5_003]],
        }
        for name, question in questions.items():
            times = []
            for _ in range(9):
                begin = time.perf_counter()
                found = passages(ledger, " ".join(question), (), BUDGET)
                times.append((time.perf_counter() - begin) * 1000)
            middle, worst = statistics.median(times), max(times)
            print(f"{name:<36} {middle:6.1f} ms, worst {worst:6.1f} ms, {len(found)} passages")


if __name__ == "__main__":
    main()
