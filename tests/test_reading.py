"""Reading files of every kind: text by page, pages for OCR, or an error that says what to do."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from tasks.documents import Extraction, TextSource
from tasks.errors import FileError, NotFoundError
from tasks.reading import extract
from tasks.settings import Settings
from tests.reading import encoded, read
from tests.samples import SAMPLES, office, papers, scans, trouble
from tests.samples.trouble import HOSTILE_NAMES


def _all_text(extraction: Extraction) -> str:
    return "\n".join(page.text for page in extraction.pages)


@pytest.mark.parametrize(
    ("name", "pages", "expected"),
    [
        ("invoice-en.pdf", 1, ("INV-2026-0417", "14 March 2026", "1,600.80 GBP")),
        ("invoice-de.pdf", 1, ("Gärtnerei Grünwald GmbH", "Fällig am: 06.06.2026")),
        ("long-report.pdf", 60, ("Chapter 1 of the river report", "Chapter 60 of the river report")),
        ("form.pdf", 1, ("Membership of the allotment society", "Ingrid Solberg", "Lillehammer")),
        ("letter.docx", 1, ("4 June 2026", "48.00 GBP", "Paid in full", "Allotment Society", "11-22-33")),
        ("budget.xlsx", 1, ("Income", "Plot rents", "1440.5", "Costs", "95.75")),
        ("talk.pptx", 2, ("Growing leeks", "Water early")),
        ("notes.odt", 1, ("Three locks need new paint",)),
        ("memo.rtf", 1, ("the Müller order",)),
        ("booklet.epub", 1, ("The towpath begins behind the mill.",)),
        ("page.html", 1, ("Monday to Friday, 9 am to 5 pm. The café is open until six.",)),
        ("notes.md", 1, ("- order *tiles*", "Zoë")),
        ("notes.txt", 2, ("naïve optimism", "Second page: maps")),
        ("latin1.txt", 1, ("Größe der Wohnung: 74 m². Miete: 820 €.\nÜbergabe am 1. März.",)),
        ("table.csv", 1, ("date;payee;amount\n2026-01-02;Water works;-48,20",)),
    ],
)
def test_the_text_of_a_file_is_read_by_page(name: str, pages: int, expected: tuple[str, ...]) -> None:
    extraction = read(SAMPLES[name](), name)
    assert [page.number for page in extraction.pages] == list(range(1, pages + 1))
    assert not any(page.needs_ocr or page.error for page in extraction.pages)
    assert {page.source for page in extraction.pages} == {TextSource.LAYER}
    for words in expected:
        assert words in _all_text(extraction)


@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("scanned-invoice.pdf", 1),
        ("scanned-long.pdf", 12),
        ("page.png", 1),
        ("photo-rotated.jpg", 1),
        ("fax.tiff", 3),
        ("page.webp", 1),
        ("page.bmp", 1),
        ("page.gif", 1),
        ("photo.heic", 1),
    ],
)
def test_pages_that_are_pictures_need_ocr(name: str, pages: int) -> None:
    extraction = read(SAMPLES[name](), name)
    assert len(extraction.pages) == pages
    for page in extraction.pages:
        assert page.needs_ocr
        assert (page.text, page.source, page.score, page.error) == ("", TextSource.NONE, 0.0, "")


def test_of_a_mixed_pdf_only_the_scanned_page_needs_ocr() -> None:
    assert [page.needs_ocr for page in read(scans.mixed(), "mixed.pdf").pages] == [False, True]


def test_a_stamp_on_a_scan_is_no_text_layer_but_is_kept() -> None:
    (page,) = read(scans.stamped(), "scan.pdf").pages
    assert page.needs_ocr
    assert page.text == "Scanned 2026-01-12 09:14 page 1 of 1"


def test_the_threshold_is_a_setting() -> None:
    assert not read(scans.stamped(), "scan.pdf", text_layer_min_score=0.0).pages[0].needs_ocr


def test_content_outranks_the_extension() -> None:
    assert read(scans.png(), "really-a-png.pdf").mime == "image/png"
    assert read(papers.letter(), "letter.txt").mime == "application/pdf"
    assert read(office.docx(), "letter").mime.endswith("wordprocessingml.document")
    assert read(office.eml(), "no extension").mime == "message/rfc822"
    assert read(b"From the desk of: Ann\n\nHello", "note").mime == "text/plain"


def test_the_title_is_one_harmless_line() -> None:
    buffer = BytesIO()
    canvas = Canvas(buffer, invariant=1)
    canvas.setTitle("Annual\u202e\x07 report\n" + "x" * 500)
    canvas.drawString(60, 700, "Some words that fill the page with text.")
    canvas.save()
    title = read(buffer.getvalue(), "a.pdf").title
    assert title.startswith("Annual report xxx")
    assert len(title) == 300
    assert read(office.html(), "a.html").title == "Opening hours"
    assert read(office.epub(), "a.epub").title == "Canal walks"


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (trouble.encrypted_pdf, "secret.pdf", "protected by a password"),
        (trouble.encrypted_docx, "secret.docx", "protected by a password"),
        (trouble.encrypted_odt, "secret.odt", "protected by a password"),
        (trouble.encrypted_eml, "secret.eml", "encrypted mail"),
        (trouble.truncated_pdf, "cut.pdf", "damaged or cut off"),
        (trouble.truncated_docx, "cut.docx", "damaged or cut off"),
        (lambda: scans.heic()[:200], "cut.heic", "damaged or cut off"),
        (lambda: office.archive({"mimetype": "application/epub+zip"}), "hollow.epub", "damaged"),
        (lambda: trouble.compound_header() + "WordDocument".encode("utf-16-le"), "old.doc", "damaged"),
        (trouble.empty, "empty.pdf", "is empty"),
        (trouble.unknown_binary, "odd.bin", "unknown kind (it begins with the bytes 7f 53 48 42"),
        (lambda: office.archive({"a.txt": "a"}), "papers.zip", "ZIP archive"),
        (lambda: b"\x7fELF\x02" + bytes(100), "a.pdf", "Linux program"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(content, name: str, words: str) -> None:
    with pytest.raises(FileError) as caught:
        read(content(), name)
    assert f"“{name}”" in caught.value.message
    assert words in caught.value.message
    if "Linux" not in words:
        assert caught.value.remedy


def test_an_unknown_kind_is_told_which_kinds_are_read() -> None:
    with pytest.raises(FileError, match=r"Shoebox reads PDF, DOCX, .* and HEIC\."):
        read(trouble.unknown_binary(), "odd.bin")


def test_a_file_that_is_gone_is_not_called_broken(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="gone"):
        extract(tmp_path / "nothing", "letter.pdf", Settings())


@pytest.mark.parametrize(
    ("limits", "content", "words"),
    [
        ({"max_file_bytes": 100}, papers.letter, "the limit is 100"),
        ({"max_pages": 2}, lambda: papers.long_report(pages=3), "3 pages; the limit is 2"),
        ({"max_pages": 2}, scans.tiff, "more than 2 pages"),
        ({"max_pages": 1}, office.text, "2 pages; the limit is 1"),
        ({"max_pages": 1}, office.eml, "more than 1 pages with its attachments"),
    ],
)
def test_limits_are_settings_and_named(limits, content, words: str) -> None:
    with pytest.raises(FileError, match=words) as caught:
        read(content(), "big", **limits)
    assert "max_" in caught.value.remedy


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    small = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    small[18:26] = (60_000).to_bytes(4, "little") * 2
    with pytest.raises(FileError, match=r"60,000 by 60,000 pixels; the limit is 400,000,000"):
        read(bytes(small), "bomb.bmp")


def test_a_zip_bomb_is_refused_without_unpacking_it() -> None:
    bomb = office.archive(
        {"[Content_Types].xml": "<Types/>", "word/document.xml": "<w:document>" + " " * 150_000_000}
    )
    assert len(bomb) < 1_000_000
    with pytest.raises(FileError, match=r"bomb\.docx.*limit"):
        read(bomb, "bomb.docx")


def test_a_livecycle_form_says_what_opens_it() -> None:
    (page,) = read(trouble.xfa_pdf(), "form.pdf").pages
    assert "Adobe Reader" in page.error
    assert not page.needs_ocr
    assert page.text == ""


def test_a_page_of_endless_text_is_cut_and_says_so() -> None:
    (page,) = read(b"word " * 600_000, "dump.txt").pages
    assert len(page.text) <= 2_000_000
    assert "2,000,000" in page.error


def test_text_is_free_of_what_databases_and_quotes_stumble_over() -> None:
    text = "one\r\ntwo\rthree\u2028four \x01\x1b[31m\ufb01nance Mu\u0308ller  \n\n".encode()
    (page,) = read(text, "a.txt").pages
    assert page.text == "one\ntwo\nthree\nfour [31mfinance Müller"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_decoded_by_its_bytes(encoding: str) -> None:
    (page,) = read("Größe: 5 €".encode(encoding), "a.txt").pages
    assert page.text == "Größe: 5 €"


def test_html_is_decoded_as_it_says_and_shown_as_a_browser_would() -> None:
    html = (
        '<meta charset="iso-8859-1"><style>p {}</style><table><tr><td>Größe</td><td> 5  €</td></tr>'
        "<tr><td>b</td><td>c</td></tr></table><p>x<b>y</b></p>a<br>b<script>hidden()</script>"
    )
    (page,) = read(html.encode("cp1252"), "a.html").pages
    assert page.text == "Größe\t5 €\nb\tc\n\nxy\n\na\nb"


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
def test_a_hostile_name_is_harmless_in_a_message(name: bytes) -> None:
    with pytest.raises(FileError) as caught:
        read(b"", name.decode("utf-8", "surrogateescape"))
    assert caught.value.message.isprintable()
    assert "\u202e" not in caught.value.message
    assert len(caught.value.message) < 200


def test_a_no_break_blank_holds_a_number_together_on_a_web_page() -> None:
    html = "<p>Total&nbsp;due:&nbsp; 1&nbsp;234,56&nbsp;\u20ac</p>".encode()
    assert read(html, "bill.html").pages[0].text == "Total due: 1\u00a0234,56 \u20ac"


def test_of_a_web_page_that_is_too_long_the_rest_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.reading.web.MAX_HTML_BYTES", 10)
    [page] = read("<p>abcdef\u00e4 and more</p>".encode(), "long.html").pages
    assert page.text == "abcdef"
    assert "were read" in page.error


def test_a_fax_that_is_cut_off_says_so() -> None:
    whole = scans.tiff()
    found = read(whole[: len(whole) // 2], "fax.tiff")
    assert found.pages[-1].error
    assert not found.pages[-1].needs_ocr
    assert len(found.pages) < 4
