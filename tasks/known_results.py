"""Keeping results, so that nothing that was finished is computed again for the same content."""

from typing import Any

from tasks.documents import Extraction, OcrResult, Page, Stage
from tasks.ledger import DocumentRow, Ledger
from tasks.planning import ocr_page_key
from tasks.settings import Settings
from tasks.units import UnitRow


def keep_result(
    ledger: Ledger, settings: Settings, document: DocumentRow, ended: UnitRow, result: dict[str, Any]
) -> None:
    """Keep a unit's result for the next time; of OCR each page that could be read.

    A file of which some page could not be read is read again: it may have met a limit that was raised since.
    """
    if ended.stage is Stage.EXTRACT and any(page.error for page in Extraction.model_validate(result).pages):
        return
    if ended.stage is not Stage.OCR:
        ledger.put_result(ended.result_key, document.sha256, result)
        return
    for page in OcrResult.model_validate(result).pages:
        if not page.error:
            key = ocr_page_key(settings, document, page.number)
            ledger.put_result(key, document.sha256, page.model_dump(mode="json"))


def take_known_pages(ledger: Ledger, settings: Settings, document: DocumentRow) -> None:
    """Enter the pages that were read by OCR before: they are not read again."""
    needed = [page.number for page in ledger.pages(document.id) if page.needs_ocr]
    keys = [ocr_page_key(settings, document, number) for number in needed]
    known = [result for key in keys if (result := ledger.result(key)) is not None]
    ledger.put_pages(document.id, map(Page.model_validate, known))
