"""Home's care for the vectors: sends what is missing to the cpu queue, enters what comes back.

It goes on at each tick. Nothing of it is a stage of a document: a document is done without vectors, and what
fails here is tried again later without touching any document or the circuit of the language model.
"""

import logging
import time
from collections.abc import Callable
from datetime import date
from typing import cast

from tasks.broker_messages import task_id_of
from tasks.capability import worker_with
from tasks.circuit import load_circuit
from tasks.documents import State, Value
from tasks.engines.llm.base import Vector
from tasks.exchange import Exchange, Trace
from tasks.ledger import Ledger
from tasks.meaning.batches import EmbedPayload, batch_order, task_id, vectors_of
from tasks.meaning.indexing import (
    Missing,
    batches_out,
    enter_vectors,
    give_back,
    is_all_there,
    look_for_changes,
    mark_seen,
    take_batch,
    try_again,
)
from tasks.meaning.models import METHOD, embedding_model, prefixes
from tasks.meaning.publishing import publish_batch, publish_reindex
from tasks.meaning.store import Space, VectorStore
from tasks.notify.daily import latest_slot
from tasks.orders import Order, Outcome
from tasks.planning import CPU_QUEUE
from tasks.queues import broker_lists, worker_queue
from tasks.routing import Route
from tasks.settings import Settings

Publish = Callable[[Order, Settings], None]

log = logging.getLogger("shoebox.meaning")

_LOOK_SECONDS = 10.0
_NIGHT = "compared on"
_LOOK_DOCUMENTS = 50
"""In one tick: comparing a document of a thousand pages takes some 30 ms."""
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 600.0


class Trouble(Value):
    """What went wrong last, and until when nothing is sent for that reason."""

    failures: int = 0
    """In a row."""
    paused_until: float = 0.0
    problem: str = ""

    def failed(self, problem: str, now: float) -> "Trouble":
        """After one more failure."""
        pause = min(_FIRST_PAUSE_SECONDS * 2**self.failures, _LONGEST_PAUSE_SECONDS)
        failures = min(self.failures + 1, 20)
        return Trouble(failures=failures, paused_until=now + pause, problem=problem)


def load_trouble(store: VectorStore) -> Trouble:
    """What went wrong last; nothing if all is well."""
    note = store.note("trouble")
    return Trouble.model_validate_json(note) if note else Trouble()


class Keeper:
    """Keeps the vectors up with the ledger. Safe to run in several processes.

    `publish` hands the order for a batch, whose payload is in Redis, to the broker.
    """

    def __init__(
        self, ledger: Ledger, settings: Settings, exchange: Exchange, publish: Publish = publish_batch
    ) -> None:
        self.ledger = ledger
        self.settings = settings
        self.exchange = exchange
        self.publish = publish

    def tick(self) -> None:
        """Enter what came back, look for what got lost, send what is missing.

        Raises:
            ServiceError: the file of vectors cannot be opened or written.
            OperationalError, RedisError: Redis is away; the next tick carries on.
        """
        known = load_circuit(self.ledger).known
        wished = embedding_model(known, self.settings)
        if isinstance(wished, str) and not self.settings.vectors_path.exists():
            return
        with VectorStore.open(self.settings) as store:
            self._collect(store)
            in_use = store.spaces()[-1].model if store.spaces() else ""
            model = embedding_model(known, self.settings, in_use)
            if isinstance(model, str):
                return
            space = self._space(store, model.model)
            self._look(store, space)
            self._send(store, space, model)
            if self._is_night_due(store):
                publish_reindex(self.ledger.home)

    def reindex_if_due(self) -> None:
        """Once a night: compare every page with its vectors, try again what was given up, give back room.

        Raises:
            ServiceError: the file of vectors cannot be opened or written.
        """
        if not self.settings.vectors_path.exists():
            return
        with VectorStore.open(self.settings) as store:
            with store.transaction():  # so that two never do it for the same day
                if not self._is_night_due(store):
                    return
                store.set_note(_NIGHT, latest_day(self.settings, time.time()))
            for space in store.spaces():
                look_for_changes(self.ledger, store, space, every_page=True)
                try_again(store, space)
            store.give_back_room()

    def _space(self, store: VectorStore, model: str) -> Space:
        with store.transaction():
            if not store.spaces():  # what begins now need not be compared with itself tonight
                store.set_note(_NIGHT, latest_day(self.settings, time.time()))
            return store.space(model, METHOD)

    # Coming back

    def _collect(self, store: VectorStore) -> None:
        out = batches_out(store)
        if not out:
            return
        now = time.time()
        last_look = float(store.note("collected at") or 0)
        # Nobody has looked for long: what was out may have ended meanwhile without anybody's fault.
        fresh_grace = not 0 <= now - last_look <= self.settings.grace_seconds
        mark_seen(store, self._settle(store, out, now, fresh_grace=fresh_grace), now)
        with store.transaction():
            store.set_note("collected at", str(now))

    def _settle(
        self, store: VectorStore, out: dict[int, float], now: float, *, fresh_grace: bool
    ) -> list[int]:
        """End the batches that came back or got lost. Returns those that are alive."""
        orders = {batch: batch_order(self.ledger.home, store.epoch, batch) for batch in out}
        traces = self.exchange.traces(next(iter(orders.values())).home, list(out))
        on_the_road = self._task_ids()
        alive = []
        for batch, seen_at in out.items():
            trace, order = traces[batch], orders[batch]
            if trace.outcome is not None:
                self._enter(store, batch, trace.outcome, now)
                self.exchange.forget(order.home, batch, done=True)
            elif trace.lease or task_id(order) in on_the_road or fresh_grace:
                alive.append(batch)
            elif now - seen_at > self.settings.grace_seconds:
                self._give_up(store, batch, trace, now)
                self.exchange.forget(order.home, batch, done=True)
        return alive

    def _enter(self, store: VectorStore, batch: int, outcome: Outcome, now: float) -> None:
        problem, is_servers = outcome.failure.message if outcome.failure else "", False
        vectors: dict[int, Vector] = {}
        if not problem:
            try:
                result, vectors = vectors_of(outcome.result)
                problem, is_servers = result.problem, result.is_servers
            except ValueError as error:
                problem = f"The worker's vectors cannot be read: {error}"[:300]
        if problem:
            log.warning("vectors were not made: %s", problem)
            give_back(store, batch, now, blamed=not is_servers)
            self._note(store, load_trouble(store).failed(problem, now))
        elif enter_vectors(store, batch, vectors):
            self._note(store, Trouble())

    def _give_up(self, store: VectorStore, batch: int, trace: Trace, now: float) -> None:
        """A batch that is nowhere: if it had been started its worker died, else only its message was lost."""
        log.warning("batch %d of texts got lost", batch)
        give_back(store, batch, now, blamed=trace.started)
        if trace.started:
            self._note(store, load_trouble(store).failed("The worker that made vectors died.", now))

    def _note(self, store: VectorStore, trouble: Trouble) -> None:
        note = trouble.model_dump_json()
        if note != store.note("trouble"):
            with store.transaction():
                store.set_note("trouble", note)

    # Going out

    def _look(self, store: VectorStore, space: Space) -> None:
        """Now and then compare the ledger's documents with the vectors."""
        now = time.time()
        key = f"looked at {space.id}"
        if 0 <= now - float(store.note(key) or 0) < _LOOK_SECONDS:
            return
        if not look_for_changes(self.ledger, store, space, most=_LOOK_DOCUMENTS):
            return  # the next tick goes on
        with store.transaction():
            store.set_note(key, str(now))
            if is_all_there(store, space):
                store.set_complete(space)
                for other in store.spaces():
                    if other.id != space.id:
                        store.drop(other)

    def _send(self, store: VectorStore, space: Space, model: Route) -> None:
        now = time.time()
        trouble = load_trouble(store)
        # One that is further ahead than any pause was set before the clock was set back.
        if 0 < trouble.paused_until - now <= _LONGEST_PAUSE_SECONDS or self._is_busy():
            return
        room = 1 if trouble.failures else self._hosts() + 1  # one that runs on each, one that waits
        for _ in range(room - len(batches_out(store))):
            batch, missing = take_batch(self.ledger, store, space, now)
            if not missing:
                return
            order = batch_order(self.ledger.home, store.epoch, batch)
            self._publish(order, missing, model)

    def _publish(self, order: Order, missing: list[Missing], model: Route) -> None:
        payload = EmbedPayload(
            model=model.model,
            num_ctx=model.num_ctx,
            on_cpu=model.on_cpu,
            prefix=prefixes(model.model)[0],
            chunks=tuple(one.chunk for one in missing),
            texts=tuple(one.text for one in missing),
        )
        self.exchange.put_payload(order, [payload.model_dump_json().encode()])
        target = worker_with(self.exchange.presence(), CPU_QUEUE, model.model)
        self.publish(order.model_copy(update={"target": target}), self.settings)

    def _is_busy(self) -> bool:
        """Whether the cpu queue has anything else to do, of this home or another."""
        waiting = self.ledger.db.execute(
            "SELECT 1 FROM units WHERE queue = ? AND state IN (?, ?) LIMIT 1",
            (CPU_QUEUE, State.WAITING, State.QUEUED),
        )
        if waiting.fetchone():
            return True
        with self.exchange.redis.pipeline(transaction=False) as pipe:
            for queue in self._queues():
                for name in broker_lists(queue)[:-1]:
                    pipe.llen(name)
            return any(pipe.execute())

    def _queues(self) -> list[str]:
        """The broker's queues that batches may be in: that of all cpu workers, and that of each."""
        serving = [one for one in self.exchange.presence() if CPU_QUEUE in one.queues]
        return [CPU_QUEUE, *(worker_queue(CPU_QUEUE, one.worker) for one in serving)]

    def _hosts(self) -> int:
        return len({one.host for one in self.exchange.presence() if CPU_QUEUE in one.queues})

    def _task_ids(self) -> set[str]:
        """The messages that lie in Redis, not yet delivered to a worker."""
        with self.exchange.redis.pipeline(transaction=False) as pipe:
            for queue in self._queues():
                pipe.lrange(broker_lists(queue)[-1], 0, -1)
            rows = cast("list[list[bytes]]", pipe.execute())
        return {task_id_of(message) for messages in rows for message in messages}

    # At night

    def _is_night_due(self, store: VectorStore) -> bool:
        day = latest_day(self.settings, time.time())
        return bool(day) and store.note(_NIGHT) != day


def latest_day(settings: Settings, now: float) -> str:
    """The day of the last time when all was to be compared; empty if it never is."""
    if not settings.reindex_at:
        return ""
    found: date = latest_slot(settings.reindex_at, now).date()
    return found.isoformat()
