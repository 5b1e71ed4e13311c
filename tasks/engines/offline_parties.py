"""Who a document is from and for: labels, mail headers, sender lines, address blocks and imprints."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.engines.offline_text import Candidate, Hit, Reading, TextLine
from tasks.recipes import Category, FieldSpec

_NAME_CHARS = 80
_LEGAL_FORM = re.compile(
    r"(?<![^\W_])(?:GmbH(?: & Co\.? ?KG)?|gGmbH|mbH|AG|KGaA|KG|OHG|GbR|UG|e\. ?V\.|e\. ?K\.|a\. ?G\.|eG|SE|"
    r"Ltd\.?|Limited|LLC|LLP|PLC|plc|Inc\.?|Corp\.?|Corporation|S\.?A\.?R\.?L\.?|SAS|S\.A\.|S\.p\.A\.|S\.r\.l\.|"
    r"B\.V\.|N\.V\.|S\.L\.)(?![^\W_])",
    re.IGNORECASE,
)
_SHORT_FORM = re.compile(r"(?<![^\W_])(?:AG|KG|UG|SE|eG|SAS|OHG|GbR)(?![^\W_])")
_IMPRINT = re.compile(
    r"ust-?\.?-?\s?id|umsatzsteuer-id|steuer-?n(?:umme)?r|geschäftsf|handelsreg|amtsgericht|\bHRB\b|\bvat\b|"
    r"company (?:no|reg)|registered (?:in|office)|\bIBAN\b|\bBIC\b|kontoinhaber|p\. ?iva|\bsiret\b",
    re.IGNORECASE,
)
_CONTACT = re.compile(r"(?<![^\W_])(?:tel|telefon|fon|phone|fax|e-?mail|web|www)(?![^\W_])|@", re.IGNORECASE)
_SALUTATION = re.compile(
    r"(?:herrn?|frau|firma|familie|an|an die|an den|mr|mrs|ms|m\.|mme)\.?", re.IGNORECASE
)
_POSTAL = re.compile(
    r"(?:[A-Z]{1,2}-)?\d{4,5} [^\W\d_]|\b[A-Z]{2} \d{5}\b|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"
)
_STREET = re.compile(r"[^\W\d_]{2}[\w.,' -]{0,60} \d{1,5} ?[a-z]?$|^\d{1,5} [^\W\d_]{2}", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s{0,3}(?:[●•·∙|‧▪*]| [-–—] |,)\s{0,3}")
_NO_NAME = re.compile(
    r"(?:GLN|GTIN|ILN|IBAN|BIC|USt|VAT|Tel|Telefon|Fax|Telefax|Datum|Date|Seite|Page|Nr|No|Rechnung|Invoice|Steuer)"
    r"(?![^\W\d_])|.{0,40}(?:nummer|number|-nr\b|nr\.|datum|date)|"
    r"(?:ship|ships|bill|sold|deliver|delivered|send) to\b|(?:dear|sehr geehrte[r]?|lieber?) |"
    r"(?:kind|best|warm) regards|yours |mit freundlich|freundliche ",
    re.IGNORECASE,
)
_MAIL_NAME = re.compile(r"\"?(?P<name>[^\"<>,;]{1,80}?)\"?\s{0,2}<[^<>\s]{3,100}>")
_END_OF_NAME = re.compile(r"[,;(<|●•·\t]| {3}|\s+(?:and|und|et|y|en)\s|\binvoice\b|\brechnung\b", re.I)
_INLINE_LABEL_CHARS = 6
_LETTERHEAD_LINES = 2


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
    labelled = _labelled(reading, specs)
    found: dict[str, Candidate] = {}
    taken: set[str] = set()
    addressed = list(_recipients(reading))
    # The addressee never sent the document, so it is settled first where a label or a block names it.
    for spec in sorted(specs, key=lambda spec: spec.role == "party"):
        guesses: list[Party] = []
        if spec.role == "party":
            guesses += _senders(reading, category.name, {party.key for party in addressed})
        elif spec.name in ("buyer", "recipient"):
            guesses += addressed
        party = _best(labelled.get(spec.name, []) + [each for each in guesses if each.key not in taken])
        if party:
            taken.add(party.key)
            span = party.line.span(party.start, party.end)
            found[spec.name] = Candidate(party.name, span, party.score)
    return found


def is_name(text: str) -> bool:
    """Whether a line, or its beginning, reads like the name of a person or a company."""
    letters = sum(character.isalpha() for character in text)
    words = re.findall(r"[^\W\d_]{2,}", text)
    capitals = sum(word[0].isupper() for word in words)
    return (
        3 <= letters <= _NAME_CHARS
        and len(text) <= _NAME_CHARS
        and letters > len(text) * 0.6
        and ":" not in text
        and "@" not in text
        and capitals * 2 >= len(words)
        and (text[0].isupper() or text[0].isdigit())
        and (not text.endswith((".", "!", "?", ",")) or bool(_LEGAL_FORM.search(text[-12:])))
        and not _NO_NAME.match(text)
        and not _POSTAL.search(text)
        and not _STREET.search(text)
        and not _SALUTATION.fullmatch(text)
    )


def _best(parties: list[Party]) -> Party | None:
    """The name with the most support: proposals of the same name strengthen each other."""
    doubt: dict[str, float] = {}
    for party in parties:
        doubt[party.key] = doubt.get(party.key, 1.0) * (1 - min(party.score, 0.95))
    if not parties:
        return None
    first = min(parties, key=lambda party: (round(doubt[party.key], 3), -party.score))
    return Party(first.line, first.start, first.end, 1 - doubt[first.key])


def _labelled(reading: Reading, specs: list[FieldSpec]) -> dict[str, list[Party]]:
    proposals: dict[str, list[Party]] = {}
    for index, hits in enumerate(reading.hits(specs)):
        for hit in hits:
            if party := _after_label(reading, index, hit):
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
    for below in reading.lines[index + 1 : index + 4]:
        party = _name_at(below, 0, hit.score - 0.05 - 0.2 * inline)
        if below.page is line.page and party:
            return party
    return None


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


def _recipients(reading: Reading) -> Iterator[Party]:
    """The addressee: the name above the first street and town, more surely below a sender line or a title."""
    seen = 0
    for start, _ in _address_blocks(reading):
        line = reading.lines[start]
        before = reading.lines[start - 1].text if start else ""
        titled = bool(_SALUTATION.fullmatch(before.strip(" .,")))
        below_sender = _sender_line(before) is not None
        if not titled and not below_sender and (seen or _is_issuer_block(reading, start)):
            continue
        seen += 1
        yield Party(line, 0, len(line.text), 0.75 if titled or below_sender else 0.45)


def _senders(reading: Reading, category: str, addressed: set[str]) -> Iterator[Party]:
    """Who wrote it: sender line, imprint, letterhead, an address with contact details, or the first line."""
    lines = reading.lines
    for index, line in enumerate(lines):
        if name_end := _sender_line(line.text):
            yield Party(line, 0, name_end, 0.75)
        yield from _imprint_names(line)
        if _has_legal_form(line.text) and is_name(line.text):
            imprint_follows = any(_IMPRINT.search(below.text) for below in lines[index + 1 : index + 4])
            if index < _LETTERHEAD_LINES + 4 or imprint_follows:
                yield Party(line, 0, len(line.text), 0.5)
    for start, _ in _address_blocks(reading):
        if _is_issuer_block(reading, start):
            yield Party(lines[start], 0, len(lines[start].text), 0.5)
    if category in ("receipt", "letter", "statement", "contract") and lines:
        first = next((line for line in lines[:4] if is_name(line.text)), None)
        if first and Party(first, 0, len(first.text), 0).key not in addressed:
            yield Party(first, 0, len(first.text), 0.35)


def _imprint_names(line: TextLine) -> Iterator[Party]:
    """A company named in the same line as its register number, its managers or its tax number."""
    imprint = _IMPRINT.search(line.text)
    legal = _LEGAL_FORM.search(line.text)
    if imprint and legal and legal.start() < imprint.start() and _has_legal_form(legal[0]):
        name = line.text[: legal.end()]
        if is_name(name) and len(name.split()) > 1:
            yield Party(line, 0, len(name), 0.88)


def _sender_line(text: str) -> int | None:
    """Where the name ends in `Name, Street 1, 12345 Town`, the small line above an address."""
    parts = list(_SEPARATOR.finditer(text))
    if len(parts) < 2 or len(text) > 160:
        return None
    name = text[: parts[0].start()]
    street = text[parts[0].end() : parts[1].start()]
    town = text[parts[1].end() :]
    looks_so = (
        is_name(name)
        and not _POSTAL.search(street)
        and any(c.isdigit() for c in street + town)
        and _POSTAL.search(town)
    )
    return len(name) if looks_so else None


def _address_blocks(reading: Reading) -> Iterator[tuple[int, int]]:
    """Index of the name and of the town of each address: name, up to two more lines, street, town."""
    lines = reading.lines
    for town, line in enumerate(lines):
        if not re.match(r"(?:[A-Z]{1,2}-)?\d{4,5} [^\W\d_]", line.text) and not (
            _POSTAL.search(line.text[-12:]) and len(line.text) < 60
        ):
            continue
        if town < 2 or not _STREET.search(lines[town - 1].text):
            continue
        name = town - 2
        while name > 0 and town - name < 4 and is_name(lines[name - 1].text):
            name -= 1
        if is_name(lines[name].text):
            yield name, town


def _is_issuer_block(reading: Reading, start: int) -> bool:
    """A letterhead, or an address with contact, bank or tax details close below."""
    if start < _LETTERHEAD_LINES:
        return True
    below = reading.lines[start : start + 12]
    return sum(bool(_CONTACT.search(line.text) or _IMPRINT.search(line.text)) for line in below) >= 2


def _has_legal_form(text: str) -> bool:
    """Two-letter forms such as AG count only in capitals: `ag` is no company."""
    match = _LEGAL_FORM.search(text)
    return bool(match) and (len((match or [""])[0]) > 3 or bool(_SHORT_FORM.search(text)))
