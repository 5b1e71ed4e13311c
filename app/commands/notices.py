"""Commands about what is told by itself: digest and notify."""

import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from app.plain_text import visible, visible_lines
from tasks.errors import ExitCode, ShoeboxError
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from tasks.ledger import Ledger
    from tasks.notify.outbox import Channel


@click.command()
@click.option("--write", is_flag=True, help="Write it to its file instead.")
def digest(write: bool) -> None:
    """Show what came in, what needs review and which amounts fall due, since the last daily digest.

    The daily digest itself is switched on by the setting `digest_at`; this does not stand in for it.
    """
    from tasks.ledger import Ledger
    from tasks.notify.daily import preview, write_digest
    from tasks.notify.digest_words import digest_markdown

    settings = get_settings()
    with Ledger.open(settings) as ledger:
        found = preview(ledger, settings, time.time())
    if not write:
        for piece in digest_markdown(found):
            click.echo(piece, nl=False)
        return
    try:
        path = write_digest(found, settings)
    except OSError as error:
        raise ShoeboxError(
            f"The digest cannot be written to {settings.digests_path}: {error.strerror}.",
            "Make the folder yours, or name another with SHOEBOX_DIGEST_DIR.",
        ) from error
    click.echo(visible(str(path)))


@click.command()
@click.option("--test", "as_test", is_flag=True, help="Send a test to the desktop and the webhook now.")
def notify(as_test: bool) -> None:
    """Show who is told when documents are done or need review, and how that goes."""
    from tasks.ledger import Ledger

    settings = get_settings()
    with Ledger.open(settings) as ledger:
        went_well = _test(ledger, settings) if as_test else _show(ledger, settings)
    if not went_well:
        sys.exit(ExitCode.SERVICE)


def _show(ledger: "Ledger", settings: Settings) -> bool:
    from tasks.notify.daily import last_digest
    from tasks.notify.outbox import Channel

    for channel in Channel:
        click.echo(f"{channel.value}: {_state_words(ledger, settings, channel)}")
    last = last_digest(ledger)
    when = f"every day at {settings.digest_at}" if settings.digest_at else "off (setting digest_at)"
    made = f"; the last one was of {last.day.isoformat()}" if last.day else ""
    click.echo(f"digest: {when}{made}; in {visible(str(settings.digests_path))}")
    if last.problem:
        click.echo(f"Problem: {visible(last.problem)}", err=True)
    return True


def _state_words(ledger: "Ledger", settings: Settings, channel: "Channel") -> str:
    from tasks.notify.outbox import Outbox, open_channels

    if channel not in open_channels(settings):
        return "off"
    state = Outbox(ledger).state_of(channel)
    words = f"on{_target(settings, channel)}; {state.waiting} to be told"
    if state.given_up:
        words += f"; {state.given_up} given up in the last 30 days"
    if state.last_error:
        words += f"; the last failure: {visible(state.last_error)}"
    return words


def _target(settings: Settings, channel: "Channel") -> str:
    """Whom it is for. Of an address only the host: the rest of it may hold a token."""
    from tasks.notify.outbox import Channel

    if channel is not Channel.WEBHOOK or settings.webhook_url is None:
        return ""
    host = visible(urlsplit(settings.webhook_url.get_secret_value()).hostname or "")
    signed = "signed" if settings.webhook_secret else "not signed: there is no webhook_secret"
    return f", {host}, {signed}"


def _test(ledger: "Ledger", settings: Settings) -> bool:
    from tasks.notify.deliver import Delivery
    from tasks.notify.outbox import open_channels

    channels = open_channels(settings)
    if not channels:
        raise ShoeboxError(
            "Nobody is to be told: neither notify_desktop nor webhook_url is set.",
            "Set SHOEBOX_NOTIFY_DESKTOP=1 or SHOEBOX_WEBHOOK_URL; see docs/notify.md.",
        )
    problems = {channel: Delivery(ledger, settings).test(channel) for channel in channels}
    for channel, problem in problems.items():
        said = f"not delivered: {problem}." if problem else "delivered."
        click.echo(visible_lines(f"{channel.value}{_target(settings, channel)}: {said}"))
    return not any(problems.values())


COMMANDS = (digest, notify)
