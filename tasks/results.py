"""Entering what a stage found into the ledger."""

from collections.abc import Iterable
from typing import Any

from tasks.agreement import combined
from tasks.corrections import with_corrections
from tasks.documents import Analysis, Classification, Extraction, Field, OcrResult, PartAnalysis, Stage
from tasks.engines.llm.base import CallTrace
from tasks.ledger import DocumentRow, Ledger
from tasks.looks import Look, LookParams, sighting
from tasks.orders import OcrParams, ReadParams
from tasks.read_planning import load_estimate, save_estimate
from tasks.recipes import COLUMN_ROLES, Category, Recipe
from tasks.result_checks import check_analysis, check_classification, check_extraction, check_ocr, honest
from tasks.said import BY_PERSON, CATEGORY, EVIDENCE, standing
from tasks.units import UnitRow


def apply_result(
    ledger: Ledger, recipe: Recipe, document: DocumentRow, ended: UnitRow, result: dict[str, Any]
) -> None:
    """Enter a unit's result.

    Raises:
        ValueError: the result is not of the stage's form, or names a category or field that the recipe lacks.
    """
    match ended.stage:
        case Stage.EXTRACT:
            _apply_extraction(ledger, document, Extraction.model_validate(result))
        case Stage.OCR:
            _apply_ocr(ledger, document, ended, OcrResult.model_validate(result))
        case Stage.LOOK:
            _check_look(ended, Look.model_validate(result))
        case Stage.CLASSIFY:
            _apply_classification(ledger, recipe, document, ended, Classification.model_validate(result))
        case Stage.ANALYSE:
            _apply_reading(ledger, recipe, document, ended, result)


def _apply_extraction(ledger: Ledger, document: DocumentRow, extraction: Extraction) -> None:
    check_extraction(extraction)
    ledger.put_pages(document.id, extraction.pages)
    ledger.update_document(
        document.id, mime=extraction.mime, page_count=len(extraction.pages), file_title=extraction.title
    )


def _apply_ocr(ledger: Ledger, document: DocumentRow, ended: UnitRow, found: OcrResult) -> None:
    check_ocr(found, OcrParams.model_validate(ended.params).pages)
    ledger.put_pages(document.id, [page for page in found.pages if not page.error])
    put_unread_pages(ledger, document, {page.number: page.error for page in found.pages if page.error})


def put_unread_pages(ledger: Ledger, document: DocumentRow, errors: dict[int, str]) -> None:
    """Note why pages could not be read. They keep the text they have, however bad their text layer is."""
    pages = [page for page in ledger.pages(document.id) if page.number in errors]
    ledger.put_pages(document.id, [page.model_copy(update={"error": errors[page.number]}) for page in pages])


def _check_look(ended: UnitRow, look: Look) -> None:
    """A look changes nothing by itself: it is evidence when the document is classified."""
    asked = [page.number for page in LookParams.model_validate(ended.params).pages]
    if [page.page for page in look.pages] != asked:
        raise ValueError("it is not about the pages that were to be looked at")


def _apply_classification(
    ledger: Ledger, recipe: Recipe, document: DocumentRow, ended: UnitRow, found: Classification
) -> None:
    check_classification(found)
    if found.category not in recipe.category_names:
        raise ValueError(f"category {found.category!r} is not in the recipe {recipe.name!r}")
    seen = sighting(ledger, document.id)
    if seen is not None and seen.params is not None and seen.look is not None:
        found = combined(found, seen.params, seen.look)
    ledger.update_document(
        document.id,
        category=found.category,
        confidence=found.confidence,
        evidence=found.evidence,
        engine=ended.reader,
        provisional=not ended.is_llm,
    )


def _apply_reading(
    ledger: Ledger, recipe: Recipe, document: DocumentRow, ended: UnitRow, result: dict[str, Any]
) -> None:
    """Enter an analysis. That of a part only waits to be merged with the others."""
    params = ReadParams.model_validate(ended.params)
    if params.llm is not None and params.llm.part:
        check_analysis(PartAnalysis.model_validate(result))
        return
    _apply_analysis(ledger, recipe, document, Analysis.model_validate(result))
    provisional = document.provisional or not ended.is_llm
    ledger.update_document(document.id, engine=ended.reader, provisional=provisional)
    if not provisional:  # the model of each stage has read it
        ledger.update_document(document.id, model_failures=0)


def _apply_analysis(ledger: Ledger, recipe: Recipe, document: DocumentRow, found: Analysis) -> None:
    check_analysis(found)
    category = recipe.category(document.category)
    if unknown := {field.name for field in found.fields} - {spec.name for spec in category.fields}:
        raise ValueError(f"fields {sorted(unknown)} are not in the category {category.name!r}")
    lengths = _lengths(ledger, document)
    put_values(ledger, document, category, [honest(field, lengths) for field in found.fields])
    ledger.update_document(
        document.id,
        title=found.title,
        summary=found.summary,
        read_share=found.read_share,
        language=found.language,
    )


def _lengths(ledger: Ledger, document: DocumentRow) -> dict[int, int]:
    """How many characters each page has. The ledger's own counting would stop at a zero character."""
    return {page.number: len(page.text) for page in ledger.pages(document.id)}


def put_values(ledger: Ledger, document: DocumentRow, category: Category, found: Iterable[Field]) -> None:
    """Enter the fields of a document, as a person has corrected them, and what its row shows of them."""
    fields = with_corrections(ledger, document, category, found)
    ledger.put_fields(document.id, fields)
    values = {field.name: field.value for field in fields}
    columns = {spec.role: values.get(spec.name, "") for spec in category.fields if spec.role in COLUMN_ROLES}
    ledger.update_document(document.id, **dict.fromkeys(COLUMN_ROLES, "") | columns)


def put_given_category(ledger: Ledger, document: DocumentRow, recipe: Recipe) -> bool:
    """Enter the category that a person gave; False if none did, or if the recipe has it no longer."""
    correction = standing(ledger, document.id).get(CATEGORY)
    if correction is None or correction.new not in recipe.category_names:
        return False
    ledger.update_document(
        document.id,
        category=correction.new,
        confidence=1.0,
        evidence=EVIDENCE,
        engine=BY_PERSON,
        provisional=False,
    )
    return True


def put_calls(ledger: Ledger, document: DocumentRow, ended: UnitRow, calls: tuple[CallTrace, ...]) -> None:
    """Keep the traces of a unit's calls, and learn from what the server counted."""
    for call in calls:
        ledger.put_call(document.id, ended.stage, ended.attempts + 1, call)
    if ended.is_llm and calls:
        estimate = load_estimate(ledger, ended.model)
        for call in calls:
            if call.prompt_tokens and not call.error and not call.images:  # images have tokens of their own
                estimate.learn(call.prompt, call.prompt_tokens)
        save_estimate(ledger, estimate)
