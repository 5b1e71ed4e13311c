"""Texts, web pages and mails that nest, repeat, or never end."""

import base64

from tests.poison.archives import laughs
from tests.samples.papers import letter

_MEGABYTE = 1_000_000


def one_endless_line() -> bytes:
    """Three hundred megabytes without a line end."""
    return b"Shoebox reads papers and has never seen a line as long as this one, " * (300 * _MEGABYTE // 68)


def table_of_hundreds_of_megabytes() -> bytes:
    """A CSV of two hundred megabytes."""
    return b"2026-01-02;Plot rent;48.00;GBP\r\n" * (200 * _MEGABYTE // 32)


def pages_without_end() -> bytes:
    """Five million form feeds."""
    return b"a\f" * 5 * _MEGABYTE


def pages_full_of_text() -> bytes:
    """Two hundred pages of a megabyte and a half: each is allowed, all of them are too much."""
    return (b"The quick brown fox jumps over the lazy dog. " * 33_000 + b"\f") * 200


def digits() -> bytes:
    """A million digits."""
    return b"Total: " + b"1234567890" * 100_000


def numbers_with_points() -> bytes:
    """A megabyte of what might be an amount or a date for ever."""
    return b"EUR " + b"1.2," * 125_000 + b"\n" + b"12.12." * 80_000 + b"\n" + b"1 000 " * 80_000


def brackets() -> bytes:
    """A million opening brackets, as JSON and as text."""
    return b"[" * _MEGABYTE + b"\n" + b'{"a":' * 200_000


def combining_marks() -> bytes:
    """Letters under towers of combining marks, in no canonical order."""
    return ("Z" + "\u0315\u0300\u05ae\u0301\u0327" * 200_000).encode()


def odd_unicode() -> bytes:
    """Bidirectional controls, joiners, variation selectors, Hangul jamo, and what folds to many letters."""
    return ("\u202e\u200d\ufe0f\u1100\u1161\ufdfa\u0130\u1e9e\U0001f468\u200d" * 60_000).encode()


def one_long_word() -> bytes:
    """Five megabytes without a blank."""
    return b"a" * 5 * _MEGABYTE


def blanks() -> bytes:
    """Five megabytes of blanks before one word, again and again."""
    return (b" " * _MEGABYTE + b"x") * 5


def addresses() -> bytes:
    """What looks like the beginning of mail and web addresses, names and numbers of accounts."""
    return b"a.a-a_a@a.a-" * 60_000 + b"DE00 1111 " * 60_000 + b"Dear Mr. A. B. C. " * 30_000


def nested_html() -> bytes:
    """A hundred thousand elements in each other."""
    return b"<html><body>" + b"<div><table><tr><td>" * 25_000 + b"deep" + b"</td></tr></table></div>" * 25_000


def html_of_comments() -> bytes:
    """Comments that end, before anything that is not HTML."""
    return b"<!---->" * 9_000 + b"x"


def html_of_open_comments() -> bytes:
    """A million comments and declarations that never end."""
    return (
        b"<html><body>"
        + b"<!--" * 500_000
        + b"<![CDATA[" * 100_000
        + b"<!DOCTYPE" * 100_000
        + b"<a" * 500_000
    )


def html_of_half_tags() -> bytes:
    """A tag whose attributes never end."""
    return b"<html><body><a " + b'a="' * 500_000 + b"<a href=" * 200_000 + b"</" * 500_000 + b"&#" * 500_000


def html_of_unclosed_scripts() -> bytes:
    """Scripts, styles and templates that are never closed, in each other."""
    return b"<html><body>" + b"<svg><template><style></style>" * 50_000 + b"</svg>" * 50_000


def html_of_laughs() -> bytes:
    """Billion laughs in XHTML."""
    return (laughs("html") + "<html><body><p>&l10; &x;</p></body></html>").encode()


def nested_rtf() -> bytes:
    """A million groups in each other, and a picture of two gigabytes that is not there."""
    return b"{\\rtf1 " + b"{" * _MEGABYTE + b"\\bin2000000000 x" + b"}" * _MEGABYTE + b"}"


_MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: %s\r\nMIME-Version: 1.0\r\n"


def nested_mail(depth: int = 3_000) -> bytes:
    """Parts in parts."""
    opening = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )
    return _MAIL % b"Deep" + opening + b"Content-Type: text/plain\r\n\r\ndeep\r\n"


def forwarded_mails(depth: int = 1_500) -> bytes:
    """Mails that forward mails."""
    return (
        (_MAIL % b"Fwd" + b"Content-Type: message/rfc822\r\n\r\n") * depth + _MAIL % b"Last" + b"\r\nthe end"
    )


def mail_of_attachments(count: int = 10_000, *, papers: bool = True) -> bytes:
    """Ten thousand small texts, archives and PDFs."""
    kinds = (
        (b"text/plain", b"txt", b"A note."),
        (b"application/zip", b"zip", b"7z\xbc\xaf\x27\x1c nothing"),
        *(((b"application/pdf", b"pdf", letter()),) if papers else ()),
    )
    parts = b"".join(
        b'--x\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename="%d.%s"\r\n\r\n%s\r\n'
        % (kind, number, ending, content)
        for number in range(count)
        for kind, ending, content in [kinds[number % len(kinds)]]
    )
    head = _MAIL % b"Many" + b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n' + b"See below. " * 200
    return head + b"\r\n" + parts + b"--x--\r\n"


def mail_of_headers() -> bytes:
    """A subject of five megabytes in encoded words, and twenty thousand header lines."""
    subject = b"=?utf-8?q?=C3=A4?=\r\n " * 250_000
    return _MAIL % subject + b"X-A: b\r\n" * 20_000 + b"\r\ntext"


def mail_with(name: bytes, content: bytes) -> bytes:
    """A mail with one attachment."""
    head = (
        b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nSee.\r\n'
    )
    part = (
        b"--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="%s"\r\n\r\n' % name
    )
    return _MAIL % b"See attached" + head + part + base64.encodebytes(content) + b"--x--\r\n"
