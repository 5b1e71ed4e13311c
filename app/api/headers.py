"""Headers that several routes read."""

import re
from typing import Annotated

from fastapi import Header, Path, Query

MOST_WAIT_SECONDS = 60.0

DocumentId = Annotated[str, Path(description="Its id.", max_length=64, examples=["9f2c4e1a"])]
Cursor = Annotated[int | None, Query(description="`next` of the page before.", ge=0, le=2**62)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key again, within a day: the first answer again, nothing is done twice.",
    ),
]
Prefer = Annotated[
    str | None,
    Header(description="`wait=N`: answer when it is known, after N seconds (60 at most) in any case."),
]


def wait_seconds(prefer: str | None) -> float:
    """How long a client likes to wait (RFC 7240); 0 if it does not say."""
    wanted = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", prefer or "", re.IGNORECASE)
    return min(float(wanted[1]), MOST_WAIT_SECONDS) if wanted else 0.0
