"""Dropped files: whatever form a terminal sends and whatever the names hold, these paths and no others."""

import os
import random
import re
from collections.abc import Callable, Iterable, Sequence
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
@example(text="~\0 ~\ud800/x", typed=True)
def test_no_text_raises(text: str, typed: bool) -> None:
    dropped = parse_dropped(text, Path("/h") if typed else None, exists=lambda path: len(path) % 2 == 0)
    assert all(path.is_absolute() for path in dropped.paths)


def there(*paths: str) -> Callable[[str], bool]:
    """A disk with these on it and nothing else."""
    return set(paths).__contains__


class CountingDisk:
    """Counts how often it is asked."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = set(paths)
        self.looks = 0

    def exists(self, path: str) -> bool:
        self.looks += 1
        return path in self._paths


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param('"C:\\a b.pdf" C:\\c.pdf', ["/mnt/c/a b.pdf", "/mnt/c/c.pdf"], id="windows-terminal"),
        pytest.param("D:\\x y\\z.pdf", ["/mnt/d/x y/z.pdf"], id="windows-raw"),
        pytest.param("'/mnt/c/a b.pdf' ", ["/mnt/c/a b.pdf"], id="wsl"),
        pytest.param("\\\\wsl.localhost\\Ubuntu\\h\\a.pdf", ["/h/a.pdf"], id="wsl-share"),
        pytest.param("FILE:///h/a.pdf", ["/h/a.pdf"], id="scheme-in-capitals"),
        pytest.param("file:/h/a.pdf", ["/h/a.pdf"], id="uri-with-one-slash"),
        pytest.param("file:///h/100%.pdf", ["/h/100%.pdf"], id="uri-that-is-not-encoded"),
        pytest.param("/h/a b.pdf /h/c d.pdf ", ["/h/a b.pdf", "/h/c d.pdf"], id="several-raw-on-a-line"),
        pytest.param("/h/a b.pdf ", ["/h/a b.pdf"], id="alacritty"),
        pytest.param("/h/a.pdf /h/a.pdf", ["/h/a.pdf"], id="twice-the-same"),
        pytest.param("'/h/a.pdf", ["/h/a.pdf"], id="quote-left-open"),
    ],
)
def test_other_forms_are_understood(text: str, found: list[str]) -> None:
    dropped = parse_dropped(text, exists=there(*found))
    assert [str(path) for path in dropped.paths] == found
    assert dropped.unknown == ()


def test_each_line_may_have_its_own_form() -> None:
    text = "/h/a b.pdf\n'/h/c d.pdf' /h/e\\ f.pdf\r\nfile:///h/g%20h.pdf\r\nnothing\n/h/gone.pdf\n"
    files = ["/h/a b.pdf", "/h/c d.pdf", "/h/e f.pdf", "/h/g h.pdf"]
    dropped = parse_dropped(text, exists=there(*files))
    assert [str(path) for path in dropped.paths] == files
    assert dropped.unknown == ("nothing", "/h/gone.pdf")


@pytest.mark.parametrize("form", ANY_NAME)
def test_what_has_gone_is_named_and_the_rest_taken(form: Form) -> None:
    dropped = parse_dropped(
        form(["/h/a b.pdf", "/h/gone.pdf", "/h/it's.pdf"]), exists=there("/h/a b.pdf", "/h/it's.pdf")
    )
    assert [str(path) for path in dropped.paths] == ["/h/a b.pdf", "/h/it's.pdf"]
    assert len(dropped.unknown) == 1
    assert "/h/gone.pdf" in dropped.unknown[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\r\n\t",
        "Dear Sir or Madam,\n\nyes / no, and/or\nhttp://host/etc\n",
        "file://evil-host/etc/passwd",
        "etc/passwd",
        "~",
        "../etc",
        "/\0etc",
        "/etc/passwd\0",
    ],
)
def test_text_that_names_nothing_absolute_gives_no_path(text: str) -> None:
    assert parse_dropped(text, exists=lambda path: path != "/etc/passwd\0").paths == ()


def test_typed_paths_may_be_relative_or_start_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    base = tmp_path / "base"
    files = [
        base / "a b.pdf",
        base / "-x",
        base / "~odd",
        base / "sub" / "c.pdf",
        tmp_path / "home" / "d.pdf",
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for typed, file in zip(["a b.pdf", "-x", "~odd", "sub/c.pdf", "~/d.pdf"], files, strict=True):
        assert parse_dropped(typed, base).paths == (file,)
        assert parse_dropped(typed).paths == ()
    assert parse_dropped("'a b.pdf' sub/c.pdf", base).paths == (files[0], files[3])
    assert parse_dropped("some words with a sub in them", base).paths == ()


def test_the_disk_is_asked_about_as_often_as_there_are_files() -> None:
    paths = [f"/h/some folder/invoice {number}.pdf" for number in range(10_000)]
    for form in ANY_NAME:
        disk = CountingDisk(paths)
        assert len(parse_dropped(form(paths), exists=disk.exists).paths) == len(paths)
        assert disk.looks <= len(paths) + 100


@pytest.mark.parametrize("alphabet", ["/a \n", "'\"\\ /", "/h\n", "file:/% \r\n", "~/'", 'C:\\" '])
@pytest.mark.parametrize("base", [None, Path("/h")])
def test_garbage_does_not_keep_the_disk_busy(alphabet: str, base: Path | None) -> None:
    text = "".join(random.Random(7).choices(alphabet, k=200_000))
    disk = CountingDisk(())
    assert parse_dropped(text, base, exists=disk.exists).paths == ()
    assert disk.looks <= 60_000
