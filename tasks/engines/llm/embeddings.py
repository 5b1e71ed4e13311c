"""Vectors as a server sends them: checked before anybody calculates with them."""

import math
from collections.abc import Sequence

from tasks.engines.llm.base import Vector
from tasks.engines.llm.failures import Failures


def checked_vectors(found: Sequence[Sequence[float]], texts: int, failures: Failures) -> tuple[Vector, ...]:
    """The vectors of so many texts.

    Raises:
        LlmError: of kind BAD_REPLY: there are more or fewer, they differ in length, or one has no direction.
    """
    if len(found) != texts:
        raise failures.bad_reply(f"it made {len(found)} vectors of {texts} texts")
    if len({len(vector) for vector in found}) > 1:
        raise failures.bad_reply("its vectors differ in length")
    if not all(any(vector) and all(map(math.isfinite, vector)) for vector in found):
        raise failures.bad_reply("a vector is empty, zero or not of numbers")
    return tuple(map(tuple, found))
