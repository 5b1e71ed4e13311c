"""Mails: the text with its headers by kreuzberg, the attachments as files of their own."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value
from pathlib import Path

from tasks.errors import FileError
from tasks.reading.cleaning import clean_title, shown
from tasks.reading.kinds import Kind
from tasks.reading.office import read_with_kreuzberg

_DECRYPT = "Decrypt it in your mail program, save it without encryption and add that."
_ENCRYPTED_NAMES = re.compile(r"\.pgp-encrypted$|\.rpmsg$|^smime\.p7m$", re.IGNORECASE)
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")


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


def read_mail(path: Path, name: str, kind: Kind) -> Mail:
    """Read an EML or MSG file.

    Raises:
        FileError: encrypted or damaged.
    """
    message = _parsed(path) if kind == Kind.EML else None
    if message is not None and _is_encrypted(message):
        raise FileError(f"{shown(name)} is an encrypted mail.", _DECRYPT)
    result = read_with_kreuzberg(path, name, kind)
    if message is not None:
        attachments = tuple(_attachments(message))
    else:
        attachments = tuple(Attachment(c["path"], text=c["result"].content) for c in result.children or ())
        if any(_ENCRYPTED_NAMES.search(attachment.name) for attachment in attachments):
            raise FileError(f"{shown(name)} is an encrypted mail.", _DECRYPT)
    return Mail(clean_title(result.metadata.get("subject")), result.content, attachments)


def _parsed(path: Path) -> Message:
    # The old policy: the newer one's header parser raises on headers that real mails have.
    with path.open("rb") as file:
        return BytesParser().parse(file)


def _is_encrypted(message: Message) -> bool:
    kind = message.get_content_type()
    if kind == "multipart/encrypted":
        return True
    return kind in ("application/pkcs7-mime", "application/x-pkcs7-mime") and (
        message.get_param("smime-type") != "signed-data"
    )


def _attachments(message: Message) -> Iterator[Attachment]:
    """Every leaf that is not the mail's own text, and forwarded mails as one file each."""
    if message.get_content_type() == "message/rfc822":
        with suppress(MessageError, LookupError, ValueError, AttributeError, TypeError):
            yield Attachment(_file_name(message) or "forwarded mail.eml", _parts(message)[0].as_bytes())
    elif message.is_multipart():
        for part in _parts(message):
            yield from _attachments(part)
    elif _is_file(message):
        content = message.get_payload(decode=True)
        yield Attachment(_file_name(message) or "attachment", content if isinstance(content, bytes) else b"")


def _parts(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _is_file(part: Message) -> bool:
    if part.get_content_type() in _SIGNATURES:
        return False
    return part.get_content_maintype() != "text" or bool(_file_name(part))


def _file_name(part: Message) -> str:
    """The name the sender gave, decoded from either of the two ways of writing other than ASCII."""
    raw = part.get_filename()
    if raw is None:
        return ""
    name = collapse_rfc2231_value(raw)
    with suppress(MessageError, LookupError, ValueError):
        name = str(make_header(decode_header(name)))
    return clean_title(name)
