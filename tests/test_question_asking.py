"""Asking at home: what is prepared, what is refused, and what a worker makes of it."""

from pathlib import Path

import pytest
from redis import Redis

from tasks.asking.answers import Answer
from tasks.circuit import Circuit, save_circuit
from tasks.engines.llm.base import ModelInfo
from tasks.errors import NotFoundError, ServiceError, ShoeboxError
from tasks.ledger import Ledger
from tasks.question_asking import Asked, enter_answer, hand_over, prepare
from tasks.question_road import EntryKind, QuestionRoad
from tasks.routing import KnownModels
from tasks.settings import Settings
from tasks.stages.asking import answer_question
from tests.test_search import put

QUESTION = "What is the deposit?"
LARGE = ModelInfo(name="shoebox-large", parameters=8_000_000_000)


@pytest.fixture
def lease(ledger: Ledger) -> str:
    return put(ledger, "lease.pdf", "first page", "The deposit is 780.00 GBP.")


@pytest.fixture
def model(ledger: Ledger) -> None:
    """A worker that reaches the large model was seen."""
    save_circuit(ledger, Circuit(known=KnownModels(by_queue={"gpu": (LARGE,)}, problem="")))


@pytest.mark.usefixtures("model")
def test_a_question_goes_to_the_queue_of_the_large_model(
    ledger: Ledger, settings: Settings, lease: str
) -> None:
    asked = prepare(ledger, settings, QUESTION)
    assert isinstance(asked, Asked)
    assert (asked.queue, asked.payload.model) == ("gpu", "shoebox-large")
    assert asked.payload.num_ctx == settings.large_num_ctx
    assert not asked.payload.on_cpu
    [passage] = asked.payload.passages
    assert (passage.document, passage.page) == (lease, 2)
    assert asked.payload.fence_key == ledger.secret("fence key")


@pytest.mark.usefixtures("lease")
def test_without_a_model_the_passages_answer_and_say_why(ledger: Ledger, settings: Settings) -> None:
    found = prepare(ledger, settings, QUESTION)
    assert isinstance(found, Answer)
    assert [source.page for source in found.passages] == [2]
    assert found.note == "No worker has said yet which language models it reaches."
    offline = settings.model_copy(update={"engine": "offline"})
    found = prepare(ledger, offline, QUESTION)
    assert isinstance(found, Answer)
    assert found.note == "The settings name the offline engine."


@pytest.mark.usefixtures("lease", "model")
def test_what_no_page_speaks_of_needs_no_model(ledger: Ledger, settings: Settings) -> None:
    found = prepare(ledger, settings, "xyzzy?")
    assert isinstance(found, Answer)
    assert (found.supported, found.passages) == ((), ())
    assert (
        found.note
        == "No page has any of the words of the question, or comes near to it, so nothing was read."
    )


def test_what_cannot_be_asked_is_said(ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="no documents yet"):
        prepare(ledger, settings, QUESTION)
    put(ledger, "a.txt", "x")
    with pytest.raises(ShoeboxError, match="There is no question"):
        prepare(ledger, settings, " ?! ")
    with pytest.raises(ShoeboxError, match="1,001 characters"):
        prepare(ledger, settings, "x" * 1001)
    with pytest.raises(NotFoundError, match="no longer there"):
        prepare(ledger, settings, QUESTION, ["00000000"])


@pytest.mark.usefixtures("model", "lease")
def test_a_redis_that_is_away_is_said(ledger: Ledger, settings: Settings) -> None:
    road = QuestionRoad(Redis(unix_socket_path="/nowhere/r.sock"), "h", "q")
    asked = prepare(ledger, settings, QUESTION)
    assert isinstance(asked, Asked)
    with pytest.raises(ServiceError, match="The question was not taken: Redis cannot be reached"):
        hand_over(road, asked, settings)
    with pytest.raises(ServiceError, match="The answer was not taken: Redis"):
        enter_answer(road, Answer(question=QUESTION))


@pytest.mark.usefixtures("model", "lease")
def test_a_worker_says_how_it_ended_whatever_happens(
    ledger: Ledger, settings: Settings, redis: Redis, tmp_path: Path
) -> None:
    asked = prepare(ledger, settings, QUESTION)
    assert isinstance(asked, Asked)
    # No server listens there: the passages are the answer.
    away = settings.model_copy(update={"ollama_host": "127.0.0.1:1"})
    road = QuestionRoad(redis, "h", "away")
    road.put(asked.payload)
    assert answer_question(road, "w", away)
    _, entries = road.entries("0", 1)
    assert [entry.kind for entry in entries] == [EntryKind.BEGUN, EntryKind.ANSWER]
    assert entries[-1].answer is not None
    assert "127.0.0.1:1" in entries[-1].answer.note
    assert entries[-1].answer.passages
    assert [call.error.split(":")[0] for call in entries[-1].answer.calls] == ["unavailable"]

    unset = settings.model_copy(update={"engine": "openai"})
    road = QuestionRoad(redis, "h", "unset")
    road.put(asked.payload)
    assert answer_question(road, "w", unset)
    _, entries = road.entries("0", 1)
    assert entries[-1].failure is not None
    assert "openai_url is not set" in entries[-1].failure.message

    road = QuestionRoad(redis, "h", "broken")
    road.put(asked.payload.model_copy(update={"fence_key": "no hex"}))
    assert answer_question(road, "w", away)
    _, entries = road.entries("0", 1)
    assert entries[-1].failure is not None
    assert entries[-1].failure.message.startswith("Answering failed (ValueError")

    road = QuestionRoad(redis, "h", "vanished")
    road.want()
    assert answer_question(road, "w", away)
    _, entries = road.entries("0", 1)
    assert entries[-1].failure is not None
    assert entries[-1].failure.kind == "lost"
    assert not answer_question(road, "w", away)
    assert [key for key in redis.keys("*") if key.endswith(b":lease")] == []
