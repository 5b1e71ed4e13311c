"""Who a document is from and for: labels, mail headers, sender lines, address blocks and imprints."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.engines.offline_addresses import Address, Role, addresses
from tasks.engines.offline_classify import has_mail_headers
from tasks.engines.offline_names import IMPRINT, LEGAL_FORM, has_legal_form, is_contact, is_name, sender_line
from tasks.engines.offline_rows import apart
from tasks.engines.offline_text import Candidate, Hit, Reading, TextLine
from tasks.recipes import Category, FieldSpec

_MAIL_NAME = re.compile(r"\"?(?P<name>[^\"<>,;]{1,80}?)\"?\s{0,2}<[^<>\s]{3,100}>")
_END_OF_NAME = re.compile(r"[,;(<|●•·\t]| {3}|\s{1,9}(?:and|und|et|y|en)\s|\binvoice\b|\brechnung\b", re.I)
_BETWEEN = re.compile(r"(?<!\w)(?:between|zwischen|entre|tra|tussen)(?!\w)", re.IGNORECASE)
_AND = re.compile(r"(?:^|[,)] )(?:and|und|et|e|en)(?: |$)")
_CLOSING = re.compile(
    r"(?:yours (?:sincerely|faithfully|truly)|sincerely|(?:kind|best|warm) regards|mit freundlichen? gr|"
    r"freundliche gr|hochachtungsvoll|viele grüße|cordialement|bien à vous)",
    re.IGNORECASE,
)
_INLINE_LABEL_CHARS = 6
_TOP_LINES = 6
_SIGNATURE_LINES = 3
_PARTY_LINES = 8
_MAIL_COVER = 0.5
"""What a header of the mail counts that a bill came with: who sent it on need not have written it."""


@dataclass(frozen=True)
class Party:
    """A name in a line and how much speaks for it."""

    line: TextLine
    start: int
    end: int
    score: float

    @property
    def name(self) -> str:
        """The words, white space collapsed."""
        return " ".join(self.line.text[self.start : self.end].split())

    @property
    def key(self) -> str:
        """The same name written otherwise has the same key."""
        return re.sub(r"\W+", " ", self.name.casefold()).strip()


def find_parties(reading: Reading, category: Category) -> dict[str, Candidate]:
    """The best name for each party field; the field with the role `party` is who the document is from."""
    specs = [spec for spec in category.fields if spec.type == "party"]
    rows = apart(reading)
    cover = _cover_lines(rows) if category.name != "email" else 0
    labelled = _labelled(rows, specs, cover)
    found: dict[str, Candidate] = {}
    taken: set[str] = set()
    blocks = addresses(rows.lines, top=cover)
    addressed = list(_recipients(rows.lines, blocks))
    # The addressee never sent the document, so it is settled first where a label or a block names it.
    for spec in sorted(specs, key=lambda spec: spec.role == "party"):
        guesses: list[Party] = []
        if spec.role == "party":
            guesses += _senders(rows.lines, blocks, cover)
            guesses += _writers(rows.lines, category.name, {party.key for party in addressed})
        elif spec.name in ("buyer", "recipient"):
            guesses += addressed
        elif spec.name == "party_b":
            guesses += _second_parties(rows.lines)
        party = _best(labelled.get(spec.name, []) + [each for each in guesses if each.key not in taken])
        if party:
            taken.add(party.key)
            span = party.line.span(party.start, party.end)
            found[spec.name] = Candidate(party.name, span, party.score)
    return found


def _cover_lines(reading: Reading) -> int:
    """How many lines belong to the mail that a document came with: its first page, if another follows."""
    pages = reading.document.pages
    if len(pages) < 2 or not has_mail_headers(pages[0].text):
        return 0
    return sum(line.page is pages[0] for line in reading.lines)


def _best(parties: list[Party]) -> Party | None:
    """The name with the most support: proposals of the same name strengthen each other."""
    doubt: dict[str, float] = {}
    for party in parties:
        doubt[party.key] = doubt.get(party.key, 1.0) * (1 - min(party.score, 0.95))
    if not parties:
        return None
    first = min(parties, key=lambda party: (round(doubt[party.key], 3), -party.score))
    return Party(first.line, first.start, first.end, 1 - doubt[first.key])


def _labelled(reading: Reading, specs: list[FieldSpec], cover: int) -> dict[str, list[Party]]:
    proposals: dict[str, list[Party]] = {}
    for index, hits in enumerate(reading.hits(specs)):
        for hit in hits:
            if party := _after_label(reading, index, hit):
                if index < cover:
                    party = replace(party, score=party.score * _MAIL_COVER)
                proposals.setdefault(hit.spec.name, []).append(party)
    return proposals


def _after_label(reading: Reading, index: int, hit: Hit) -> Party | None:
    line = reading.lines[index]
    rest = re.sub(r"^[\s:]{0,5}", "", line.text[hit.end :])
    begin = len(line.text) - len(rest)
    colon = ":" in line.text[hit.end : begin]
    inline = hit.start > 0 and not colon
    if inline and hit.end - hit.start < _INLINE_LABEL_CHARS:
        return None
    if rest and (colon or inline or hit.end - hit.start >= _INLINE_LABEL_CHARS):
        party = _name_at(line, begin, hit.score - 0.2 * inline - 0.1 * (not colon))
        if party:
            return party
    if rest and (colon or inline):
        return None
    following = [below for below in reading.lines[index + 1 : index + 6] if below.page is line.page]
    named = [_name_at(below, 0, hit.score - 0.05 - 0.2 * inline) for below in following]
    first = next((party for party in named[:3] if party), None)
    if first and _in_same_row(line, first.line) and not has_legal_form(first.name):
        # What stands beside a heading may be a mark across the page: a company below it says more.
        return next((party for party in named if party and has_legal_form(party.name)), first)
    return first


def _in_same_row(left: TextLine, right: TextLine) -> bool:
    return left.start < right.start and "\n" not in left.page.text[left.start : right.start]


def _name_at(line: TextLine, begin: int, score: float) -> Party | None:
    mail = _MAIL_NAME.match(line.text, begin)
    if mail:
        return Party(line, mail.start("name"), mail.end("name"), score)
    rest = line.text[begin:]
    if re.fullmatch(r"[^\s@]{1,60}@[^\s@]{1,60}", rest):
        return Party(line, begin, len(line.text), score)
    cut = _END_OF_NAME.search(rest)
    name = (rest[: cut.start()] if cut else rest).rstrip()
    half = len(name) // 2
    if name[:half] == name[half + 1 :]:  # "bill to" and "ship to" side by side
        name = name[:half]
    return Party(line, begin, begin + len(name), score) if is_name(name) else None


def _whole(line: TextLine, score: float) -> Party:
    return Party(line, 0, len(line.text), score)


def _recipients(lines: list[TextLine], blocks: list[Address]) -> Iterator[Party]:
    """The addressee: the first address that is not the sender's, and every one that is marked as such."""
    seen = 0
    for block in blocks:
        if block.role is Role.RECIPIENT or (block.role is Role.UNKNOWN and not seen):
            seen += 1
            yield _whole(lines[block.name], 0.75 if block.role is Role.RECIPIENT else 0.45)


def _senders(lines: list[TextLine], blocks: list[Address], top: int) -> Iterator[Party]:
    """Who wrote it: the sender line, the imprint, the letterhead, an address with contact details."""
    for index, line in enumerate(lines):
        if name_end := sender_line(line.text):
            yield Party(line, 0, name_end, 0.75)
        yield from _imprint_names(line)
        if is_name(line.text) and _speaks_for_itself(lines, index, at_top=0 <= index - top < _TOP_LINES):
            yield _whole(line, 0.5)
    for block in blocks:
        if block.role is Role.SENDER:
            yield _whole(lines[block.name], 0.5)


def _speaks_for_itself(lines: list[TextLine], index: int, at_top: bool) -> bool:
    """A company at the top or above its contact details, or any name at the top directly above them."""
    if has_legal_form(lines[index].text):
        return at_top or any(is_contact(below.text) for below in lines[index + 1 : index + 4])
    return at_top and any(is_contact(below.text) for below in lines[index + 1 : index + 2])


def _writers(lines: list[TextLine], category: str, addressed: set[str]) -> Iterator[Party]:
    """Whose name stands first on papers that begin with it, or below the greeting of a letter."""
    if category in ("receipt", "letter", "statement", "contract"):
        first = next((line for line in lines[:4] if is_name(line.text)), None)
        if first and _whole(first, 0).key not in addressed:
            yield _whole(first, 0.35)
    if category == "letter":
        for index, line in enumerate(lines):
            if _CLOSING.match(line.text):
                below = lines[index + 1 : index + 1 + _SIGNATURE_LINES]
                yield from (_whole(signature, 0.25) for signature in below if is_name(signature.text))


def _second_parties(lines: list[TextLine]) -> Iterator[Party]:
    """Who follows `between ... and`, where the sentence runs on over a few lines."""
    for index, line in enumerate(lines):
        between = _BETWEEN.search(line.text)
        if not between:
            continue
        start = between.end()
        for place in range(index, min(index + _PARTY_LINES, len(lines))):
            match = _AND.search(lines[place].text, start)
            start = 0
            if match and (party := _name_from(lines, place, match.end(), 0.5)):
                yield party
                break


def _name_from(lines: list[TextLine], index: int, begin: int, score: float) -> Party | None:
    """The name behind a word, or in the next line if nothing follows the word in its own."""
    if begin < len(lines[index].text):
        return _name_at(lines[index], begin, score)
    return _name_at(lines[index + 1], 0, score) if index + 1 < len(lines) else None


def _imprint_names(line: TextLine) -> Iterator[Party]:
    """A company named in the same line as its register number, its managers or its tax number."""
    imprint = IMPRINT.search(line.text)
    legal = LEGAL_FORM.search(line.text)
    if imprint and legal and legal.start() < imprint.start() and has_legal_form(legal[0]):
        name = line.text[: legal.end()]
        if is_name(name) and len(name.split()) > 1:
            yield Party(line, 0, len(name), 0.88)
