"""Where the OCR engine of a worker's child is loaded, as its main process can see it.

The child of a prefork pool shares a page of memory with the process that it was forked from. So this module
must be imported there before; where it was not, nobody learns anything. What a killed child said is not
believed.
"""

import mmap
import os
import struct

_FORM = struct.Struct("<q24s")
_page = mmap.mmap(-1, mmap.PAGESIZE)


def tell(device: str) -> None:
    """Say in a child that the engine is loaded on a device, such as `gpu:0`; empty: nowhere."""
    _page[: _FORM.size] = _FORM.pack(os.getpid(), device.encode()[:24])


def told() -> str:
    """Ask in the main process: the device, empty if the engine is not loaded."""
    import psutil  # type: ignore[import-untyped]

    pid, device = _FORM.unpack(_page[: _FORM.size])
    if not pid or not device.rstrip(b"\0"):
        return ""
    try:
        child = psutil.Process(pid)
        alive = child.ppid() == os.getpid() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return ""
    return str(device.rstrip(b"\0").decode(errors="replace")) if alive else ""
