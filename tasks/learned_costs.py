"""What units cost beside their work, learned from those before: page images in Redis, loading models."""

from tasks.ledger import Ledger

_SWAP_SECONDS = 5.0
"""What loading a model takes, until it was measured."""
_PAGE_BYTES = 1_000_000
"""What a page image takes, until there was one: an A4 page at 200 dpi has 0.2 to 3 MB as PNG."""


def page_bytes(ledger: Ledger) -> int:
    """What a page image takes up in Redis, by those that were drawn lately."""
    return int(float(ledger.meta("bytes of a page image") or _PAGE_BYTES))


def note_payload(ledger: Ledger, unit: int, pages: int, size: int) -> None:
    """Enter what a unit's payload really takes up, and learn from it."""
    with ledger.transaction():
        ledger.db.execute("UPDATE units SET payload_bytes = ? WHERE id = ?", (size, unit))
        learned = 0.8 * page_bytes(ledger) + 0.2 * size / max(1, pages)
        ledger.set_meta("bytes of a page image", f"{learned:.0f}")


def swap_seconds(ledger: Ledger, worker: str) -> float:
    """What loading a model takes on a worker, by the last ones."""
    return float(ledger.meta(_swap_key(worker)) or _SWAP_SECONDS)


def learn_swap(ledger: Ledger, worker: str, seconds: float) -> None:
    """Note what loading a model took."""
    learned = 0.5 * swap_seconds(ledger, worker) + 0.5 * seconds
    ledger.set_meta(_swap_key(worker), f"{learned:.3f}")


def _swap_key(worker: str) -> str:
    return f"swap seconds on {worker}"
