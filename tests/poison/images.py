"""Images that say they are huge, are huge, or move for ever."""

import struct
import zlib
from io import BytesIO

from PIL import Image

from tests.samples import scans

SIDE = 60_000


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bytes_per_pixel: int = 1) -> bytes:
    """A whole PNG of one colour, packed row by row. 1 byte: gray, 4: with alpha."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\x80" * (width * bytes_per_pixel)
    first = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    colour = {1: 0, 3: 2, 4: 6}[bytes_per_pixel]
    checksum = 1
    for _ in range(height):
        checksum = zlib.adler32(row, checksum)
    end = b"\x03\x00" + struct.pack(">I", checksum)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    data = first + again * (height - 1) + end
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def huge_png() -> bytes:
    """60,000 by 60,000 pixels; the header says so."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b""))
        + _chunk(b"IEND", b"")
    )


def large_png_with_alpha() -> bytes:
    """Just under the limit of pixels, at four bytes each: more memory than a process gets."""
    return png(20_000, 19_900, 4)


def png_of_comments() -> bytes:
    """A small PNG with a text that unpacks to a gigabyte."""
    packer = zlib.compressobj(9)
    first = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    text = b"Comment\0\0" + first + again * 1023
    header = struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)
    data = zlib.compress((b"\0" + bytes(9)) * 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"zTXt", text)
        + _chunk(b"IDAT", data)
        + _chunk(b"IEND", b"")
    )


def jpeg_that_lies() -> bytes:
    """A small JPEG whose header says 65,500 by 65,500 pixels."""
    return _jpeg_of(65_500, 65_500)


def jpeg_that_lies_a_little() -> bytes:
    """A small JPEG whose header says 19,000 by 19,000 pixels: under the limit, and nothing there."""
    return _jpeg_of(19_000, 19_000)


def _jpeg_of(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "white").save(buffer, "JPEG")
    whole = bytearray(buffer.getvalue())
    at = whole.index(b"\xff\xc0")
    whole[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(whole)


def _tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def _tiff_page(width: int, height: int) -> list[tuple[int, int, int, int]]:
    return [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, width * height % 2**32),
    ]


def huge_tiff() -> bytes:
    """60,000 by 60,000 pixels of which none is there."""
    return b"II*\0" + struct.pack("<I", 8) + _tiff(_tiff_page(SIDE, SIDE))


def tiff_in_a_circle() -> bytes:
    """A TIFF whose only page is followed by itself."""
    return b"II*\0" + struct.pack("<I", 8) + _tiff(_tiff_page(50, 50), 8) + bytes(2500)


def tiff_of_many_pages() -> bytes:
    """Twenty thousand pages of one pixel."""
    size, count = len(_tiff(_tiff_page(1, 1))), 20_000
    pages = [_tiff(_tiff_page(1, 1), 8 + (n + 1) * size if n + 1 < count else 0) for n in range(count)]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def gif_of_many_frames() -> bytes:
    """An animation of twenty thousand frames, on a screen of 60,000 by 60,000 pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", 600, 600, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * 20_000 + b"\x3b"


def huge_gif() -> bytes:
    """A screen of 65,000 by 65,000 pixels."""
    return b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0x80, 0, 0) + bytes(6) + b"\x3b"


def webp_of_many_frames() -> bytes:
    """An animation of two thousand frames."""
    frames = [Image.new("L", (16, 16), n % 256) for n in range(2000)]
    buffer = BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return buffer.getvalue()


def heic_that_lies() -> bytes:
    """A HEIC whose size entry says 60,000 by 60,000 pixels."""
    whole = bytearray(scans.heic())
    at = whole.index(b"ispe")
    whole[at + 8 : at + 16] = struct.pack(">II", SIDE, SIDE)
    return bytes(whole)


def huge_bmp() -> bytes:
    """60,000 by 60,000 pixels of which none is there."""
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0)
    )
