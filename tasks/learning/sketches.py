"""What a document looks like, small enough to compare one with thousands of others.

A sketch is made of the smallest hashes of the pairs of words that follow each other: the share that two
sketches have in common estimates the share that the documents have (Bar-Yossef et al. 2002, "bottom-k").
Letters from one sender share letterhead, footer and labels, so they share many pairs; others share few.
"""

import json
import re
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise

from tasks.documents import DocumentText
from tasks.ledger import DocumentRow, Ledger
from tasks.planning import document_text

_SIZE = 256
"""Hashes of a sketch: the estimate is off by 6 % at most of the time (1 over the root of the size)."""
_FIRST_CHARS, _LAST_CHARS = 6_000, 2_000
"""What makes documents alike stands at their beginning and their end."""
_MOST_MADE = 200
"""Sketches made in one go; a millisecond each."""
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


def sketches(ledger: Ledger, documents: Sequence[DocumentRow]) -> dict[str, bytes]:
    """The sketches of documents by their ids. Of some that were read before there were any, they are made."""
    rows = ledger.db.execute(
        "SELECT document, sketch FROM sketches WHERE document IN (SELECT value FROM json_each(?))",
        (json.dumps([document.id for document in documents]),),
    )
    found = {row["document"]: bytes(row["sketch"]) for row in rows}
    for document in islice((one for one in documents if one.id not in found), _MOST_MADE):
        found[document.id] = put_sketch(ledger, document.id, document_text(ledger, document))
    return found


def _hashes(sketch: bytes) -> Iterable[int]:
    values = array("I")
    if values.itemsize != 4:  # C leaves it open
        return [int.from_bytes(sketch[at : at + 4], "little") for at in range(0, len(sketch), 4)]
    values.frombytes(sketch[: len(sketch) // 4 * 4])
    return values
