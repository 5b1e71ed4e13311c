"""Ending with the terminal. A program whose terminal has gone may spin on its dead input for ever."""

import os
import signal
import sys
import termios
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

_LOOK_SECONDS = 1.0


def end_with_terminal(app: "App[Any]") -> None:
    """End the process at once when its terminal is closed, on a hang-up signal or without one.

    In a browser, whose server ends it in order: when that server was killed. Nothing is lost by it: the UI
    only shows, and the clerk finishes what it was asked.
    """
    if app.is_web:
        server = os.getppid()
        app.set_interval(_LOOK_SECONDS, lambda: None if os.getppid() == server else _end())
        return
    if not sys.__stdin__ or not sys.__stdin__.isatty():
        return
    terminal = sys.__stdin__.fileno()
    signal.signal(signal.SIGHUP, lambda *_: _end())
    app.set_interval(_LOOK_SECONDS, lambda: None if _is_there(terminal) else _end())


def _is_there(terminal: int) -> bool:
    try:
        termios.tcgetattr(terminal)
    except termios.error:
        return False
    return True


def _end() -> None:
    # Leaving in order would write to the terminal that is gone.
    os._exit(128 + signal.SIGHUP)
