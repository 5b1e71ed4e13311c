"""A machine whose clock can be set: an interpreter under which every process sees the time shifted.

A small library, loaded before the C library, adds the seconds that stand in a file to the time of the day;
the monotonic clock goes on as it is, as on a real machine. It is loaded by a virtual environment of the
system under test alone: its interpreter starts itself anew with the library, and what it starts (supervisord,
workers, Redis) inherits that. Needs a C compiler and Linux.
"""

import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

_LIBRARY = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *shift;

__attribute__((constructor)) static void find_shift(void) {
    int file = open(SHIFT_FILE, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *found = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED) shift = found;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    int is_day = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (result == 0 && is_day && shift) now->tv_sec += *shift;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""
_START = """\
import os
import sys

if {library!r} not in os.environ.get("LD_PRELOAD", ""):
    os.environ["LD_PRELOAD"] = {library!r}
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
"""


class Clock:
    """The clock of a machine, made in a folder of its own.

    Args:
        folder: for the interpreter, the library and the file with the shift.
    """

    def __init__(self, folder: Path) -> None:
        self.python = sys.executable
        """The interpreter whose processes see this clock; this one, where there can be none."""
        self.problem = ""
        """Why the clock cannot be set here; empty if it can."""
        self._shift_file = folder / "shift"
        self.shift = 0
        """Seconds by which the time of the day is ahead."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if sys.platform != "linux" or compiler is None:
            self.problem = "there is no C compiler here to make a clock that can be set"
            return
        folder.mkdir(parents=True)
        self._write()
        library = self._compile(folder, compiler)
        self.python = str(_environment(folder / "venv", library)) if library else sys.executable

    def jump(self, seconds: int) -> None:
        """Set the clock forward, or back."""
        self.shift += seconds
        self._write()

    def _write(self) -> None:
        # In place: the processes have this very file mapped.
        with self._shift_file.open("r+b" if self._shift_file.exists() else "wb") as file:
            file.write(struct.pack("=q", self.shift))

    def _compile(self, folder: Path, compiler: str) -> str:
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(_LIBRARY)
        where = f'-DSHIFT_FILE="{self._shift_file}"'
        command = [compiler, "-shared", "-fPIC", "-O1", where, "-o", str(library), str(source)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            self.problem = f"the clock that can be set was not made: {made.stderr.strip()[-200:]}"
            return ""
        return str(library)


def _environment(folder: Path, library: str) -> Path:
    """A virtual environment with the packages of this one, whose interpreter loads the library."""
    packages = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    python = folder / "bin" / "python"
    python.symlink_to(base.resolve())
    (folder / "pyvenv.cfg").write_text(f"home = {base.resolve().parent}\n")
    own = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    lines = [f"import site; site.addsitedir({path!r})" for path in sorted(own)]
    (packages / "shared.pth").write_text("\n".join(lines) + "\n")
    (packages / "sitecustomize.py").write_text(_START.format(library=library))
    return python
