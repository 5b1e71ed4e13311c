"""Hearing the questions of Celery's tools, and replying: a thread of a worker's main process.

It has a connection of its own to Redis. Whatever comes on it, and whatever happens to it, no message of the
work waits for it or is lost by it.
"""

import logging
import threading
import time
from contextlib import closing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from tasks.inspection import wire
from tasks.inspection.answers import Asked, answer

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger("shoebox.worker")

_WAKING = ("heartbeat", "enable_events")
"""What listeners begin with."""
REPLY_SECONDS = 60
"""A reply that nobody takes is gone after so long: who asked may have ended."""
_LOOK_SECONDS = 1.0
_PING_SECONDS = 10.0
_SILENT_SECONDS = 25.0
"""A connection on which not even the answer to a ping came for so long is dead."""
_PAUSE_SECONDS = 2.0

_Name = Annotated[str, StringConstraints(max_length=300)]


class ReplyTo(BaseModel):
    """Where the answer is to go."""

    routing_key: str = Field(pattern=r"^[0-9a-f-]{36}$")
    """The id of who asked."""


class Question(BaseModel):
    """What Celery's tools send."""

    method: _Name
    arguments: dict[str, Any] | None = None
    destination: tuple[_Name, ...] | None = None
    """Names of workers; without any all are meant."""
    pattern: _Name | None = None
    matcher: _Name | None = None
    reply_to: ReplyTo | None = None
    ticket: _Name | None = None

    def is_for(self, worker: str) -> bool:
        """Whether this worker is meant. Regular expressions are not: a bad one would run for ever."""
        if self.destination:
            return worker in self.destination
        if self.pattern and self.matcher:
            return self.matcher == "glob" and fnmatchcase(worker, self.pattern)
        return True


def listen(redis: "Redis", worker: Asked, name: str, ended: threading.Event) -> None:
    """Answer questions until it is ended. `name` is the worker's."""
    from redis.exceptions import NoPermissionError

    is_told = False
    while not ended.is_set():
        try:
            _listen(redis, worker, name, ended)
        except NoPermissionError:
            if not is_told:  # its other troubles are told by all else that asks it
                log.warning(
                    "Celery's tools and Flower do not see this worker: Redis does not let its user "
                    "subscribe. Give the user the rights that docs/redis.md names."
                )
            is_told = True
        except Exception as error:  # whatever it is, this is no reason to be deaf from now on
            log.debug("listening for questions: %r", error)
        ended.wait(_PAUSE_SECONDS)


def _listen(redis: "Redis", worker: Asked, name: str, ended: threading.Event) -> None:
    with closing(redis.pubsub()) as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(wire.channel(redis, wire.QUESTIONS))
        last = pinged = time.monotonic()
        while not ended.is_set():
            now = time.monotonic()
            if now - last > _SILENT_SECONDS:
                return
            if now - pinged > _PING_SECONDS:
                heard.ping()
                pinged = now
            found = heard.get_message(timeout=_LOOK_SECONDS)
            if found is None:
                continue
            last = time.monotonic()
            if found["type"] == "message":
                _hear(redis, worker, name, found["data"])


def _hear(redis: "Redis", worker: Asked, name: str, raw: bytes) -> None:
    """Reply to a message, if it is a question for this worker. What is none is passed over."""
    try:
        question = Question.model_validate(wire.body_of(raw))
    except ValueError as error:
        log.debug("no question: %s", type(error).__name__)
        return
    if not question.is_for(name):
        return
    if question.method in _WAKING:
        worker.consumer.event_dispatcher.wake()
    if question.reply_to is None:
        return
    try:
        said = answer(worker, question.method, question.arguments or {})
    except Exception as error:  # of arguments that are none, or of a worker that is just starting or ending
        log.debug("%s: no answer: %r", question.method, error)
        said = {"error": f"{question.method}: {type(error).__name__}"}
    _reply(redis, question.reply_to, question.ticket, {name: said})


def _reply(redis: "Redis", reply_to: ReplyTo, ticket: str | None, said: object) -> None:
    asker = reply_to.routing_key
    text = wire.message(said, wire.REPLIES, asker, {"ticket": ticket, "clock": 0})
    key = wire.reply_list(asker)
    with redis.pipeline(transaction=False) as pipe:
        pipe.lpush(key, text)
        pipe.expire(key, REPLY_SECONDS)
        pipe.execute()
