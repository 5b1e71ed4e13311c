"""Dropped files: whatever form a terminal sends and whatever the names hold, these paths and no others."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.dropped import parse_dropped

HOSTILE_NAMES = [
    "plain.pdf",
    "a b.pdf",
    "two  blanks .pdf",
    " leading and trailing ",
    "it's.pdf",
    'say "hello".pdf',
    "''.pdf",
    "back\\slash \\' .pdf",
    "ends with a backslash\\",
    "new\nline.pdf",
    "ends with a newline\n",
    "carriage\rreturn\r\n.pdf",
    "tab\t.pdf",
    "100%20.pdf",
    "100%.pdf",
    "%00.pdf",
    "~",
    "~root.pdf",
    "-rf",
    "--",
    "$HOME `id` $(id) ; & | * ? [x] {a,b} !x #y.pdf",
    "[@click=app.quit]x.pdf",
    "[bold]x[foo].pdf",
    "file:",
    "C:\\x.pdf",
    "\u202efdp.exe",
    "\x1b[31m\x07.pdf",
    "\u2028\x85\x1c\u00a0\u3000.pdf",
    "🧾 Rechnung e\u0301.pdf",
    os.fsdecode(b"latin-1 \xe4\xff.pdf"),
    "x" * 255,
]


def in_single_quotes(paths: Sequence[str]) -> str:
    """GNOME Terminal, Konsole, and terminals inside WSL."""
    return "".join("'" + path.replace("'", "'\\''") + "' " for path in paths)


def in_double_quotes(paths: Sequence[str]) -> str:
    """Shells' other quotes."""
    escaped = (path.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") for path in paths)
    return " ".join(f'"{path}"' for path in escaped)


def with_backslashes(paths: Sequence[str]) -> str:
    """iTerm2 and Terminal.app."""
    return " ".join(re.sub(r"([^A-Za-z0-9/._\-\u0080-\U0010ffff])", r"\\\1", path) for path in paths)


def with_escaped_quotes(paths: Sequence[str]) -> str:
    """Terminal.app of some releases: backslashes inside single quotes."""
    return " ".join("'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'" for path in paths)


def with_escaped_spaces(paths: Sequence[str]) -> str:
    """WezTerm: nothing but spaces is escaped."""
    return " ".join(path.replace(" ", "\\ ") for path in paths)


def as_lines(paths: Sequence[str]) -> str:
    """kitty: raw."""
    return "\n".join(paths)


def as_uris(paths: Sequence[str]) -> str:
    """What file managers hand over."""
    return "".join(f"file://{quote(os.fsencode(path))}\r\n" for path in paths)


def as_local_uris(paths: Sequence[str]) -> str:
    """The same with a host name, separated by spaces."""
    return " ".join(f"file://localhost{quote(os.fsencode(path))}" for path in paths)


Form = Callable[[Sequence[str]], str]
ANY_NAME: list[Form] = [
    in_single_quotes,
    in_double_quotes,
    with_backslashes,
    with_escaped_quotes,
    as_lines,
    as_uris,
    as_local_uris,
]


@pytest.mark.parametrize("form", [*ANY_NAME, with_escaped_spaces])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_arrives_in_each_form(tmp_path: Path, form: Form, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert parse_dropped(form([str(path)])).paths == (path,)


@pytest.mark.parametrize("form", ANY_NAME)
def test_all_hostile_names_arrive_together(tmp_path: Path, form: Form) -> None:
    paths = [tmp_path / name for name in HOSTILE_NAMES]
    for path in paths:
        path.touch()
    dropped = parse_dropped(form([str(path) for path in paths]))
    assert dropped.paths == tuple(paths)
    assert dropped.unknown == ()


# Anything that Linux allows in a name: all but the slash and NUL; bytes that are not UTF-8 are surrogates.
_characters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"]) | st.sampled_from(
    "\n\r\t '\"\\%~-$:\udc80\udcff"
)
_names = st.text(_characters, min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
_paths = st.lists(
    st.builds(lambda folder, name: f"/h/{folder}/{name}", _names, _names), min_size=1, max_size=5, unique=True
)


@pytest.mark.parametrize("form", ANY_NAME)
@given(paths=_paths)
def test_any_names_come_back(form: Form, paths: list[str]) -> None:
    dropped = parse_dropped(form(paths), exists=set(paths).__contains__)
    assert [str(path) for path in dropped.paths] == [str(Path(path)) for path in paths]
    assert dropped.unknown == ()


@given(text=st.text() | st.text(alphabet="/'\"\\ \nab~%:file", max_size=200), typed=st.booleans())
@example(text="\0", typed=True)
@example(text="file://%00/\ud800%", typed=False)
@example(text="~" * 5000, typed=True)
def test_no_text_raises(text: str, typed: bool) -> None:
    dropped = parse_dropped(text, Path("/h") if typed else None, exists=lambda path: len(path) % 2 == 0)
    assert all(path.is_absolute() for path in dropped.paths)
