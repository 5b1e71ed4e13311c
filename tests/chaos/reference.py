"""What an undisturbed reading gives: the same files, one unit after the other, in this process alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redis import Redis

from tasks.circuit import load_circuit, save_circuit
from tasks.documents import Stage, State
from tasks.exchange import Exchange
from tasks.home import Home
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import Order, Outcome
from tasks.routing import KnownModels
from tasks.running import UnitResult
from tasks.settings import Settings
from tasks.stages import extract, ocr, reading
from tasks.units import mark_queued, units_of

Facts = dict[str, Any]
_COLUMNS = (
    *("name", "state", "stage", "message", "page_count", "category", "title", "summary", "party", "date"),
    *("amount", "currency", "engine", "provisional", "read_share", "language"),
)


def facts_of(ledger: Ledger, document: DocumentRow) -> Facts:
    """What was found in a document: all that must be the same whatever happened on its way."""
    facts: Facts = {name: getattr(document, name) for name in _COLUMNS}
    fields = ledger.fields(document.id)
    facts["fields"] = sorted((f.name, f.value, f.quote, f.page, f.status.value) for f in fields)
    facts["pages"] = [(page.number, page.text) for page in ledger.pages(document.id)]
    return facts


class Reference:
    """A home without Redis, workers or anything else that can be struck.

    Args:
        settings: as the system under test has them, with a data directory of its own.
        known: the models that the system's home knows.
    """

    def __init__(self, settings: Settings, known: KnownModels) -> None:
        self._settings = settings
        self._ledger = Ledger.open(settings)
        nowhere = Exchange(Redis(unix_socket_path=str(settings.data_dir / "nowhere"), socket_timeout=1))
        self._home = Home(self._ledger, settings, nowhere)
        with self._ledger.transaction():
            circuit = load_circuit(self._ledger).model_copy(update={"known": known, "was_seen": True})
            save_circuit(self._ledger, circuit)

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def read(self, paths: Iterable[Path]) -> dict[str, Facts]:
        """Read files; returns what was found, by content hash."""
        found = {}
        for path in paths:
            document = self._home.pipeline.submit(path, self._settings.recipe, urgent=False).document
            while unit := next(
                (u for u in units_of(self._ledger, document.id) if u.state is State.WAITING), None
            ):
                with self._ledger.transaction():
                    out = mark_queued(self._ledger, unit.id)
                order = self._home.dispatcher._order(out)
                done = self._do(order)
                outcome = Outcome(issue=order.issue, result=done.result, calls=done.calls)
                self._home.pipeline.record(unit.id, outcome)
            row = self._ledger.document(document.id)
            assert row is not None
            found[row.sha256] = facts_of(self._ledger, row)
        return found

    def _do(self, order: Order) -> UnitResult:
        if order.stage is Stage.EXTRACT:
            return UnitResult(extract.extract(order, self._settings).model_dump(mode="json"))
        if order.stage is Stage.OCR:
            return ocr.read_pages(order, ocr.render(order, self._settings), self._settings)
        payload = self._home.reading_payload(order)
        return reading.read(order, payload, self._settings, lambda _: None, lambda: False)
