"""The fields of a category: one finder for each type of value."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tasks.check_digits import number_problem
from tasks.documents import Field, FieldStatus
from tasks.engines.offline_amounts import Proposal, find_field_amounts
from tasks.engines.offline_parties import find_parties
from tasks.engines.offline_summary import subject_line
from tasks.engines.offline_text import Candidate, Hit, Reading, Span, TextLine, lines_after
from tasks.recipes import Category, FieldSpec
from tasks.values import find_currencies

_UNLABELLED_DATE = 0.4
# A date behind one of these is not the document's own.
_FOREIGN_DATE = re.compile(
    r"liefer|leistung|bestell|auftrag|vertrags-|bis |bis$|zeitraum|stand|fällig|geburt|geb\.|skonto|zahl|"
    r"due|deliver|order|ship|period|until|birth|born|expir|valid|since|seit|ab ",
    re.IGNORECASE,
)
_DATE_DISTANCE = 60
_SHORT_LABEL = 4
_SHORT_DATE_DISTANCE = 12
"""A label as short as `den` or `by` has its date right behind it, or behind the day of the week."""
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IBAN_OVER_LINES = re.compile(r"[A-Z]{2}\d{2}(?:\s{0,3}[A-Z0-9]{1,4}){3,8}(?!\w)")
_FEWEST_IBAN_GROUPS = 3
_SPACED_VAT_ID = re.compile(r"[A-Z]{2,3}[ -]?\d(?:[ .]?\d){6,11}(?!\w)")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][\w./-]{0,39}")
_BEFORE_IDENTIFIER = re.compile(
    r"[\s:#.°º]{0,6}(?:(?:nr|no|n°|nº|number|nummer|id)(?![^\W\d_])[\s.:#°º]{0,4})?", re.IGNORECASE
)
_TEXT_CHARS = 160


def find_fields(reading: Reading, category: Category) -> tuple[Field, ...]:
    """Every field of the category in its order; one without a value has status `missing`."""
    amounts = find_field_amounts(reading, category)
    found: dict[str, Candidate] = {name: proposal.candidate for name, proposal in amounts.items()}
    found |= find_parties(reading, category)
    found |= _labelled(reading, category, "date")
    found |= _labelled(reading, category, "identifier")
    found |= _labelled(reading, category, "text")
    main = category.field_with_role("amount")
    for spec in category.fields:
        if spec.type == "currency":
            _set(found, spec, _currency(reading, amounts.get(main.name) if main else None))
        elif spec.name == "subject" and spec.name not in found:
            _set(found, spec, subject_line(reading))
        elif spec.role == "date" and spec.name not in found:
            _set(found, spec, _unlabelled_date(reading))
    return tuple(_field(spec, found.get(spec.name)) for spec in category.fields)


def _field(spec: FieldSpec, candidate: Candidate | None) -> Field:
    if candidate is None:
        return Field(name=spec.name, value="", status=FieldStatus.MISSING)
    return Field(
        name=spec.name,
        value=candidate.value,
        quote=candidate.span.quote,
        page=candidate.span.page.number,
        start=candidate.span.start,
        end=candidate.span.end,
        status=FieldStatus.VERIFIED,
        confidence=round(min(max(candidate.score, 0.05), 0.95), 2),
    )


def _set(found: dict[str, Candidate], spec: FieldSpec, candidate: Candidate | None) -> None:
    if candidate:
        found[spec.name] = candidate


def _labelled(reading: Reading, category: Category, kind: str) -> dict[str, Candidate]:
    """The best labelled value for each field of one type."""
    specs = [spec for spec in category.fields if spec.type == kind]
    finder = {"date": _date_after, "identifier": _identifier_after, "text": _text_after}[kind]
    best: dict[str, Candidate] = {}
    for index, hits in enumerate(reading.hits(specs)):
        for place, hit in enumerate(hits):
            candidate = finder(reading, index, hits, place)
            if candidate and candidate.score > _score(best.get(hit.spec.name)):
                best[hit.spec.name] = candidate
    return best


def _score(candidate: Candidate | None) -> float:
    return candidate.score if candidate else 0.0


def _date_after(reading: Reading, index: int, hits: Sequence[Hit], place: int) -> Candidate | None:
    hit, line = hits[place], reading.lines[index]
    limit = hits[place + 1].start if place + 1 < len(hits) else len(line.text)
    after = [found for found in line.dates if hit.end <= found.start < limit]
    near = _DATE_DISTANCE if hit.end - hit.start > _SHORT_LABEL else _SHORT_DATE_DISTANCE
    if after and after[0].start - hit.end <= near and not _is_foreign(line, hit, after[0].start):
        # Each word between label and date makes it less likely that they belong together.
        distance = 0.004 * (after[0].start - hit.end)
        return Candidate(
            after[0].value.isoformat(), line.span(after[0].start, after[0].end), hit.score - distance
        )
    if hit.end - hit.start <= _SHORT_LABEL or any(found.start >= hit.end for found in line.dates):
        return None
    for below in _below(reading, index, hit):
        column = place if len(below.dates) == len(hits) else 0
        if below.dates and (below.dates[0].start == 0 or len(below.dates) == len(hits)):
            found = below.dates[column]
            return Candidate(found.value.isoformat(), below.span(found.start, found.end), hit.score - 0.1)
    return None


def _is_foreign(line: TextLine, hit: Hit, end: int) -> bool:
    """Whether the words from the label of the document's date to the date name another one."""
    return hit.spec.role == "date" and bool(_FOREIGN_DATE.search(line.text[hit.start : end]))


def _below(reading: Reading, index: int, hit: Hit) -> Iterable[TextLine]:
    """The line that holds the value of a label alone in its line, or of the head of a table."""
    yield from lines_after(reading, index, hit)
    line = reading.lines[index]
    head_of_table = not any(character.isdigit() for character in line.text) and ":" not in line.text
    if head_of_table and index + 1 < len(reading.lines):
        yield reading.lines[index + 1]


def _unlabelled_date(reading: Reading) -> Candidate | None:
    """The first date that does not belong to something else, such as a delivery or a period."""
    for line in reading.lines:
        for found in line.dates:
            before = line.text[max(0, found.start - 30) : found.start]
            if not _FOREIGN_DATE.search(before):
                span = line.span(found.start, found.end)
                return Candidate(found.value.isoformat(), span, _UNLABELLED_DATE)
    return None


def _identifier_after(reading: Reading, index: int, hits: Sequence[Hit], place: int) -> Candidate | None:
    hit, line = hits[place], reading.lines[index]
    start = _BEFORE_IDENTIFIER.match(line.text, hit.end)
    if start and (span := _identifier_at(line, start.end(), hit.spec)):
        return Candidate(_compact(span.quote), span, hit.score)
    for below in _below(reading, index, hit):
        for match in re.finditer(r"\S{1,60}", below.text):
            if span := _identifier_at(below, match.start(), hit.spec):
                return Candidate(_compact(span.quote), span, hit.score - 0.15)
    return None


def _identifier_at(line: TextLine, start: int, spec: FieldSpec) -> Span | None:
    """A number or code that begins there and is no date and no money."""
    if spec.check == "iban" and (iban := _iban_at(line, start)):
        return iban
    spaced = _SPACED_VAT_ID.match(line.text, start) if spec.check == "vat" else _IBAN.match(line.text, start)
    match = spaced or _IDENTIFIER.match(line.text, start)
    if not match or not any(character.isdigit() for character in match[0]):
        return None
    end = start + len(match[0].rstrip("./-_"))
    taken = [(found.start, found.end) for found in line.dates] + [(a.start, a.end) for a in line.money]
    if any(begin < end and start < stop for begin, stop in taken):
        return None
    return line.span(start, end)


def _iban_at(line: TextLine, start: int) -> Span | None:
    """A valid IBAN that begins there. Some programs set each of its groups in a line of its own."""
    first = line.span(start, start + 1)
    match = _IBAN_OVER_LINES.match(first.page.text, first.start)
    groups = list(re.finditer(r"[A-Z0-9]+", match[0])) if match else []
    for group in reversed(groups[_FEWEST_IBAN_GROUPS:]):
        span = Span(first.page, first.start, first.start + group.end())
        if not number_problem("iban", _compact(span.quote)):
            return span
    return None


def _compact(quote: str) -> str:
    return "".join(quote.split())


def _text_after(reading: Reading, index: int, hits: Sequence[Hit], place: int) -> Candidate | None:
    hit, line = hits[place], reading.lines[index]
    if hit.start > 0:
        return None
    rest = re.compile(r"[\s:.\-]{0,6}").match(line.text, hit.end)
    start = rest.end() if rest else hit.end
    if start < len(line.text) and (":" in line.text[hit.end : start] or len(hit.spec.labels) == 1):
        span = line.span(start, min(len(line.text), start + _TEXT_CHARS))
        return Candidate(" ".join(span.quote.split()), span, hit.score)
    for below in lines_after(reading, index, hit):
        span = below.span(0, min(len(below.text), _TEXT_CHARS))
        return Candidate(" ".join(span.quote.split()), span, hit.score - 0.15)
    return None


def _currency(reading: Reading, main: Proposal | None) -> Candidate | None:
    """The currency beside the main amount, else the commonest of the document."""
    if main and main.amount.currency:
        line, amount = main.line, main.amount
        start, end = amount.start, amount.end
        if found := find_currencies(line.text[start:end]):
            start, end = start + found[0].start, start + found[0].end
        return Candidate(main.amount.currency, line.span(start, end), 0.9)
    everywhere = [
        Candidate(found.code, line.span(found.start, found.end), 0.5)
        for line in reading.lines
        for found in find_currencies(line.text)
    ]
    if not everywhere:
        return None
    commonest = Counter(candidate.value for candidate in everywhere).most_common(1)[0][0]
    return next(candidate for candidate in everywhere if candidate.value == commonest)
