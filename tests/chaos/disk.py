"""The disk of the data directory: small, of its own, and filled at will."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

INSIDE = "SHOEBOX_CHAOS_INSIDE"
"""Set in a mount namespace of our own, where file systems may be mounted."""
_SIZE = "400m"
_PIECE = 1 << 20


def enter_namespace(arguments: list[str]) -> str:
    """Run the module with these arguments again in a mount namespace of its own; does not return if it can.

    Returns:
        Why it cannot, in words.
    """
    if sys.platform != "linux" or which("unshare") is None:
        return "there is no unshare here, so no small disk can be mounted"
    unshare = (
        ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    )
    probe = [*unshare, "mount", "-t", "tmpfs", "-o", "size=1m", "probe", "/mnt"]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no small disk can be mounted here: {(tried.stderr.strip() or 'no reason given')[-200:]}"
    command = [*unshare, sys.executable, "-m", "tests.chaos", *arguments]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})
    raise AssertionError("never reached")


class Disk:
    """A file system for a folder. Use it as a context manager.

    Args:
        folder: where it is mounted; made.
        problem: why there can be none; the folder is then on the disk that it is on.
    """

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder = folder
        self.problem = problem
        self._balloon = folder / "balloon"

    def __enter__(self) -> "Disk":
        self.folder.mkdir(mode=0o700, parents=True)
        if not self.problem:
            options = f"size={_SIZE},mode=700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "shoebox", self.folder], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.problem:
            subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self) -> None:
        """Leave not a byte."""
        with self._balloon.open("ab", buffering=0) as balloon:
            for size in (_PIECE, 4096, 1):
                try:
                    while True:
                        balloon.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Give the space back."""
        self._balloon.unlink(missing_ok=True)
