"""What is wrong with telling outside, in words for `status`."""

from collections.abc import Iterator

from tasks.ledger import Ledger
from tasks.notify.daily import last_digest
from tasks.notify.outbox import Channel, Outbox, open_channels
from tasks.settings import Settings

_NAMES = {Channel.WEBHOOK: "The webhook", Channel.DESKTOP: "The desktop"}


def notice_problems(ledger: Ledger, settings: Settings) -> Iterator[str]:
    """A sentence for each thing that is wrong. Nothing in it is secret."""
    for channel in open_channels(settings):
        state = Outbox(ledger).state_of(channel)
        why = f" The last failure: {state.last_error}." if state.last_error else ""
        if state.given_up:
            yield f"{_NAMES[channel]} was not told {_notices(state.given_up)} in the last 30 days.{why}"
        elif state.last_error:
            yield f"{_NAMES[channel]}: {_notices(state.waiting)} to be told.{why}"
    if settings.digest_at and (problem := last_digest(ledger).problem):
        yield problem


def _notices(number: int) -> str:
    return f"{number} notice{'' if number == 1 else 's'}"
