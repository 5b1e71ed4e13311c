"""Mails: headers, the text that the sender wrote, and attachments as further pages."""

from email.message import EmailMessage

from PIL import Image

from tasks.documents import Extraction
from tests.reading import encoded, read
from tests.samples import office, papers, scans, trouble


def _all_text(extraction: Extraction) -> str:
    return "\n".join(page.text for page in extraction.pages)


def test_a_mail_is_read_with_its_headers_and_attachments() -> None:
    extraction = read(office.eml(), "mail.eml")
    mail, invoice = extraction.pages
    assert extraction.title == "Ihre Rechnung RE-2026/118"
    assert mail.text.splitlines() == [
        "Subject: Ihre Rechnung RE-2026/118",
        "From: Gärtnerei Grünwald <buero@gaertnerei.example>",
        "To: Café Sonnenschein <post@cafe.example>",
        "Date: Thu, 07 May 2026 09:30:00 +0200",
        "",
        "Guten Tag,",
        "",
        "anbei erhalten Sie unsere Rechnung.",
        "",
        "Mit freundlichen Grüßen",
        "",
        "Attachment: RE-2026-118.pdf (page 2)",
    ]
    assert (invoice.number, invoice.needs_ocr) == (2, False)
    assert "Rechnungsnummer: RE-2026/118" in invoice.text


def test_each_attachment_is_a_page_an_error_or_a_name() -> None:
    extraction = read(
        office.eml(
            {
                "scan.pdf": ("application/pdf", scans.scanned(pages=2)),
                "photo.jpg": ("image/jpeg", scans.jpeg_with_exif()),
                "logo.png": ("image/png", encoded(Image.new("RGB", (120, 40)), "PNG")),
                "secret.pdf": ("application/pdf", trouble.encrypted_pdf()),
                "all.zip": ("application/zip", office.archive({"a": "b"})),
                "nothing.txt": ("text/plain", b""),
                "list.txt": ("text/plain", b"tent, stove"),
            }
        ),
        "mail.eml",
    )
    first, *attached = extraction.pages
    assert [page.needs_ocr for page in attached] == [True, True, True, False, False]
    assert "“secret.pdf” is protected by a password" in attached[3].error
    assert attached[4].text == "tent, stove"
    assert first.text.splitlines()[-7:] == [
        "Attachment: scan.pdf (page 2)",
        "Attachment: photo.jpg (page 4)",
        "Attachment: logo.png (not read)",
        "Attachment: secret.pdf (page 5)",
        "Attachment: all.zip (not read)",
        "Attachment: nothing.txt (not read)",
        "Attachment: list.txt (page 6)",
    ]


def test_mails_in_mails_are_read_to_a_depth() -> None:
    mail = office.eml({"note.txt": ("text/plain", b"The innermost note.")})
    for _ in range(2):
        mail = office.eml({"forwarded.eml": ("application/octet-stream", mail)})
    assert "The innermost note." not in _all_text(read(mail, "mail.eml"))
    assert len(read(mail, "mail.eml").pages) == 3


def test_a_forwarded_mail_is_read_once() -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "Fwd: the shed"
    mail.set_content("see below")
    inner = EmailMessage()
    inner["From"], inner["Subject"] = "b@example.org", "the shed"
    inner.set_content("The shed leaks.")
    mail.add_attachment(inner)
    assert _all_text(read(bytes(mail), "mail.eml")).count("The shed leaks.") == 1


def test_of_html_and_a_stub_the_html_is_read() -> None:
    mail = EmailMessage()
    mail["From"], mail["To"] = "a@example.org", "b@example.org"
    mail.set_content("Please use an HTML viewer.")
    mail.add_alternative("<table><tr><td>Total</td><td>12.00 EUR</td></tr></table>" * 12, subtype="html")
    (page,) = read(bytes(mail), "mail.eml").pages
    assert "Total\t12.00 EUR" in page.text
    assert "viewer" not in page.text


def test_a_mail_that_is_nothing_but_a_pdf_is_read_as_one() -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "scanner@example.org", "Scan"
    mail.set_content(papers.letter(), maintype="application", subtype="pdf", filename="letter.pdf")
    first, letter = read(bytes(mail), "mail.eml").pages
    assert first.text.endswith("Subject: Scan\nFrom: scanner@example.org\n\nAttachment: letter.pdf (page 2)")
    assert "Dear Sir or Madam" in letter.text


def test_broken_headers_do_not_hide_the_mail() -> None:
    raw = b"From: =?nonsense?q?=FF?= <a@b\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nDate: never\n\nGr\xfc\xdfe"
    extraction = read(raw, "mail.eml")
    assert extraction.title == "Grüße"
    assert extraction.pages[0].text.endswith("Grüße")


def test_a_footer_that_was_put_below_an_html_mail_does_not_replace_it() -> None:
    message = EmailMessage()
    message["Subject"] = "Bill"
    message.add_attachment(b"<p>Please pay 120 EUR by Friday.</p>", "text", "html", disposition="inline")
    message.add_attachment(b"This list is run by nobody.", "text", "plain", disposition="inline")
    text = _all_text(read(message.as_bytes(), "mail.eml"))
    assert "Please pay 120 EUR" in text
    assert "run by nobody" in text
