"""What a document looks like, small enough to compare one with thousands of others.

A sketch is made of the smallest hashes of the pairs of words that follow each other: the share that two
sketches have in common estimates the share that the documents have (Bar-Yossef et al. 2002, "bottom-k").
Letters from one sender share letterhead, footer and labels, so they share many pairs; others share few.
"""

import re
import zlib
from array import array
from collections.abc import Iterable
from itertools import pairwise

from tasks.documents import DocumentText
from tasks.ledger import Ledger

_SIZE = 256
"""Hashes of a sketch: the estimate is off by 6 % at most of the time (1 over the root of the size)."""
_FIRST_CHARS, _LAST_CHARS = 6_000, 2_000
"""What makes documents alike stands at their beginning and their end."""
_WORD = re.compile(r"[^\W\d_]{2,40}")


def make_sketch(document: DocumentText) -> bytes:
    """The sketch of a document: up to 256 hashes of 4 bytes, the smallest first, little-endian."""
    if not document.pages:
        return b""
    words = _WORD.findall(document.pages[0].text[:_FIRST_CHARS].casefold())
    if len(document.pages) > 1:
        words += _WORD.findall(document.pages[-1].text[-_LAST_CHARS:].casefold())
    hashes = {zlib.crc32(f"{one} {other}".encode("utf-8", "replace")) for one, other in pairwise(words)}
    return b"".join(value.to_bytes(4, "little") for value in sorted(hashes)[:_SIZE])


def similarity(one: bytes, other: bytes) -> float:
    """How much two documents look the same, 0 to 1."""
    left, right = set(_hashes(one)), set(_hashes(other))
    if not left or not right:
        return 0.0
    union = sorted(left | right)[:_SIZE]
    return len(left.intersection(right, union)) / len(union)


def put_sketch(ledger: Ledger, document: str, text: DocumentText) -> bytes:
    """Keep the sketch of a document."""
    sketch = make_sketch(text)
    ledger.db.execute("INSERT OR REPLACE INTO sketches VALUES (?, ?)", (document, sketch))
    return sketch


def sketches(ledger: Ledger, documents: Iterable[str]) -> dict[str, bytes]:
    """The sketches of documents that have one."""
    found = {}
    for document in documents:
        row = ledger.db.execute("SELECT sketch FROM sketches WHERE document = ?", (document,)).fetchone()
        if row is not None:
            found[document] = bytes(row["sketch"])
    return found


def _hashes(sketch: bytes) -> Iterable[int]:
    values = array("I")
    if values.itemsize != 4:  # C leaves it open
        return [int.from_bytes(sketch[at : at + 4], "little") for at in range(0, len(sketch), 4)]
    values.frombytes(sketch[: len(sketch) // 4 * 4])
    return values
