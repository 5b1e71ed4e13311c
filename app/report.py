"""One document in full, as lines of plain text."""

from collections.abc import Iterator
from datetime import UTC, datetime

from app.listing import field_box, make_row
from app.looks import look_line
from app.plain_text import visible, visible_lines
from tasks.boxes import Box
from tasks.calibration import Sureness
from tasks.documents import Field, FieldStatus, Page, TextSource
from tasks.languages import language_name
from tasks.ledger import DocumentRow, Ledger
from tasks.said import ACCEPTED, BY_PERSON, EVIDENCE, YES, Correction, corrections


def report(ledger: Ledger, document: DocumentRow, *, with_text: bool) -> Iterator[str]:
    """What is known about a document; with its text if asked for."""
    sureness = Sureness(ledger, document)
    yield from _heading(document, sureness.of_category(), look_line(ledger, document))
    fields, pages = ledger.fields(document.id), ledger.pages(document.id)
    if fields:
        yield ""
        width = max(len(field.name) for field in fields)
        by_number = {page.number: page for page in pages}
        for field in fields:
            yield _field_line(field, width, sureness.of(field), field_box(field, by_number))
    said = corrections(ledger, document.id)
    if said:
        yield ""
        yield "  said by you:"
        yield from _correction_lines(said)
    if document.summary:
        yield ""
        yield visible_lines(document.summary)
    if pages:
        yield ""
        yield from _page_lines(pages, with_text=with_text)


def _heading(document: DocumentRow, sure: float | None, image: str) -> Iterator[str]:
    row = make_row(document)
    yield f"{row.id}  {visible(row.name)}"
    state = row.state if row.state != "running" else f"running ({row.stage})"
    facts = {"state": state, "title": row.title, "file": row.path, "kind": row.mime}
    facts["language"] = language_name(row.language)
    if row.category:
        reader = f"the {row.engine} engine" + (", provisional" if row.provisional else "")
        if document.evidence == EVIDENCE:
            facts["category"] = f"{row.category} ({EVIDENCE[0]})"
            facts["read by"] = reader if row.engine != BY_PERSON else ""
        else:
            facts["category"] = f"{row.category} ({sure or 0:.0%}, by {reader})"
            facts["because"] = "; ".join(document.evidence)
        facts["image"] = image
        if document.read_share < 1:
            facts["read"] = f"{document.read_share:.0%} of the text"
    facts |= {"message": row.message, "remedy": row.remedy}
    for name, value in facts.items():
        if value:
            yield f"  {name:9} {visible(value)}"


def _field_line(field: Field, width: int, sure: float, box: Box | None) -> str:
    if field.status is FieldStatus.MISSING:
        return f"  {field.name:{width}}  -  not found"
    facts = [
        field.status.value if field.status is FieldStatus.CORRECTED else f"{field.status.value}, {sure:.0%}"
    ]
    if field.quote:
        quote = visible(" ".join(field.quote.split()))
        facts.append(f"page {field.page}: “{quote}”" if field.page else f"“{quote}”")
    if field.learned_from:
        facts.append(f"learned from {field.learned_from}")
    if box:
        facts.append("at {},{} to {},{}".format(*box))
    return f"  {field.name:{width}}  {visible(field.value) or '-'}  ({', '.join(facts)})"


def _correction_lines(said: list[Correction]) -> Iterator[str]:
    for one in said:
        day = datetime.fromtimestamp(one.at, UTC).date().isoformat()
        by = f", which was by {visible(one.model)}" if one.model not in {"", BY_PERSON} else ""
        if one.field == ACCEPTED:
            yield f"  {day}  {'accepted as it is' if one.new == YES else 'read again: no longer accepted'}"
        elif one.old == one.new:
            yield f"  {day}  {one.field}: {visible(one.new) or '-'} confirmed{by}"
        else:
            yield f"  {day}  {one.field}: {visible(one.new) or '-'} instead of {visible(one.old) or '-'}{by}"


def _page_lines(pages: list[Page], *, with_text: bool) -> Iterator[str]:
    for page in pages:
        if not with_text and len(pages) > 12 and 8 < page.number <= len(pages) - 2 and not page.error:
            if page.number == 9:
                yield f"  ... {len(pages) - 10} more pages (--text shows all)"
            continue
        source = page.source.value if page.source is not TextSource.NONE else "no text"
        turned = f", turned by {page.rotation}°" if page.rotation else ""
        error = f", {visible(page.error)}" if page.error else ""
        size = f"score {page.score:.2f}, {len(page.text)} characters"
        yield f"  page {page.number}: {source}, {size}{turned}{error}"
        if with_text:
            yield visible_lines(page.text)
            yield ""
