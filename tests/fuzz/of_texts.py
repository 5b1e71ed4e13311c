"""Targets that read text: what people type, drop and correct, what documents hold, what is printed."""

import atexit
import json
import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from app.dropped import parse_dropped
from app.listing import Row
from app.markdown_report import markdown_report
from app.plans.names import PLACEHOLDERS, Template
from app.tui.text import plain, plain_lines
from tasks.dates import detect_day_first, find_dates, parse_date
from tasks.documents import DocumentText, PageText
from tasks.engines.llm.fence import document_block, neutral
from tasks.errors import ConfigError
from tasks.ledger import Ledger
from tasks.plain_text import shortened, visible, visible_json, visible_lines
from tasks.reading.cleaning import clean_text, clean_title, shown
from tasks.reading.web import html_text
from tasks.recipes import FieldSpec
from tasks.search import make_snippet, parse_query, search
from tasks.settings import Settings
from tasks.typed_values import CorrectionError, find_value, normalised
from tasks.values import detect_number_format, find_amounts, find_currencies, format_amount, parse_amount
from tests.fuzz.runner import Target
from tests.fuzz.shapes import json_values, mutated, texts
from tests.samples import office
from tests.test_dropped import ANY_NAME, HOSTILE_NAMES
from tests.test_plan_names import NASTY, is_safe
from tests.test_search import put

_ACTS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""What a terminal, or a person who reads, could be deceived by."""


def check_paste(example: tuple[str, bool, int]) -> None:
    """Only absolute paths come out, and only those of which the disk said that they are there."""
    text, typed, share = example
    there: set[str] = set()

    def exists(path: str) -> bool:
        assert "\0" not in path
        if hash(path) % 4 < share:
            there.add(path)
        return path in there

    dropped = parse_dropped(text, Path("/h") if typed else None, exists=exists)
    assert all(path.is_absolute() for path in dropped.paths)
    assert {str(path) for path in dropped.paths} <= {str(Path(path)) for path in there}


def _pastes() -> st.SearchStrategy[str]:
    named = [[f"/h/{name}" for name in HOSTILE_NAMES[at : at + 3]] for at in range(0, len(HOSTILE_NAMES), 3)]
    samples = [form(paths) for form in ANY_NAME for paths in named]
    windows = ['"C:\\a b.pdf" C:\\c.pdf', "\\\\wsl.localhost\\Debian\\home\\a.pdf", "file:///h/a%20b.pdf\r\n"]
    return texts("/'\"\\ \n\r~%:file", 3_000) | mutated([*samples, *windows])


_SEARCHES = (
    'invoice "due date" -draft category:invoice amount:>100',
    "date:2026-01..2026-03 party:acme state:review amount:10..20",
    'name:scan -currency:EUR "not closed date:..2026-03 amount:<=',
)


@lru_cache(maxsize=1)
def _ledger() -> Ledger:
    """A ledger with one document; it is only read."""
    folder = TemporaryDirectory(prefix="shoebox-fuzz-")
    ledger = Ledger.open(Settings(data_dir=Path(folder.name)))
    put(
        ledger, "bill.pdf", "Invoice of Acme Ltd.\nTotal due: 12.50 EUR, caf\u00e9 \U0001f9fe", amount="12.50"
    )
    atexit.register(folder.cleanup)
    return ledger


def check_search(text: str) -> None:
    """Every text is a query, which finds something or nothing; marks lie within the snippet."""
    query = parse_query(text)
    search(_ledger(), query)
    line, marks = make_snippet(text * 2, list(query.terms))
    assert all(0 <= first < last <= len(line) for first, last in marks)


_VALUES = (
    "1.234,56 \u20ac",
    "EUR 12.50-",
    "(1,234.00)",
    "1'000.--",
    "31.12.2026",
    "March 3rd, 2026",
    "2026-02-29",
)
_STATEMENT = (
    "Invoice 12 of 3 March 2026\nNet 1.234,56 EUR, tax 19 %: 234,57 \u20ac\nDue 31/12/26, Fr. 12.--\n"
)


def check_values(text: str) -> None:
    """Amounts and dates are finite and lie within the text; what was read is read the same once more."""
    form, day_first = detect_number_format(text), detect_day_first(text)
    for amount in find_amounts(text, form):
        assert 0 <= amount.start < amount.end <= len(text)
        assert amount.value.is_finite()
        assert (
            parse_amount(format_amount(abs(amount.value)), ".") == abs(amount.value)
            or abs(amount.value) >= 10**15
        )
    for found in find_dates(text, day_first):
        assert 0 <= found.start < found.end <= len(text)
        assert parse_date(found.value.isoformat(), day_first) == found.value
    for currency in find_currencies(text):
        assert re.fullmatch("[A-Z]{3}", currency.code)
    for mark in ".,":
        value = parse_amount(text, mark)
        assert value is None or (isinstance(value, Decimal) and value.is_finite())


_SPECS = tuple(
    FieldSpec(name="field", type=kind, describe="A value.")
    for kind in ("text", "date", "amount", "currency", "identifier", "party")
)


def check_corrections(example: tuple[str, str]) -> None:
    """What a person types is refused in words, or has the form of its type, and keeps it."""
    typed, page = example
    text = DocumentText(name="a.pdf", pages=(PageText(number=1, text=clean_text(page)),))
    for spec in _SPECS:
        try:
            value = normalised(spec, typed, text)
        except CorrectionError as error:
            assert error.remedy
            continue
        value.encode()
        if spec.type != "amount":  # whose mark may be another one in this document
            assert normalised(spec, value, text) == value
        if value and (place := find_value(spec, value, text)):
            assert 0 <= place[1] <= place[2] <= len(place[0].text)


def check_plain(text: str) -> None:
    """Nothing that acts is left, and what was made plain stays as it is."""
    for made in (visible(text), shortened(text, 40), clean_title(text), shown(text), str(plain(text))):
        assert not _ACTS.search(made)
    for made in (visible_lines(text), str(plain_lines(text))):
        assert not _ACTS.search(made.replace("\n", "").replace("\t", ""))
    assert len(shortened(text, 40)) <= 40
    assert visible(visible(text)) == visible(text)
    assert clean_title(clean_title(text)) == clean_title(text)
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    cleaned.encode()
    assert "\f" not in cleaned
    made = neutral(text)
    assert len(made) == len(text)
    assert neutral(made) == made
    assert "<" not in made
    block = document_block(DocumentText(name="a", title=text, pages=(PageText(number=1, text=text),)), b"key")
    assert block.count("<") == 2
    marker = block[10:26]
    assert block.count(marker) == 2
    assert json.loads(visible_json({"text": text})) == {"text": text}


def check_json_shown(value: Any) -> None:
    """JSON that is printed gives the same data and acts on no terminal."""
    for indent in (None, 1):
        made = visible_json(value, indent=indent)
        assert json.loads(made) == value
        assert not _ACTS.search(made.replace("\n", ""))


_NO_MARKUP = re.compile(r"(?<!\\)(?:\\\\)*[|`*_\[\]<>#!~&]")


def check_markdown(words: list[str]) -> None:
    """Every document is one line of the report, in which no text of it is markup."""
    name, party, title, message = words
    row = Row(
        **dict.fromkeys(("id", "stage", "summary", "language", "engine", "recipe", "mime", "path"), ""),
        **dict.fromkeys(("sha256", "added_at"), ""),
        **{"state": "review", "name": name, "category": party, "confidence": None, "party": party},
        **{"date": title, "amount": message, "currency": party, "title": title, "pages": 1},
        **{"message": message, "remedy": message, "provisional": False, "urgent": False},
    )
    report = "".join(markdown_report([row, row]))
    assert not _ACTS.search(report.replace("\n", ""))
    lines = report.splitlines()
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines[-2:]] == [9, 9]
    for cell in re.split(r"(?<!\\)(?:\\\\)*\|", lines[-1]):
        assert not _NO_MARKUP.search(cell)


def check_html(text: str) -> None:
    """Any page gives text."""
    clean_text(html_text(text)).encode()


def check_names(example: tuple[str, dict[str, str]]) -> None:
    """A template is refused in words, or makes paths that are safe below the target."""
    text, values = example
    try:
        template = Template.parse(text)
    except ConfigError as error:
        assert "template" in error.message
        return
    path = template.path(values)
    assert is_safe(path)
    assert unicodedata.is_normalized("NFC", str(path))


_TEMPLATES = (
    "{category}/{date}_{party}_{title}{ext}",
    "{year}/{month}/{name}{ext}",
    "a {id}-{amount} {currency}",
)
_WORDS = texts("\\|`*_[]<>#!~&\n \u202e-:", 60)

TARGETS = (
    Target("paste", st.tuples(_pastes(), st.booleans(), st.integers(0, 4)), check_paste),
    Target(
        "names",
        st.tuples(
            mutated(_TEMPLATES) | texts("{}/._- a"), st.fixed_dictionaries(dict.fromkeys(PLACEHOLDERS, NASTY))
        ),
        check_names,
    ),
    Target("search", mutated(_SEARCHES) | texts('"-:.<>*^() aAND', 200), check_search),
    Target(
        "values",
        mutated([*_VALUES, _STATEMENT]) | texts("0123456789.,-'/ \u20ac$EURMarch\u0661\u00b2", 200),
        check_values,
    ),
    Target(
        "corrections",
        st.tuples(mutated(_VALUES) | texts("0123456789.,- /"), mutated([_STATEMENT])),
        check_corrections,
    ),
    Target("plain", texts("<[]|\x1b\u202e\n\t\u00a0 e\u0301", 300), check_plain),
    Target("json shown", json_values() | st.text(), check_json_shown),
    Target("markdown", st.lists(_WORDS, min_size=4, max_size=4), check_markdown),
    Target("html", mutated([office.html().decode()]) | texts("<>&;/!-='\" apbrscript"), check_html),
)
