"""The file of vectors: SQLite with the extension sqlite-vec, through apsw.

Distances are sqlite-vec's. Python's own `sqlite3` is often built without extensions; apsw brings an SQLite
that loads them. The file is an index: it holds nothing that the ledger does not, so a broken one is thrown
away and made again.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tasks.errors import ServiceError
from tasks.settings import Settings
from tasks.sqlite import transaction

if TYPE_CHECKING:
    import apsw

log = logging.getLogger("shoebox.meaning")

_VERSION = 1
"""Of the schema. A file of another one is made again."""
_BUSY_MILLISECONDS = 30_000
_MOST_FREE_PAGES = 5_000
"""Of 4,096 bytes."""
_MAPPED_BYTES = 1 << 30
"""Each search reads the signs of all chunks, which the system keeps in memory."""
_SCHEMA = """
    CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE spaces (                       -- vectors of one model; only those of one can be compared
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        model TEXT NOT NULL,
        method TEXT NOT NULL,                   -- how texts were cut and prefixed
        dimensions INTEGER NOT NULL DEFAULT 0,  -- 0 until the first vectors are there
        is_complete INTEGER NOT NULL DEFAULT 0, -- whether all pages were in it once
        UNIQUE (model, method)
    );
    CREATE TABLE documents (                    -- what was looked at
        space INTEGER NOT NULL,
        id TEXT NOT NULL,
        mark TEXT NOT NULL,                     -- changes whenever the document was read again
        PRIMARY KEY (space, id)
    ) WITHOUT ROWID;
    CREATE TABLE pages (
        space INTEGER NOT NULL,
        document TEXT NOT NULL,
        number INTEGER NOT NULL,
        hash BLOB NOT NULL,                     -- of the text that was cut
        PRIMARY KEY (space, document, number)
    ) WITHOUT ROWID;
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- also of its rows in signs and vectors
        space INTEGER NOT NULL,
        document TEXT NOT NULL,
        number INTEGER NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        has_vector INTEGER NOT NULL DEFAULT 0,
        batch INTEGER,                          -- the one it is out with
        failures INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL DEFAULT 0          -- not to be tried before
    );
    CREATE INDEX chunks_by_page ON chunks (space, document, number);
    CREATE INDEX chunks_waiting ON chunks (space, failures, id) WHERE has_vector = 0;
    CREATE INDEX chunks_by_batch ON chunks (batch) WHERE batch IS NOT NULL;
    -- Not tables of sqlite-vec (vec0): choosing the best of a scan costs those as many steps as are wanted,
    -- and they cannot be narrowed to some documents cheaply. With 200,000 chunks of 768 numbers the best 400
    -- take 104 ms there, and 30 ms here by the same library's distance of signs.
    CREATE TABLE signs (                        -- of the numbers of a vector: small enough to scan them all
        chunk INTEGER PRIMARY KEY,
        space INTEGER NOT NULL,
        bits BLOB NOT NULL
    );
    CREATE TABLE vectors (
        chunk INTEGER PRIMARY KEY,
        numbers BLOB NOT NULL                   -- as 8 bits each
    );
    CREATE TABLE batches (                      -- what is out
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        space INTEGER NOT NULL,
        seen_at REAL NOT NULL                   -- when it was last known to be on the road or with a worker
    );
"""


class VectorFile:
    """One connection to the file."""

    def __init__(self, db: "apsw.Connection") -> None:
        self.db = db

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the file, making it where needed; a broken one is made again.

        Raises:
            ServiceError: it cannot be opened, or the extension cannot be loaded on this machine.
        """
        import apsw

        path = settings.vectors_path
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                return cls(_connected(path))
            except (apsw.NotADBError, apsw.CorruptError, _OtherVersionError) as error:
                log.warning("The vectors are made again: %s", error)
                discard(path)
                return cls(_connected(path))
        except (apsw.Error, OSError, ImportError) as error:
            raise _unusable(path, error) from error

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it. What SQLite says against the file becomes a ServiceError; a broken file is removed."""
        import apsw

        path = self.db.filename
        self.close()
        if isinstance(error, apsw.NotADBError | apsw.CorruptError):
            discard(Path(path))
        if isinstance(error, apsw.Error):
            raise _unusable(path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, with the write lock held from the start."""
        with transaction(self.db):
            yield

    def give_back_room(self) -> None:
        """Let SQLite tidy up; a file of which much is unused is written anew."""
        pages, free = self.db.pragma("page_count"), self.db.pragma("freelist_count")
        if free > _MOST_FREE_PAGES and free > pages // 3:
            self.db.execute("VACUUM")
        self.db.execute("PRAGMA optimize")

    def note(self, key: str) -> str:
        """A note that the program keeps for itself; empty if there is none."""
        return str(self.db.execute("SELECT value FROM notes WHERE key = ?", (key,)).get or "")

    def set_note(self, key: str, value: str) -> None:
        """Keep a note."""
        self.db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))

    @property
    def epoch(self) -> str:
        """Random for each making of the file, because the numbers of batches begin again with it."""
        return self.note("epoch")


def _unusable(path: Path | str, error: Exception) -> ServiceError:
    return ServiceError(
        f"The vectors in {path} cannot be used: {error}.",
        "Free some space if the disk is full; else remove the file, which is made again. Searching by words"
        " works without it.",
    )


class _OtherVersionError(Exception):
    """The file has the schema of another version of Shoebox."""


def discard(path: Path) -> None:
    """Remove the file with what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def extension_path() -> str:
    """What `sqlite_vec.loadable_path` gives. Importing that package would load numpy, which takes 100 ms.

    Raises:
        ImportError: the package is not installed.
    """
    found = find_spec("sqlite_vec")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the package sqlite-vec is not installed")
    return str(Path(found.submodule_search_locations[0]) / "vec0")


def _connected(path: Path) -> "apsw.Connection":
    import apsw

    db = apsw.Connection(str(path))
    try:
        db.set_busy_timeout(_BUSY_MILLISECONDS)
        db.enable_load_extension(True)
        db.load_extension(extension_path())
        db.enable_load_extension(False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
        _prepare(db)
    except BaseException:
        db.close()
        raise
    path.chmod(0o600)  # vectors tell something of the texts
    return db


def _prepare(db: "apsw.Connection") -> None:
    if db.pragma("user_version") == _VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.pragma("user_version")
        if version not in (0, _VERSION):
            raise _OtherVersionError(f"schema {version}")
        if version == 0:
            db.execute(_SCHEMA)
            db.execute("INSERT INTO notes VALUES ('epoch', ?)", (secrets.token_hex(4),))
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
