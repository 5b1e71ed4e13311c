"""Which units are released to which queue, and when; and finding those that got lost.

Home keeps only a window of units in Redis, a few for each worker slot. So the choice of the next unit is
made late, priorities are true, cancelling is instant, and Redis stays small.
"""

import json
import logging
import time
from collections.abc import Callable
from typing import cast

from tasks.circuit import load_circuit
from tasks.documents import Failure, State
from tasks.exchange import Exchange, Trace
from tasks.ledger import Ledger
from tasks.orders import Order, Outcome
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.queues import broker_lists, home_queue
from tasks.settings import Settings
from tasks.units import UnitRow, mark_queued, mark_seen, mark_waiting, next_waiting, outstanding

log = logging.getLogger("shoebox.dispatch")

Publish = Callable[[Order, str], None]
"""Hands an order to the broker; the second argument is the ledger's name of the queue."""


class Dispatcher:
    """Releases units and takes care of those that are out. Safe to run in several processes."""

    def __init__(self, ledger: Ledger, settings: Settings, exchange: Exchange, publish: Publish) -> None:
        self.ledger = ledger
        self.settings = settings
        self.exchange = exchange
        self.publish = publish

    def release(self) -> int:
        """Fill the windows of all queues. Returns how many units were released.

        The ledger says "queued" before the broker has the message: a unit whose message is never sent is
        found by `lost_units` and issued again.
        """
        slots = self._slots()
        released: list[UnitRow] = []
        with self.ledger.transaction():
            with_llm = not load_circuit(self.ledger).is_paused
            for queue, size in slots.items():
                room = size - len(outstanding(self.ledger, queue))
                if room > 0:
                    released += self._take_waiting(queue, room, with_llm=with_llm)
        for released_unit in released:
            self.publish(self._order(released_unit), released_unit.queue)
        return len(released)

    def _slots(self) -> dict[str, int]:
        """The size of each queue's window. A queue that nobody serves yet counts as one slot."""
        workers = {CPU_QUEUE: 0, GPU_QUEUE: 0}
        for worker in self.exchange.presence():
            for queue in worker.queues:
                if queue in workers:
                    workers[queue] += worker.slots
        window = {queue: max(1, slots) * self.settings.window_per_slot for queue, slots in workers.items()}
        # One process at home is always free to record results, whatever the others are busy with.
        return {**window, HOME_QUEUE: self.settings.home_concurrency - 1}

    def _take_waiting(self, queue: str, room: int, *, with_llm: bool) -> list[UnitRow]:
        last_document = self.ledger.meta(f"last document on {queue}")
        chosen = next_waiting(self.ledger, queue, last_document, room, with_llm=with_llm)
        taken = [mark_queued(self.ledger, waiting.id) for waiting in chosen]
        for released_unit in taken:
            self.ledger.db.execute(
                "UPDATE documents SET state = ? WHERE id = ? AND state = ?",
                (State.RUNNING, released_unit.document, State.WAITING),
            )
        if taken:
            self.ledger.set_meta(f"last document on {queue}", taken[-1].document)
        return taken

    def _order(self, released: UnitRow) -> Order:
        return Order(
            home=self.ledger.home,
            unit=released.id,
            issue=released.issue,
            document=released.document,
            stage=released.stage,
            urgent=released.urgent,
            params=released.params,
            model=released.model,
        )

    def check_outstanding(self) -> list[tuple[int, Outcome]]:
        """Compare what is out with what Redis knows.

        Units that are alive are marked as seen. Units that got lost wait to be issued again. Returns the
        outcomes that are there but were not recorded, a unit that died among them, for the caller to
        record.
        """
        units = outstanding(self.ledger)
        traces = self.exchange.traces(self.ledger.home, [u.id for u in units])
        on_the_road = self._units_in_broker() if units else set()
        found: list[tuple[int, Outcome]] = []
        fresh_grace = self._was_away()
        with self.ledger.transaction():
            for out in outstanding(self.ledger):
                trace = traces.get(out.id)
                if trace is None:
                    continue
                if trace.outcome is not None:
                    found.append((out.id, trace.outcome))
                elif trace.lease or out.id in on_the_road or fresh_grace:
                    mark_seen(self.ledger, out.id, trace.lease)
                elif time.time() - out.seen_at > self.settings.grace_seconds:
                    found += self._give_up(out, trace)
            self.ledger.set_meta("checked at", str(time.time()))
        return found

    def _was_away(self) -> bool:
        """Whether nobody has looked for long: home was down, Redis was away, the machine slept.

        Leases may have run out meanwhile without anybody's fault, so everything gets a fresh grace.
        """
        last = float(self.ledger.meta("checked at") or 0)
        return not 0 <= time.time() - last <= self.settings.grace_seconds

    def _give_up(self, out: UnitRow, trace: Trace) -> list[tuple[int, Outcome]]:
        """A unit that is nowhere: if it had been started its worker died, else only its message was lost."""
        log.warning("unit %d (%s of %s) got lost, issue %d", out.id, out.stage, out.document, out.issue)
        if trace.started:
            message = "The worker that was reading it died."
            return [(out.id, Outcome(issue=out.issue, failure=Failure(kind="died", message=message)))]
        mark_waiting(self.ledger, out.id, attempt=False)
        return []

    def _units_in_broker(self) -> set[int]:
        """Our units whose message lies in Redis, not yet delivered to a worker."""
        home = self.ledger.home
        queues = (home_queue(home), CPU_QUEUE, GPU_QUEUE)
        names = [name for queue in queues for name in broker_lists(queue)]
        with self.exchange.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.lrange(name, 0, -1)
            rows = cast("list[list[bytes]]", pipe.execute())
        task_ids = (json.loads(message)["headers"]["id"] for messages in rows for message in messages)
        return {int(task_id.split(".")[1]) for task_id in task_ids if task_id.startswith(f"{home}.")}
