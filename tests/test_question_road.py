"""A question on its way: asked, answered, left, lost; over a real Redis, with this process as the worker."""

import threading
from contextlib import closing

import pytest
from redis import Redis

from tasks import question_following
from tasks.asking.answers import Answer, Passage
from tasks.documents import Failure
from tasks.errors import ServiceError
from tasks.exchange import Exchange
from tasks.orders import Presence
from tasks.planning import GPU_QUEUE
from tasks.question_following import NoAnswerError, follow
from tasks.question_road import Entry, EntryKind, QuestionPayload, QuestionRoad
from tasks.queues import URGENT_PRIORITY, broker_lists

PAYLOAD = QuestionPayload(
    question="What is the deposit?",
    passages=(Passage(number=1, document="aaaa", name="a.txt", page=1, start=0, text="The deposit is 7."),),
    model="m",
    num_ctx=4096,
    on_cpu=False,
    fence_key="00",
)
ANSWER = Entry(kind=EntryKind.ANSWER, answer=Answer(question="What is the deposit?", model="m"))
LONG = 60.0


@pytest.fixture
def road(redis: Redis) -> QuestionRoad:
    return QuestionRoad(redis, "h", "q")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for."""
    monkeypatch.setattr(question_following, "_BLOCK_MS", 10)
    monkeypatch.setattr(question_following, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(question_following, "LOST_SECONDS", 0.05)
    monkeypatch.setattr(question_following, "DESERTED_SECONDS", 0.05)


def all_of(road: QuestionRoad) -> list[Entry]:
    """Follow to the end."""
    return list(follow(road, lambda: False))


def put_message(road: QuestionRoad) -> None:
    """Put a message where kombu puts it."""
    name = broker_lists(GPU_QUEUE)[URGENT_PRIORITY // 3]
    road.redis.lpush(name, '{"headers": {"id": "h.12.1"}}', f'{{"headers": {{"id": "{road.task_id}"}}}}')


def test_the_answer_comes_piece_by_piece_and_then_nothing_is_left_but_the_stream(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    assert road.take("w", LONG)
    assert road.payload() == PAYLOAD
    pieces = [Entry(kind=EntryKind.BEGUN), Entry(kind=EntryKind.DRAFT, text="It"), ANSWER]
    for piece in pieces:
        road.add(piece)
    assert all_of(road) == pieces
    assert {key.decode() for key in road.redis.keys("*")} == {"shoebox:h:ask:q", "shoebox:h:ask:q:taken"}
    assert all(road.redis.ttl(key) > 0 for key in road.redis.keys("*"))


def test_a_question_is_begun_once(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    assert road.take("w", LONG)
    assert not road.take("other", LONG)
    road.add(ANSWER)
    road.put(PAYLOAD)  # the clerk was killed, and asked again
    assert not road.take("w", LONG)
    assert all_of(road) == [ANSWER]


def test_a_question_that_nobody_waits_for_is_not_begun(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    road.leave()
    assert not road.take("w", LONG)
    assert road.redis.keys("*") == []


def test_a_lease_is_renewed_by_its_holder_only(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    road.take("w", LONG)
    assert road.renew("w", LONG)
    assert not road.renew("other", LONG)


def test_whoever_stops_leaves_the_question(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    road.take("w", LONG)
    road.add(Entry(kind=EntryKind.BEGUN))
    with closing(follow(road, lambda: False)) as entries:
        assert next(entries).kind is EntryKind.BEGUN
        assert road.is_wanted()
    assert not road.is_wanted()
    road.want()
    assert list(follow(road, lambda: True)) == []
    assert not road.is_wanted()


def test_a_failure_is_an_error_in_the_words_of_the_worker(road: QuestionRoad) -> None:
    failure = Failure(kind="timeout", message="Answering took too long.", remedy="Ask less.")
    road.add(Entry(kind=EntryKind.FAILURE, failure=failure))
    with pytest.raises(NoAnswerError, match=r"Answering took too long. Ask less.") as caught:
        all_of(road)
    assert caught.value.kind == "timeout"


@pytest.mark.usefixtures("quick")
def test_a_worker_that_dies_is_noticed(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    road.take("w", LONG)
    road.add(Entry(kind=EntryKind.BEGUN))
    road.redis.delete("shoebox:h:ask:q:lease")
    with pytest.raises(ServiceError, match="The worker that was answering died"):
        all_of(road)


@pytest.mark.usefixtures("quick")
def test_a_question_that_got_lost_is_noticed(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    with pytest.raises(ServiceError, match="lost on its way"):
        all_of(road)


@pytest.mark.usefixtures("quick")
def test_a_queue_that_nobody_serves_is_noticed(road: QuestionRoad) -> None:
    road.put(PAYLOAD)
    put_message(road)
    with pytest.raises(ServiceError, match="No worker of the gpu queue is up"):
        all_of(road)


@pytest.mark.usefixtures("quick")
def test_a_question_waits_as_long_as_it_must_for_a_worker_that_is_busy(
    road: QuestionRoad, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = Presence(worker="w@h", queues=(GPU_QUEUE,), slots=1, pid=1)
    Exchange(road.redis).announce_presence(presence, LONG)
    road.put(PAYLOAD)
    put_message(road)
    looks: list[float] = []
    clock = iter(range(0, 3_000, 4))  # four seconds pass from one look to the next

    def monotonic() -> float:
        looks.append(next(clock))
        if len(looks) == 20:
            road.take("w", LONG)
            road.add(ANSWER)
        return looks[-1]

    monkeypatch.setattr(question_following, "LOST_SECONDS", 6.0)
    monkeypatch.setattr(question_following, "DESERTED_SECONDS", 20.0)
    monkeypatch.setattr(question_following.time, "monotonic", monotonic)
    assert all_of(road) == [ANSWER]
    assert looks[-1] > question_following.DESERTED_SECONDS


def test_a_redis_that_is_away_is_an_error_in_words(road: QuestionRoad) -> None:
    away = QuestionRoad(Redis(unix_socket_path="/nowhere/r.sock"), "h", "q")
    with pytest.raises(ServiceError, match="Redis cannot be reached"):
        all_of(away)


def test_an_entry_of_another_version_is_passed_over(road: QuestionRoad) -> None:
    road.redis.xadd("shoebox:h:ask:q", {"entry": '{"kind": "new"}'})
    road.redis.xadd("shoebox:h:ask:q", {"other": "x"})
    road.add(ANSWER)
    assert all_of(road) == [ANSWER]


def test_somebody_who_waits_keeps_the_question_wanted(
    road: QuestionRoad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_following, "_BLOCK_MS", 10)
    monkeypatch.setattr(question_following, "_LOOK_SECONDS", 0.0)
    road.put(PAYLOAD)
    road.take("w", LONG)
    road.redis.expire("shoebox:h:ask:q:wanted", 5)
    asking = threading.Thread(target=lambda: all_of(road))
    asking.start()
    while road.redis.ttl("shoebox:h:ask:q:wanted") <= 5:
        pass
    road.add(ANSWER)
    asking.join()
