"""Notices that something changed in a folder. Only hints where to look: a look at the folder is the truth."""

import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OnPaths = Callable[[set[Path]], None]

SELF_TEST_PREFIX = ".shoebox-self-test-"
_SELF_TEST_SECONDS = 3.0
_DEBOUNCE_MS = 300
_WAKE_MS = 500
"""How often the thread looks whether it should end."""
MAX_FOLDERS = 5_000
"""Each folder costs the system a watch (Linux: fs.inotify.max_user_watches); trees with more are polled."""

# Events of such file systems tell only of changes made on this machine (inotify(7), "Limitations").
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "ncpfs", "vboxsf", "drvfs")
)


class Notices:
    """Tells of changes in folders, from a thread of its own. Links are not followed.

    `watchfiles` follows links when it watches a tree, so each folder is watched by itself.
    """

    def __init__(self, folders: Iterable[Path], on_paths: OnPaths, on_ready: Callable[[], None]) -> None:
        self._folders = frozenset(folders)
        self._on_paths = on_paths
        self._on_ready = on_ready
        self._stop = threading.Event()
        self.problem = ""
        """Why no notices come, once `on_ready` was called."""
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        from watchfiles import watch

        is_ready = False
        try:
            for changes in watch(
                *self._folders,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                rust_timeout=_WAKE_MS,
                yield_on_timeout=True,
                stop_event=self._stop,
                raise_interrupt=False,
                force_polling=False,
                recursive=False,
                ignore_permission_denied=True,
            ):
                if not is_ready:  # the first yield shows that the watches are set
                    is_ready = True
                    self._on_ready()
                if changes:
                    self._on_paths({Path(path) for _, path in changes})
        except OSError as error:
            self.problem = f"the system gives no notices: {error}"
            self._on_ready()


def why_no_notices(folder: Path) -> str:
    """Whether notices of this folder arrive, tried with a hidden file; returns why not, or nothing."""
    if kind := network_kind(folder):
        return f"a network share ({kind}) does not tell of changes made elsewhere"
    came, ready = threading.Event(), threading.Event()
    name = f"{SELF_TEST_PREFIX}{secrets.token_hex(6)}"

    def see(paths: set[Path]) -> None:
        if any(path.name == name for path in paths):
            came.set()

    notices = Notices([folder], see, ready.set)
    try:
        ready.wait(_SELF_TEST_SECONDS)
        if notices.problem:
            return notices.problem
        with _made_file(folder / name):
            arrived = came.wait(_SELF_TEST_SECONDS)
        return "" if arrived else "no notice of a test file came"
    except OSError as error:
        return f"no test file could be made in it ({error.strerror})"
    finally:
        notices.stop()


@contextmanager
def _made_file(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.close(descriptor)
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def network_kind(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of file system a folder lies on, if it is one that is shared over a network; else nothing."""
    try:
        lines = mounts.read_bytes().splitlines()
        place = os.fsencode(folder.resolve())
    except OSError:
        return ""
    best, kind = b"", ""
    for line in lines:
        before, _, after = line.partition(b" - ")
        point = before.split(b" ")[4].decode("unicode_escape").encode("latin-1")  # blanks stand as \040
        inside = place == point or place.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= len(best):
            best, kind = point, after.split(b" ")[0].decode("ascii", "replace")
    return kind if kind in _NETWORK or kind.startswith("fuse.") else ""
