"""Reading one file of any kind, mails with their attachments included."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.documents import Extraction, Page
from tasks.errors import FileError, NotFoundError
from tasks.reading.cleaning import shown, text_page, unreadable_page
from tasks.reading.images import extract_image, image_size
from tasks.reading.kinds import IMAGES, PLAIN_TEXTS, Kind, UnknownKindError, kind_of
from tasks.reading.mail import Attachment, read_mail
from tasks.reading.office import extract_office
from tasks.reading.pdf import extract_pdf
from tasks.reading.plain import extract_plain
from tasks.reading.web import extract_html
from tasks.settings import Settings

MAILS = frozenset({Kind.EML, Kind.MSG})
MAX_MAIL_DEPTH = 3
"""A forwarded mail in a forwarded mail in a mail; deeper ones are listed, not read."""
MIN_ATTACHED_SIDE = 400
"""Attached images with a shorter side in pixels are logos and icons, not papers."""


@dataclass(frozen=True)
class Place:
    """Where a page really is: in the file itself or in an attachment that was unpacked from it."""

    path: Path
    name: str
    mime: str
    number: int


def extract(path: Path, name: str, settings: Settings) -> Extraction:
    """Read the file at `path`, whose original name is `name`, as pages.

    A page with `needs_ocr` has no text worth using and can be drawn by `render`. A page with `error` could
    not be read, or not to its end; the others could. An attachment's pages follow the mail's own.

    Raises:
        FileError: nothing of the file can be read: empty, too large, protected, damaged, of an unknown
            kind, with too many pages or pixels. Names the file and the remedy.
        NotFoundError: there is no such file.
    """
    return _bounded(_extract(path, name, settings, depth=1), settings.max_characters)


def _bounded(extraction: Extraction, most: int) -> Extraction:
    """The pages up to `most` characters of text; the others are there, unread, and say why."""
    pages, so_far = [], 0
    for page in extraction.pages:
        so_far += len(page.text)
        if so_far <= most:
            pages.append(page)
        else:
            pages.append(
                unreadable_page(
                    page.number,
                    f"It was not read: the document has more than {most:,} characters of text. "
                    "Split it, or raise the setting max_characters.",
                )
            )
    return extraction.model_copy(update={"pages": tuple(pages)})


@contextmanager
def locate(path: Path, mime: str, number: int, settings: Settings) -> Iterator[Place]:
    """Find page `number` of a file; valid within the block, because an attachment lies in a temporary folder.

    Raises:
        FileError: the file cannot be read or has no such page.
    """
    # A spool copy has no name that would tell the user anything.
    with _located(Place(path, "", mime, number), settings, depth=1) as place:
        yield place


@contextmanager
def _located(place: Place, settings: Settings, depth: int) -> Iterator[Place]:
    if place.mime not in MAILS:
        yield place
        return
    before = 1
    for attachment in read_mail(place.path, place.name, Kind(place.mime)).attachments:
        with _unpacked(attachment) as unpacked:
            extraction = _attached(attachment, unpacked, settings, depth + 1)
            if before < place.number <= before + len(extraction.pages):
                inner = Place(unpacked, attachment.name, extraction.mime, place.number - before)
                with _located(inner, settings, depth + 1) as found:
                    yield found
                return
        before += len(extraction.pages)
    raise FileError(f"{shown(place.name)} has no page {place.number} that could be drawn.")


def _extract(path: Path, name: str, settings: Settings, depth: int) -> Extraction:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise NotFoundError(f"{shown(name)} is gone.", "Add it again.") from error
    if size > settings.max_file_bytes:
        raise FileError(
            f"{shown(name)} has {size:,} bytes; the limit is {settings.max_file_bytes:,}.",
            "Split it, or raise the setting max_file_bytes.",
        )
    try:
        return _extract_kind(path, name, kind_of(path, name), settings, depth)
    except RecursionError as error:
        raise FileError(
            f"{shown(name)} is nested too deeply to be read.", "Open it, print it to a PDF and add that."
        ) from error


def _extract_kind(path: Path, name: str, kind: Kind, settings: Settings, depth: int) -> Extraction:
    if kind in IMAGES:
        return extract_image(path, name, kind, settings)
    if kind in MAILS:
        return _extract_mail(path, name, kind, settings, depth)
    if kind in PLAIN_TEXTS:
        return extract_plain(path, name, kind, settings)
    if kind == Kind.PDF:
        return extract_pdf(path, name, settings)
    if kind == Kind.HTML:
        return extract_html(path, name, settings)
    return extract_office(path, name, kind, settings)


def is_mail(path: Path, name: str) -> bool:
    """Whether this is a mail; only a look at its first bytes."""
    try:
        return kind_of(path, name) in MAILS
    except (FileError, OSError):
        return False


def read_without_attachments(path: Path, name: str, why: str) -> Extraction:
    """A mail's own text, and as its page's error `why` the attachments were not read.

    Raises:
        FileError: as `extract`.
    """
    kind = kind_of(path, name)
    mail = read_mail(path, name, kind)
    page = text_page(1, mail.text)
    error = f"Its {len(mail.attachments) + mail.further:,} attachments were not read: {why}"
    return Extraction(mime=kind, pages=(page.model_copy(update={"error": error}),), title=mail.subject)


def _extract_mail(path: Path, name: str, kind: Kind, settings: Settings, depth: int) -> Extraction:
    mail = read_mail(path, name, kind)
    pages: list[Page] = []
    contents: list[str] = []
    for attachment in mail.attachments:
        with _unpacked(attachment) as unpacked:
            extraction = _attached(attachment, unpacked, settings, depth + 1)
        first = len(pages) + 2
        pages += [page.model_copy(update={"number": first + i}) for i, page in enumerate(extraction.pages)]
        if len(pages) >= settings.max_pages:
            raise FileError(
                f"{shown(name)} has more than {settings.max_pages:,} pages with its attachments.",
                "Save the attachments and add them, or raise the setting max_pages.",
            )
        where = f"page {first}" if extraction.pages else "not read"
        if attachment.data is None and not extraction.pages:
            where = "not read: save it as a file of its own and add that"
        contents.append(f"Attachment: {attachment.name} ({where})")
    text = "\n\n".join(filter(None, (mail.text.rstrip(), "\n".join(contents))))
    first_page = text_page(1, text)
    if mail.further:
        left_out = f"{mail.further:,} further attachments were not read. Save them as files and add those."
        first_page = first_page.model_copy(update={"error": left_out})
    return Extraction(mime=kind, pages=(first_page, *pages), title=mail.subject)


def _attached(attachment: Attachment, path: Path, settings: Settings, depth: int) -> Extraction:
    """What an attachment says. A paper that cannot be read is a page with an error; anything else that
    cannot, such as a logo, a calendar entry or an archive, has no pages and is only listed.

    Must not depend on anything but its arguments: `locate` counts the same pages again.
    """
    nothing = Extraction(mime="", pages=())
    if attachment.data is None:
        pages = (text_page(1, attachment.text),) if attachment.text.strip() else ()
        return Extraction(mime=Kind.TEXT, pages=pages)
    if not attachment.data or depth > MAX_MAIL_DEPTH:
        return nothing
    try:
        extraction = _extract(path, attachment.name, settings, depth)
        kind = Kind(extraction.mime)
        is_logo = kind in IMAGES and min(image_size(path, attachment.name, kind)) < MIN_ATTACHED_SIDE
    except UnknownKindError:
        return nothing
    except FileError as error:
        return Extraction(mime="", pages=(unreadable_page(1, f"Attachment: {error}"),))
    return nothing if is_logo else extraction


@contextmanager
def _unpacked(attachment: Attachment) -> Iterator[Path]:
    """The attachment as a file that only this user can read, under a name of ours."""
    with TemporaryDirectory(prefix="shoebox-") as folder:
        path = Path(folder) / "attachment"
        path.write_bytes(attachment.data or b"")
        yield path
