"""A document in words, for its page: the heading, its fields, where the text of a page comes from."""

from collections.abc import Iterator

from textual.content import Content

from app.plain_text import shortened
from app.tui.columns import stage_bar
from app.tui.text import plain
from app.tui.widgets.field_list import FieldLine
from tasks.boxes import Box
from tasks.calibration import Sureness
from tasks.documents import Field, FieldStatus, State, TextSource
from tasks.ledger import DocumentRow
from tasks.overview import Overview
from tasks.page_queries import PageHead
from tasks.said import BY_PERSON, CATEGORY, EVIDENCE

_CORRECTABLE = frozenset({State.DONE, State.REVIEW})
_STYLES = {
    State.RUNNING: "$text-accent",
    State.DONE: "$text-success",
    State.REVIEW: "$text-warning",
    State.FAILED: "$text-error",
    State.QUARANTINED: "$text-error",
}


def heading(document: DocumentRow, row: Overview, place: str, image: str = "") -> Content:
    """Name, state, category and engine, title, and what is wrong.

    `place` says where it is in the In-tray, `image` what its pages look like.
    """
    lines = [plain(document.name, "bold") + plain(f"   {place}", "dim"), _state(document, row)]
    if document.title and document.title != document.name:
        lines.append(plain(document.title))
    if image:
        lines.append(plain(f"image: {image}", "dim"))
    if document.message:
        lines.append(plain(" ".join((document.message, document.remedy)).strip(), "$text-warning"))
    return Content("\n").join(lines)


def _state(document: DocumentRow, row: Overview) -> Content:
    style = _STYLES.get(document.state, "$text-muted")
    facts = [plain(document.state.value, f"bold {style}"), plain(stage_bar(row))]
    if document.urgent:
        facts.append(plain("urgent", "bold"))
    if document.engine and document.engine != BY_PERSON:
        provisional = ", provisional" if document.provisional else ""
        facts.append(plain(f"read by the {document.engine} engine{provisional}", "dim"))
    if document.language:
        facts.append(plain(document.language, "dim"))
    if document.read_share < 1:
        facts.append(plain(f"{document.read_share:.0%} of the text was read", "$text-warning"))
    return Content("   ").join(fact for fact in facts if fact.plain)


def _how_sure(document: DocumentRow, sureness: Sureness) -> str:
    if document.evidence == EVIDENCE:
        return FieldStatus.CORRECTED.value
    sure = sureness.of_category()
    return "" if sure is None else f"{sure:.0%}"


def field_lines(document: DocumentRow, fields: list[Field], sureness: Sureness) -> Iterator[FieldLine]:
    """The category, and then the fields in the recipe's order."""
    if document.category or document.state in _CORRECTABLE:
        yield FieldLine(CATEGORY, document.category, _how_sure(document, sureness))
    for field in fields:
        where = f"p. {field.page}" if field.page else ""
        is_read = field.status in {FieldStatus.VERIFIED, FieldStatus.UNVERIFIED}
        sure = f"{sureness.of(field):.0%}" if is_read else ""
        note = " ".join(part for part in (field.status.value, sure, where) if part)
        if field.status is FieldStatus.MISSING:
            yield FieldLine(field.name, "", note)
        else:
            yield FieldLine(field.name, field.value, note, field.page, field.start, field.end)


def page_line(page: PageHead, count: int, box: Box | None) -> str:
    """Which page it is, where its text comes from, and where the quote stands on its image."""
    match page.source:
        case TextSource.LAYER:
            source = "text layer"
        case TextSource.OCR:
            source = f"OCR, score {page.score:.2f}"
        case TextSource.NONE:
            source = "no text"
    turned = f", turned by {page.rotation}°" if page.rotation else ""
    error = f": {shortened(page.error, 200)}" if page.error else ""
    place = "   quote at {},{} to {},{}".format(*box) if box else ""
    return f"Page {page.number} of {count}   {source}{turned}{error}{place}"
