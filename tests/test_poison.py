"""Files that want to kill, hang or fill what reads them: each ends with words that name it and the remedy."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import spool
from tasks.documents import Page, Stage, TextSource
from tasks.errors import FileError, LimitError
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import OcrParams, Order
from tasks.pipeline import Pipeline
from tasks.reading import apart
from tasks.reading.cleaning import clean_text
from tasks.settings import Settings
from tasks.stages import ocr
from tests import samples
from tests.poison import POISONS, archives, pdfs, texts

REFUSED = {
    "bomb.docx": "would unpack to 1,2",
    "overlapping.docx": "would unpack to 10,4",
    "many-paragraphs.docx": "is too large to be read",
    "laughs.odt": "XML with DTD detected",
    "repeated-cells.ods": "is damaged or cut off",
    "bomb.xlsx": "would unpack to",
    "zips.zip": "is a ZIP archive",
    "many-pages.pdf": "100,000 pages; the limit is 5,000",
    "huge.png": "60,000 by 60,000 pixels",
    "comments.png": "is not a readable image",
    "lying.jpg": "65,500 by 65,500 pixels",
    "huge.tif": "60,000 by 60,000 pixels",
    "huge.bmp": "60,000 by 60,000 pixels",
    "huge.gif": "is not a readable image",
    "pages-without-end.txt": "5,000,001 pages; the limit is 5,000",
    "nested.eml": "is nested too deeply",
    "forwarded.eml": "is nested too deeply",
}
STOPPED = {
    "far-cells.xlsx": ("limit", "takes more than 600 MB of memory"),
    "nested-spans.odt": ("died", "SIGSEGV"),
    "swollen-stream.pdf": ("limit", "takes more than 600 MB of memory"),
}
READ = {
    "lying.docx": "",
    "nested-tables.docx": "Lorem ipsum",
    "laughs.docx": "",
    "claimed-pages.pdf": "",
    "deep-tree.pdf": "",
    "circular-tree.pdf": "",
    "nested-arrays.pdf": "",
    "digits.txt": "Total: 1234567890",
    "brackets.json": "[[[[",
    "marks.txt": "Z",
    "blanks.txt": "x",
    "comments": "<!---->",
    "scripts.html": "",
    "laughs.html": "",
    "nested.rtf": "",
    "headers.eml": "text",
    "circular.tif": "",
    "many-frames.gif": "",
}


@pytest.fixture
def tight(settings: Settings) -> Settings:
    """Limits of memory that are met soon; those of time must hold on a busy machine."""
    return settings.model_copy(update={"extract_megabytes": 600, "extract_seconds": 30.0})


@pytest.fixture
def poisoned(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / "poison"
        path.write_bytes(POISONS[name]())
        return path

    return make


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words(name: str, poisoned: Callable[[str], Path], tight: Settings) -> None:
    with pytest.raises(FileError) as refused:
        apart.extract(poisoned(name), name, tight)
    assert not isinstance(refused.value, LimitError)
    assert REFUSED[name] in refused.value.message
    assert name in refused.value.message
    assert refused.value.remedy


@pytest.mark.parametrize("name", STOPPED)
def test_it_is_stopped_by_a_limit(name: str, poisoned: Callable[[str], Path], tight: Settings) -> None:
    kind, words = STOPPED[name]
    with pytest.raises(LimitError) as stopped:
        apart.extract(poisoned(name), name, tight)
    assert stopped.value.kind == kind
    assert words in stopped.value.message
    assert name in stopped.value.message
    assert stopped.value.remedy


@pytest.mark.parametrize("name", READ)
def test_it_does_no_harm(name: str, poisoned: Callable[[str], Path], tight: Settings) -> None:
    extraction = apart.extract(poisoned(name), name, tight)
    text = "".join(page.text for page in extraction.pages)
    assert READ[name] in text
    assert "root:" not in text, "an external entity was read"
    assert "lollollol" not in text


def test_a_page_that_takes_for_ever_to_draw_is_given_up(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "poison"
    path.write_bytes(pdfs.of_a_pattern_in_itself())
    hasty = settings.model_copy(update={"draw_seconds": 0.5})
    with pytest.raises(
        LimitError, match=r"Drawing page 1 took longer than 0.5 seconds. .*draw_seconds"
    ) as given_up:
        apart.render(path, "application/pdf", 1, hasty)
    assert given_up.value.kind == "limit"


def test_a_mail_is_read_without_the_attachment_that_is_poison(tmp_path: Path, tight: Settings) -> None:
    path = tmp_path / "poison"
    path.write_bytes(texts.mail_with(b"notes.odt", archives.odt_of_nested_spans()))
    extraction = apart.extract(path, "mail.eml", tight)
    [page] = extraction.pages
    assert "See attached" in page.text
    assert "Its 1 attachments were not read" in page.error
    assert "SIGSEGV" in page.error


def test_a_mail_of_many_attachments_says_how_many_were_not_read(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "poison"
    path.write_bytes(texts.mail_of_attachments(1_100, papers=False))
    extraction = apart.extract(path, "mail.eml", settings)
    assert "100 further attachments were not read" in extraction.pages[0].error
    assert len(extraction.pages) == 501


def test_text_beyond_what_a_document_may_have_is_named(tmp_path: Path, settings: Settings) -> None:
    small = settings.model_copy(update={"max_characters": 10_000})
    path = tmp_path / "poison"
    path.write_text("\f".join(f"{number} " + "ä" * 2_000 for number in range(10)))
    pages = apart.extract(path, "long.txt", small).pages
    assert [bool(page.text) for page in pages] == [True] * 4 + [False] * 6
    assert "more than 10,000 characters" in pages[5].error
    assert pages[0].text.startswith("0 ää")
    path.write_text("ä" * 30_000)
    [page] = apart.extract(path, "line.txt", small).pages
    assert "The rest of the file was not read" in page.error or "10,000 characters" in page.error


def test_what_took_the_square_of_its_length_does_so_no_more() -> None:
    # Each of these took minutes: blanks within a line, and marks that have to be put in order.
    assert clean_text(" " * 1_000_000 + "x ") == " " * 1_000_000 + "x"
    assert len(clean_text("Z" + "\u0315\u0300" * 500_000)) <= 31
    assert clean_text("e\u0301" * 40) == "é" * 40


_OF_EACH_KIND = (
    *("letter.pdf", "letter.docx", "budget.xlsx", "talk.pptx", "notes.odt", "memo.rtf", "booklet.epub"),
    *("mail-with-invoice.eml", "page.html", "table.csv"),
    *("photo-rotated.jpg", "fax.tiff", "page.gif", "page.webp"),
)


@pytest.mark.parametrize("name", _OF_EACH_KIND)
def test_damaged_files_of_every_kind_end_in_words(name: str, tmp_path: Path, tight: Settings) -> None:
    whole = samples.SAMPLES[name]()
    rng = random.Random(name)
    noisy = bytearray(whole)
    for _ in range(max(20, len(whole) // 500)):
        noisy[rng.randrange(len(whole))] = rng.randrange(256)
    path = tmp_path / "damaged"
    for damaged in (whole[: len(whole) // 2], whole[:-7], bytes(noisy)):
        path.write_bytes(damaged)
        try:
            extraction = apart.extract(path, name, tight)
        except FileError as error:
            assert name in error.message
            assert error.remedy
        else:
            assert extraction.pages


def _document(ledger: Ledger, settings: Settings, path: Path) -> DocumentRow:
    return Pipeline(ledger, settings).submit(path, "builtin", urgent=False).document


def test_pages_are_not_drawn_for_ever(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "poison.pdf"
    path.write_bytes(pdfs.of_a_pattern_in_itself())
    document = _document(ledger, settings, path)
    assert spool.spool_path(settings, document.sha256).exists()
    params = OcrParams(sha256=document.sha256, mime="application/pdf", pages=(1, 1, 1, 1))
    order = Order(
        home="h",
        unit=1,
        issue=1,
        document=document.id,
        stage=Stage.OCR,
        params=params.model_dump(mode="json"),
    )
    hasty = settings.model_copy(update={"draw_seconds": 0.3})
    drawn = [image.decode() for image in ocr.render(order, hasty)]
    assert ["took longer" in reason for reason in drawn] == [True, True, True, False]
    assert "It was not drawn" in drawn[3]
    ledger.put_pages(
        document.id,
        [
            Page(number=number, text="", source=TextSource.NONE, score=0.0, error=reason)
            for number, reason in enumerate(drawn[:3], 1)
        ],
    )
    assert all("It was not drawn" in image.decode() for image in ocr.render(order, hasty))
