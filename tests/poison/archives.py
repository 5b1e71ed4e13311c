"""Office files that unpack to gigabytes, nest without end, or refer to themselves."""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from zipfile import ZipFile

from tests.samples import office

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OPENDOC = "urn:oasis:names:tc:opendocument:xmlns"
_SHEET = f'{_XML}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
_CHUNK = 1 << 20
MEGABYTES = 1200
"""What a bomb unpacks to: more than is allowed, and little enough for a test to make."""
_DEPTH = 200_000


@dataclass(frozen=True)
class Swollen:
    """An entry that unpacks to `times` megabytes of `filling` between `before` and `after`."""

    before: bytes
    filling: bytes
    times: int
    after: bytes

    def packed(self) -> tuple[bytes, int, int]:
        """Deflated, with CRC and unpacked size. A megabyte is packed once and repeated as it is."""
        middle = (self.filling * (_CHUNK // len(self.filling) + 1))[:_CHUNK]
        packer = zlib.compressobj(9, wbits=-15)
        head = packer.compress(self.before) + packer.flush(zlib.Z_FULL_FLUSH)
        body = packer.compress(middle) + packer.flush(zlib.Z_FULL_FLUSH)
        tail = packer.compress(self.after) + packer.flush()
        checksum = zlib.crc32(self.before)
        for _ in range(self.times):
            checksum = zlib.crc32(middle, checksum)
        size = len(self.before) + _CHUNK * self.times + len(self.after)
        return head + body * self.times + tail, zlib.crc32(self.after, checksum), size


def swollen_archive(
    entries: dict[str, bytes | Swollen], *, claimed: int | None = None, copies: int = 1
) -> bytes:
    """A ZIP. `claimed` is the size that swollen entries pretend to have.

    With `copies`, the directory lists each swollen entry so often, and all lie at the same place.
    """
    body, directory, count = b"", b"", 0
    for name, content in entries.items():
        if isinstance(content, Swollen):
            data, checksum, size = content.packed()
            size = size if claimed is None else claimed
        else:
            packer = zlib.compressobj(9, wbits=-15)
            data, checksum, size = (
                packer.compress(content) + packer.flush(),
                zlib.crc32(content),
                len(content),
            )
        facts = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0x5A21, checksum, len(data), size)
        here = len(body)
        body += b"PK\3\4" + facts + struct.pack("<HH", len(name), 0) + name.encode() + data
        for number in range(copies if isinstance(content, Swollen) else 1):
            shown = name if not number else name.replace(".", f"{number}.")
            directory += (
                b"PK\1\2\x14\0"
                + facts
                + struct.pack("<HHHHHII", len(shown), 0, 0, 0, 0, 0, here)
                + shown.encode()
            )
            count += 1
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end


def _docx_with(document: bytes | Swollen, *, claimed: int | None = None, copies: int = 1) -> bytes:
    return swollen_archive(
        {
            "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "word/document.xml": document,
        },
        claimed=claimed,
        copies=copies,
    )


def _word(start: str = "") -> bytes:
    return f'{_XML}{start}<w:document xmlns:w="{_WORD}"><w:body>'.encode()


_WORD_END = b"</w:body></w:document>"
_PARAGRAPH = b"<w:p><w:r><w:t>Lorem ipsum dolor</w:t></w:r></w:p>"


def _bomb() -> Swollen:
    return Swollen(_word() + b"<w:p><w:r><w:t>", b"A", MEGABYTES, b"</w:t></w:r></w:p>" + _WORD_END)


def docx_bomb() -> bytes:
    """A paragraph of a gigabyte."""
    return _docx_with(_bomb())


def docx_bomb_that_lies() -> bytes:
    """The same, and its directory says that it has a kilobyte."""
    return _docx_with(_bomb(), claimed=1000)


def docx_of_overlapping_entries() -> bytes:
    """Hundreds of entries that are all the same ten megabytes of the file."""
    part = Swollen(_word() + b"<w:p><w:r><w:t>", b"A", 10, b"</w:t></w:r></w:p>" + _WORD_END)
    return _docx_with(part, copies=1000)


def docx_of_many_paragraphs() -> bytes:
    """Half a gigabyte of tiny paragraphs, which is under the limit until a tree is made of it."""
    times = 500 * _CHUNK // len(_PARAGRAPH) * len(_PARAGRAPH) // _CHUNK
    filling = _PARAGRAPH * (_CHUNK // len(_PARAGRAPH))
    padded = filling + b" " * (_CHUNK - len(filling))
    return _docx_with(Swollen(_word(), padded, times, _WORD_END))


def docx_of_nested_tables() -> bytes:
    """Tables in tables in tables."""
    opening = b"<w:tbl><w:tr><w:tc>" * _DEPTH
    closing = b"</w:tc></w:tr></w:tbl>" * _DEPTH
    return _docx_with(_word() + opening + _PARAGRAPH + closing + _WORD_END)


def laughs(root: str, levels: int = 10) -> str:
    """A document type whose last entity is ten to the power of `levels` words."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, levels + 1))
    return f'<!DOCTYPE {root} [<!ENTITY l0 "lol">{entities}<!ENTITY x SYSTEM "file:///etc/passwd">]>'


def docx_of_laughs() -> bytes:
    """Billion laughs in the text, in the header and in the properties."""
    text = b"<w:p><w:r><w:t>&l10; &x;</w:t></w:r></w:p>"
    header = f'{_XML}{laughs("w:hdr")}<w:hdr xmlns:w="{_WORD}">'.encode() + text + b"</w:hdr>"
    return swollen_archive(
        {
            "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "word/document.xml": _word(laughs("w:document")) + text + _WORD_END,
            "word/header1.xml": header,
            "docProps/core.xml": f"{_XML}{laughs('p')}<p><title>&l10;</title></p>".encode(),
        }
    )


def _opendocument(kind: str, content: bytes | Swollen) -> bytes:
    media = f"application/vnd.oasis.opendocument.{kind}"
    manifest = (
        f'{_XML}<manifest:manifest xmlns:manifest="{_OPENDOC}:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{media}"/></manifest:manifest>'
    )
    return swollen_archive(
        {"mimetype": media.encode(), "META-INF/manifest.xml": manifest.encode(), "content.xml": content}
    )


def _content(kind: str, start: str = "") -> bytes:
    return (
        f'{_XML}{start}<office:document-content xmlns:office="{_OPENDOC}:office:1.0" '
        f'xmlns:text="{_OPENDOC}:text:1.0" xmlns:table="{_OPENDOC}:table:1.0">'
        f"<office:body><office:{kind}>"
    ).encode()


def _end(kind: str) -> bytes:
    return f"</office:{kind}></office:body></office:document-content>".encode()


def odt_bomb() -> bytes:
    """A paragraph of a gigabyte."""
    content = Swollen(_content("text") + b"<text:p>", b"A", MEGABYTES, b"</text:p>" + _end("text"))
    return _opendocument("text", content)


def odt_of_nested_spans() -> bytes:
    """A paragraph of spans in spans."""
    inner = b"<text:span>" * _DEPTH + b"deep" + b"</text:span>" * _DEPTH
    return _opendocument("text", _content("text") + b"<text:p>" + inner + b"</text:p>" + _end("text"))


def odt_of_laughs() -> bytes:
    """Billion laughs."""
    start = _content("text", laughs("office:document-content"))
    return _opendocument("text", start + b"<text:p>&l10; &x;</text:p>" + _end("text"))


def ods_of_repeated_cells() -> bytes:
    """One cell, repeated over a million rows of sixteen thousand columns."""
    cell = (
        '<table:table table:name="A"><table:table-row table:number-rows-repeated="1048576">'
        '<table:table-cell office:value-type="string" table:number-columns-repeated="16384">'
        "<text:p>spread</text:p></table:table-cell></table:table-row></table:table>"
    )
    return _opendocument("spreadsheet", _content("spreadsheet") + cell.encode() + _end("spreadsheet"))


def xlsx_of_far_cells() -> bytes:
    """Two cells, in opposite corners of the largest sheet there is."""
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    return _workbook(f"{_SHEET}{rows}</sheetData></worksheet>".encode())


def xlsx_bomb() -> bytes:
    """A sheet of a gigabyte of rows."""
    row = b"<row><c><v>1</v></c></row>"
    filling = row * (_CHUNK // len(row))
    padded = filling + b" " * (_CHUNK - len(filling))
    return _workbook(Swollen(_SHEET.encode(), padded, MEGABYTES, b"</sheetData></worksheet>"))


def _workbook(sheet: bytes | Swollen) -> bytes:
    """The sample workbook with another first sheet."""
    with ZipFile(BytesIO(office.xlsx())) as whole:
        entries: dict[str, bytes | Swollen] = {name: whole.read(name) for name in whole.namelist()}
    return swollen_archive({**entries, "xl/worksheets/sheet1.xml": sheet})


def epub_bomb() -> bytes:
    """A book whose only chapter has a gigabyte."""
    package = (
        f'{_XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>'
        '<item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    container = (
        f'{_XML}<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    chapter = Swollen(b"<html><body><p>", b"A ", MEGABYTES, b"</p></body></html>")
    return swollen_archive(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container.encode(),
            "b.opf": package.encode(),
            "c.xhtml": chapter,
        }
    )


def zip_of_zips() -> bytes:
    """Archives in archives, as 42.zip."""
    inner = swollen_archive({"0": Swollen(b"", b"\0", 1024, b"")})
    for level in range(4):
        inner = swollen_archive({f"{level}{n}.zip": inner for n in range(4)})
    return inner
