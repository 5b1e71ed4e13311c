"""How search by meaning is, in words."""

from dataclasses import dataclass

from tasks.circuit import load_circuit
from tasks.errors import ServiceError
from tasks.ledger import Ledger
from tasks.meaning.keeper import load_trouble
from tasks.meaning.models import embedding_model
from tasks.meaning.store import VectorStore
from tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is."""

    model: str
    """Empty: there is none."""
    indexed: int
    """Pages that are searched by meaning."""
    pages: int
    """Pages there are."""
    problem: str
    """Why there is no model, or why making vectors failed last."""

    @property
    def words(self) -> str:
        """In a line."""
        if not self.model:
            return f"off. {self.problem}"
        trouble = f" Tried again later: {self.problem}" if self.problem else ""
        return f"{self.model}, {self.indexed:,} of {self.pages:,} pages indexed.{trouble}"


def standing(settings: Settings, ledger: Ledger) -> Standing:
    """How search by meaning is.

    Raises:
        ServiceError: the file of vectors cannot be used.
    """
    known = load_circuit(ledger).known
    pages = int(ledger.db.execute("SELECT count(*) FROM pages").fetchone()[0])
    if not settings.vectors_path.exists():
        model = embedding_model(known, settings)
        if isinstance(model, str):
            return Standing("", 0, pages, model)
        return Standing(model.model, 0, pages, "")
    with VectorStore.open(settings) as store:
        spaces = store.spaces()
        model = embedding_model(known, settings, spaces[-1].model if spaces else "")
        if isinstance(model, str):
            return Standing("", 0, pages, model)
        indexed = store.pages_with_vectors(spaces[-1]) if spaces else 0
        return Standing(model.model, min(indexed, pages), pages, load_trouble(store).problem)


def standing_line(settings: Settings) -> str:
    """How search by meaning is, in a line; makes no file that is not there."""
    if not settings.ledger_path.exists():
        return "no documents yet."
    with Ledger.open(settings) as ledger:
        try:
            return standing(settings, ledger).words
        except ServiceError as error:
            return f"off. {error}"
