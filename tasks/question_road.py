"""A question's traces in Redis: payload, who waits, who is on it, and the stream of its answer.

Everything has a lifetime. The keys of a question are `shoebox:<home>:ask:<id>` (the stream) and that with
`:payload`, `:wanted`, `:lease` and `:taken`. Whoever asks keeps `wanted` alive: when that is gone, because
the answer was cancelled or the asker has died, the worker stops. The worker keeps `lease` alive: when that is
gone without an end on the stream, the worker has died.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from tasks.asking.answers import Answer, Passage, Sentence
from tasks.documents import Failure, Value

if TYPE_CHECKING:
    from redis import Redis

KEPT_SECONDS = 3600
WANTED_SECONDS = 60
"""Without a sign of the asker for so long, nobody waits any more."""
_BATCH = 200

# As in tasks.exchange: a lease that somebody else holds is not renewed, one that has vanished is taken again.
_RENEW = """
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
"""


class QuestionPayload(Value):
    """What a worker is given to answer a question."""

    question: str
    passages: tuple[Passage, ...]
    model: str
    num_ctx: int
    on_cpu: bool
    fence_key: str
    """In hex."""
    tokens: tuple[float, ...] = ()
    """What has been learned about the model's tokens, as `TokenEstimate.recent`."""


class EntryKind(StrEnum):
    """What happened to a question."""

    BEGUN = "begun"
    """A worker has taken it."""
    DRAFT = "draft"
    """The model wrote a piece of a sentence; nothing is checked yet."""
    SENTENCE = "sentence"
    """A sentence is whole, and checked."""
    AGAIN = "again"
    """The model begins anew: what came before does not count."""
    ANSWER = "answer"
    """The answer is whole. The last entry."""
    FAILURE = "failure"
    """There will be no answer. The last entry."""


class Entry(Value):
    """One entry of the stream of an answer."""

    kind: EntryKind
    text: str = ""
    """Of a draft; untrusted."""
    sentence: Sentence | None = None
    answer: Answer | None = None
    failure: Failure | None = None

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return self.kind in {EntryKind.ANSWER, EntryKind.FAILURE}


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a question."""

    is_taken: bool
    """Whether a worker ever began."""
    is_held: bool
    """Whether a worker is on it."""


class QuestionRoad:
    """The traces of one question."""

    def __init__(self, redis: "Redis", home: str, question: str) -> None:
        self.redis = redis
        self.home = home
        self.question = question
        self._stream = f"shoebox:{home}:ask:{question}"

    @property
    def task_id(self) -> str:
        """Celery's task id. Not of the form that units have."""
        return f"ask.{self.home}.{self.question}"

    def _key(self, what: str) -> str:
        return f"{self._stream}:{what}"

    # The asker

    def put(self, payload: QuestionPayload) -> None:
        """Store what a worker needs."""
        self.want()
        self.redis.set(self._key("payload"), payload.model_dump_json(), ex=KEPT_SECONDS)

    def want(self) -> None:
        """Say that somebody waits for the answer; must be repeated."""
        self.redis.set(self._key("wanted"), 1, ex=WANTED_SECONDS)

    def leave(self) -> None:
        """Nobody waits any more: a worker that is on it stops, and one that is not never begins."""
        self.redis.delete(self._key("wanted"), self._key("payload"))

    def entries(self, last_id: str, block_ms: int) -> tuple[str, list[Entry]]:
        """Entries after `last_id` ("0" for all), waiting up to `block_ms` for the first."""
        entries = []
        reply = self.redis.xread({self._stream: last_id}, count=_BATCH, block=block_ms)
        for _, rows in cast("list[Any]", reply or []):
            for entry_id, values in rows:
                last_id = entry_id.decode()
                with suppress(ValueError, KeyError):  # of another version
                    entries.append(Entry.model_validate_json(values[b"entry"]))
        return last_id, entries

    def standing(self) -> Standing:
        """How it stands with the question."""
        taken, lease = self.redis.mget(self._key("taken"), self._key("lease"))
        return Standing(is_taken=bool(taken), is_held=bool(lease))

    # The worker

    def is_wanted(self) -> bool:
        """Whether somebody waits for the answer."""
        return bool(self.redis.exists(self._key("wanted")))

    def take(self, holder: str, seconds: float) -> bool:
        """Begin; False if nobody waits, or if a worker has begun before."""
        if not self.is_wanted() or self.redis.exists(self._key("taken")):
            return False
        if not self.redis.set(self._key("lease"), holder, nx=True, px=int(seconds * 1000)):
            return False
        self.redis.set(self._key("taken"), 1, ex=KEPT_SECONDS)
        return True

    def renew(self, holder: str, seconds: float) -> bool:
        """Keep the lease alive; False if somebody else has it."""
        return bool(self.redis.eval(_RENEW, 1, self._key("lease"), holder, str(int(seconds * 1000))))

    def payload(self) -> QuestionPayload | None:
        """What to answer; None if it has vanished."""
        raw = self.redis.get(self._key("payload"))
        return QuestionPayload.model_validate_json(cast(bytes, raw)) if raw else None

    def add(self, entry: Entry) -> None:
        """Append to the stream."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.xadd(self._stream, {"entry": entry.model_dump_json()})
            pipe.expire(self._stream, KEPT_SECONDS)
            if entry.is_last:  # in one step, so that nobody sees a gap between them
                pipe.delete(self._key("lease"), self._key("payload"))
            pipe.execute()
