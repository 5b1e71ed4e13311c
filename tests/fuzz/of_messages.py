"""Targets that read what came through Redis: events, orders, outcomes, presences, leases."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.documents import Failure, Stage, State
from tasks.engines.llm.base import CallTrace, ModelInfo
from tasks.events import Event, EventKind, read_events
from tasks.exchange import Exchange, Holder
from tasks.gpu import Gpu
from tasks.orders import Order, Outcome, Presence, Swap, image_pages
from tests.fuzz.runner import Target
from tests.fuzz.shapes import json_values, mutated_bytes, mutated_json

_EVENT = Event(
    kind=EventKind.TEXT, document="a1", state=State.RUNNING, stage=Stage.CLASSIFY, unit=7, text="The"
)
_ORDER = Order(
    home="0f",
    unit=7,
    issue=2,
    document="a1",
    stage=Stage.ANALYSE,
    params={
        "engine": "ollama",
        "category": "invoice",
        "llm": {"model": "m", "num_ctx": 512, "on_cpu": True, "images": [{"number": 1}]},
    },
    model="m",
)
_OUTCOMES = (
    Outcome(
        issue=2,
        result={"category": "invoice", "confidence": 0.5, "evidence": []},
        calls=(CallTrace(engine="ollama", model="m", purpose="fields", prompt_sha256="0" * 64, prompt="?"),),
        swaps=(Swap(loaded="m"),),
    ),
    Outcome(issue=1, failure=Failure(kind="error", message="It failed.")),
)
_PRESENCE = Presence(
    worker="cpu@box",
    queues=("cpu", "gpu"),
    slots=2,
    pid=12,
    models=(ModelInfo(name="m", parameters=7),),
    gpus=(Gpu(index=0, name="L4", memory_total=1, memory_used=0, uuid="GPU-0"),),
    software={"python": "3.11"},
)
_LEASE = Holder("box", 12, 1.5, 34, 2).token.encode()


def _json_bytes(*samples: Any) -> st.SearchStrategy[bytes]:
    """JSON of nearly the right form, or the right one with its bytes changed, or neither."""
    dumped = [json.loads(sample) for sample in samples]
    written = (mutated_json(dumped) | json_values()).map(lambda value: json.dumps(value).encode())
    return written | mutated_bytes([sample.encode() for sample in samples]) | st.binary(max_size=60)


class _Redis:
    """Answers as Redis does, with what a target is fed."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._asked: list[Any] = []

    def xread(self, streams: dict[str, str], **_: Any) -> Any:
        return [(next(iter(streams)).encode(), [(b"1-0", {b"event": self.raw}), (b"2-0", {self.raw: b"x"})])]

    def getrange(self, *_: object) -> bytes:
        return self.raw

    def mget(self, *keys: Any) -> list[bytes]:
        names = keys[0] if isinstance(keys[0], list) else keys
        return [self.raw] * len(names)

    def pipeline(self, **_: Any) -> "_Pipeline":
        return _Pipeline(self)


class _Pipeline:
    def __init__(self, redis: _Redis) -> None:
        self._redis = redis
        self._answers: list[Any] = []

    def __enter__(self) -> "_Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def time(self) -> None:
        self._answers.append((1, 0))

    def hgetall(self, _: str) -> None:
        self._answers.append({b"worker": self._redis.raw})

    def mget(self, *keys: str) -> None:
        self._answers.append([b"1"] * len(keys))

    def getrange(self, *_: object) -> None:
        self._answers.append(self._redis.raw)

    def execute(self) -> list[Any]:
        return self._answers


def check_event(raw: bytes) -> None:
    """What is no event is passed over, and the place to go on from is behind it."""
    last_id, events = read_events(_Redis(raw), "0f", "0-0", 10)  # type: ignore[arg-type]
    assert last_id == "2-0"
    assert all(isinstance(event, Event) for event in events)
    assert len(events) < 2


def check_order(raw: bytes) -> None:
    """An order is refused by its form (ValidationError), or has one; its parameters alike."""
    with suppress(ValidationError):
        order = Order.model_validate_json(raw)
        assert Order.model_validate_json(order.model_dump_json()) == order
        assert order.task_id.count(".") >= 2
        assert all(isinstance(page, int) for page in image_pages(order.stage, order.params))


def check_outcome(raw: bytes) -> None:
    """One outcome of no known form does not keep home from seeing the others: it counts as a failure."""
    exchange = Exchange(_Redis(raw))  # type: ignore[arg-type]
    (trace,) = exchange.traces("0f", [7]).values()
    single = exchange.outcome("0f", 7)
    assert (trace.outcome is None) == (single is None)
    if raw:
        assert single is not None
        assert single.failure is not None or single.result is not None or _is_bare(single)
        single.model_dump_json()


def _is_bare(outcome: Outcome) -> bool:
    """Neither result nor failure: of its form, though nobody sends such a one; home records a failure."""
    return outcome.result is None and outcome.failure is None


def check_presence(raw: bytes) -> None:
    """A worker whose announcement is of no known form is not there, and the others are."""
    found = Exchange(_Redis(raw)).presence()  # type: ignore[arg-type]
    assert len(found) < 2


def check_lease(raw: bytes) -> None:
    """A lease is held by whom its token names, or by somebody unknown."""
    exchange = Exchange(_Redis(raw))  # type: ignore[arg-type]
    held = exchange.holders("0f", [7])
    assert all(isinstance(holder, Holder) for holder in held.values())


_ENTRY = json.dumps({"presence": _PRESENCE.model_dump(mode="json"), "until": 100.0})
TARGETS = (
    Target("event", _json_bytes(_EVENT.model_dump_json()), check_event),
    Target("order", _json_bytes(_ORDER.model_dump_json()), check_order),
    Target(
        "outcome", _json_bytes(*(one.model_dump_json() for one in _OUTCOMES)), check_outcome, (b"{}", b"\xff")
    ),
    Target("presence", _json_bytes(_ENTRY), check_presence, (b"true", b"{}", b"\x98", b'{"until": 100.0}')),
    Target("lease", mutated_bytes([_LEASE]) | st.binary(max_size=40), check_lease, (b"\xf9",)),
)
