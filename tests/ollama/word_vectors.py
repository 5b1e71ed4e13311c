"""Vectors made from words, where those of a random model would mean nothing.

Each word counts in a place of its own, given by a hash; the words of a group in `SAME` share one, so that a
text is near to another that says the same in other words, and a test can tell which must be found.
"""

import hashlib
import math
import re

LENGTH = 512
SAME = (
    ("car", "automobile", "vehicle"),
    ("landlord", "lessor", "vermieter"),
    ("doctor", "physician", "arzt"),
    ("holiday", "vacation", "urlaub"),
)
_FIRST = {word: group[0] for group in SAME for word in group}


def word_vector(text: str) -> list[float]:
    """A vector of length 1; the same for the same words in any order."""
    counts = [0.0] * LENGTH
    for word in re.findall(r"\w+", text.casefold()):
        counts[_place(_FIRST.get(word, word))] += 1
    length = math.hypot(*counts)
    return [count / length for count in counts] if length else [1.0, *counts[1:]]


def _place(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % LENGTH
