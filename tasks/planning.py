"""Which units a stage needs, and under which key their results are kept."""

from functools import cache
from importlib.metadata import version

from tasks.documents import DocumentText, PageText, Stage, TextSource
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import ExtractParams, OcrParams
from tasks.settings import Settings
from tasks.units import UnitPlan

HOME_QUEUE = "home"
"""In the ledger; in Redis the queue is `home.<id>`."""
CPU_QUEUE = "cpu"
GPU_QUEUE = "gpu"

PADDLEOCR = "paddleocr"
"""What units of OCR need loaded; a name of ours, no language model is called so."""

_READING_VERSION = "2"
"""To be raised whenever `tasks.reading` may give another text for the same file."""


@cache
def _version(package: str) -> str:
    """An installed package's version. Looking it up reads files, and every unit asks."""
    return version(package)


def plan_extract(document: DocumentRow) -> list[UnitPlan]:
    """One unit that reads the file."""
    # The kind of a file is also told by its extension: the same bytes under another may read differently.
    extension = document.name.rpartition(".")[2].lower()
    params = ExtractParams(sha256=document.sha256, name=document.name)
    readers = "-".join((_READING_VERSION, _version("kreuzberg"), _version("pypdfium2")))
    key = f"{document.sha256}:{Stage.EXTRACT}:{readers}:{extension}"
    return [UnitPlan(Stage.EXTRACT, HOME_QUEUE, "reading", params.model_dump(mode="json"), key)]


def ocr_page_key(settings: Settings, document: DocumentRow, number: int) -> str:
    """Under which key the OCR of a page is kept. By page, so that windows may be cut in any way.

    It does not tell GPU from CPU: both run the same weights in single precision and read the same text.
    """
    model = f"paddleocr-{_version('paddleocr')}-{_version('rapidocr')}"
    return f"{document.sha256}:{Stage.OCR}:{model}:{settings.render_dpi}:{settings.max_page_pixels}:{number}"


def plan_ocr(ledger: Ledger, settings: Settings, document: DocumentRow) -> list[UnitPlan]:
    """A unit for each window of the pages that still need OCR; none if no page does."""
    needed = [page.number for page in ledger.pages(document.id) if page.needs_ocr]
    size = settings.ocr_window_pages
    return [
        plan_ocr_window(document, tuple(needed[start : start + size]))
        for start in range(0, len(needed), size)
    ]


def plan_ocr_window(document: DocumentRow, numbers: tuple[int, ...], attempts: int = 0) -> UnitPlan:
    """The unit that reads these pages by OCR."""
    params = OcrParams(sha256=document.sha256, mime=document.mime, pages=numbers)
    return UnitPlan(Stage.OCR, GPU_QUEUE, PADDLEOCR, params.model_dump(mode="json"), "", attempts)


def document_text(ledger: Ledger, document: DocumentRow) -> DocumentText:
    """What an engine gets to see of a document: the pages that have text."""
    pages = tuple(
        PageText(number=page.number, text=page.text)
        for page in ledger.pages(document.id)
        if page.source is not TextSource.NONE and page.text.strip()
    )
    return DocumentText(name=document.name, pages=pages, title=document.file_title)
