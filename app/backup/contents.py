"""What of the data directory a backup holds, what it does not, and why nothing is lost by that."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from tasks.settings import Settings

LEDGER = "ledger.sqlite3"
DATABASES = (LEDGER, "watch.sqlite3", "plans.sqlite3")
"""SQLite files: copied by SQLite, as all were at one moment."""
FILES = ("ui.json", "api.token")
SPOOL, UPLOADS, DIGESTS = "spool", "uploads", "digests"
FOLDERS = (SPOOL, UPLOADS, DIGESTS)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and what is no UTF-8. No file that Shoebox has named has one."""
LOCK = "backup.lock"
PINS = "backing-up"
"""Hard links to the files that are being copied: a document that ends meanwhile drops its own."""

_LEFT_OUT = (
    (r"redis", "what Redis holds: home issues again what was on the road"),
    (r"logs|run|.*\.lock|backing-up", "logs, locks and process numbers: of this machine and of the past"),
    (r"vectors\.sqlite3.*", "the index of search by meaning: made again from the ledger"),
    (r"models|vram\.json", "OCR models and what models take of a GPU: made or learned again"),
    (r"workers", "the names of this machine's workers: new ones are drawn"),
    (r"backups", "copies of the ledger from before upgrades"),
    (
        r"classifiers",
        "image classifiers: programs of yours, to be copied by yourself (docs/image-classifier.md)",
    ),
)
ELSEWHERE = (
    "originals outside the data directory: they stay where they are, and have a backup of their own",
    "settings and recipes: copy their folder too, it is {config}",
)


def left_out(settings: Settings) -> Iterator[str]:
    """What of the data directory is not in a backup, a sentence for each kind that is there.

    What Shoebox does not know is named, so that nobody counts on it.
    """
    names = sorted(entry.name for entry in settings.data_dir.iterdir())
    held = {*DATABASES, *FILES, *FOLDERS}
    rest = [name for name in names if name.removesuffix("-wal").removesuffix("-shm") not in held]
    for pattern, words in _LEFT_OUT:
        if found := [name for name in rest if re.fullmatch(pattern, name)]:
            yield words
            rest = [name for name in rest if name not in found]
    if rest:
        yield f"what Shoebox does not know: {', '.join(rest)}"


def is_ours(name: str) -> bool:
    """Whether a backup may hold a file of this name: relative, in plain parts, and at a known place."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or _CONTROL.search(part) for part in parts):
        return False
    if len(parts) == 1:
        return name in DATABASES or name in FILES
    if parts[0] == SPOOL:
        return re.fullmatch(r"([0-9a-f]{2})/\1[0-9a-f]{62}", name.partition("/")[2]) is not None
    return (parts[0], len(parts)) in ((UPLOADS, 3), (DIGESTS, 2))


def spooled(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The copies of files that are read or may be read again, with their names in a backup."""
    yield from _at_known_places(SPOOL, settings.spool_dir, settings.spool_dir.glob("??/*"))


def uploaded(settings: Settings, ledger: sqlite3.Connection) -> Iterator[tuple[str, Path]]:
    """Originals that came by the HTTP API. One that is still being received is no document's yet.

    Documents may name the data directory in another way than the settings, by a link for example.
    """
    root = settings.uploads_dir.resolve()
    known: dict[Path, bool] = {}
    inside = f"/{UPLOADS}/".encode()
    for row in ledger.execute("SELECT path FROM documents WHERE instr(path, ?) ORDER BY seq", (inside,)):
        path = Path(os.fsdecode(row[0]))
        folder = path.parent.parent
        if folder not in known:
            known[folder] = folder.resolve() == root
        if known[folder]:
            yield from _at_known_places(UPLOADS, folder, [path])


def upload_name(original: bytes) -> str:
    """The name in a backup that an original has if it came by the HTTP API, and lay in the data directory."""
    return "/".join((UPLOADS, *os.fsdecode(original).split("/")[-2:]))


def plain_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The small ones: written whole, and replaced whole."""
    for name in FILES:
        if (path := settings.data_dir / name).is_file() and not path.is_symlink():
            yield name, path
    root = settings.data_dir / DIGESTS
    yield from _at_known_places(DIGESTS, root, root.glob("*"))


def _at_known_places(folder: str, root: Path, paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for path in sorted(paths):
        name = str(PurePosixPath(folder) / path.relative_to(root))
        if is_ours(name) and path.is_file() and not path.is_symlink():
            yield name, path
