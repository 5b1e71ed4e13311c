"""Whether the language model can be asked, as far as home knows: the circuit breaker.

Kept in the ledger as a note. A failure of the whole server opens the circuit for a while that doubles each
time, up to a bound; while it is open nothing is sent, and documents get a provisional result. After it one
document is let through; when that succeeds the circuit is closed. A failure that may be only the model's
opens a circuit of that model: what is for others is sent. Nor is a model that the server lacks a failure of
the server.

Every pause ends at once when the models that workers announce change: somebody has just mended something.
"""

import time

from pydantic import Field

from tasks.documents import Failure, Scope, Stage, Value
from tasks.ledger import Ledger
from tasks.recipes import Recipe
from tasks.routing import KnownModels, Route, context_of, missing_words, route, wanted_model
from tasks.settings import Settings

_NOTE = "circuit"
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 120.0
_LONGEST_FREE_PAUSE_SECONDS = 20.0
"""Of a failure that does not count against any document: to try again costs a call, and nothing else."""
_MISSING_SECONDS = 30.0
"""Longer than workers take to notice that their server has lost a model. Then its pause ends."""
FALL_BACK_DOCUMENTS = 50
"""Documents that are given to the offline engine in one tick when the model is away."""
_UPGRADE_DOCUMENTS = 20
"""Documents that are begun again in one tick when the model is back."""


def _is_ahead(until: float, longest: float) -> bool:
    """Whether a pause lasts. One that would last longer than any is of a clock that has been put back."""
    return 0 < until - time.time() <= longest


class Breaker(Value):
    """Whether something can be asked that has failed before."""

    failures: int = 0
    """In a row."""
    paused_until: float = 0.0
    problem: str = ""
    """Of the last failure, in words."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing is to be sent now."""
        return _is_ahead(self.paused_until, _LONGEST_PAUSE_SECONDS)

    def failed(self, problem: str, retry_seconds: float = 0.0, *, is_free: bool = True) -> "Breaker":
        """After a failure.

        Args:
            problem: in words.
            retry_seconds: when the server itself wants to be asked again, if it says so.
            is_free: it does not count against any document.
        """
        if self.is_paused:  # one of several that were under way; it tells nothing new
            return self
        longest = _LONGEST_FREE_PAUSE_SECONDS if is_free else _LONGEST_PAUSE_SECONDS
        pause = retry_seconds or min(_FIRST_PAUSE_SECONDS * 2 ** min(self.failures, 10), longest)
        until = time.time() + min(pause, _LONGEST_PAUSE_SECONDS)
        return Breaker(failures=self.failures + 1, paused_until=until, problem=problem)

    def on_trial(self) -> "Breaker":
        """Without what is left of its pause."""
        return self.model_copy(update={"paused_until": 0.0})


class Circuit(Breaker):
    """What is known about the language model. What it has of a breaker is that of the whole server."""

    known: KnownModels = KnownModels()
    broken: dict[str, Breaker] = Field(default_factory=dict)
    """Models that failed last, though the server answered."""
    missing: dict[str, float] = Field(default_factory=dict)
    """Models that a server said it lacks though a worker announced them; until when they are not asked."""
    was_seen: bool = False
    """Whether there ever was a language model here: then documents wait for its return."""

    @property
    def documents_at_once(self) -> int:
        """How many documents to begin again: one to try, after a failure."""
        return 1 if self.failures else _UPGRADE_DOCUMENTS

    def failed(self, problem: str, retry_seconds: float = 0.0, *, is_free: bool = True) -> "Circuit":
        """After a failure of the whole server."""
        return self.model_copy(update=dict(super().failed(problem, retry_seconds, is_free=is_free)))

    def model_failed(
        self, model: str, problem: str, retry_seconds: float = 0.0, *, is_free: bool = False
    ) -> "Circuit":
        """After a failure that may be that of one model alone."""
        breaker = self.broken.get(model, Breaker()).failed(problem, retry_seconds, is_free=is_free)
        return self.model_copy(update={"broken": {**self.broken, model: breaker}})

    def succeeded(self, model: str = "") -> "Circuit":
        """After a reply of a model."""
        broken = {name: breaker for name, breaker in self.broken.items() if name != model}
        return self.model_copy(update={**dict(Breaker()), "broken": broken, "was_seen": True})

    def seen(self, known: KnownModels) -> "Circuit":
        """After the workers have said which models they reach. A change ends all pauses."""
        if known.names == self.known.names or known.problem:
            return self.model_copy(update={"known": known})
        broken = {name: breaker.on_trial() for name, breaker in self.broken.items()}
        update = {"known": known, "broken": broken, "missing": {}, "paused_until": 0.0}
        return self.model_copy(update=update)

    def lacks(self, model: str) -> "Circuit":
        """After a server said that it has no such model."""
        now = time.time()
        others = {name: until for name, until in self.missing.items() if until > now}
        return self.model_copy(update={"missing": {**others, model: now + _MISSING_SECONDS}})

    def reader(
        self, stage: Stage, settings: Settings, recipe: Recipe | None = None, category: str = ""
    ) -> Route | str:
        """Where a stage's calls go; or why, in words, they cannot be made now."""
        return self.route_to(wanted_model(stage, settings, recipe, category)[0], settings)

    def route_to(self, model: str, settings: Settings) -> Route | str:
        """Where calls to a model go; or why, in words, they cannot be made now."""
        if reason := self.why_none(settings):
            return reason
        if model in self.paused_models:
            breaker = self.broken.get(model)
            return breaker.problem if breaker and breaker.is_paused else missing_words(model)
        return route(self.known, model, context_of(model, settings), settings)

    @property
    def paused_models(self) -> frozenset[str]:
        """The models that nothing is sent to now, as units name them."""
        broken = {model for model, breaker in self.broken.items() if breaker.is_paused}
        missing = {model for model, until in self.missing.items() if _is_ahead(until, _MISSING_SECONDS)}
        return frozenset(broken | missing)

    def is_on_trial(self, model: str) -> bool:
        """Whether calls to a model are tried again after a failure: one document is enough for that."""
        return bool(self.failures) or model in self.broken

    def why_none(self, settings: Settings) -> str:
        """Why no language model at all can be asked now, in words; empty if some can."""
        if settings.engine == "offline":
            return "The settings name the offline engine."
        return self.problem if self.is_paused else self.known.problem

    def is_expected(self, settings: Settings) -> bool:
        """Whether documents should wait for a language model rather than be content with the offline one."""
        return settings.engine not in {"offline", "auto"} or (settings.engine == "auto" and self.was_seen)


def load_circuit(ledger: Ledger) -> Circuit:
    """The circuit as the ledger has it."""
    note = ledger.meta(_NOTE)
    return Circuit.model_validate_json(note) if note else Circuit()


def save_circuit(ledger: Ledger, circuit: Circuit) -> None:
    """Write the circuit down if it has changed."""
    note = circuit.model_dump_json()
    if note != ledger.meta(_NOTE):
        ledger.set_meta(_NOTE, note)


def note_failure(ledger: Ledger, model: str, failure: Failure) -> None:
    """Enter that a call to a model failed: it is missing, or it, or all of its server, does not work."""
    circuit = load_circuit(ledger)
    problem = f"{failure.message} {failure.remedy}".strip()
    if failure.kind == "no model":
        circuit = circuit.lacks(model)
    elif failure.scope is Scope.SERVER:
        circuit = circuit.failed(problem, failure.retry_seconds)
    else:
        is_free = failure.scope is Scope.MODEL
        circuit = circuit.model_failed(model, problem, failure.retry_seconds, is_free=is_free)
    save_circuit(ledger, circuit)
