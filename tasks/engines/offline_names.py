"""What the name of a person or a company looks like, and what an address and contact details look like."""

import re

_NAME_CHARS = 80
LEGAL_FORM = re.compile(
    r"(?<![^\W_])(?:GmbH(?: & Co\.? ?KG)?|gGmbH|mbH|AG|KGaA|KG|OHG|GbR|UG|e\. ?V\.|e\. ?K\.|a\. ?G\.|eG|SE|"
    r"Ltd\.?|Limited|LLC|LLP|PLC|plc|Inc\.?|Corp\.?|Corporation|& Co\.?|S\.?A\.?R\.?L\.?|SAS|EURL|S\.A\.|"
    r"S\.p\.A\.|S\.r\.l\.|B\.V\.|BV|N\.V\.|S\.L\.)(?![^\W_])",
    re.IGNORECASE,
)
_ALSO_WORDS = frozenset({"ag", "kg", "ug", "se", "eg", "sas", "ohg", "gbr", "bv"})
IMPRINT = re.compile(
    r"ust-?\.?-?\s?id|umsatzsteuer-id|steuer-?n(?:umme)?r|geschäftsf|handelsreg|amtsgericht|\bHRB\b|\bvat\b|"
    r"company (?:no|reg)|registered (?:in|office)|\bIBAN\b|\bBIC\b|kontoinhaber|p\. ?iva|\bsiret\b|\bABN\b",
    re.IGNORECASE,
)
CONTACT = re.compile(
    r"(?<![^\W_])(?:tel|tél|telefon|téléphone|fon|phone|fax|e-?mail|web|www)(?![^\W_])|@", re.IGNORECASE
)
_TITLES = r"herrn?|frau|firma|familie|an|an die|an den|mr|mrs|ms|m\.|mme|madame|monsieur"
SALUTATION = re.compile(rf"(?:{_TITLES})\.?", re.IGNORECASE)
TITLED = re.compile(r"(?:herrn?|frau|familie|mr|mrs|ms|mme|madame|monsieur)\.? [^\W\d_]", re.IGNORECASE)
"""A person with a title is written to: nobody signs so."""
_POSTAL = re.compile(
    r"(?:[A-Z]{1,2}-)?\d{4,5} [^\W\d_]|\b[A-Z]{2} \d{5}\b|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"
)
_TOWN_LINE = re.compile(r"(?:[A-Z]{1,2}-)?\d{4,5} [^\W\d_]")
_STREET = re.compile(
    r"[^\W\d_]{2}[\w.,' -]{0,60} \d{1,5} ?[a-z]?$|^\d{1,5} ?(?:[a-z]|bis|ter)?,? [^\W\d_]{2}", re.IGNORECASE
)
SEPARATOR = re.compile(r"\s{0,3}(?:[●•·∙|‧▪*]| [-–—] |,)\s{0,3}")
_NO_NAME = re.compile(
    r"(?:GLN|GTIN|ILN|IBAN|BIC|USt|VAT|Tel|Telefon|Fax|Telefax|Datum|Date|Seite|Page|Nr|No|Rechnung|Invoice|Steuer|"
    r"Facture|Factura|Fattura|Factuur|Receipt|Subject|Betreff|Objet|Inh|Inhaber|Inhaberin|Proprietor|Prop|Owner)"
    r"(?![^\W\d_])|.{0,40}(?:nummer|number|-nr\b|nr\.|datum|date)|"
    r"(?:ship|ships|bill|sold|deliver|delivered|send) to\b|(?:dear|sehr geehrte[r]?|lieber?) |"
    r"(?:kind|best|warm) regards|yours |mit freundlich|freundliche |"
    r".{0,60}(?:agreement|contract|vertrag)$",
    re.IGNORECASE,
)
_ADDRESS_CHARS = 160


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
        and (not text.endswith((".", "!", "?", ",")) or bool(LEGAL_FORM.search(text[-12:])))
        and not _NO_NAME.match(text)
        and not _POSTAL.search(text)
        and not _STREET.search(text)
        and not SALUTATION.fullmatch(text)
    )


def has_legal_form(text: str) -> bool:
    """Short forms such as AG count only as companies write them: `ag` is no company."""
    return any(
        form[0].casefold() not in _ALSO_WORDS or form[0][-1].isupper() for form in LEGAL_FORM.finditer(text)
    )


def is_contact(text: str) -> bool:
    """Telephone, mail, tax, register or bank details."""
    return bool(CONTACT.search(text) or IMPRINT.search(text))


def is_street(text: str) -> bool:
    """`Lindenallee 12a` or `14 Canal Street`."""
    return bool(_STREET.search(text))


def is_town(text: str) -> bool:
    """A line that begins or ends with a postal code and its town."""
    return bool(_TOWN_LINE.match(text)) or (bool(_POSTAL.search(text[-12:])) and len(text) < 60)


def is_address_line(text: str) -> bool:
    """A whole address in one line, `Street 1, 12345 Town` or `1 Street, Town`, with more behind it or not."""
    if len(text) > _ADDRESS_CHARS:
        return False
    parts = [part for part in SEPARATOR.split(text) if part]
    return len(parts) >= 2 and is_street(parts[0]) and (is_town(parts[1]) or parts[1][0].isupper())


def sender_line(text: str) -> int | None:
    """Where the name ends in `Name, Street 1, 12345 Town`, the small line above an address."""
    parts = list(SEPARATOR.finditer(text))
    if len(parts) < 2 or len(text) > _ADDRESS_CHARS:
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
