"""Documents that wait for a language model: which one, why they wait, and which can be begun again.

With a model for each stage and category, one that is missing must hold up only what is for it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.circuit import Circuit
from tasks.documents import Stage, State
from tasks.engines import OFFLINE
from tasks.errors import ConfigError
from tasks.ledger import Ledger
from tasks.recipes import Recipe, load_recipe
from tasks.routing import same_model, wanted_model
from tasks.said import CATEGORY
from tasks.settings import Settings
from tasks.units import MAX_MODEL_FAILURES

_IS_LLM = f"(stage IN ('classify', 'analyse') AND model != '{OFFLINE}')"
_COLUMNS = (
    "recipe, category,"
    " coalesce((SELECT model FROM units u WHERE u.document = d.id AND u.stage = 'classify'"
    "  AND u.state = 'done' ORDER BY u.id DESC LIMIT 1), ''),"
    f" coalesce((SELECT new FROM corrections c WHERE c.document = d.id AND c.field = '{CATEGORY}'"
    "  ORDER BY c.id DESC LIMIT 1), '')"
)
"""Of documents `d`, in the order of `Provisional`."""
_IS_OPEN = (
    f"provisional AND state IN ('waiting', 'done', 'review') AND model_failures < {MAX_MODEL_FAILURES}"
    " AND NOT EXISTS (SELECT 1 FROM units u WHERE u.document = documents.id"
    f" AND (u.state IN ('waiting', 'queued', 'running') OR (u.failure != '' AND {_IS_LLM})))"
)
"""Whether a document could be begun again, as far as it goes by what was."""


@dataclass(frozen=True, slots=True)
class Provisional:
    """A document with a provisional result, as far as it says which model would read it."""

    recipe: str
    category: str
    classified_by: str
    """`offline`, or the model; empty if nobody has."""
    given: str
    """The category that a person gave; empty if none did."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What to do about the documents with a provisional result."""

    to_begin: tuple[str, ...]
    """Ids of those that can be begun again, the first to begin first."""
    to_tell: dict[str, list[str]]
    """Ids of those that wait and say otherwise, by why they do."""


class Reasons:
    """Why documents cannot be read by their models now. Each kind of document is looked at once."""

    def __init__(self, circuit: Circuit, settings: Settings) -> None:
        self._circuit = circuit
        self._settings = settings
        self._known: dict[tuple[str, ...], str] = {}
        self._trials: dict[tuple[str, ...], set[str]] = {}
        self._on_trial: set[str] = set()
        """Of the kind that is looked at."""

    def why(self, *kind: str) -> str:
        """Why reading such a document again would bring nothing better, in words; empty if it would.

        `kind` holds the values of a `Provisional`; thousands of documents are of a few kinds.
        """
        if kind not in self._known:
            self._on_trial = self._trials[kind] = set()
            why_none = self._circuit.why_none(self._settings)
            self._known[kind] = why_none or self._why(Provisional(*kind))
        return self._known[kind]

    def trials(self, *kind: str) -> set[str]:
        """The models that reading such a document would try again after they failed."""
        self.why(*kind)
        return self._trials[kind]

    def _why(self, document: Provisional) -> str:
        try:
            recipe = load_recipe(document.recipe, self._settings.recipes_path)
        except ConfigError:  # beginning it says so
            return ""
        if document.given in recipe.category_names:
            return self._reader(Stage.ANALYSE, recipe, document.given)
        if why := self._reader(Stage.CLASSIFY, recipe):
            return why
        own = self._reader(Stage.ANALYSE, recipe, document.category)
        classifier, _ = wanted_model(Stage.CLASSIFY, self._settings, recipe)
        if same_model(document.classified_by, classifier):
            return own  # it would find the same category again
        readers = (self._reader(Stage.ANALYSE, recipe, category) for category in recipe.category_names)
        return own if all(readers) else ""

    def _reader(self, stage: Stage, recipe: Recipe, category: str = "") -> str:
        route = self._circuit.reader(stage, self._settings, recipe, category)
        if isinstance(route, str):
            return route
        if self._circuit.is_on_trial(route.model):
            self._on_trial.add(route.model)
        return ""


def documents_held_back(ledger: Ledger, circuit: Circuit, settings: Settings, count: int) -> list[str]:
    """Documents whose units all wait and are for language models that cannot be asked, the oldest first."""
    rows = ledger.db.execute(f"SELECT DISTINCT model FROM units WHERE state = 'waiting' AND {_IS_LLM}")
    models = [row["model"] for row in rows if isinstance(circuit.route_to(row["model"], settings), str)]
    if not models:
        return []
    rows = ledger.db.execute(  # the names in it are ours
        "SELECT document FROM units WHERE state IN ('waiting', 'queued', 'running') GROUP BY document"
        f" HAVING sum(NOT {_IS_LLM} OR state != 'waiting'"
        "  OR model NOT IN (SELECT value FROM json_each(?))) = 0 ORDER BY min(seq) LIMIT ?",
        (json.dumps(models), count),
    )
    return [row["document"] for row in rows]


def look_at_waiting(ledger: Ledger, circuit: Circuit, settings: Settings, count: int) -> Waiting:
    """What to do about documents with a provisional result that a language model has not given up on.

    Those that brought no server down come first, so that one that always does cannot hold up the others. A
    model that failed last is tried with one document at a time.
    Those whose model is missing are passed over: they hold up nobody, however many they are. With 10,000 of
    them it takes about 100 ms (two cores of 2026), and needs no lock.
    """
    rows = ledger.db.execute(
        # The limit keeps SQLite from looking at units and corrections of documents that are not come to.
        f"SELECT id, state, message, {_COLUMNS} FROM (SELECT * FROM documents WHERE {_IS_OPEN}"
        " ORDER BY model_failures, urgent DESC, seq LIMIT -1) AS d"
    )
    reasons = Reasons(circuit, settings)
    tried = _models_out(ledger)
    to_begin: list[str] = []
    to_tell: dict[str, list[str]] = {}
    for document, state, message, *kind in rows:
        if why := reasons.why(*kind):
            if state == State.WAITING and message not in {"", waiting_words(why)}:
                to_tell.setdefault(why, []).append(document)
        elif len(to_begin) >= count:
            break
        elif tried.isdisjoint(trials := reasons.trials(*kind)):
            to_begin.append(document)
            tried |= trials
    return Waiting(tuple(to_begin), to_tell)


def _models_out(ledger: Ledger) -> set[str]:
    """The language models that units which have not ended are for."""
    out = f"SELECT DISTINCT model FROM units WHERE state IN ('waiting', 'queued', 'running') AND {_IS_LLM}"
    return {row["model"] for row in ledger.db.execute(out)}


def still_open(ledger: Ledger, documents: Iterable[str]) -> list[str]:
    """Those of the documents that can still be begun again, in the same order: much may have happened."""
    wanted = list(documents)
    rows = ledger.db.execute(
        f"SELECT id FROM documents WHERE id IN (SELECT value FROM json_each(?)) AND {_IS_OPEN}",
        (json.dumps(wanted),),
    )
    found = {row["id"] for row in rows}
    return [document for document in wanted if document in found]


def why_it_waits(ledger: Ledger, circuit: Circuit, settings: Settings, document: str) -> str:
    """Why a document with a provisional result has to wait for its model, in words."""
    kind = ledger.db.execute(f"SELECT {_COLUMNS} FROM documents d WHERE id = ?", (document,)).fetchone()
    return Reasons(circuit, settings).why(*kind) or "It is back."


def tell_why(ledger: Ledger, why: str, documents: Iterable[str] | None = None) -> None:
    """Say of documents that wait for a model why they do: of those with these ids, or of all."""
    chosen = "" if documents is None else " AND id IN (SELECT value FROM json_each(?))"
    ids = () if documents is None else (json.dumps(list(documents)),)
    words = waiting_words(why)
    ledger.db.execute(
        "UPDATE documents SET message = ?"
        f" WHERE provisional AND state = ? AND message NOT IN ('', ?){chosen}",
        (words, State.WAITING, words, *ids),
    )


def waiting_words(problem: str) -> str:
    """What is said of a document that has a provisional result and waits for a better one."""
    return f"Waiting for the language model; what is shown is provisional. {problem}"
