"""Home's care for the vectors: real ledger, real file of vectors, real Redis; a broker made of lists."""

import time
from pathlib import Path

import pytest

from tasks.circuit import load_circuit
from tasks.documents import Page, TextSource
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.meaning.asking import Question, question
from tasks.meaning.batches import vectors_of
from tasks.meaning.indexing import BATCH_CHUNKS, MOST_FAILURES, enter_vectors, throw_away
from tasks.meaning.keeper import Keeper, Trouble, latest_day, load_trouble
from tasks.meaning.models import METHOD
from tasks.meaning.standing import standing
from tasks.meaning.store import VectorStore
from tasks.notify.beat import DailyAt
from tasks.orders import Outcome
from tasks.pipeline import Pipeline
from tasks.queues import REINDEX_TASK, broker_lists
from tasks.settings import Settings
from tasks.worker import beat_schedule
from tests.meaning import Broker, announce, embedding_info, read, serve_cpu
from tests.ollama.word_vectors import word_vector


@pytest.fixture
def broker(ledger: Ledger, settings: Settings, exchange: Exchange) -> Broker:
    serve_cpu(exchange, "here")
    announce(ledger, embedding_info())
    return Broker(exchange, ledger, settings)


def documents_near(broker: Broker, text: str, model: str = "words:latest") -> set[str]:
    """The documents that have a chunk which shares a word with the text."""
    with VectorStore.open(broker.settings) as store:
        space = store.space(model, METHOD)
        found = store.nearest(space, word_vector(text), 50)
    return {chunk.document for chunk in found if chunk.similarity > 0.01}


def indexed(broker: Broker) -> tuple[int, int]:
    """Pages with vectors, and pages."""
    found = standing(broker.settings, broker.ledger)
    return found.indexed, found.pages


def change_page(ledger: Ledger, document: str, number: int, text: str, finished_at: float = 2000.0) -> None:
    ledger.put_pages(document, [Page(number=number, text=text, source=TextSource.OCR, score=1.0)])
    ledger.update_document(document, finished_at=finished_at)


def lose_grace(broker: Broker) -> None:
    """As if nobody had heard of what is out for long, while home was watching."""
    with VectorStore.open(broker.settings) as store, store.transaction():
        store.db.execute("UPDATE batches SET seen_at = seen_at - 1000")


def test_every_page_gets_vectors_once(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple tree", "pear tree")
    two = read(broker.ledger, "two.pdf", "", "cherry tree")
    broker.index_all()
    assert sorted(broker.texts()) == ["apple tree", "cherry tree", "pear tree"]
    assert documents_near(broker, "cherry") == {two}
    assert indexed(broker) == (4, 4)
    broker.index_all()
    assert len(broker.texts()) == 3


def test_without_an_embedding_model_there_is_no_file(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple")
    announce(broker.ledger, embedding_info("chat", capabilities=("completion",)))
    broker.keeper().tick()
    announce(broker.ledger)
    broker.keeper().tick()
    switched_off = broker.settings.model_copy(update={"embedding_model": "off"})
    announce(broker.ledger, embedding_info())
    Keeper(broker.ledger, switched_off, broker.exchange, broker.publish).tick()
    assert not broker.settings.vectors_path.exists()
    assert broker.waiting == []


def test_a_document_that_is_still_being_read_waits(broker: Broker) -> None:
    document = read(broker.ledger, "one.pdf", "apple")
    broker.ledger.update_document(document, finished_at=None)
    broker.index_all()
    assert broker.texts() == []
    broker.ledger.update_document(document, finished_at=5.0)
    broker.index_all()
    assert broker.texts() == ["apple"]


def test_only_pages_whose_text_changed_are_done_again(broker: Broker) -> None:
    document = read(broker.ledger, "one.pdf", "apple", "pear")
    broker.index_all()
    change_page(broker.ledger, document, 2, "cherry")
    broker.index_all()
    assert broker.texts() == ["apple", "pear", "cherry"]
    assert documents_near(broker, "cherry") == {document}
    assert documents_near(broker, "pear") == set()


def test_removed_documents_lose_their_vectors(broker: Broker) -> None:
    kept, gone = (read(broker.ledger, name, "apple", f"of {name}") for name in ("kept.pdf", "gone.pdf"))
    broker.index_all()
    assert documents_near(broker, "apple") == {kept, gone}
    row = broker.ledger.document(gone)
    assert row
    Pipeline(broker.ledger, broker.settings).remove(row)
    broker.index_all()
    assert documents_near(broker, "apple") == {kept}
    with VectorStore.open(broker.settings) as store:
        counts = [store.db.execute(f"SELECT count(*) FROM {t}").get for t in ("signs", "vectors", "chunks")]
    assert counts == [2, 2, 2]


def test_only_a_few_batches_are_out_at_a_time_and_each_is_small(broker: Broker) -> None:
    for number in range(3):
        read(broker.ledger, f"{number}.pdf", *(f"page {number} {page}" for page in range(40)))
    broker.keeper().tick()
    assert len(broker.waiting) == 2  # one that runs on the one machine, one that waits
    serve_cpu(broker.exchange, "there")
    broker.keeper().tick()
    assert len(broker.waiting) == 3
    broker.index_all()
    assert max(len(batch.texts) for batch in broker.batches) == BATCH_CHUNKS
    assert len(set(broker.texts())) == len(broker.texts()) == 120


def test_whatever_else_the_cpu_queue_has_to_do_goes_first(broker: Broker, tmp_path: Path) -> None:
    read(broker.ledger, "one.pdf", "apple")
    other = broker_lists("cpu")[2]
    broker.exchange.redis.lpush(other, "{}")
    broker.keeper().tick()
    assert broker.waiting == []
    broker.exchange.redis.delete(other)
    path = tmp_path / "new.txt"
    path.write_text("new")
    Pipeline(broker.ledger, broker.settings).submit(path, "builtin", urgent=False)
    broker.ledger.db.execute("UPDATE units SET queue = 'cpu'")
    broker.keeper().tick()
    assert broker.waiting == []
    broker.ledger.db.execute("DELETE FROM units")
    broker.index_all()
    assert broker.texts() == ["apple"]


def test_a_batch_whose_message_got_lost_is_sent_again(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple")
    broker.keeper().tick()
    broker.exchange.redis.flushall()
    broker.waiting.clear()
    serve_cpu(broker.exchange, "here")
    broker.keeper().tick()  # home had not looked before, so that all that is out gets its grace
    assert broker.waiting == []
    lose_grace(broker)
    broker.index_all()
    assert broker.texts() == ["apple"]
    assert indexed(broker) == (1, 1)


def test_a_message_that_still_waits_is_not_sent_twice(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple")
    for _ in range(3):
        broker.keeper().tick()
        lose_grace(broker)
    assert len(broker.waiting) == 1
    order = broker.take()
    token = broker.exchange.take_lease(order, 30)
    assert token
    broker.keeper().tick()
    lose_grace(broker)
    broker.keeper().tick()
    assert broker.waiting == []


def kill_worker(broker: Broker) -> None:
    """A worker takes the next message, begins, and is gone."""
    order = broker.take()
    assert broker.exchange.take_lease(order, 30)
    broker.exchange.redis.delete(f"shoebox:{order.home}:{order.unit}:lease")
    broker.keeper().tick()
    lose_grace(broker)
    broker.keeper().tick()


def trouble(broker: Broker) -> Trouble:
    with VectorStore.open(broker.settings) as store:
        return load_trouble(store)


def test_texts_that_were_with_a_worker_that_died_go_alone_and_the_circuit_stays(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple", "pear")
    circuit = load_circuit(broker.ledger)
    broker.keeper().tick()
    kill_worker(broker)
    assert broker.waiting == []  # not at once
    assert "died" in standing(broker.settings, broker.ledger).words
    broker.look_again()
    broker.index_all()
    assert [len(batch.texts) for batch in broker.batches] == [1, 1]
    assert indexed(broker) == (2, 2)
    assert trouble(broker).problem == ""
    assert load_circuit(broker.ledger) == circuit


def test_a_text_that_fails_every_time_is_left_until_the_night_and_stops_no_other(broker: Broker) -> None:
    read(broker.ledger, "bad.pdf", "poison")
    read(broker.ledger, "good.pdf", "apple")
    for _ in range(2 * MOST_FAILURES):
        broker.look_again()
        broker.keeper().tick()
        while broker.waiting:
            order = broker.take()
            given = broker.exchange.payload(order)[0]
            if b"poison" in given:
                broker.fail(order, "refused", is_servers=False)
            else:
                broker.answer(order)
    broker.look_again()
    broker.keeper().tick()
    assert broker.waiting == []
    assert indexed(broker) == (1, 2)
    begin_night(broker)
    broker.keeper().reindex_if_due()
    broker.index_all()
    assert indexed(broker) == (2, 2)


def test_a_server_that_is_away_is_asked_again_after_a_pause_that_grows(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple", "pear")
    pauses = []
    for _ in range(3):
        broker.keeper().tick()
        broker.fail(broker.take(), "Ollama is away.", is_servers=True)
        broker.keeper().tick()
        assert broker.waiting == []
        assert "Ollama is away." in standing(broker.settings, broker.ledger).words
        pauses.append(trouble(broker).paused_until - time.time())
        with VectorStore.open(broker.settings) as store, store.transaction():
            assert store.db.execute("SELECT max(failures) FROM chunks").get == 0
            ended = load_trouble(store).model_copy(update={"paused_until": 0.0})
            store.set_note("trouble", ended.model_dump_json())
    assert pauses == sorted(pauses)
    assert pauses[2] > 2 * pauses[0]
    broker.index_all()
    assert broker.texts() == ["apple", "pear"]
    assert standing(broker.settings, broker.ledger).problem == ""


@pytest.mark.parametrize("result", [{"vectors": ["AAAA"], "chunks": [1]}, {"what": 1}, None])
def test_an_answer_that_is_none_is_a_failure(broker: Broker, result: dict[str, object] | None) -> None:
    read(broker.ledger, "one.pdf", "apple")
    broker.keeper().tick()
    broker.exchange.put_outcome(broker.take(), Outcome(issue=1, result=result))
    broker.keeper().tick()
    assert trouble(broker).failures == 1
    broker.index_all()
    assert indexed(broker) == (1, 1)


def test_an_answer_that_two_processes_see_is_entered_once(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple")
    broker.keeper().tick()
    order = broker.take()
    broker.answer(order)
    outcome = broker.exchange.outcome(order.home, order.unit)
    assert outcome
    broker.keeper().tick()
    _, vectors = vectors_of(outcome.result)
    with VectorStore.open(broker.settings) as store:
        assert not enter_vectors(store, order.unit, vectors)
        assert store.db.execute("SELECT count(*) FROM vectors").get == 1


def test_a_page_that_changes_while_it_is_out_is_done_again(broker: Broker) -> None:
    document = read(broker.ledger, "one.pdf", "apple", "pear")
    broker.keeper().tick()
    change_page(broker.ledger, document, 1, "cherry")
    broker.look_again()
    broker.keeper().tick()
    broker.work()
    broker.index_all()
    assert documents_near(broker, "cherry") == {document}
    assert documents_near(broker, "apple") == set()
    assert indexed(broker) == (2, 2)


def test_another_model_takes_over_when_it_has_every_page(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", *(f"apple {number}" for number in range(40)))
    broker.index_all()
    announce(broker.ledger, embedding_info("other"), embedding_info())
    assert isinstance(asked(broker, "apple"), Question)
    broker.keeper().tick()
    assert broker.waiting == []  # the one that is in use stays while it is there

    named = broker.settings.model_copy(update={"embedding_model": "other"})
    keeper = Keeper(broker.ledger, named, broker.exchange, broker.publish)
    keeper.tick()
    broker.answer(broker.take(), other_vector)
    keeper.tick()
    first = asked(broker, "apple")
    assert isinstance(first, Question)
    assert first.query.model == "words:latest"  # the old ones serve meanwhile
    while broker.waiting:
        broker.work(other_vector)
        keeper.tick()
    broker.look_again()
    keeper.tick()
    second = asked(broker, "apple")
    assert isinstance(second, Question)
    assert second.query.model == "other"
    with VectorStore.open(broker.settings) as store:
        assert [space.model for space in store.spaces()] == ["other"]
        assert store.db.execute("SELECT count(*) FROM vectors").get == 40


def other_vector(text: str) -> list[float]:
    return [1.0, *word_vector(text)[:99]]


def asked(broker: Broker, text: str) -> Question | str:
    return question(broker.settings, broker.ledger, text)


def test_a_model_whose_vectors_get_another_length_begins_anew(broker: Broker) -> None:
    document = read(broker.ledger, "one.pdf", "apple")
    broker.index_all()
    change_page(broker.ledger, document, 1, "pear")
    broker.look_again()
    broker.keeper().tick()
    broker.work(other_vector)
    broker.keeper().tick()  # the vectors of both lengths are gone
    broker.look_again()
    broker.keeper().tick()
    broker.work(other_vector)
    broker.keeper().tick()
    with VectorStore.open(broker.settings) as store:
        assert [space.dimensions for space in store.spaces()] == [100]
    assert indexed(broker) == (1, 1)


def begin_night(broker: Broker) -> None:
    """As if the last night check had been long ago."""
    with VectorStore.open(broker.settings) as store, store.transaction():
        store.set_note("compared on", "2020-01-01")


def test_at_night_every_page_is_compared_once(broker: Broker) -> None:
    document = read(broker.ledger, "one.pdf", "apple", "pear")
    broker.index_all()
    # A text that changed without the document having been read again: nothing but the night finds it.
    broker.ledger.put_pages(document, [Page(number=2, text="plum", source=TextSource.OCR, score=1.0)])
    broker.index_all()
    broker.keeper().reindex_if_due()  # not due: it has just been made
    broker.index_all()
    assert broker.texts() == ["apple", "pear"]
    begin_night(broker)
    broker.keeper().reindex_if_due()
    broker.index_all()
    assert broker.texts() == ["apple", "pear", "plum"]
    assert documents_near(broker, "pear") == set()
    with VectorStore.open(broker.settings) as store:
        assert store.note("compared on") == latest_day(broker.settings, time.time())


def test_beat_sends_for_the_night_check(settings: Settings) -> None:
    schedule = beat_schedule("home.1", settings)
    assert schedule["reindex"]["task"] == REINDEX_TASK
    assert schedule["reindex"]["schedule"] == DailyAt("03:30")
    never = settings.model_copy(update={"reindex_at": ""})
    assert "reindex" not in beat_schedule("home.1", never)
    assert latest_day(never, time.time()) == ""


def test_all_is_made_again_when_asked(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple")
    broker.index_all()
    with VectorStore.open(broker.settings) as store:
        throw_away(store)
    assert indexed(broker) == (0, 1)
    broker.index_all()
    assert broker.texts() == ["apple", "apple"]
    assert indexed(broker) == (1, 1)


def test_a_broken_file_is_made_again(broker: Broker) -> None:
    read(broker.ledger, "one.pdf", "apple")
    broker.index_all()
    broker.settings.vectors_path.write_bytes(b"This is no database, whatever its name may say." * 100)
    broker.index_all()
    assert indexed(broker) == (1, 1)
    assert broker.texts() == ["apple", "apple"]
