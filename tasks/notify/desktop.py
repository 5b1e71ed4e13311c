"""Notifications on the desktop, by the system's own program. Without one, nothing is shown and it is said."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from tasks.notify.outbox import Kind, Notice
from tasks.plain_text import shortened

QUIET_SECONDS = 30.0
"""At most one notification in so many seconds."""
_TITLE = "Shoebox"
_SHOW_SECONDS = 8.0
_NAMES = 3
_NAME_WIDTH = 40
# The text comes as an argument, so that nothing in it is ever read as a script.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
_WORDS = {"done": "done", "review": "to review", "failed": "failed", "quarantined": "set aside"}


class DesktopError(Exception):
    """It could not be shown, in words."""


def notification_command(
    title: str, text: str, environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> list[str]:
    """The program that shows a notification, with its arguments.

    Raises:
        DesktopError: there is no desktop, or no such program.
    """
    if platform == "darwin":
        script = [argument for line in _SCRIPT for argument in ("-e", line)]
        return ["osascript", *script, title, text]  # the title is ours, so no argument begins with a dash
    if not any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")):
        raise DesktopError("there is no desktop here")
    program = shutil.which("notify-send", path=environment.get("PATH"))
    if program is None:
        raise DesktopError("there is no notify-send; the package libnotify (libnotify-bin) has it")
    return [program, "--app-name=Shoebox", "--", title, _body(text)]


def _body(text: str) -> str:
    """A text as notify-send takes it.

    The body is markup by the specification of desktop notifications (the title is not), and before it is sent
    notify-send replaces C escapes in it: `\\074` would become `<` after all (g_strcompress in its source).
    """
    return escape(text, quote=False).replace("\\", "\\\\")


def show(text: str) -> None:
    """Show a notification. The text must be safe to print.

    Raises:
        DesktopError: it could not be shown, in words.
    """
    command = notification_command(_TITLE, text)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SHOW_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DesktopError(f"{command[0]} did not end within {_SHOW_SECONDS:g} seconds") from None
    except OSError as error:
        raise DesktopError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise DesktopError(f"{command[0]} ended with {done.returncode}: is the desktop reachable?")


def summary(notices: Sequence[Notice]) -> str:
    """Any number of notices in a few lines, safe to print: of a document only its last state counts."""
    parts = [notice.payload["summary"] for notice in notices if notice.kind is Kind.DIGEST][-1:]
    latest = {notice.document: notice for notice in notices if notice.kind is Kind.DOCUMENT}
    alerts = {notice.payload["queue"]: notice for notice in notices if notice.kind is Kind.ALERT}
    parts += [notice.payload["words"] for notice in alerts.values()]
    counts = Counter(notice.state for notice in latest.values())
    if counts:
        said = [f"{counts[state]} {words}" for state, words in _WORDS.items() if counts[state]]
        parts.append(f"{', '.join(said)}: {_names(list(latest.values()))}")
    return "\n".join(parts)


def _names(notices: Sequence[Notice]) -> str:
    """Those that need a person come first."""
    ordered = sorted(notices, key=lambda notice: notice.state == "done")
    names = [shortened(notice.payload["name"], _NAME_WIDTH) for notice in ordered[:_NAMES]]
    return ", ".join(names) + (", …" if len(ordered) > _NAMES else "")
