"""Which waiting unit goes to which worker.

A worker is given, in this order: what is urgent; what belongs to the document that it was given last, whose
beginning its model still has in its cache; other units for the model whose turn it is (see `tasks.turns`),
those of the oldest document first. It is never given what it cannot run.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from tasks.capability import is_light, light, runnable
from tasks.circuit import load_circuit
from tasks.documents import Stage, Value
from tasks.errors import ConfigError
from tasks.learned_costs import page_bytes, swap_seconds
from tasks.ledger import Ledger
from tasks.orders import Presence, image_pages
from tasks.planning import CPU_QUEUE, GPU_QUEUE
from tasks.recipes import BUILTIN, load_recipe
from tasks.routing import Route
from tasks.settings import Settings
from tasks.turns import Board, next_model
from tasks.units import UnitRow, mark_queued, next_waiting, outstanding, waiting_models

SHARED_QUEUES = (CPU_QUEUE, GPU_QUEUE)
_URGENT_EXTRA = 1
"""Units for each slot that may be out beyond the window, so that urgent ones need not wait for room."""


class _Given(Value):
    """What a worker was given last by this home."""

    document: str
    model: str


class Assigner:
    """Hands waiting units to the workers that are up. Under the ledger's write lock."""

    def __init__(self, ledger: Ledger, settings: Settings, workers: Sequence[Presence], board: Board) -> None:
        self._ledger = ledger
        self._settings = settings
        self._workers = workers
        self._board = board
        self._circuit = load_circuit(ledger)
        self._with_llm = not self._circuit.is_paused
        out = outstanding(ledger)
        self._load = Counter(unit.target for unit in out)
        self._followed = {unit.target for unit in out if self.is_followed(unit)}
        """Workers whose document will soon have another unit for the same model."""
        self._payload_bytes = sum(unit.payload_bytes for unit in out)

    def assign(self) -> list[UnitRow]:
        """Fill the windows of all workers; the units are marked as queued, with their targets."""
        taken: list[UnitRow] = []
        for queue in SHARED_QUEUES:
            serving = [worker for worker in self._workers if queue in worker.queues]
            taken += self._take_all_urgent(queue, serving)
            # Everybody has something to do before anybody has something to wait for.
            for level in range(1, self._settings.window_per_slot + 1):
                for worker in self._idlest_first(serving):
                    if level > 1 and worker.worker in self._followed:
                        continue
                    room = worker.slots * level - self._load[worker.worker]
                    taken += self._take(queue, worker, room)
        return taken

    def is_followed(self, unit: UnitRow) -> bool:
        """Whether the same model will read the document once more when this unit has ended.

        Nothing is queued behind such a unit: another document in between would cost the model's cache of this
        one, that is, reading it again. That takes far longer than home needs to plan what follows.
        """
        if unit.stage is not Stage.CLASSIFY or not unit.is_llm:
            return False
        document = self._ledger.document(unit.document)
        try:
            recipe = load_recipe(document.recipe if document else BUILTIN, self._settings.recipes_path)
        except ConfigError:  # said when the unit's result is entered
            return False
        following = self._circuit.reader(Stage.ANALYSE, self._settings, recipe)
        return isinstance(following, Route) and (following.model, following.queue) == (unit.model, unit.queue)

    def _idlest_first(self, workers: Iterable[Presence]) -> list[Presence]:
        return sorted(workers, key=lambda one: self._load[one.worker] / max(1, one.slots))

    def _take_all_urgent(self, queue: str, workers: Sequence[Presence]) -> list[UnitRow]:
        """What is urgent: first to who has read the document's beginning, then to who has least to do."""
        taken: list[UnitRow] = []
        if not next_waiting(self._ledger, queue, 1, with_llm=self._with_llm, urgent=True):
            return taken
        for worker in workers:
            if given := self._given(worker):
                taken += self._take_urgent(queue, worker, 1, given.document)
        for level in range(1, self._settings.window_per_slot + _URGENT_EXTRA + 1):
            for worker in self._idlest_first(workers):
                taken += self._take_urgent(queue, worker, level)
        return taken

    def _take_urgent(
        self, queue: str, worker: Presence, level: int, document: str | None = None
    ) -> list[UnitRow]:
        room = worker.slots * level - self._load[worker.worker]
        if room <= 0:
            return []
        found = next_waiting(
            self._ledger,
            queue,
            room,
            with_llm=self._with_llm,
            models=self._runnable(worker),
            urgent=True,
            document=document,
        )
        return self._hand_out(worker, found)

    def _runnable(self, worker: Presence) -> frozenset[str]:
        """What a worker can run, but for models that are not to be asked now: what is for them falls back."""
        return runnable(worker) - self._circuit.paused_models

    def _take(self, queue: str, worker: Presence, room: int) -> list[UnitRow]:
        taken: list[UnitRow] = []
        blocked: set[str] = set()
        while room > 0:
            model = self._model(queue, worker, blocked)
            found = self._find(queue, worker, model, room)
            handed = self._hand_out(worker, found)
            if not found:  # nothing is waited for, or it is the turn of another home's model
                break
            if not handed:  # Redis has no room for its page images at present
                blocked.add(model)
            taken += handed
            room -= len(handed)
        return taken

    def _find(self, queue: str, worker: Presence, model: str, room: int) -> list[UnitRow]:
        """Units for a model, and such that need none: those of the last document first."""
        models = {model, *light(worker)} - {""}
        given = self._given(worker)
        chosen: dict[int, UnitRow] = {}
        for document in (given.document, None) if given else (None,):
            found = next_waiting(
                self._ledger,
                queue,
                room,
                with_llm=self._with_llm,
                models=models,
                urgent=False,
                document=document,
            )
            chosen.update((unit.id, unit) for unit in found)
        return list(chosen.values())[:room]

    def _model(self, queue: str, worker: Presence, blocked: Collection[str]) -> str:
        """The model that the worker should run next; empty if none that it can run is waited for."""
        wanted = self._board.wanted_by_others(self._ledger.home, queue)
        for model, since in waiting_models(self._ledger, queue, with_llm=self._with_llm).items():
            wanted[model] = min(since, wanted.get(model, since))
        possible = self._runnable(worker) - light(worker) - set(blocked)
        peers = [one for one in self._workers if one != worker and queue in one.queues]
        return next_model(
            self._current(worker),
            {model: since for model, since in wanted.items() if model in possible},
            is_over=self._turn_is_over(worker),
            elsewhere=[self._current(peer) for peer in peers],
        )

    def _turn_is_over(self, worker: Presence) -> bool:
        turn = self._board.turns.get(worker.worker)
        if turn is None or turn.model != self._current(worker):
            return False
        seconds = swap_seconds(self._ledger, worker.worker)
        return turn.is_over(self._board.now, seconds, self._settings.turn_seconds)

    def _current(self, worker: Presence) -> str:
        """What the worker runs, or will have run when it has done what this home gave it."""
        given = self._given(worker)
        if given and given.model and self._load[worker.worker]:
            return given.model
        turn = self._board.turns.get(worker.worker)
        return turn.model if turn else ""

    def _given(self, worker: Presence) -> _Given | None:
        note = self._ledger.meta(_given_key(worker.worker))
        return _Given.model_validate_json(note) if note else None

    def _hand_out(self, worker: Presence, units: Iterable[UnitRow]) -> list[UnitRow]:
        """Mark units as queued for a worker, as far as their page images have room in Redis."""
        handed: list[UnitRow] = []
        budget = self._settings.payload_megabytes * 1_000_000
        for unit in units:
            size = len(image_pages(unit.stage, unit.params)) * page_bytes(self._ledger)
            if size and self._payload_bytes and self._payload_bytes + size > budget:
                continue
            self._payload_bytes += size
            self._load[worker.worker] += 1
            handed.append(mark_queued(self._ledger, unit.id, worker.worker, size))
            if self.is_followed(unit):
                self._followed.add(worker.worker)
        if handed:
            loads = [unit.model for unit in handed if not is_light(unit.model)]
            given = self._given(worker)
            model = loads[-1] if loads else given.model if given else ""
            note = _Given(document=handed[-1].document, model=model)
            self._ledger.set_meta(_given_key(worker.worker), note.model_dump_json())
        return handed


def _given_key(worker: str) -> str:
    return f"given to {worker}"
