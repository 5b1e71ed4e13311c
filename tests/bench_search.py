"""How quick a search is in 100,000 pages: `python -m tests.bench_search`."""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tasks.documents import Page, State, TextSource
from tasks.ledger import Ledger
from tasks.search import parse_query, search
from tasks.settings import Settings

PAGES = range(1, 11)
WORDS_PER_PAGE = 250
VOCABULARY = 50_000


def make_words(chance: random.Random) -> list[str]:
    """Words, the most frequent first and the shortest among them, as in a language."""
    lengths = (min(3 + rank // 400, 12) for rank in range(VOCABULARY))
    return ["".join(chance.choices("etaoinshrdlcumwfgypbvk", k=length)) for length in lengths]


def queries(words: list[str]) -> dict[str, str]:
    """What is looked for, by what it stands for."""
    return {
        "a rare word": words[-1],
        "a word of nearly every page": words[0],
        "three usual words": " ".join(words[20:23]),
        "the beginning of a word": words[30_000][:6],
        "a phrase": f'"{words[1]} {words[2]}"',
        "a word, a category, three months": f"{words[40]} category:invoice date:2026-01..2026-03",
        "a word, one month": f"{words[40]} date:2026-03",
        "an amount alone": "amount:>9900",
    }


def make_page(chance: random.Random, words: list[str], weights: list[float], number: int) -> Page:
    text = " ".join(chance.choices(words, weights, k=WORDS_PER_PAGE))
    return Page(number=number, text=text, source=TextSource.LAYER, score=1.0)


def fill(ledger: Ledger, documents: int, words: list[str]) -> None:
    """Documents of words whose frequency falls as that of a language does."""
    chance = random.Random(5)
    weights = [1 / (rank + 1) for rank in range(len(words))]
    with ledger.transaction():
        for number in range(documents):
            path = Path(__file__)
            row = ledger.insert_document(
                f"{number:064x}"[::-1], f"{number}.pdf", path, path.stat(), "builtin", urgent=False
            )
            ledger.put_pages(row.id, [make_page(chance, words, weights, at) for at in PAGES])
            ledger.update_document(
                row.id,
                state=State.DONE,
                category=chance.choice(("invoice", "letter")),
                date=f"2026-{chance.randrange(1, 13):02}-10",
                amount=str(chance.randrange(10_000)),
            )


def main() -> None:
    """See the module."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Settings(data_dir=Path(folder))) as ledger:
        begin = time.monotonic()
        words = make_words(random.Random(3))
        fill(ledger, pages // len(PAGES), words)
        seconds = time.monotonic() - begin
        size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        print(f"{pages:,} pages of {WORDS_PER_PAGE} words: {seconds:.0f} s to enter, {size:.0f} MB")
        for name, text in queries(words).items():
            measure(ledger, name, text)


def measure(ledger: Ledger, name: str, text: str) -> None:
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        hits = search(ledger, parse_query(text))
        times.append((time.perf_counter() - begin) * 1000)
    middle, worst = statistics.median(times), max(times)
    print(f"{name:<36} {middle:6.1f} ms, worst {worst:6.1f} ms, {len(hits)} documents")


if __name__ == "__main__":
    main()
