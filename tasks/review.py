"""Why a person should look at a document that was read to the end."""

from tasks.agreement import contradiction
from tasks.calibration import Sureness
from tasks.checks import failed_checks
from tasks.documents import Page, TextSource
from tasks.errors import ConfigError
from tasks.ledger import DocumentRow, Ledger
from tasks.looks import sighting, text_classification
from tasks.recipes import COLUMN_ROLES, load_recipe
from tasks.said import EVIDENCE, is_accepted
from tasks.settings import Settings
from tasks.units import MAX_MODEL_FAILURES, units_of


def review_reasons(ledger: Ledger, settings: Settings, document: DocumentRow) -> list[str]:
    """The reasons in sentences; empty if nobody need look, or somebody has."""
    if is_accepted(ledger, document.id):
        return []
    pages = ledger.pages(document.id)
    sureness = Sureness(ledger, document)
    reasons = _unread_pages(pages)
    if not any(page.text.strip() and page.source is not TextSource.NONE for page in pages):
        reasons.append(
            f"No text was found on {'its page' if len(pages) == 1 else f'any of {len(pages)} pages'}."
        )
    else:
        reasons += _uncertain_category(settings, document, sureness)
    reasons += _contradicted_category(ledger, settings, document)
    reasons += _doubtful_values(ledger, settings, document, sureness)
    if failure := model_failure(ledger, document):
        reasons.append(failure)
    return reasons


def _uncertain_category(settings: Settings, document: DocumentRow, sureness: Sureness) -> list[str]:
    sure = sureness.of_category() or 0.0
    if sure >= settings.review_below:
        return []
    return [f"The category {document.category!r} is uncertain ({sure:.0%})."]


def _contradicted_category(ledger: Ledger, settings: Settings, document: DocumentRow) -> list[str]:
    """The pages look like one category and the text says another, and both are sure."""
    if document.evidence == EVIDENCE:  # a person has said which it is
        return []
    seen = sighting(ledger, document.id)
    if seen is None or seen.params is None or seen.look is None:
        return []
    text = text_classification(ledger, document.id)
    if text is None:
        return []
    reason = contradiction(text, seen.params, seen.look, settings.review_below)
    return [reason] if reason else []


def _doubtful_values(
    ledger: Ledger, settings: Settings, document: DocumentRow, sureness: Sureness
) -> list[str]:
    """Values that cannot be right, and values of the table that are likely to be wrong.

    A doubtful value that the table does not show is marked, and waits to be looked at.
    """
    try:
        recipe = load_recipe(document.recipe, settings.recipes_path)
    except ConfigError:  # it is gone; that is said where it is needed
        return []
    if document.category not in recipe.category_names:
        return []
    category, fields = recipe.category(document.category), ledger.fields(document.id)
    in_table = {spec.name for spec in category.fields if spec.role in COLUMN_ROLES}
    return failed_checks(category, fields) + [
        f"The {field.name.replace('_', ' ')} {field.value!r} is uncertain ({sureness.of(field):.0%})."
        for field in fields
        if field.name in in_table and field.value and sureness.of(field) < settings.review_fields_below
    ]


def model_failure(ledger: Ledger, document: DocumentRow) -> str:
    """Why a document is not given to the language model any more, in words; empty if it may be."""
    gave_up = [left for left in units_of(ledger, document.id) if left.is_llm and left.failure]
    if gave_up:
        return f"The language model gave no usable result: {gave_up[-1].message}"
    if document.model_failures >= MAX_MODEL_FAILURES:
        return f"The model server failed {document.model_failures} times at this document."
    return ""


def _unread_pages(pages: list[Page]) -> list[str]:
    unread: dict[str, list[int]] = {}
    for page in pages:
        if page.error:
            unread.setdefault(page.error, []).append(page.number)
    return [f"{_pages_in_words(numbers)}: {error}" for error, numbers in unread.items()]


def _pages_in_words(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:10])
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return f"Page{'s' if len(numbers) > 1 else ''} {shown}{more}"
