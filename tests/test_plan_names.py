"""Names of plans: whatever was read, they are safe paths below the target.

SHOEBOX_EXAMPLES=1500 tries as many texts.
"""

import os
import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.plans.names import PLACEHOLDERS, Template, key_of
from tasks.errors import ConfigError

EXAMPLES = int(os.environ.get("SHOEBOX_EXAMPLES", "300"))
USUAL = Template.parse("{category}/{date}_{party}_{title}{ext}")
NASTY = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="./\\~:\x00\u202e \ud800é\u0301CONcon1", max_size=30),
    st.sampled_from(
        [
            "..",
            "../../etc/passwd",
            "C:\\x",
            "/abs",
            "con",
            "NUL.txt",
            "a" * 10_000,
            "👩‍👩‍👧" * 100,
            "\ufffe",
            "{id}",
        ]
    ),
)
LITERAL = st.text(alphabet="ab_- .CON", min_size=0, max_size=6)
PART = st.lists(
    st.one_of(LITERAL, st.sampled_from([f"{{{p}}}" for p in PLACEHOLDERS if p != "ext"])), max_size=4
)


def is_safe(path: PurePosixPath) -> bool:
    """Whether a path is a plain one on POSIX, Windows and macOS."""
    windows = PureWindowsPath(str(path))
    assert not path.is_absolute()
    assert not windows.is_absolute()
    assert not windows.drive
    assert len(path.parts) == len(windows.parts)
    assert len(str(path)) < 230
    for part in path.parts:
        assert part not in (".", "..")
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', part)
        assert part == part.strip(" ").rstrip(".")
        assert not part.startswith((".", "-", "~"))
        assert len(part.encode()) <= 200  # raises for a lone surrogate
        assert unicodedata.is_normalized("NFC", part)
        assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in part)
        assert not unicodedata.combining(part[0])
        assert part.split(".")[0].rstrip().lower() not in {
            "conin$",
            "con",
            "prn",
            "aux",
            "nul",
            "com1",
            "lpt9",
            "com¹",
        }
    return True


@given(st.fixed_dictionaries(dict.fromkeys(PLACEHOLDERS, NASTY)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_value_makes_an_unsafe_path(values: dict[str, str]) -> None:
    assert is_safe(USUAL.path(values))
    assert len(USUAL.path(values).parts) == 2


@given(st.lists(PART, min_size=1, max_size=5), st.fixed_dictionaries(dict.fromkeys(PLACEHOLDERS, NASTY)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_template_makes_an_unsafe_path(parts: list[list[str]], values: dict[str, str]) -> None:
    try:
        template = Template.parse("/".join("".join(part) for part in parts))
    except ConfigError:
        return
    assert is_safe(template.path(values))


@given(st.text(max_size=60))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_is_a_template_or_is_refused_in_words(text: str) -> None:
    try:
        template = Template.parse(text)
    except ConfigError as error:
        assert "template" in error.message
        return
    assert is_safe(template.path({}))


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "/abs/{title}", "../{title}", "a//b", "{title}/..", "C:\\{title}", "a\\b"),
        *("{unknown}", "{title.__class__}", "{title[0]}", "{title!r}", "{title:>10}", "{", "}", "{}"),
        *("{ext}/a", "{ext}", "a{ext}b", "a\x00", "a\u202e", "a/b/c/d/e", "what?"),
    ],
)
def test_templates_that_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Template.parse(text)


def test_what_people_expect() -> None:
    values = {
        "category": "invoice",
        "date": "2026-03-13",
        "party": "Müller & Söhne GmbH / Köln",
        "title": "Rechnung: Nr. 5",
        "ext": ".PDF",
    }
    wanted = "invoice/2026-03-13_Müller & Söhne GmbH - Köln_Rechnung- Nr. 5.pdf"
    assert str(USUAL.path(values)) == wanted
    assert str(USUAL.path({"title": "Letter", "ext": ".txt"})) == "uncategorised/undated_Letter.txt"
    assert str(USUAL.path({})) == "uncategorised/undated"
    assert str(Template.parse("{party}").path({"party": "nul", "ext": ".pdf"})) == "_nul.pdf"


@pytest.mark.parametrize("before", range(76, 82))
def test_a_cut_does_not_part_a_letter_from_its_marks(before: int) -> None:
    letter = unicodedata.normalize("NFC", "e\u0323\u0302\u0331")
    name = Template.parse("{title}").path({"title": "a" * before + letter + "z" * 20}).name
    assert name.rstrip("z") in ("a" * before + letter, "a" * min(before, 80))


def test_names_that_some_file_system_takes_for_the_same_have_one_key() -> None:
    same = ("Caf\u00e9.pdf", "cafe\u0301.PDF", "CAFÉ.pdf", "ca\ufb00e.pdf")
    assert len({key_of(PurePosixPath(name)) for name in same[:3]}) == 1
    assert key_of(PurePosixPath("a/straße")) == key_of(PurePosixPath("A/STRASSE"))
    assert key_of(PurePosixPath("a")) != key_of(PurePosixPath("b"))
