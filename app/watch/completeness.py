"""Whether a file has its end, for kinds whose end can be told from its last bytes."""

import os
import struct

_PDF_TAIL = 2048
"""Readers look for `%%EOF` in the last 1,024 bytes (PDF Reference, implementation note 18); twice it."""
_ZIP_END = struct.Struct("<4s4H2LH")
"""End of central directory record (PKWARE APPNOTE 4.3.16); its last number is the comment's length."""
_ZIP_COMMENT = 0xFFFF
_PNG_END = b"IEND\xae\x42\x60\x82"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}


def missing_end(descriptor: int, size: int) -> str:
    """What the file lacks at its end, in words; empty if it lacks nothing or its kind does not tell."""
    head = os.pread(descriptor, 8, 0)
    if head.startswith(b"%PDF"):
        return "" if b"%%EOF" in _tail(descriptor, size, _PDF_TAIL) else "the PDF has no end yet"
    if head.startswith(b"PK\x03\x04"):
        return "" if _zip_ends(descriptor, size) else "the archive has no end yet"
    if head.startswith(b"\x89PNG"):
        return "" if _PNG_END in _tail(descriptor, size, _PDF_TAIL) else "the PNG has no end yet"
    if (order := _TIFF.get(head[:4])) and len(head) == 8:
        (directory,) = struct.unpack(f"{order}L", head[4:])
        return "" if 8 <= directory < size else "the TIFF has no end yet"
    return ""


def _tail(descriptor: int, size: int, length: int) -> bytes:
    return os.pread(descriptor, length, max(0, size - length))


def _zip_ends(descriptor: int, size: int) -> bool:
    """Whether the record of the end is there, and stands where its own numbers say."""
    tail = _tail(descriptor, size, _ZIP_END.size + _ZIP_COMMENT)
    start = len(tail)
    while (start := tail.rfind(b"PK\x05\x06", 0, start)) >= 0:
        if len(tail) - start >= _ZIP_END.size:
            *_, comment = _ZIP_END.unpack_from(tail, start)
            if start + _ZIP_END.size + comment <= len(tail):
                return True
    return False
