"""Server-sent events: their form, and the streams of a document and of all documents."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from app.api.following import Entry
from app.api.problems import ApiError
from app.api.records import document_record, state_counts
from app.api.replies import json_text
from tasks.events import EventKind
from tasks.ledger import DocumentRow

if TYPE_CHECKING:
    from app.api.service import Service

HEARTBEAT_SECONDS = 15.0
"""A sign of life for proxies, and the occasion to look into the ledger in case that an event was lost."""
LOST_SECONDS = 1.0
"""How often the ledger is looked at while Redis is away."""
RETRY_MS = 2_000
"""How long a client that lost its connection waits before the next."""
MAX_FOLLOWING = 800
"""Clients that follow events or wait for a text. Fewer than all requests, so that others are answered."""
_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


def check_room(service: "Service") -> None:
    """Turn one more who wants to follow away where too many do.

    Raises:
        ApiError: 503.
    """
    if service.follower.count >= MAX_FOLLOWING:
        raise ApiError(
            503,
            f"{MAX_FOLLOWING} clients follow already.",
            "Look now and then instead.",
            {"Retry-After": "10"},
        )


def event_id(text: str | None) -> str | None:
    """The id of a stream's entry that a client names, if it is one."""
    return text if text is not None and _ID.fullmatch(text) else None


def sent(name: str, body: Mapping[str, Any], entry_id: str = "") -> bytes:
    """One event as it travels."""
    head = f"id: {entry_id}\n" if entry_id else ""
    return f"{head}event: {name}\ndata: {json_text(body)}\n\n".encode()


def event_stream(pieces: AsyncIterator[bytes]) -> StreamingResponse:
    """A reply of events."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(pieces, headers=headers, media_type="text/event-stream")


async def document_events(service: "Service", document: str) -> AsyncIterator[bytes]:
    """What happens to a document, beginning with how it is now, until it has ended or is removed."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    with service.follower.following(document) as following:
        last, entry_id, look = None, following.since, True
        while not service.follower.is_draining:
            if look:
                now = await service.readers.run(lambda ledger: document_record(ledger, document))
                if now is None:
                    yield sent("end", {"id": document, "reason": "removed"}, entry_id)
                    return
                if now != last:
                    yield sent("document", now.model_dump(mode="json"), entry_id)
                    last = now
                if now.ended:
                    yield sent("end", {"id": document, "reason": "ended"}, entry_id)
                    return
            entries = await following.take(_patience(service))
            for entry in entries:
                entry_id = entry.id
                if entry.event.kind is EventKind.TEXT:
                    yield _text(entry)
            # Without any entry too: that is the time to find what no event told of.
            look = not entries or any(one.event.kind is EventKind.DOCUMENT for one in entries)
            look, following.may_have_missed = look or following.may_have_missed, False
            if not entries:
                yield b": still here\n\n"


async def all_events(service: "Service", after: str | None) -> AsyncIterator[bytes]:
    """What happens to all documents, beginning with how many are in each state, or with what was missed."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    with service.follower.following() as following:
        missed = None if after is None else await service.follower.replay(after, following.since)
        if after is not None and missed is None:
            yield sent("reset", _RESET)
        counts = await service.readers.run(state_counts)
        yield sent("counts", {"states": counts}, "" if missed else following.since)
        for entry in missed or ():
            yield _entry(entry)
        while not service.follower.is_draining:
            entries = await following.take(HEARTBEAT_SECONDS)
            if following.may_have_missed:
                following.may_have_missed = False
                yield sent("reset", _RESET)
            for entry in entries:
                yield _entry(entry)
            if not entries:
                yield b": still here\n\n"


_RESET = {"reason": "Events may have been lost: read the documents again."}


def _patience(service: "Service") -> float:
    return HEARTBEAT_SECONDS if service.follower.is_up else LOST_SECONDS


def _text(entry: Entry) -> bytes:
    event = entry.event
    body = {"id": event.document, "stage": event.stage.value, "unit": event.unit, "text": event.text}
    return sent("text", body, entry.id)


def _entry(entry: Entry) -> bytes:
    if entry.event.kind is EventKind.TEXT:
        return _text(entry)
    event = entry.event
    body = {"id": event.document, "state": event.state.value, "stage": event.stage.value}
    return sent("document", body, entry.id)


async def await_document(
    service: "Service", document: str, seconds: float, is_enough: Callable[[DocumentRow], bool]
) -> DocumentRow | None:
    """The document as soon as `is_enough` says so, and after so many seconds in any case. Holds no thread."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    with service.follower.following(document) as following:
        while True:
            now = await service.readers.run(lambda ledger: ledger.document(document))
            left = give_up - loop.time()
            if now is None or is_enough(now) or left <= 0 or service.follower.is_draining:
                return now
            await following.take(min(left, _patience(service)))
