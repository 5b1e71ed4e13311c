"""When units are released to workers, and finding those that got lost. Who gets which: `tasks.assigning`.

Home keeps only a window of units in Redis, a few for each worker slot. So the choice of the next unit is
made late, priorities are true, cancelling is instant, and Redis stays small.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable

from tasks.assigning import SHARED_QUEUES, Assigner
from tasks.broker_messages import Message, take_back, unit_messages
from tasks.capability import is_light, runnable, usable
from tasks.circuit import load_circuit
from tasks.documents import Failure, State
from tasks.exchange import Exchange, Trace
from tasks.ledger import Ledger
from tasks.logs import about
from tasks.orders import Order, Outcome, Presence
from tasks.planning import HOME_QUEUE
from tasks.queues import home_queue, worker_queue
from tasks.settings import Settings
from tasks.turns import Turn, put_demand, read_board
from tasks.units import (
    UnitRow,
    mark_queued,
    mark_seen,
    mark_waiting,
    next_waiting,
    outstanding,
    waiting_models,
)

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
        """Fill the windows of all workers. Returns how many units were released.

        The ledger says "queued" before the broker has the message: a unit whose message is never sent is
        found by `check_outstanding` and issued again.
        """
        workers = usable(self.exchange.presence())
        board = read_board(self.exchange.redis)
        with self.ledger.transaction():
            released = self._take_at_home()
            assigner = Assigner(self.ledger, self.settings, workers, board)
            released += assigner.assign()
            followed = {
                unit.target: unit.queue for unit in released if unit.urgent and assigner.is_followed(unit)
            }
            for unit in released:
                self.ledger.db.execute(
                    "UPDATE documents SET state = ? WHERE id = ? AND state = ?",
                    (State.RUNNING, unit.document, State.WAITING),
                )
        for unit in released:
            self.publish(self._order(unit), unit.queue)
        for worker in workers:
            if worker.worker in followed:
                self._clear_the_way(worker, followed[worker.worker])
        return len(released)

    def _clear_the_way(self, worker: Presence, queue: str) -> None:
        """Take back what waits behind an urgent unit whose document the same model will read once more.

        It was handed out before the urgent document came. Run in between, it would cost the model's cache of
        that document, and keep what is urgent waiting for a whole unit of somebody else's.
        """
        given = [unit for unit in outstanding(self.ledger) if unit.target == worker.worker]
        behind = {unit.id for unit in given if not unit.urgent}
        own = worker_queue(queue, worker.worker)
        messages = [
            one for one in unit_messages(self.exchange.redis, self.ledger.home, [own]) if one.unit in behind
        ]
        messages.sort(key=lambda one: one.unit, reverse=True)
        removed = take_back(self.exchange.redis, messages[: max(0, len(given) - worker.slots)])
        with self.ledger.transaction():
            for unit in outstanding(self.ledger):
                if unit.id in removed:
                    mark_waiting(self.ledger, unit.id, attempt=False)

    def _take_at_home(self) -> list[UnitRow]:
        # One process at home is always free to record results, whatever the others are busy with.
        room = self.settings.home_concurrency - 1 - len(outstanding(self.ledger, HOME_QUEUE))
        if room <= 0:
            return []
        return [mark_queued(self.ledger, unit.id) for unit in next_waiting(self.ledger, HOME_QUEUE, room)]

    def tell_demand(self) -> None:
        """Let other homes know what this one waits for and could have run, so that they leave it its turn."""
        circuit = load_circuit(self.ledger)
        workers = usable(self.exchange.presence())
        waiting = {}
        for queue in SHARED_QUEUES:
            found = waiting_models(self.ledger, queue, with_llm=not circuit.is_paused)
            possible = {model for one in workers if queue in one.queues for model in runnable(one)}
            wanted = possible - circuit.paused_models
            waiting[queue] = {model: since for model, since in found.items() if model in wanted}
        put_demand(self.exchange.redis, self.ledger.home, waiting, self.exchange.now())

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
            target=released.target,
        )

    def check_outstanding(self) -> list[tuple[int, Outcome]]:
        """Compare what is out with what Redis knows.

        Units that are alive are marked as seen. Units that got lost wait to be issued again. Returns the
        outcomes that are there but were not recorded, a unit that died among them, for the caller to
        record.
        """
        units = outstanding(self.ledger)
        self.exchange.mend_clock(self.ledger.home, [u.id for u in units], self.settings.lease_seconds)
        traces = self.exchange.traces(self.ledger.home, [u.id for u in units])
        messages = self._messages(units) if units else []
        on_the_road = {message.unit for message in messages}
        taken_back = self._take_back(units, traces, messages) if messages else set()
        found: list[tuple[int, Outcome]] = []
        nowhere: list[UnitRow] = []
        fresh_grace = self._was_away()
        cut_off = set(json.loads(self.ledger.meta("cut off") or "[]"))
        with self.ledger.transaction():
            for out in outstanding(self.ledger):
                trace = traces.get(out.id)
                if trace is None:
                    continue
                if trace.lease:
                    cut_off.discard(out.id)
                elif fresh_grace and trace.started:
                    cut_off.add(out.id)
                if trace.outcome is not None:
                    found.append((out.id, trace.outcome))
                elif out.id in taken_back and not trace.lease:
                    mark_waiting(self.ledger, out.id, attempt=False)
                elif trace.lease or out.id in on_the_road or fresh_grace:
                    mark_seen(self.ledger, out.id, trace.lease)
                elif time.time() - out.seen_at > self.settings.grace_seconds:
                    nowhere.append(out)
                    found += self._give_up(out, trace, was_cut_off=out.id in cut_off)
            self.ledger.set_meta("cut off", json.dumps(sorted(cut_off & traces.keys())))
            self.ledger.set_meta("checked at", str(time.time()))
        # Redis may remember what the ledger does not: it was away when a cancelled document was taken up
        # again, or the ledger lost its last commits, or is a restored one. Every issue would be dropped.
        for out in nowhere:
            self.exchange.unmark(self.ledger.home, out.id, out.document)
        return found

    def _was_away(self) -> bool:
        """Whether nobody has looked for long: home was down, Redis was away, the machine slept.

        Leases may have run out meanwhile without anybody's fault, so everything gets a fresh grace.
        """
        last = float(self.ledger.meta("checked at") or 0)
        return not 0 <= time.time() - last <= self.settings.grace_seconds

    def _give_up(self, out: UnitRow, trace: Trace, *, was_cut_off: bool) -> list[tuple[int, Outcome]]:
        """A unit that is nowhere: if it had been started its worker died, else only its message was lost.

        Not where its lease ended while Redis or home was away: then its outcome had no place to go, and the
        file is not to blame.
        """
        with about(document=out.document, unit=out.id, stage=str(out.stage), attempt=out.issue):
            log.warning("unit %d (%s of %s) got lost, issue %d", out.id, out.stage, out.document, out.issue)
        if trace.started and not was_cut_off:
            message = "The worker that was reading it died."
            return [(out.id, Outcome(issue=out.issue, failure=Failure(kind="died", message=message)))]
        mark_waiting(self.ledger, out.id, attempt=False)
        return []

    def _messages(self, units: list[UnitRow]) -> list[Message]:
        """The messages of units that no worker has got yet."""
        home = self.ledger.home
        own = {worker_queue(unit.queue, unit.target) for unit in units if unit.target}
        return unit_messages(self.exchange.redis, home, (home_queue(home), *SHARED_QUEUES, *own))

    def _take_back(self, units: list[UnitRow], traces: dict[int, Trace], messages: list[Message]) -> set[int]:
        """Take messages back from workers that are gone, or busy while another is idle. Returns the units."""
        workers = {worker.worker: worker for worker in usable(self.exchange.presence())}
        out = {unit.id: unit for unit in units}
        running = Counter(unit.target for unit in units if traces[unit.id].lease)
        idle = [one for one in workers.values() if not any(unit.target == one.worker for unit in units)]
        idle = [one for one in idle if not self._finds_work(one)]
        turns = read_board(self.exchange.redis).turns if idle else {}
        chosen = []
        for message in messages:
            unit = out.get(message.unit)
            if unit is None or not unit.target:
                continue
            holder = workers.get(unit.target)
            if holder is None:
                chosen.append(message)
            elif running[unit.target] >= holder.slots and (
                helper := next((one for one in idle if _could_run(one, unit, turns.get(one.worker))), None)
            ):
                idle.remove(helper)
                chosen.append(message)
        return take_back(self.exchange.redis, chosen)

    def _finds_work(self, worker: Presence) -> bool:
        """Whether something waits that the worker can run: then it need not take from another."""
        return any(
            runnable(worker) & waiting_models(self.ledger, queue, with_llm=True).keys()
            for queue in worker.queues
            if queue in SHARED_QUEUES
        )


def _could_run(worker: Presence, unit: UnitRow, turn: Turn | None) -> bool:
    """Whether an idle worker could begin a unit at once, without loading anything."""
    is_ready = is_light(unit.model) or (turn is not None and turn.model == unit.model)
    return unit.queue in worker.queues and unit.model in runnable(worker) and is_ready
