"""How fast the terminal UI is: `python -m tests.bench_tui [SECONDS]`.

Prints one JSON object. The first frame is measured beside that of a minimal Textual application, alternating
in one run, from the start of the process to the moment the terminal has the text. The steady state has 10,000
documents in a real ledger and 200 changes a second from another process, told of on a real Redis.
"""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from app import services
from tasks.broker_url import redis_url
from tasks.documents import Stage, State
from tasks.events import Event, EventKind, emit
from tasks.exchange import connect
from tasks.ledger import Ledger
from tasks.settings import Settings
from tasks.units import UnitPlan, mark_ended, plan_units, units_of
from tests.terminal import Terminal
from tests.test_tui_store import enter

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = 10_000
EVENTS_A_SECOND = 200
STARTS = 7
MINIMAL = """
from textual.app import App
from textual.widgets import Static
class Minimal(App):
    def compose(self):
        yield Static("scan-00000")
Minimal().run()
"""


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory(prefix="shoebox-bench-") as folder:
        home = Path(folder)
        settings = Settings(data_dir=home / "data")
        environment = {
            # With PYTHONDONTWRITEBYTECODE every start would compile everything again.
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("SHOEBOX_", "PYTHON"))
            },
            "HOME": folder,
            "SHOEBOX_DATA_DIR": str(settings.data_dir),
            "XDG_CONFIG_HOME": str(home / "config"),
            "PYTHONPATH": str(ROOT),
        }
        _fill(settings)
        services.up(settings)
        try:
            figures = {**_first_frames(environment), **_steady(environment, settings, seconds)}
        finally:
            services.down(settings)
        print(json.dumps(figures, indent=1))


def _fill(settings: Settings) -> None:
    choose = random.Random(1)
    plan = UnitPlan(Stage.OCR, "nobody", "", {"sha256": "", "mime": "", "pages": [1]}, "")
    with Ledger.open(settings) as ledger, ledger.transaction():
        for number in range(DOCUMENTS):
            document = enter(
                ledger,
                f"scan-{number:05}.pdf",
                state=choose.choice((State.DONE, State.REVIEW, State.FAILED)),
                category="invoice",
                confidence=choose.random(),
                party="Example & Sons",
                amount=f"{choose.random() * 1000:.2f}",
                currency="EUR",
                date="2026-03-04",
                page_count=4,
            )
            if number % 10 == 0:
                row = ledger.document(document)
                assert row is not None
                ledger.update_document(document, state=State.RUNNING, stage=Stage.OCR)
                plan_units(ledger, row, [plan] * 40)


def _first_frames(environment: dict[str, str]) -> dict[str, float]:
    """Seconds to the first frame: of ours through `python -m app`, and of the minimal one."""
    ours, minimal, through_run_sh = [], [], []
    _first_frame([str(ROOT / "run.sh")], environment)  # what Python compiles at the first start of all
    for _ in range(STARTS):
        minimal.append(_first_frame([sys.executable, "-c", MINIMAL], environment))
        ours.append(_first_frame([sys.executable, "-m", "app"], environment))
        through_run_sh.append(_first_frame([str(ROOT / "run.sh")], environment))
    return {
        "first_frame_s": round(statistics.median(ours), 3),
        "first_frame_run_sh_s": round(statistics.median(through_run_sh), 3),
        "first_frame_minimal_s": round(statistics.median(minimal), 3),
        "first_frame_ratio": round(statistics.median(ours) / statistics.median(minimal), 2),
    }


def _first_frame(command: list[str], environment: dict[str, str]) -> float:
    terminal = Terminal(command, environment)
    try:
        terminal.await_text("scan-0")
        return time.monotonic() - terminal.started
    finally:
        terminal.send("\x11")
        terminal.await_end()
        terminal.close()


def _steady(environment: dict[str, str], settings: Settings, seconds: float) -> dict[str, float]:
    terminal = Terminal([sys.executable, "-m", "app"], environment, columns=160, rows=40)
    changes = subprocess.Popen(
        [sys.executable, "-m", "tests.bench_tui", "--change"], env=environment, cwd=ROOT
    )
    try:
        terminal.await_text("scan-0")
        _drain(terminal, 5.0)
        process = psutil.Process(terminal.process.pid)
        memory, cpu = process.memory_info().rss, _cpu(process)
        began, paints, row = time.monotonic(), [], 0
        while time.monotonic() - began < seconds:
            row += 1
            paints.append(_key_to_paint(terminal, DOCUMENTS - 1 - row))
            _drain(terminal, 0.4)
        elapsed = time.monotonic() - began
        used = (_cpu(process) - cpu) / elapsed
        grown = process.memory_info().rss - memory
        paints.sort()
        return {
            "steady_seconds": round(elapsed, 1),
            "core_share": round(used, 3),
            "key_to_paint_p50_ms": round(1000 * statistics.median(paints), 1),
            "key_to_paint_p95_ms": round(1000 * paints[int(len(paints) * 0.95)], 1),
            "key_to_paint_max_ms": round(1000 * paints[-1], 1),
            "memory_mb": round(process.memory_info().rss / 1e6, 1),
            "memory_grown_mb": round(grown / 1e6, 2),
        }
    finally:
        changes.terminate()
        changes.wait()
        terminal.send("\x11")
        terminal.await_end()
        terminal.close()


def _key_to_paint(terminal: Terminal, number: int) -> float:
    """Seconds from a press of the down key until the row that it leads to is drawn in bold."""
    painted = re.compile(rb"\x1b\[1;[0-9;]*m[^\x1b]*scan-%05d" % number)
    terminal.forget()
    began = time.monotonic()
    terminal.send("\x1b[B")
    terminal.read_until(lambda output: painted.search(output) is not None)
    return time.monotonic() - began


def _drain(terminal: Terminal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        terminal.read(left)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def change() -> None:
    """Change documents as workers do, so many times a second, and tell of it; until killed."""
    settings = Settings()
    choose = random.Random(2)
    redis = connect(redis_url(settings))
    with Ledger.open(settings) as ledger:
        running = [document.id for document in ledger.documents(states=[State.RUNNING])]
        ids = [document.id for document in ledger.documents()]
        due = time.monotonic()
        while True:
            due += 1 / EVENTS_A_SECOND
            document = choose.choice(running) if choose.random() < 0.7 else choose.choice(ids)
            _change_one(ledger, document, choose)
            row = ledger.document(document)
            assert row is not None
            event = Event(kind=EventKind.DOCUMENT, document=document, state=row.state, stage=row.stage)
            emit(redis, ledger.home, event)
            if choose.random() < 0.2:
                text = event.model_copy(update={"kind": EventKind.TEXT, "text": "some words of a model. "})
                emit(redis, ledger.home, text)
            time.sleep(max(0.0, due - time.monotonic()))


def _change_one(ledger: Ledger, document: str, choose: random.Random) -> None:
    with ledger.transaction():
        waiting = [unit for unit in units_of(ledger, document) if unit.state is State.WAITING]
        if waiting:
            mark_ended(ledger, waiting[0].id, State.DONE)
        else:
            ledger.update_document(document, confidence=choose.random())


if __name__ == "__main__":
    change() if "--change" in sys.argv else main()
