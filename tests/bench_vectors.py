"""How quick hybrid search is in 100,000 pages: `python -m tests.bench_vectors [PAGES]`.

The vectors are random, of 768 numbers, as those of usual embedding models; a query is near to some page. The
time to make a query's vector is the model's and is not in the figures.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.ledger import Ledger
from tasks.meaning.asking import QueryVector
from tasks.meaning.hybrid import find_by_meaning, search_at_once
from tasks.meaning.indexing import look_for_changes
from tasks.meaning.store import Space, VectorStore
from tasks.search import find_documents
from tasks.settings import Settings
from tests.bench_search import PAGES, fill, make_words

DIMENSIONS = 768
CENTRES = 2_000
RUNS = 9


def main() -> None:
    """See the module."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        words = make_words(random.Random(3))
        with Ledger.open(settings) as ledger, VectorStore.open(settings) as store:
            fill(ledger, pages // len(PAGES), words)
            ledger.db.execute("UPDATE documents SET finished_at = seq")
            space, vectors = put_all(ledger, store)
            size = settings.vectors_path.stat().st_size / 1e6
            print(f"{pages:,} pages, {len(vectors):,} chunks of {DIMENSIONS} numbers, {size:.0f} MB")
            print(
                f"nearest of the scan among the 20 really nearest: {share_found(store, space, vectors):.0%}"
            )
        measure_all(settings, words, space, vectors)


def put_all(ledger: Ledger, store: VectorStore) -> tuple[Space, "np.ndarray"]:
    """Cut all pages, and give each chunk a vector around one of some centres."""
    begin = time.monotonic()
    with store.transaction():
        space = store.give_dimensions(store.space("bench", "1"), DIMENSIONS)
    look_for_changes(ledger, store, space)
    print(f"{time.monotonic() - begin:.0f} s to cut all pages")
    chunks = [row[0] for row in store.db.execute("SELECT id FROM chunks ORDER BY id")]
    chance = np.random.default_rng(7)
    centres = chance.standard_normal((CENTRES, DIMENSIONS), dtype=np.float32)
    vectors = centres[chance.integers(CENTRES, size=len(chunks))]
    vectors += 0.7 * chance.standard_normal(vectors.shape, dtype=np.float32)
    begin = time.monotonic()
    with store.transaction():
        for chunk, vector in zip(chunks, vectors, strict=True):
            store.put_vector(space, chunk, vector.tolist())
    print(f"{len(chunks) / (time.monotonic() - begin):,.0f} vectors entered a second")
    return space, vectors


def share_found(store: VectorStore, space: Space, vectors: "np.ndarray") -> float:
    """How many of the 20 nearest by full numbers are among the 20 that are found."""
    lengths = np.linalg.norm(vectors, axis=1)
    order = [
        (row[0], row[1], row[2]) for row in store.db.execute("SELECT document, number, start FROM chunks")
    ]
    shares = []
    for number in range(0, len(vectors), len(vectors) // 10):
        wanted = near(vectors, number)
        best = np.argsort(-(vectors @ wanted) / lengths)[:20]
        found = store.nearest(space, wanted.tolist(), 20)
        shares.append(len({order[one] for one in best} & {(o.document, o.page, o.start) for o in found}) / 20)
    return statistics.mean(shares)


def near(vectors: "np.ndarray", number: int) -> "np.ndarray":
    """A query that is near to a chunk, as far from it as others of its centre are."""
    chance = np.random.default_rng(number)
    return vectors[number] + 0.7 * chance.standard_normal(DIMENSIONS, dtype=np.float32)


def measure_all(settings: Settings, words: list[str], space: Space, vectors: "np.ndarray") -> None:
    """Print how long queries take by the clock (and of the processor), with opening both files."""
    asked = QueryVector(space.id, tuple(near(vectors, 11).tolist()))
    queries = {
        "a rare word": words[-1],
        "a word of nearly every page": words[0],
        "three usual words": " ".join(words[20:23]),
        "a word, half of the documents": f"{words[40]} category:invoice",
        "a word, one month": f"{words[40]} date:2026-02",
        "a word without another": f"{words[40]} -{words[50]}",
    }
    for name, text in queries.items():
        by_words, by_meaning, both = (
            measure(settings, run)
            for run in (
                lambda ledger, text=text: find_documents(ledger, text, 50),
                lambda ledger, text=text: find_by_meaning(settings, ledger, text, asked),
                lambda ledger, text=text: search_at_once(settings, ledger, text, 50, lambda _: asked),
            )
        )
        parts = (("words", by_words), ("meaning", by_meaning), ("both", both))
        figures = ", ".join(f"{what} {clock:.0f} ({cpu:.0f}) ms" for what, (clock, cpu) in parts)
        print(f"{name:<32} {figures}", flush=True)


def measure(settings: Settings, run: Callable[[Ledger], object]) -> tuple[float, float]:
    """The middle of some runs in milliseconds: by the clock, and of processor time."""
    times = []
    for _ in range(RUNS):
        clock, processor = time.perf_counter(), time.process_time()
        with Ledger.open(settings) as ledger:
            run(ledger)
        times.append((1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - processor)))
    return statistics.median(one for one, _ in times), statistics.median(one for _, one in times)


if __name__ == "__main__":
    main()
