"""The embedded Redis' files: set aside when the server cannot read them, so that it starts without them.

Redis is only the road. What it held was work under way, which home issues again from the ledger: files that a
power cut has damaged are not worth a person's time.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from app.services.folders import program_log
from tasks.broker_url import redis_config_path
from tasks.settings import Settings

START_LINE = "Shoebox starts its Redis."
"""In the program's log before each start."""
_UNREADABLE = (
    "Bad file format",  # zeros at the end, as after a power cut; another kind of server
    "Internal error in RDB",
    "Unrecoverable error",
    "Can't handle RDB format",  # of a newer version
    "Wrong signature",
    "Unable to obtain the AOF file",
    "AOF manifest",
)
"""What Redis and Valkey say before they give up on their files (aof.c, rdb.c)."""
_TAIL_BYTES = 16_384


def damaged_folder(settings: Settings) -> Path:
    """Where damaged files lie, the last ones only."""
    return redis_config_path(settings).parent / "damaged"


def set_aside_if_unreadable(settings: Settings) -> bool:
    """Move the server's files out of the way if it has just ended because it could not read them.

    The log says so: supervisord has written all of an ended program's words before it starts it again.
    """
    words = _last_words(program_log(settings, "redis"))
    if not any(sign in words for sign in _UNREADABLE) or "Ready to accept" in words:
        return False
    folder = redis_config_path(settings).parent
    damaged = damaged_folder(settings)
    shutil.rmtree(damaged, ignore_errors=True)
    damaged.mkdir(mode=0o700)
    for name in ("appendonlydir", "appendonly.aof", "dump.rdb"):  # the second is that of Redis 6
        if (folder / name).exists():
            (folder / name).rename(damaged / name)
    return True


def damage_note(settings: Settings) -> str:
    """In sentences, that files were set aside, and when; empty if none are there."""
    damaged = damaged_folder(settings)
    if not damaged.is_dir():
        return ""
    day = datetime.fromtimestamp(damaged.stat().st_mtime, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        f"Its files were damaged, or of another kind of server, and were set aside on {day}. Nothing is lost:"
        f" the ledger has all documents. Remove {damaged} whenever you like."
    )


def _last_words(log: Path) -> str:
    """What the server has printed since its last start; empty if that is not known."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return text.rpartition(START_LINE)[2] if START_LINE in text else ""
