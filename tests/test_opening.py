"""Opening an original in the desktop's viewer; the viewer is a small program of the test's own."""

import os
import time
from pathlib import Path

import pytest

from app.opening import open_original
from tasks.errors import FileError, ServiceError


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop whose viewer writes down what it is given."""
    seen = tmp_path / "seen"
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "xdg-open"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" "$@" > "{seen}.new"\nmv "{seen}.new" "{seen}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WSL_DISTRO_NAME", raising=False)
    return seen


@pytest.mark.parametrize("name", ["a b.pdf", "-rf", "$(touch owned).pdf", "two\nlines.pdf", "'quote\".pdf"])
def test_the_viewer_gets_exactly_the_file(viewer: Path, tmp_path: Path, name: str) -> None:
    original = tmp_path / name
    original.write_text("x")
    open_original(os.fsencode(original))
    deadline = time.monotonic() + 20
    while not viewer.exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert viewer.read_text() == f"1\n{original}\n"
    assert not (tmp_path / "owned").exists()


def test_a_file_that_is_gone_is_named(viewer: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.pdf"):
        open_original(os.fsencode(tmp_path / "gone.pdf"))


def test_what_is_no_file_is_not_opened(viewer: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="no regular file"):
        open_original(os.fsencode(tmp_path / "pipe"))


def test_without_a_desktop_it_says_where_the_file_is(
    viewer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    file = tmp_path / "bill.pdf"
    file.write_text("x")
    with pytest.raises(ServiceError) as caught:
        open_original(os.fsencode(file))
    assert str(file) in caught.value.remedy
