"""Whether the data directory lies on a network share, where SQLite cannot be relied upon."""

from pathlib import Path

from app.checks import Check, Verdict
from app.watch.notices import network_kind
from tasks.settings import Settings

MOUNTS = Path("/proc/self/mountinfo")
REMEDY = (
    "Keep it on a disk of this machine: ./run.sh down, move it, and name its new place with "
    "SHOEBOX_DATA_DIR. Your papers may stay on the share; see docs/network-shares.md."
)


def share_of(settings: Settings) -> str:
    """What is wrong with the place of the data directory; empty if nothing is, or nothing is known of it.

    The ledger is in SQLite's WAL mode: all its processes share memory through a file, which works only on
    one computer and not over a network (sqlite.org/wal.html). Only Linux lists mounts in this form.
    """
    kind = network_kind(settings.data_dir, MOUNTS)
    if not kind:
        return ""
    share = f"{settings.data_dir} is on a network share, or on what may be one ({kind})"
    return f"{share}: the ledger can be damaged there"


def check_data_place(settings: Settings) -> Check:
    """The data directory is on a disk of this machine."""
    if found := share_of(settings):
        return Check("data place", Verdict.WARN, found, REMEDY)
    known = (
        "no network share" if MOUNTS.exists() else "this system does not tell whether it is a network share"
    )
    return Check("data place", Verdict.OK, known)
