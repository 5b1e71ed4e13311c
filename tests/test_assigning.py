"""Which unit goes to which worker: a real ledger, a real Redis, no workers."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.capability import is_usable, queue_with, runnable
from tasks.circuit import Circuit, save_circuit
from tasks.dispatch import Dispatcher
from tasks.documents import Stage, State
from tasks.engines import OFFLINE
from tasks.engines.llm.base import ModelInfo
from tasks.exchange import Exchange
from tasks.learned_costs import learn_swap, note_payload, page_bytes, swap_seconds
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import LlmParams, Order, Presence, ReadParams
from tasks.pipeline import Pipeline
from tasks.planning import CPU_QUEUE, GPU_QUEUE, PADDLEOCR
from tasks.queues import broker_lists, worker_queue
from tasks.routing import KnownModels
from tasks.settings import Settings
from tasks.turns import Board, Demand, Turn, begin_unit, next_model, put_demand, read_board
from tasks.units import UnitPlan, mark_ended, outstanding, plan_units, units_of, waiting_models
from tasks.version import VERSION

BIG, OTHER = "big-model", "other-model"


class Desk:
    """A home with documents whose next units are as a test wants them; workers are only announced."""

    def __init__(self, folder: Path, exchange: Exchange, **given: object) -> None:
        self.settings = Settings.model_validate({"data_dir": folder / "data", **given})
        self.ledger = Ledger.open(self.settings)
        self.exchange = exchange
        self.sent: list[Order] = []
        self.ran: list[str] = []
        self.dispatcher = Dispatcher(
            self.ledger, self.settings, exchange, lambda order, _: self.sent.append(order)
        )
        self._folder = folder
        self._number = 0

    def add(self, model: str, *, queue: str = GPU_QUEUE, urgent: bool = False, pages: int = 1) -> DocumentRow:
        """A document that waits for this model."""
        self._number += 1
        path = self._folder / f"{self._number}.txt"
        path.write_text(f"{self._folder} {self._number}")
        document = Pipeline(self.ledger, self.settings).submit(path, "builtin", urgent=urgent).document
        self.ledger.db.execute("DELETE FROM units WHERE document = ?", (document.id,))
        self.plan(document, model, queue=queue, pages=pages)
        return document

    def plan(self, document: DocumentRow, model: str, *, queue: str = GPU_QUEUE, pages: int = 1) -> None:
        """One more unit of a document."""
        params: dict[str, object] = {"sha256": "", "mime": "", "pages": list(range(1, pages + 1))}
        stage = Stage.OCR
        if model != PADDLEOCR:
            llm = None if model == OFFLINE else LlmParams(model=model, num_ctx=512, on_cpu=False)
            stage = Stage.ANALYSE
            params = ReadParams(engine="ollama", category="other", llm=llm).model_dump(mode="json")
        plan_units(self.ledger, document, [UnitPlan(stage, queue, model, params, "")])

    def worker(
        self, name: str = "one", *models: str, queue: str = GPU_QUEUE, slots: int = 1, **given: str
    ) -> None:
        """A worker that is up and reaches these language models."""
        infos = tuple(ModelInfo(name=model, parameters=1) for model in models)
        presence = Presence(worker=name, queues=(queue,), slots=slots, pid=1, models=infos, **given)
        self.exchange.announce_presence(presence, 60)

    def release(self) -> list[tuple[str, str]]:
        """Model and worker of each unit that is released now."""
        before = len(self.sent)
        self.dispatcher.release()
        return [(order.model, order.target) for order in self.sent[before:]]

    def end(self, *targets: str) -> None:
        """Each worker ends the unit that it was given first; units that need no model begin no turn."""
        for target in targets:
            out = {unit.id for unit in outstanding(self.ledger)}
            order = next(one for one in self.sent if one.target == target and one.unit in out)
            if order.model != OFFLINE:
                begin_unit(self.exchange.redis, target, order.model)
            mark_ended(self.ledger, order.unit, State.DONE)
            self.ran.append(order.model)

    def run(self, worker: str, most: int = 1000) -> list[str]:
        """The models of the units that a worker runs until nothing is left."""
        self.release()
        while len(self.ran) < most and outstanding(self.ledger):
            self.end(worker)
            self.release()
        return self.ran


@pytest.fixture
def desk(tmp_path: Path, exchange: Exchange) -> Iterable[Desk]:
    made = Desk(tmp_path, exchange)
    yield made
    made.ledger.close()


def swaps(models: list[str]) -> int:
    return sum(one != other for one, other in pairwise(models))


def test_a_worker_is_given_only_what_it_can_run(desk: Desk) -> None:
    desk.add(BIG)
    desk.add(PADDLEOCR)
    desk.worker("laptop")
    assert desk.release() == [(PADDLEOCR, "laptop")]
    desk.worker("box", f"{BIG}:latest")
    assert desk.release() == [(BIG, "box")]


def test_a_name_is_the_same_model_with_and_without_latest() -> None:
    for announced, wanted in ((f"{BIG}:latest", BIG), (BIG, f"{BIG}:latest"), ("m:8b", "m:8b")):
        models = (ModelInfo(name=announced, parameters=1),)
        assert wanted in runnable(Presence(worker="w", queues=(GPU_QUEUE,), slots=1, pid=1, models=models))


def test_a_worker_of_another_version_is_given_nothing(desk: Desk) -> None:
    desk.add(PADDLEOCR)
    desk.worker("old", version="0.0.1")
    assert desk.release() == []
    desk.worker("new", version=VERSION)
    assert desk.release() == [(PADDLEOCR, "new")]
    assert not is_usable(Presence(worker="w", queues=(GPU_QUEUE,), slots=1, pid=1, version="0.0.1"))


def test_everybody_has_work_before_anybody_has_a_second_unit(desk: Desk) -> None:
    for _ in range(3):
        desk.add(PADDLEOCR)
    for name in "abc":
        desk.worker(name)
    assert sorted(target for _, target in desk.release()) == ["a", "b", "c"]


def test_an_urgent_unit_needs_no_room_in_the_window(desk: Desk) -> None:
    for _ in range(3):
        desk.add(PADDLEOCR)
    desk.worker()
    assert len(desk.release()) == 2
    urgent = desk.add(PADDLEOCR, urgent=True)
    desk.add(PADDLEOCR, urgent=True)
    assert len(desk.release()) == 1
    assert (desk.sent[-1].document, desk.sent[-1].urgent) == (urgent.id, True)


def test_a_worker_stays_with_its_model(desk: Desk) -> None:
    for _ in range(10):
        for model in (PADDLEOCR, BIG, OTHER):
            desk.add(model)
    desk.worker("one", BIG, OTHER)
    ran = desk.run("one")
    assert len(ran) == 30
    assert swaps(ran) == 2, ran


def test_two_workers_do_not_load_the_same_while_others_wait(desk: Desk) -> None:
    for _ in range(4):
        desk.add(PADDLEOCR)
        desk.add(BIG)
    desk.worker("a", BIG)
    desk.worker("b", BIG)
    released = desk.release()
    assert {model for model, target in released if target == "a"} == {PADDLEOCR}
    assert {model for model, target in released if target == "b"} == {BIG}


def test_a_turn_ends_when_it_is_paid_off(desk: Desk) -> None:
    learn_swap(desk.ledger, "one", 0.0)
    desk.ledger.set_meta("swap seconds on one", "0")
    for _ in range(60):
        desk.add(BIG)
    desk.add(PADDLEOCR)
    desk.worker("one", BIG)
    ran = desk.run("one", most=40)
    assert PADDLEOCR in ran
    assert 24 <= ran.index(PADDLEOCR) <= 28
    assert swaps(ran) == 2


def test_a_turn_has_a_longest_time(tmp_path: Path, exchange: Exchange) -> None:
    desk = Desk(tmp_path, exchange, turn_seconds=0.000001)
    try:
        for _ in range(5):
            desk.add(BIG)
        desk.add(PADDLEOCR)
        desk.worker("one", BIG)
        ran = desk.run("one")
    finally:
        desk.ledger.close()
    assert ran.index(PADDLEOCR) < len(ran) - 1


def test_units_that_need_no_model_change_no_turn(desk: Desk) -> None:
    desk.add(BIG, queue=CPU_QUEUE)
    desk.add(OFFLINE, queue=CPU_QUEUE)
    desk.add(BIG, queue=CPU_QUEUE)
    desk.worker("one", BIG, queue=CPU_QUEUE)
    assert desk.run("one") == [BIG, OFFLINE, BIG]
    turn = read_board(desk.exchange.redis).turns["one"]
    assert (turn.model, turn.units) == (BIG, 2)


def test_page_images_stay_within_their_budget(tmp_path: Path, exchange: Exchange) -> None:
    desk = Desk(tmp_path, exchange, payload_megabytes=5)
    try:
        for _ in range(3):
            desk.add(PADDLEOCR, pages=4)
        desk.add(BIG)
        desk.worker("one", BIG)
        assert desk.release() == [(PADDLEOCR, "one"), (BIG, "one")]
        desk.end("one")
        assert desk.release() == [(PADDLEOCR, "one")]
    finally:
        desk.ledger.close()


def test_a_unit_larger_than_the_budget_goes_alone(tmp_path: Path, exchange: Exchange) -> None:
    desk = Desk(tmp_path, exchange, payload_megabytes=1)
    try:
        desk.add(PADDLEOCR, pages=9)
        desk.add(PADDLEOCR)
        desk.worker()
        assert desk.release() == [(PADDLEOCR, "one")]
    finally:
        desk.ledger.close()


def test_what_page_images_take_is_learned(desk: Desk) -> None:
    document = desk.add(PADDLEOCR, pages=4)
    [unit] = units_of(desk.ledger, document.id)
    for _ in range(30):
        note_payload(desk.ledger, unit.id, 4, 4 * 300_000)
    assert page_bytes(desk.ledger) == pytest.approx(300_000, rel=0.01)
    assert units_of(desk.ledger, document.id)[0].payload_bytes == 1_200_000


def test_what_loading_takes_is_learned(desk: Desk) -> None:
    for _ in range(10):
        learn_swap(desk.ledger, "one", 30.0)
    assert swap_seconds(desk.ledger, "one") == pytest.approx(30.0, rel=0.02)
    assert swap_seconds(desk.ledger, "two") == 5.0


def put_messages(desk: Desk) -> None:
    """As the broker would lie in Redis."""
    for order in desk.sent:
        raw = '{"headers": {"id": "' + order.task_id + '"}}'
        desk.exchange.redis.lpush(broker_lists(worker_queue(GPU_QUEUE, order.target))[0], raw)


def test_units_of_a_worker_that_left_are_taken_back_at_once(desk: Desk) -> None:
    desk.add(PADDLEOCR)
    desk.worker("gone")
    desk.release()
    put_messages(desk)
    desk.exchange.end_presence("gone")
    desk.dispatcher.check_outstanding()
    assert desk.exchange.redis.llen(broker_lists(worker_queue(GPU_QUEUE, "gone"))[0]) == 0
    desk.worker("here")
    assert desk.release() == [(PADDLEOCR, "here")]
    [unit] = outstanding(desk.ledger)
    assert (unit.issue, unit.attempts) == (2, 0)


def test_an_idle_worker_takes_over_what_waits_behind_a_busy_one(desk: Desk) -> None:
    desk.add(PADDLEOCR)
    desk.add(PADDLEOCR)
    desk.worker("busy")
    desk.release()
    put_messages(desk)
    running, waiting = desk.sent
    desk.exchange.redis.lrem(
        broker_lists(worker_queue(GPU_QUEUE, "busy"))[0], 1, '{"headers": {"id": "' + running.task_id + '"}}'
    )
    desk.exchange.take_lease(running, 60)
    desk.worker("idle")
    desk.dispatcher.check_outstanding()
    assert desk.release() == []  # it would have to load the models for that
    begin_unit(desk.exchange.redis, "idle", PADDLEOCR)
    desk.dispatcher.check_outstanding()
    assert desk.release() == [(PADDLEOCR, "idle")]
    assert desk.sent[-1].unit == waiting.unit


def test_a_unit_that_a_worker_has_begun_is_never_taken_back(desk: Desk) -> None:
    desk.add(PADDLEOCR)
    desk.worker("busy")
    desk.release()
    put_messages(desk)  # the broker gives a copy back when a connection breaks
    desk.exchange.take_lease(desk.sent[0], 60)
    desk.exchange.end_presence("busy")
    desk.dispatcher.check_outstanding()
    [unit] = outstanding(desk.ledger)
    assert (unit.state, unit.issue) == (State.RUNNING, 1)


def test_two_homes_share_a_worker_unit_by_unit(tmp_path: Path, exchange: Exchange) -> None:
    homes = [Desk(tmp_path / name, exchange) for name in ("a", "b") if not (tmp_path / name).mkdir()]
    try:
        homes[0].worker()
        for desk, count in zip(homes, (20, 4), strict=True):
            for _ in range(count):
                desk.add(PADDLEOCR)
        line: list[Desk] = []  # the worker's list in Redis
        for desk in homes:
            line += [desk] * len(desk.release())
        ran = []
        while line:
            desk = line.pop(0)
            ran.append(desk)
            desk.end("one")
            line += [desk] * len(desk.release())
        last_of_b = max(place for place, desk in enumerate(ran) if desk is homes[1])
        assert (len(ran), last_of_b) == (24, 7)  # though the other home has five times as much
    finally:
        for desk in homes:
            desk.ledger.close()


def test_homes_leave_each_other_their_turns(tmp_path: Path, exchange: Exchange) -> None:
    first, second = (Desk(tmp_path / name, exchange) for name in ("a", "b") if not (tmp_path / name).mkdir())
    try:
        first.worker("one", BIG, OTHER)
        for _ in range(8):
            first.add(BIG)
            second.add(OTHER)
        ran: list[str] = []
        desks = (first, second)
        for _ in range(40):
            for desk in desks:
                desk.dispatcher.tell_demand()
                desk.release()
            for desk in desks:
                if outstanding(desk.ledger):
                    desk.end("one")
                    ran.append(desk.ran[-1])
        assert Counter(ran) == {BIG: 8, OTHER: 8}
        assert swaps(ran) <= 3
    finally:
        first.ledger.close()
        second.ledger.close()


def test_a_home_that_is_down_keeps_no_turn(desk: Desk) -> None:
    desk.worker("one", BIG, OTHER)
    begin_unit(desk.exchange.redis, "one", OTHER)
    put_demand(desk.exchange.redis, "another", {GPU_QUEUE: {OTHER: 1.0}}, desk.exchange.now())
    desk.add(BIG)
    assert desk.release() == []
    put_demand(desk.exchange.redis, "another", {GPU_QUEUE: {OTHER: 1.0}}, desk.exchange.now() - 60)
    assert desk.release() == [(BIG, "one")]


def test_waiting_models_are_those_of_waiting_units(desk: Desk) -> None:
    first = desk.add(BIG)
    desk.add(BIG)
    desk.add(PADDLEOCR)
    desk.add(OTHER, queue=CPU_QUEUE)
    found = waiting_models(desk.ledger, GPU_QUEUE, with_llm=True)
    assert set(found) == {BIG, PADDLEOCR}
    assert found[BIG] == first.added_at
    assert set(waiting_models(desk.ledger, GPU_QUEUE, with_llm=False)) == {PADDLEOCR}


def test_questions_go_to_a_worker_that_has_the_model_loaded() -> None:
    def presence(name: str, loaded: bool) -> Presence:
        models = (ModelInfo(name=f"{BIG}:latest", parameters=1, loaded=loaded),)
        return Presence(worker=name, queues=(GPU_QUEUE,), slots=1, pid=1, models=models)

    workers = [presence("cold", False), presence("warm", True)]
    assert queue_with(workers, GPU_QUEUE, BIG) == "gpu.warm"
    assert queue_with(workers[:1], GPU_QUEUE, BIG) == "gpu.cold"
    assert queue_with(workers, GPU_QUEUE, OTHER) == GPU_QUEUE
    assert queue_with(workers, CPU_QUEUE, BIG) == CPU_QUEUE


models = st.sampled_from(["a", "b", "c"])


@given(
    current=st.one_of(st.just(""), models),
    wanted=st.dictionaries(models, st.floats(0, 100)),
    is_over=st.booleans(),
    elsewhere=st.lists(models),
)
def test_the_next_model_is_always_one_that_is_wanted(
    current: str, wanted: dict[str, float], is_over: bool, elsewhere: list[str]
) -> None:
    chosen = next_model(current, wanted, is_over=is_over, elsewhere=elsewhere)
    assert chosen in wanted or (chosen == "" and not wanted)
    if current in wanted and not is_over:
        assert chosen == current
    if is_over and wanted.keys() - {current}:
        assert chosen != current


def test_what_others_want_is_the_oldest_of_it() -> None:
    demands = {
        "a": Demand(until=9, waiting={GPU_QUEUE: {BIG: 5.0}}),
        "b": Demand(until=9, waiting={GPU_QUEUE: {BIG: 3.0, OTHER: 7.0}}),
        "me": Demand(until=9, waiting={GPU_QUEUE: {BIG: 1.0}}),
    }
    board = Board(now=1.0, turns={}, demands=demands)
    assert board.wanted_by_others("me", GPU_QUEUE) == {BIG: 3.0, OTHER: 7.0}


def test_a_turn_counts_units_until_the_model_changes(exchange: Exchange) -> None:
    for model in (BIG, BIG, OTHER):
        begin_unit(exchange.redis, "one", model)
    turn = read_board(exchange.redis).turns["one"]
    assert (turn.model, turn.units) == (OTHER, 1)
    begin_unit(exchange.redis, "one", OTHER)
    again = read_board(exchange.redis).turns["one"]
    assert (again.since, again.units) == (turn.since, 2)


@pytest.mark.parametrize(
    ("units", "seconds", "over"), [(24, 500, False), (25, 99, False), (25, 100, True), (1, 600, True)]
)
def test_when_a_turn_is_over(units: int, seconds: float, over: bool) -> None:
    turn = Turn(model=BIG, since=1000.0, units=units)
    assert turn.is_over(1000.0 + seconds, swap_seconds=5.0, longest=600.0) is over


def _one_model_for_all(desk: Desk) -> None:
    """The same model classifies and analyses, so that a document's second unit finds it in the cache."""
    model = ModelInfo(name="shoebox-large", parameters=int(9e9))
    known = KnownModels(by_queue={GPU_QUEUE: (model,)}, problem="")
    desk.dispatcher.settings = desk.settings.model_copy(update={"small_model": "shoebox-large"})
    save_circuit(desk.ledger, Circuit(known=known))


def _add_to_classify(desk: Desk, *, urgent: bool = False) -> DocumentRow:
    added = desk.add("shoebox-large", urgent=urgent)
    desk.ledger.db.execute("UPDATE units SET stage = ? WHERE document = ?", (Stage.CLASSIFY, added.id))
    return added


def test_nothing_comes_between_two_calls_to_one_model_about_one_document(desk: Desk) -> None:
    _one_model_for_all(desk)
    first, second = _add_to_classify(desk), _add_to_classify(desk)
    desk.worker("one", "shoebox-large")
    desk.release()
    assert [order.document for order in desk.sent] == [first.id]
    desk.end("one")
    desk.plan(first, "shoebox-large")
    desk.release()
    assert [(order.document, order.stage) for order in desk.sent[1:]] == [
        (first.id, Stage.ANALYSE),
        (second.id, Stage.CLASSIFY),
    ]


def test_what_was_handed_out_before_an_urgent_document_does_not_come_between_its_calls(desk: Desk) -> None:
    _one_model_for_all(desk)
    at_hand = desk.add("shoebox-large")
    behind = _add_to_classify(desk)
    desk.worker("one", "shoebox-large")
    desk.release()
    assert [order.document for order in desk.sent] == [at_hand.id, behind.id]
    put_messages(desk)
    running = desk.sent[0]
    desk.exchange.redis.lrem(
        broker_lists(worker_queue(GPU_QUEUE, "one"))[0], 1, '{"headers": {"id": "' + running.task_id + '"}}'
    )
    urgent = _add_to_classify(desk, urgent=True)
    desk.release()
    out = [(unit.document, unit.attempts) for unit in outstanding(desk.ledger)]
    assert out == [(at_hand.id, 0), (urgent.id, 0)]
    assert desk.exchange.redis.llen(broker_lists(worker_queue(GPU_QUEUE, "one"))[0]) == 0
    desk.end("one")  # what was at hand
    assert desk.release() == []
    desk.end("one")  # the urgent document is classified
    desk.plan(urgent, "shoebox-large")
    desk.release()
    assert [order.document for order in desk.sent[3:]] == [urgent.id, behind.id]


def test_a_unit_that_was_begun_meanwhile_is_not_taken_back_for_an_urgent_one(desk: Desk) -> None:
    _one_model_for_all(desk)
    begun = [desk.add("shoebox-large").id, _add_to_classify(desk).id]
    desk.worker("one", "shoebox-large")
    desk.release()  # no message lies in Redis: the worker has taken both
    urgent = _add_to_classify(desk, urgent=True)
    desk.release()
    assert [unit.document for unit in outstanding(desk.ledger)] == [*begun, urgent.id]


def test_nothing_is_sent_to_a_model_that_failed_just_now(desk: Desk) -> None:
    desk.add("shoebox-large")
    other = desk.add("bookkeeper:14b")
    desk.worker("one", "shoebox-large", "bookkeeper:14b")
    save_circuit(desk.ledger, Circuit().model_failed("shoebox-large", "It needs more memory."))
    desk.release()
    assert [order.document for order in desk.sent] == [other.id]


def test_what_is_urgent_goes_to_who_has_least_to_do(desk: Desk) -> None:
    desk.add(PADDLEOCR)
    desk.worker("a")
    desk.release()
    desk.worker("b")
    for _ in range(2):
        desk.add(PADDLEOCR, urgent=True)
    assert desk.release() == [(PADDLEOCR, "b"), (PADDLEOCR, "a")]


def test_a_home_asks_for_no_turn_of_a_worker_that_it_cannot_use(desk: Desk) -> None:
    desk.add(BIG)
    desk.worker("one", OTHER)
    desk.dispatcher.tell_demand()
    assert read_board(desk.exchange.redis).wanted_by_others("another home", GPU_QUEUE) == {}
    desk.worker("one", BIG)
    desk.dispatcher.tell_demand()
    assert read_board(desk.exchange.redis).wanted_by_others("another home", GPU_QUEUE).keys() == {BIG}


def test_demands_of_another_version_and_from_a_clock_that_was_set_back_do_not_count(
    exchange: Exchange,
) -> None:
    now = exchange.now()
    waiting = {GPU_QUEUE: {BIG: now}}
    put_demand(exchange.redis, "ours", waiting, now)
    put_demand(exchange.redis, "ahead", waiting, now + 3600)
    older = Demand(until=now + 5, waiting=waiting, version="0.0.1")
    exchange.redis.hset("shoebox:demands", "older", older.model_dump_json())
    assert read_board(exchange.redis).demands.keys() == {"ours"}


def test_a_turn_from_before_the_clock_was_set_back_is_over() -> None:
    assert Turn(model=BIG, since=5000.0, units=1).is_over(1000.0, swap_seconds=5.0, longest=600.0)
