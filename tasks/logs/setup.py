"""Configuring the logs of a process: the only place that touches the root logger."""

import atexit
import faulthandler
import logging
import os
import sys
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TextIO

from tasks.logs import secrets
from tasks.logs.flood import FloodGuard
from tasks.logs.lines import JsonLines, OnlyWords, TextLines
from tasks.logs.output import STANDARD_ERROR, BoundedFile, Output
from tasks.logs.words import OURS, ROAD

if TYPE_CHECKING:
    from tasks.settings import Settings

Format = Literal["auto", "json", "text"]

_log = logging.getLogger("shoebox.process")
_CHATTY = ("celery.app.trace", "celery.worker.strategy", "celery.beat")
"""Three lines for each of Celery's tasks, ticks included, would bury what a person looks for."""


_OF_CELERY_6 = "CPendingDeprecationWarning"
"""Each lost connection would be followed by a warning of a default of Celery 6; Celery undoes any filter."""


class _State:
    """What this process was configured with."""

    output: Output | None = None
    is_json = False
    is_command = False


def is_json() -> bool:
    """Whether standard error takes lines of JSON: then what is said to a person goes through the log too."""
    return _State.is_json


def begin_command() -> None:
    """This process is a command of the user's: once it opens a home, it has a log (`configure_command`)."""
    _State.is_command = True


def configure_command(settings: "Settings") -> None:
    """Have what a command does to documents written to `cli.log`; does nothing in any other process.

    Warnings go to the screen as well, as words.
    """
    if not _State.is_command or _State.output is not None:
        return
    configure("cli", settings, file=settings.log_dir / "cli.log", takes_stderr=False)
    screen = logging.StreamHandler()
    screen.setLevel(logging.WARNING)
    screen.setFormatter(OnlyWords())
    screen.addFilter(_is_wanted)
    logging.getLogger().addHandler(screen)


def configure(
    program: str,
    settings: "Settings",
    *,
    worker: str = "",
    file: Path | None = None,
    takes_stderr: bool = True,
) -> None:
    """Have everything that this process logs end in one place and one form. Can be called again.

    Args:
        program: such as `home`, `beat` or `tui`; the name of the log file without its ending.
        worker: the worker's name, as its presence has it.
        file: where to write, for a program that no supervisor catches the output of; else standard error.
        takes_stderr: with `file`: whether standard error goes there as well; not where that is the screen.
    """
    secrets.know(secrets.secrets_of(settings))
    root = logging.getLogger()
    if _State.output is not None:
        root.removeHandler(_State.output)
        _State.output.close()
    output = BoundedFile(file, takes_stderr=takes_stderr) if file else Output()
    owns_stderr = file is None or takes_stderr
    writes_json = file is not None or _wants_json(settings.log_format)
    form = JsonLines if writes_json else TextLines
    output.setFormatter(form(program, worker))
    output.addFilter(_is_wanted)
    guard = FloodGuard(output.emit)
    atexit.register(guard.tell)  # what it has counted until then
    output.addFilter(guard)
    root.addHandler(output)
    root.setLevel(settings.log_level.upper())
    logging.lastResort = output  # for loggers that hand nothing on, such as billiard's
    _State.output = output
    _State.is_json = writes_json and owns_stderr
    # What goes wrong with a record itself would be printed with all its arguments.
    logging.raiseExceptions = False
    _catch(owns_stderr)


def _wants_json(wanted: Format) -> bool:
    """Words for a person at a terminal, else JSON."""
    if wanted != "auto":
        return wanted == "json"
    return not os.isatty(STANDARD_ERROR)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Libraries tell too much below warnings, requests and their content included; not at any level."""
    family = record.name.partition(".")[0]
    if family in (OURS, "py") or record.levelno >= logging.WARNING:
        return True
    return family in ROAD and record.levelno >= logging.INFO and not record.name.startswith(_CHATTY)


def _catch(owns_stderr: bool) -> None:
    """What nobody caught, warnings and crashes of native code go into the log as well."""
    threading.excepthook = _thread_died
    sys.unraisablehook = _not_raised
    logging.captureWarnings(capture=True)  # or Celery does it later, and has warnings told with their words
    warnings.showwarning = _warned
    if owns_stderr:
        sys.excepthook = _died
        # At SIGSEGV, SIGFPE, SIGABRT, SIGBUS and SIGILL: where each thread was, in lines of its own form.
        faulthandler.enable(STANDARD_ERROR)


def _died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("The program ended by an error that nobody foresaw", exc_info=(kind, error, trace))


def _thread_died(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is None or isinstance(what.exc_value, SystemExit):
        return
    error = (what.exc_type, what.exc_value, what.exc_traceback)
    name = what.thread.name if what.thread else "?"
    _log.error("The thread %s ended by an error that nobody foresaw", name, exc_info=error)


def _not_raised(what: Any) -> None:
    error = what.exc_value
    if error is not None:
        _log.warning("An error was ignored", exc_info=(type(error), error, what.exc_traceback))


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the form of warnings.showwarning
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Not its words, which may quote values; the place says which warning it is."""
    del message
    if category.__name__ == _OF_CELERY_6:
        return
    place = Path(filename)
    logging.getLogger("py.warnings").warning(
        "%s at %s:%d", category.__name__, f"{place.parent.name}/{place.name}".lstrip("/"), lineno
    )
