"""Mails: the text with its headers, and the attachments as files of their own.

EML by Python's parser: kreuzberg 4.10 joins the cells of HTML tables, repeats forwarded mails and takes the
base64 of a mail that is nothing but a PDF for its text. MSG by kreuzberg, which gives the attachments' text.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value
from itertools import islice
from pathlib import Path

from tasks.errors import FileError
from tasks.reading.cleaning import clean_title, shown
from tasks.reading.kinds import Kind
from tasks.reading.office import read_with_kreuzberg
from tasks.reading.plain import decoded
from tasks.reading.web import html_text

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
MAX_HEADER_CHARACTERS = 20_000
"""A thousand recipients. What is longer is cut: Python's decoder takes the square of the length."""
MAX_ATTACHMENTS = 1_000
"""Further ones are only counted: each is unpacked and read, and again for each page that is drawn."""
_DECRYPT = "Decrypt it in your mail program, save it without encryption and add that."
_ENCRYPTED_NAMES = re.compile(r"\.pgp-encrypted$|\.rpmsg$|^smime\.p7m$", re.IGNORECASE)
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_STUB_SHARE = 1 / 3
"""A plain text so much shorter than the HTML beside it says only that the mail is HTML."""


@dataclass(frozen=True)
class Attachment:
    """A file in a mail. The name is the sender's: untrusted, for display and for its extension only.

    `data` holds its bytes. Of an MSG only the text is known, which `text` holds.
    """

    name: str
    data: bytes | None = None
    text: str = ""


@dataclass(frozen=True)
class Mail:
    """A mail's text, beginning with its headers, and its attachments in order."""

    subject: str
    text: str
    attachments: tuple[Attachment, ...]
    """At most `MAX_ATTACHMENTS`."""
    further: int = 0
    """How many more it has."""


def read_mail(path: Path, name: str, kind: Kind) -> Mail:
    """Read an EML or MSG file.

    Raises:
        FileError: encrypted or damaged.
    """
    return _read_eml(path, name) if kind == Kind.EML else _read_msg(path, name)


def _read_msg(path: Path, name: str) -> Mail:
    result = read_with_kreuzberg(path, name, Kind.MSG)
    attachments = tuple(
        Attachment(clean_title(child["path"]) or "attachment", text=child["result"].content)
        for child in result.children or ()
    )
    if any(_ENCRYPTED_NAMES.search(attachment.name) for attachment in attachments):
        raise FileError(f"{shown(name)} is an encrypted mail.", _DECRYPT)
    subject = clean_title(result.metadata.get("subject"))
    further = max(0, len(attachments) - MAX_ATTACHMENTS)
    return Mail(subject, result.content, attachments[:MAX_ATTACHMENTS], further)


def _read_eml(path: Path, name: str) -> Mail:
    # The old policy: the newer one's header parser raises on headers that real mails have.
    with path.open("rb") as file:
        message = BytesParser().parse(file)
    if _is_encrypted(message):
        raise FileError(f"{shown(name)} is an encrypted mail.", _DECRYPT)
    headers = "\n".join(f"{key}: {value}" for key in _HEADERS if (value := _header(message, key)))
    text = "\n\n".join(filter(None, (headers, _body(message))))
    attachments = tuple(islice(_attachments(message), MAX_ATTACHMENTS))
    further = max(0, sum(map(_is_file, _leaves(message))) - MAX_ATTACHMENTS)
    return Mail(_header(message, "Subject"), text, attachments, further)


def _is_encrypted(message: Message) -> bool:
    kind = message.get_content_type()
    if kind == "multipart/encrypted":
        return True
    return kind in ("application/pkcs7-mime", "application/x-pkcs7-mime") and (
        message.get_param("smime-type") != "signed-data"
    )


def _header(message: Message, key: str) -> str:
    return _words(str(message.get(key, ""))[:MAX_HEADER_CHARACTERS])


def _words(value: str) -> str:
    """A header's value as text; one that cannot be decoded as it stands."""
    with suppress(MessageError, LookupError, ValueError):
        value = str(make_header(decode_header(value)))
    return " ".join(value.split())


def _body(message: Message) -> str:
    """The mail's own text: of versions the plain one, or the HTML one where that says far more."""
    return "\n\n".join(_texts(message))


def _texts(part: Message) -> Iterator[str]:
    kind = part.get_content_type()
    if _is_leaf(part):
        if kind in {"text/plain", "text/html"} and not _is_file(part):
            text = _text(part)
            yield from filter(None, [(html_text(text) if kind == "text/html" else text).strip()])
        return
    versions = list(filter(None, ("\n\n".join(_texts(each)) for each in _inner(part))))
    if kind == "multipart/alternative" and versions:
        plain, richest = versions[0], versions[-1]
        versions = [richest if len(plain) < _STUB_SHARE * len(richest) else plain]
    yield from versions


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something, in order. A forwarded mail is one leaf: it is read as a file."""
    if _is_leaf(message):
        yield message
        return
    for part in _inner(message):
        yield from _leaves(part)


def _is_leaf(part: Message) -> bool:
    return part.get_content_type() == "message/rfc822" or not part.is_multipart()


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _text(part: Message) -> str:
    return decoded(_content(part), part.get_content_charset() or "")


def _content(part: Message) -> bytes:
    """The bytes of a leaf: what was encoded for the way, or the forwarded mail as a file."""
    if part.is_multipart():
        inner = part.get_payload(0)
        return inner.as_bytes() if isinstance(inner, Message) else b""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _attachments(message: Message) -> Iterator[Attachment]:
    for part in _leaves(message):
        if _is_file(part):
            fallback = "forwarded mail.eml" if part.get_content_type() == "message/rfc822" else "attachment"
            # as_bytes() of a forwarded mail in an unknown charset raises one of these.
            with suppress(MessageError, LookupError, ValueError, AttributeError, TypeError):
                yield Attachment(_file_name(part) or fallback, _content(part))


def _is_file(part: Message) -> bool:
    if part.get_content_type() in _SIGNATURES:
        return False
    return part.get_content_maintype() != "text" or bool(_file_name(part))


def _file_name(part: Message) -> str:
    """The name the sender gave, decoded from either of the two ways of writing other than ASCII."""
    raw = part.get_filename()
    return "" if raw is None else clean_title(_words(collapse_rfc2231_value(raw)))
