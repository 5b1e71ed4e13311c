"""Why a person should look at a document that was read to the end."""

from tasks.documents import Page, TextSource
from tasks.ledger import DocumentRow


def review_reasons(document: DocumentRow, pages: list[Page], review_below: float) -> list[str]:
    """The reasons in sentences; empty if nobody need look.

    A category with a confidence below `review_below` (0 to 1) is a reason.
    """
    reasons = []
    unread: dict[str, list[int]] = {}
    for page in pages:
        if page.error:
            unread.setdefault(page.error, []).append(page.number)
    for error, numbers in unread.items():
        reasons.append(f"{_pages_in_words(numbers)}: {error}")
    if not any(page.text.strip() and page.source is not TextSource.NONE for page in pages):
        reasons.append(
            f"No text was found on {'its page' if len(pages) == 1 else f'any of {len(pages)} pages'}."
        )
    elif (document.confidence or 0.0) < review_below:
        reasons.append(f"The category {document.category!r} is uncertain ({document.confidence or 0:.0%}).")
    return reasons


def _pages_in_words(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:10])
    more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
    return f"Page{'s' if len(numbers) > 1 else ''} {shown}{more}"
