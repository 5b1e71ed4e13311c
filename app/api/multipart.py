"""A form of files, read as it comes. Starlette's own reader would put files into the temporary folder."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from app.api.problems import ApiError
from app.api.uploads import Form, Writer
from tasks.settings import Settings

if TYPE_CHECKING:
    from app.api.pools import Pool

MAX_FILES = 1_000
MAX_FIELDS = 20
_FIELD_BYTES = 10_000
_REMEDY = "Send the files as parts with a file name, such as: curl -F file=@invoice.pdf"


def boundary_of(content_type: str) -> bytes:
    """The boundary between parts that a Content-Type names.

    Raises:
        ApiError: 400: there is none.
    """
    from python_multipart.multipart import parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise ApiError(400, "The form names no boundary between its parts.", _REMEDY)
    return boundary


class _Part:
    """One part of the form while it comes."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, bytes]] = []
        self.name = ""
        self.writer: Writer | None = None
        self.value = bytearray()


class FormReader:
    """Reads a form: files into their places, fields into memory."""

    def __init__(self, boundary: bytes, settings: Settings, disk: "Pool[None]", form: Form) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        self._settings = settings
        self._disk = disk
        self._form = form
        self._part = _Part()
        self._header = bytearray()
        self._header_value = bytearray()
        self._happened: list[tuple[_Part, bytes | None]] = []
        """Pieces of parts, and None for the end of one; the parser is not async, writing is."""
        self._has_ended = False
        self._bad_form = FormParserError
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_piece,
                    "on_header_value": self._header_value_piece,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._whole,
                },
            )
        except FormParserError as error:
            raise ApiError(400, "The boundary between the parts of the form is too long.", _REMEDY) from error

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Read to the end.

        Raises:
            ApiError: 400: it is no form, or cut off; 413: something in it is too large.
        """
        try:
            async for chunk in chunks:
                self._parser.write(chunk)
                await self._carry_out()
        except self._bad_form as error:
            raise ApiError(400, "The body is no form, or damaged.", _REMEDY) from error
        if not self._has_ended:
            raise ApiError(400, "The form was cut off.", "Send it again.")
        if not self._form.uploads:
            raise ApiError(400, "There is no file in the form.", _REMEDY)

    def close(self) -> None:
        """Close a file that was broken off."""
        for part, _ in [(self._part, None), *self._happened]:
            if part.writer is not None:
                part.writer.close()

    async def _carry_out(self) -> None:
        happened, self._happened = self._happened, []
        for part, data in happened:
            if part.writer is None:
                self._take_field(part, data)
            elif data is None:
                await part.writer.finish()
            else:
                await part.writer.write(data)

    def _take_field(self, part: _Part, data: bytes | None) -> None:
        if data is None:
            self._form.fields[part.name] = part.value.decode("utf-8", "replace")
            return
        part.value += data
        if len(part.value) > _FIELD_BYTES or len(self._form.fields) >= MAX_FIELDS:
            raise ApiError(413, "The form has too many or too long fields beside its files.", _REMEDY)

    # What the parser calls

    def _begin(self) -> None:
        self._part = _Part()

    def _header_piece(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value_piece(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers.append((self._header.decode("latin-1").lower(), bytes(self._header_value)))
        self._header.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        said = dict(self._part.headers).get("content-disposition", b"")
        _, options = parse_options_header(said)
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        name = options.get(b"filename")
        if name is None:
            return
        if len(self._form.uploads) >= MAX_FILES:
            raise ApiError(413, f"The form has more than {MAX_FILES:,} files.", "Send several forms.")
        self._part.writer = Writer(self._settings, self._disk, name.decode("utf-8", "replace"))
        self._form.uploads.append(self._part.writer.upload)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._happened.append((self._part, data[start:end]))

    def _end(self) -> None:
        self._happened.append((self._part, None))

    def _whole(self) -> None:
        self._has_ended = True
