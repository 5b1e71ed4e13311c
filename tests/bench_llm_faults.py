"""Every fault of a model server in the middle of a small batch on a real system, as a table for the note.

    python -m tests.bench_llm_faults [--documents 4] [FAULT ...]

For each fault: a batch is added, the fault begins when the first of it has been read by the models, lasts
some seconds (or is a model's own, which needs no mending) and is mended. Looked at: what the user is told
meanwhile, documents, those lost, attempts burnt, and seconds from the mended server to the next document
that was read by the models.
"""

import argparse
import contextlib
import dataclasses
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.documents import FINAL_STATES, State
from tasks.ledger import DocumentRow
from tests.ollama import FaultKind, ModelSpec, OllamaDouble
from tests.system import System, running

SMALL = ModelSpec(name="shoebox-small", parameter_size="1.5B", context_length=32768, scripted=True)
LARGE = ModelSpec(name="shoebox-large", parameter_size="7.6B", context_length=32768, scripted=True)
PAGE = "<html><body>Bad Gateway</body></html>"
SETTINGS = {"SHOEBOX_SILENCE_SECONDS": "4", "SHOEBOX_LOAD_SECONDS": "8"}

Act = Callable[[OllamaDouble], None]


@dataclass(frozen=True)
class Case:
    """A fault."""

    name: str
    begin: Act
    mend: Act = OllamaDouble.clear
    is_models: bool = False
    """The model's own: its documents end in review, and nothing is mended before that."""
    seconds: float = 12.0
    """How long it lasts, if documents do not say before that they wait."""


def ordered(kind: FaultKind, **details: object) -> Act:
    """Order a fault for every request from now on."""
    return lambda double: double.order(kind, times=-1, **details)


def status(code: int, text: str, path: str = "", seconds: float = 0) -> Act:
    return ordered(FaultKind.STATUS, status=code, text=text, path=path, seconds=seconds)


def error(text: str) -> str:
    return f'{{"error": "{text}"}}'


class Flapping:
    """Down for two seconds, up for two, until it is mended."""

    def __init__(self) -> None:
        self._mended = threading.Event()
        self._thread = threading.Thread()

    def begin(self, double: OllamaDouble) -> None:
        self._thread = threading.Thread(target=self._flap, args=(double,))
        self._thread.start()

    def mend(self, _: OllamaDouble) -> None:
        self._mended.set()
        self._thread.join()

    def _flap(self, double: OllamaDouble) -> None:
        while not self._mended.is_set():
            double.stop()
            self._mended.wait(2)
            double.start()
            self._mended.wait(2)


FLAPPING = Flapping()


def killed(double: OllamaDouble) -> None:
    double.kill()
    double.start()


def offered(*models: ModelSpec) -> Act:
    return lambda double: double.offer(models)


BOTH = offered(SMALL, LARGE)
VECTORS = tuple(dataclasses.replace(one, capabilities=("embedding",)) for one in (SMALL, LARGE))
SHORT = tuple(dataclasses.replace(one, context_length=2048, seed=9) for one in (SMALL, LARGE))

CASES = (
    Case("stopped", OllamaDouble.stop, OllamaDouble.start),
    Case("killed, up again at once", killed, lambda _: None, seconds=1),
    Case("flapping, 2 s up, 2 s down", FLAPPING.begin, FLAPPING.mend, seconds=60),
    Case("says nothing on any path", ordered(FaultKind.HANG, path="*"), seconds=40),
    Case("hangs in /api/chat only", ordered(FaultKind.HANG), seconds=40),
    Case("/api/tags hangs", ordered(FaultKind.HANG, path="/api/tags"), seconds=40),
    Case("silence after 3 lines", ordered(FaultKind.SILENCE, after=3, seconds=3600), seconds=30),
    Case("half a line, then silence", ordered(FaultKind.HALF_SILENCE, after=3), seconds=30),
    Case("half a line, then closed", ordered(FaultKind.HALF_LINE, after=3)),
    Case("closed before an answer", ordered(FaultKind.CLOSED)),
    Case("cut off in mid-stream", ordered(FaultKind.SERVER_KILLED, after=3)),
    Case("ends without done", ordered(FaultKind.STREAM_ENDS, after=3)),
    Case("runner killed", ordered(FaultKind.RUNNER_KILLED, after=3)),
    Case("error object in mid-stream", ordered(FaultKind.RAW, after=3, text=error("something new"))),
    Case("done_reason load", ordered(FaultKind.DONE_REASON, text="load")),
    Case("done_reason unload", ordered(FaultKind.DONE_REASON, text="unload")),
    Case("503", ordered(FaultKind.BUSY)),
    Case("503, Retry-After 3", status(503, error("busy"), seconds=3)),
    Case("429", status(429, error("slow down"))),
    Case("401 on any path", status(401, error("unauthorized"), path="*")),
    Case("502 with a page", status(502, PAGE)),
    Case("200 with a page", status(200, PAGE)),
    Case("200 with a page on any path", status(200, PAGE, path="*")),
    Case("redirect", status(302, "")),
    Case("500 CUDA out of memory", ordered(FaultKind.INTERNAL, text="CUDA error: out of memory")),
    Case(
        "500 runner has terminated", ordered(FaultKind.INTERNAL, text="llama runner process has terminated")
    ),
    Case(
        "500 large model needs memory",
        ordered(
            FaultKind.INTERNAL,
            text="model requires more system memory (9.0 GiB) than is available (3.1 GiB)",
            model="shoebox-large",
        ),
        seconds=20,
    ),
    Case("a line without end", ordered(FaultKind.NO_LINE_END, after=3)),
    Case("a reply without end", ordered(FaultKind.ENDLESS, after=3, text="word ")),
    Case("bytes that are no UTF-8", ordered(FaultKind.RAW, after=3, text="\udcff\udcfe\x00")),
    Case("large model removed", offered(SMALL), BOTH),
    Case("other models only", offered(dataclasses.replace(SMALL, name="other")), BOTH),
    Case("same names, for vectors only", offered(*VECTORS), BOTH),
    Case("same names, other digest and context", offered(*SHORT), BOTH, seconds=1),
    Case("404 for a model that is listed", ordered(FaultKind.MISSING, model="shoebox-large"), seconds=5),
    Case("slow: 0.3 s a token", ordered(FaultKind.SLOW, seconds=0.3), seconds=5),
    Case("repeats a token", ordered(FaultKind.REPEAT_ABORT), is_models=True),
    Case("writes what is no text", ordered(FaultKind.EMPTY_STREAM), is_models=True),
    Case("blanks for ever", ordered(FaultKind.REPEAT_ABORT, text="\n "), is_models=True),
    Case("a reply that is cut off", ordered(FaultKind.LENGTH), is_models=True),
    Case("JSON of a wrong form", ordered(FaultKind.WRONG_SCHEMA), is_models=True),
    Case("JSON of a wrong type", ordered(FaultKind.REPLY, text='["invoice", 3]'), is_models=True),
    Case("no JSON", ordered(FaultKind.INVALID_JSON), is_models=True),
    Case("an empty reply", ordered(FaultKind.REPLY, text=""), is_models=True),
    Case("NUL and control characters", ordered(FaultKind.REPLY, text="\x00\x1b[31m\x07"), is_models=True),
)


def by_model(document: DocumentRow) -> bool:
    """Whether the models have read it to the end."""
    return document.engine.startswith("ollama ") and not document.provisional


def letters(folder: Path, case: str, count: int) -> list[Path]:
    """So many short letters that no other case has."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        path = folder / f"letter-{number}.txt"
        path.write_text(f"Dear Sir or Madam,\n\nletter {number} about {case}.\n\nYours sincerely\n")
        made.append(path)
    return made


@dataclass(frozen=True)
class Row:
    """What came of a case."""

    case: str
    told: str
    documents: int
    read: int
    review: int
    lost: int
    attempts: int
    calls: int
    seconds: float | None

    def line(self) -> str:
        back = "" if self.seconds is None else f"{self.seconds:.1f}"
        numbers = (self.documents, self.read, self.review, self.lost, self.attempts, self.calls, back)
        return "| " + " | ".join(map(str, (self.case, self.told, *numbers))) + " |"


HEAD = (
    "| fault | what the user is told | documents | read by the models | in review by it | lost |"
    " attempts burnt | calls | s from mended to progress |\n|---|---|---|---|---|---|---|---|---|"
)


def run_case(system: System, double: OllamaDouble, case: Case, count: int) -> Row:
    """One fault in the middle of one batch."""
    for document in system.documents():
        system.run("rm", document.id, "--yes")
    before = len(double.calls("/api/chat"))
    first, *others = letters(system.folder / "papers" / case.name.replace("/", " "), case.name, count)
    system.run("add", first)
    system.await_true(lambda: all(map(by_model, system.documents())), what="the first is read")
    case.begin(double)
    system.run("add", *others)
    told: set[str] = set()

    def is_told() -> bool:
        told.update(d.message for d in system.documents() if d.message)
        if case.begin == FLAPPING.begin:
            return all(map(by_model, system.documents()))
        return any("Waiting" in words or "no usable result" in words for words in told)

    with contextlib.suppress(AssertionError):
        system.await_true(is_told, case.seconds)
    if case.is_models:
        system.await_ended()
        is_told()
        case.mend(double)
        back = None
    else:
        status_words = system.run("status", check=False).stdout
        told.update(line.strip() for line in status_words.split("\n") if "offline engine reads" in line)
        before_mended = sum(map(by_model, system.documents()))
        case.mend(double)
        mended = time.monotonic()
        system.await_true(
            lambda: sum(map(by_model, system.documents())) > before_mended or before_mended == count, 200
        )
        back = time.monotonic() - mended
        system.await_true(lambda: all(map(by_model, system.documents())), 300, "all are read by the models")
    ended = system.await_ended()
    units = [unit for document in ended for unit in system.units(document.id)]
    words = max(told, key=len, default="").replace("|", "/").replace("\n", " ")
    return Row(
        case.name,
        words.removeprefix("Waiting for the language model; what is shown is provisional. "),
        count,
        sum(map(by_model, ended)),
        sum(d.state is State.REVIEW and "no usable result" in d.message for d in ended),
        count - sum(d.state in FINAL_STATES for d in ended),
        sum(unit.attempts for unit in units),
        len(double.calls("/api/chat")) - before,
        back,
    )


def main() -> int:
    """Run the cases that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("faults", nargs="*", help="a part of the name of each; all by default")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if not arguments.faults or any(p in case.name for p in arguments.faults)]
    failed = 0
    with (
        OllamaDouble((SMALL, LARGE)) as double,
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "home", OLLAMA_HOST=double.url, **SETTINGS) as system,
    ):
        print(HEAD, flush=True)
        for case in chosen:
            try:
                row = run_case(system, double, case, arguments.documents)
                failed += row.lost + (0 if case.is_models else row.attempts)
                print(row.line(), flush=True)
            except AssertionError as problem:
                failed += 1
                print(f"| {case.name} | FAILED: {str(problem)[:400]} |", flush=True)
                double.clear()
                if double.process is None:
                    double.start()
                double.offer((SMALL, LARGE))
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
