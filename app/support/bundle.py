"""Writing the support file: one part after the other, each of which may fail without costing the rest."""

import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from app import __version__
from app.logs.files import programs
from app.support import facts
from app.support.ledger_facts import ledger_facts, names_in_ledger
from app.support.log_lines import MAX_BYTES, log_lines
from app.support.redaction import Redactor
from tasks.errors import ConfigError, FileError
from tasks.logs import secrets
from tasks.settings import Settings

_README = """Shoebox {version}, support file of {date}

What is in here:

{parts}
What is not: document text, titles, fields, quotes, summaries, corrections, questions, page images, file and
folder names, passwords, keys, addresses of webhooks. Host names, user names, mail and network addresses are
replaced by placeholders such as <host-1>; the same placeholder stands for the same thing throughout this
file. Ids of documents and numbers of units stay, so that events can be followed; they tell nothing outside
your ledger. Names of models are as they are. Arguments of log lines are only kept where they are of a known
form.

Please look through it before you send it to anybody: these are text files, and you know best what is yours.
"""

_PROGRAMS = re.compile(r"(?:home|cpu|gpu|beat|watch|scaler|clerk|tui|cli|redis|supervisord)(?:-?\d+)?")
Part = tuple[str, str, Callable[[], Any]]
"""The name in the file, what it holds, and what makes it."""


def default_name() -> Path:
    """A name of the present second in the current folder."""
    return Path(f"shoebox-support-{time.strftime('%Y%m%d-%H%M%S')}.zip")


def write_bundle(settings: Settings, path: Path) -> list[str]:
    """Write a support file, for its owner's eyes only. Returns what is in it, a sentence for each part.

    Raises:
        FileError: there is a file already, or it cannot be written; nothing is left behind.
    """
    secrets.know(secrets.secrets_of(settings))
    redactor = Redactor()
    redactor.know_machine(settings.data_dir)
    redactor.know("address", facts.addresses(settings))
    redactor.know("name", names_in_ledger(settings))
    redactor.know("recipe", _recipe_names(settings))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise FileError(f"{path} is there already.", "Name another file; none is ever replaced.") from error
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.", "Name another place.") from error
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            return _fill(bundle, settings, redactor)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FileError(f"{path} cannot be written: {error.strerror}.", "Name another place.") from error
        raise


def _recipe_names(settings: Settings) -> list[str]:
    from tasks.recipes import list_recipes

    try:
        names = {*list_recipes(settings.recipes_path), settings.recipe}
    except (ConfigError, OSError):
        names = {settings.recipe}
    return sorted(names - {"builtin"})


def _fill(bundle: zipfile.ZipFile, settings: Settings, redactor: Redactor) -> list[str]:
    told = []
    for name, what, make in _parts(settings, redactor):
        try:
            text = json.dumps(make(), indent=1)
            told.append(f"{name}: {what}")
        except Exception as error:  # the rest is worth having
            text = json.dumps({"not_available": type(error).__name__})
            told.append(f"{name}: {what}; could not be found out")
        bundle.writestr(name, text + "\n")
    for program in programs(settings):
        known = program if _PROGRAMS.fullmatch(program) else redactor.placeholder("program", program)
        name = f"logs/{known.strip('<>')}.jsonl"
        told.append(f"{name}: {_write_lines(bundle, name, log_lines(settings, program, redactor))}")
    parts = "".join(f"  {line}\n" for line in told)
    bundle.writestr(
        "README.txt",
        _README.format(version=__version__, date=time.strftime("%Y-%m-%d %H:%M %z"), parts=parts),
    )
    return told


def _parts(settings: Settings, redactor: Redactor) -> Iterable[Part]:
    from app.doctor import run_checks

    return (
        (
            "workers.json",
            "the workers that are up, their models and GPUs",
            lambda: facts.worker_facts(settings, redactor),
        ),
        (
            "doctor.json",
            "what ./run.sh doctor found",
            lambda: facts.check_facts(run_checks(settings), redactor),
        ),
        ("versions.json", "versions of Shoebox, Python, system and packages", facts.version_facts),
        (
            "settings.json",
            "the settings; secrets, names and addresses only as <set>",
            lambda: facts.settings_facts(settings),
        ),
        (
            "services.json",
            "the programs under the supervisor, and Redis",
            lambda: facts.service_facts(settings),
        ),
        (
            "ledger.json",
            "schema, numbers of documents and units, units' durations, attempts and kinds of failure",
            lambda: ledger_facts(settings, redactor),
        ),
    )


def _write_lines(bundle: zipfile.ZipFile, name: str, lines: Iterable[str]) -> str:
    number = 0
    with bundle.open(name, "w") as part:
        for line in lines:
            part.write(f"{line}\n".encode("utf-8", "backslashreplace"))
            number += 1
    return f"{number} lines of its log at most {MAX_BYTES // 2**20} MB back, without names"
