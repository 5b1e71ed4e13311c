"""The terminal UI as a user has it: the real command on a terminal, real services, a real clerk."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.documents import State
from tests import samples
from tests.system import ROOT, System
from tests.terminal import Terminal

PASTE = "\x1b[200~{}\x1b[201~"
QUIT = "\x11"


@contextmanager
def opened(system: System, **environment: str) -> Iterator[Terminal]:
    """The UI on a terminal; what the test leaves of it is killed."""
    terminal = Terminal([sys.executable, "-m", "app"], {**system.environment, **environment})
    try:
        terminal.await_text("Drop files")
        yield terminal
    finally:
        terminal.close()


def test_drop_watch_quit_and_start_again(emptied: System, tmp_path: Path) -> None:
    system = emptied
    papers = tmp_path / "my papers"
    papers.mkdir()
    paths = [samples.make(name, papers) for name in ("invoice-en.pdf", "letter.pdf", "notes.txt")]
    with opened(system) as terminal:
        terminal.await_text("Redis ok")
        terminal.send(PASTE.format(" ".join(f"'{path}'" for path in paths)))
        terminal.await_text("invoice-en.pdf")
        system.await_true(lambda: len(system.documents()) == 3, 30)
        terminal.send(QUIT)
        assert terminal.await_end() == 0
    assert [document.state in {State.DONE, State.REVIEW} for document in system.await_ended()] == [True] * 3
    with opened(system) as terminal:
        for path in paths:
            terminal.await_text(path.name)
        terminal.send(QUIT)
        assert terminal.await_end() == 0


def test_what_was_dropped_just_before_quitting_is_taken(emptied: System) -> None:
    system = emptied
    file = system.folder / "last.txt"
    file.write_text("A letter.\n")
    with opened(system) as terminal:
        terminal.await_text("Redis ok")
        terminal.send(PASTE.format(file) + QUIT)
        assert terminal.await_end() == 0
    system.await_true(system.documents, 30)
    assert [document.name for document in system.await_ended()] == ["last.txt"]


def test_what_was_dropped_last_is_taken_though_the_terminal_dies(emptied: System, tmp_path: Path) -> None:
    system = emptied
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(f"Letter number {number}\nDear Sir,\nyours sincerely\n")
    with opened(system) as terminal:
        terminal.await_text("Redis ok")
        names = "\n".join(str(path) for path in sorted(tmp_path.glob("*.txt")))
        terminal.send(PASTE.format(names))
        system.await_true(system.documents, 30)
        terminal.hang_up()
        terminal.await_end(15)
    system.await_true(lambda: len(system.documents()) == 60, 60)


def test_a_terminal_that_dies_without_a_signal_ends_the_process(emptied: System) -> None:
    system = emptied
    # Where the terminal does not control the process, nobody sends a hang-up signal.
    terminal = Terminal([sys.executable, "-m", "app"], system.environment, controls=False)
    try:
        terminal.await_text("Drop files")
        terminal.hang_up()
        terminal.await_end(15)
    finally:
        terminal.close()


def test_redis_that_is_killed_is_said_to_be_away_and_found_again(emptied: System) -> None:
    system = emptied
    with opened(system) as terminal:
        terminal.await_text("Redis ok")
        terminal.forget()
        system.kill(system.program_pid("redis"))
        terminal.await_text("away")
        terminal.await_text("Redis ok")
        file = system.folder / "late.txt"
        file.write_text("A letter that came late.\n")
        system.run("add", file)
        terminal.await_text("late.txt")
        terminal.send(QUIT)
        assert terminal.await_end() == 0


def test_no_color_is_heeded(emptied: System) -> None:
    system = emptied
    file = system.folder / "note.txt"
    file.write_text("A note.\n")
    system.run("add", file, "--wait")
    with opened(system, NO_COLOR="1") as terminal:
        terminal.await_text("note.txt")
        terminal.send(QUIT)
        assert terminal.await_end() == 0
        coloured = [
            code
            for code in terminal.output.split(b"\x1b[")
            if code.startswith((b"38;2;", b"48;2;")) and len(set(code.split(b"m")[0].split(b";")[2:5])) > 1
        ]
    assert coloured == [], "with NO_COLOR only shades of grey are written"


_SESSION = """
import asyncio, json, sys
from pathlib import Path
import app.cli  # as the command does
from app.tui.app import ShoeboxApp
from tasks.settings import get_settings

async def session():
    app = ShoeboxApp(get_settings())
    async with app.run_test(size=(150, 40), notifications=True) as pilot:
        while not app.link.up:
            await pilot.pause(0.05)
        app.take_text(sys.argv[1])
        while not (app.store.view and app.store.get(app.store.view[0]).state in ("done", "review")):
            await pilot.pause(0.05)
        for key in "enter escape f3 escape f1 escape ctrl+n escape f2 f5".split():
            await pilot.press(key)
            await pilot.pause(0.1)
asyncio.run(session())
print(json.dumps(sorted(sys.modules)))
"""
# fmt: off
_FORBIDDEN = (
    "paddleocr", "paddlex", "paddle", "torch", "onnxruntime", "cv2", "ollama", "httpx", "celery", "kombu",
    "kreuzberg", "pypdfium2", "PIL", "tasks.celery_tasks", "tasks.stages", "tasks.home", "tasks.pipeline",
    "tasks.worker", "app.clerk",
)
# fmt: on


def test_the_process_of_the_ui_imports_no_engine_no_celery_and_no_tasks(system: System) -> None:
    file = system.folder / "note.txt"
    file.write_text("Invoice\nTotal 12.50 EUR\n")
    done = subprocess.run(
        [sys.executable, "-c", _SESSION, str(file)],
        env=system.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = json.loads(done.stdout.strip().split("\n")[-1])
    assert "app.tui.screens.machines" in loaded
    unwanted = [name for name in loaded if any(f"{name}.".startswith(f"{one}.") for one in _FORBIDDEN)]
    assert unwanted == []
    engines = [name for name in loaded if name.startswith("tasks.engines.")]
    assert set(engines) <= {"tasks.engines.llm", "tasks.engines.llm.base"}


def test_without_a_terminal_the_help_is_printed(system: System) -> None:
    done = system.run()
    assert "Usage" in done.stdout


def test_a_changed_key_works_from_the_settings_file(system: System) -> None:
    config = system.folder / "config" / "shoebox"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.toml").write_text('[keys]\n"intray.retry" = "ctrl+x"\n')
    with opened(system) as terminal:
        terminal.await_text("^x")
        terminal.send(QUIT)
        assert terminal.await_end() == 0
