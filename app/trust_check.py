"""The doctor's look at the ledger, and at who else may change what Shoebox believes."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from app.checks import Check, Verdict
from tasks.image_classifiers import classifiers_dir
from tasks.settings import Settings, config_file
from tasks.upgrading import LATEST, backups, damaged, refuse_newer, schema_of

_SHOWN = 3


def check_ledger(settings: Settings) -> Check:
    """The ledger is whole and of this version. It is only read, and not brought up to date here."""
    path = settings.ledger_path
    if not path.exists():
        return Check("ledger", Verdict.OK, "none yet")
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True)) as db:
            schema = schema_of(db)
            refuse_newer(schema, path)
            words = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        words = str(error)
    if words != "ok":
        raise damaged(path, words)
    kept = f"; copies from before upgrades: {path.parent / 'backups'}" if backups(path) else ""
    if schema < LATEST:
        return Check("ledger", Verdict.OK, f"schema {schema}; the next command brings it to {LATEST}{kept}")
    return Check("ledger", Verdict.OK, f"schema {schema}, whole{kept}")


def check_trust(settings: Settings) -> Check:
    """Nobody else can change settings, recipes, classifiers or the data.

    Settings name programs that are run, and a classifier's file is a program.
    """
    open_to_others = [path for path in _believed(settings) if _is_open(path)]
    if not open_to_others:
        return Check("trust", Verdict.OK, "nobody else can change settings, recipes, classifiers or data")
    named = ", ".join(map(str, open_to_others[:_SHOWN]))
    more = f" and {len(open_to_others) - _SHOWN} more" if len(open_to_others) > _SHOWN else ""
    return Check(
        "trust",
        Verdict.WARN,
        f"others can change {named}{more}",
        "Make them yours alone with chown and chmod go-w: who changes them decides what Shoebox does.",
    )


def _believed(settings: Settings) -> Iterator[Path]:
    for folder, pattern in (
        (config_file().parent, config_file().name),
        (settings.recipes_path, "*.toml"),
        (classifiers_dir(settings), "*"),
        (settings.data_dir, "*.sqlite3"),
    ):
        if folder.is_dir():
            yield folder
            yield from sorted(folder.glob(pattern))


def _is_open(path: Path) -> bool:
    """Whether another user owns it or may write it. Root may do anything anyway."""
    try:
        info = path.stat()
    except OSError:  # gone meanwhile
        return False
    others_may_write = bool(info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return info.st_uid not in (os.getuid(), 0) or others_may_write
