"""Shoebox against a plain loop and a plain Celery chain: same documents, questions and llama.cpp server."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.house import bare_redis, house, one_model, python_program
from tests.bench.papers import write_papers
from tests.bench.plain import CALLS, NUM_CTX, PlainReader
from tests.bench.result import BenchResult, Ratio, at_least, at_most
from tests.ollama import Call, ModelSpec, OllamaDouble
from tests.ollama.journal import CallCount

MODEL = "reader:8b"
READER = ModelSpec(
    MODEL,
    parameter_size="8.2B",
    context_length=32768,
    num_ctx=NUM_CTX,
    scripted=True,
    layers=4,
    feed_forward=8192,
)
"""So wide that reading the prompts is what takes the time, and that a token costs nearly the same wherever it
stands, as with a model that is worth asking."""
DOCUMENTS = 24
CHARACTERS = 6000
"""Of a document: two to three pages."""
URGENT = "urgent-00000.txt"
GPU = (2000.0, 60.0)
"""Tokens a second that a good GPU reads and writes with a model of 8 billion parameters; only for a note."""


@dataclass
class Run:
    """What one contestant took for all documents and one urgent one that came in the middle."""

    name: str
    seconds: float = 0.0
    first: float = 0.0
    """Seconds to the first document that was read to its end."""
    urgent_seconds: float = 0.0
    """From the urgent document's arrival to its first call."""
    urgent_units: float = 0.0
    """Units, or calls where there are no units, that were begun meanwhile."""
    categories: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    @property
    def computed(self) -> int:
        """Prompt tokens that the server evaluated."""
        return sum(call.tokens_computed or 0 for call in self.calls)

    @property
    def read(self) -> int:
        """Prompt tokens that it was given."""
        return self.computed + sum(call.tokens_cached or 0 for call in self.calls)

    @property
    def written(self) -> int:
        """Tokens of the replies."""
        return sum(call.tokens_generated or 0 for call in self.calls)

    @property
    def busy(self) -> float:
        """Seconds in which the server worked on a call; only one is worked on at a time."""
        return sum((call.ended or call.started) - call.started for call in self.calls)

    @property
    def speed(self) -> float:
        """Prompt tokens that the server read in a second of work."""
        return self.computed / self.busy

    def at_speed(self, speed: float) -> float:
        """The wall time had the server read so many tokens a second, whatever else the machine did."""
        return self.seconds - self.busy + self.computed / speed

    def on_gpu(self) -> float:
        """Seconds that a GPU would take for the tokens alone."""
        reads, writes = GPU
        return self.computed / reads + self.written / writes


@dataclass
class Track:
    """Where all of them run."""

    double: OllamaDouble
    counted: CallCount
    folder: Path
    papers: list[Path]
    urgent: Path

    def contest(self, name: str, run: Callable[["Track", Run], None]) -> Run:
        """Let one run, on a server with the model loaded and nothing in its cache."""
        if self.double.runners():
            self.double.kill_runner(READER.full_name)
        PlainReader(self.double.url, MODEL, document_first=True).category("Invoice")
        before = len(self.double.settled())
        result = Run(name)
        run(self, result)
        result.calls = [call for call in self.double.settled()[before:] if call.path == "/api/chat"]
        return result

    def await_half(self, before: int) -> None:
        """Wait for the middle of the batch: half of its calls have begun."""
        wanted = before + len(self.papers) * CALLS // 2
        while self.chats() < wanted:
            time.sleep(0.05)

    def chats(self) -> int:
        """Calls so far."""
        return self.counted.look()


def run(scale: float) -> BenchResult:
    """All contestants, one after the other."""
    count = max(2, round(DOCUMENTS * scale))
    characters = CHARACTERS if scale > 0.05 else 300
    with (
        tempfile.TemporaryDirectory(prefix="shoebox-bench-") as name,
        OllamaDouble((READER,)) as double,
        closing(double.count("/api/chat")) as chats,
    ):
        folder = Path(name)
        papers = write_papers(folder / "papers", count, characters)
        urgent = write_papers(folder / "urgent", 1, characters, first=99_999)[0]
        urgent = urgent.rename(urgent.with_name(URGENT))
        track = Track(double, chats, folder, papers, urgent)
        runs = [
            track.contest("loop, instruction first", _loop(document_first=False)),
            track.contest("loop, document first", _loop(document_first=True)),
            track.contest("Celery chain", _chain),
            track.contest("Shoebox", _shoebox),
        ]
    return _result(runs, count)


def _loop(*, document_first: bool) -> Callable[[Track, Run], None]:
    """A loop over the files. What is urgent has to wait until it has ended: it takes nothing in meanwhile."""

    def run(track: Track, result: Run) -> None:
        reader = PlainReader(track.double.url, MODEL, document_first=document_first)
        begun, before = time.time(), track.chats()
        arrived = 0.0
        for path in [*track.papers, track.urgent]:
            if path == track.urgent:
                result.urgent_seconds = time.time() - arrived
                result.urgent_units = track.chats() - before - len(track.papers) * CALLS // 2
            elif not arrived and track.chats() - before >= len(track.papers) * CALLS // 2:
                arrived = time.time()
            text = path.read_text(encoding="utf-8")
            category = reader.category(text)
            reader.fields(text, category)
            reader.summary(text, category)
            result.categories[path.name] = category
            result.first = result.first or time.time() - begun
        result.seconds = time.time() - begun

    return run


def _chain(track: Track, result: Run) -> None:
    """A chain of tasks for each file, all handed to one worker. A plain queue knows nothing of urgency."""
    with bare_redis(track.folder / "redis") as socket:
        environment = {
            "BENCH_REDIS": f"redis+socket://{socket}",
            "BENCH_OLLAMA": track.double.url,
            "BENCH_MODEL": MODEL,
        }
        os.environ.update(environment)
        from tests.bench import chain

        worker = ("-m", "celery", "--app", "tests.bench.chain", "worker", "--concurrency", "1")
        log = track.folder / "chain.log"
        with python_program(*worker, "--loglevel", "ERROR", log=log, environment=environment) as program:
            while not chain.app.control.ping(timeout=0.5):
                if program.poll() is not None:
                    raise RuntimeError(f"the worker of the chain did not start: {log.read_text()[-500:]}")
            begun, before = time.time(), track.chats()
            waiting = [chain.submit(path) for path in track.papers]
            track.await_half(before)
            arrived, seen = time.time(), track.chats()
            waiting.append(chain.submit(track.urgent))
            found = [one.get() for one in waiting]
    result.seconds = time.time() - begun
    result.first = min(each["ended"] for each in found) - begun
    result.categories = {Path(each["path"]).name: each["category"] for each in found}
    _urgent_calls(track, result, arrived, seen)


def _urgent_calls(track: Track, result: Run, arrived: float, seen: int) -> None:
    reference = track.urgent.read_text(encoding="utf-8").split("\n", 1)[0]
    for passed, call in enumerate(track.double.settled("/api/chat")[seen:]):
        if reference in call.body:
            result.urgent_seconds, result.urgent_units = call.started - arrived, passed
            return


def _shoebox(track: Track, result: Run) -> None:
    """The real command and services, with one model for everything, on the gpu queue."""
    with house(track.folder / "house", track.double, **one_model(MODEL, NUM_CTX)) as at_home:
        begun, before = time.time(), track.chats()
        at_home.system.run("add", *track.papers)
        track.await_half(before)
        at_home.system.run("add", track.urgent, "--urgent")
        rows = at_home.await_ended(len(track.papers) + 1)
        urgent = next(row for row in rows if row.name == URGENT)
        order = at_home.gpu_times()
    ends = [row.finished_at or 0.0 for row in rows]
    result.seconds, result.first = max(ends) - begun, min(ends) - begun
    result.categories = {row.name: row.category for row in rows}
    started = next(times.started for times, unit in order if unit.document == urgent.id)
    result.urgent_seconds = started - urgent.added_at
    result.urgent_units = sum(urgent.added_at < times.started < started for times, _ in order)


def _result(runs: list[Run], count: int) -> BenchResult:
    loop_plain, loop, chain, shoebox = runs
    speed = sum(each.computed for each in runs) / sum(each.busy for each in runs)
    result = BenchResult(name="versus")
    for each in runs:
        result.figures |= {
            f"{each.name}: wall, s": each.seconds,
            f"{each.name}: wall at the same speed of the server, s": each.at_speed(speed),
            f"{each.name}: server, prompt tokens a second": each.speed,
            f"{each.name}: first result, s": each.first,
            f"{each.name}: prompt tokens computed": each.computed,
            f"{each.name}: prompt tokens given": each.read,
            f"{each.name}: tokens written": each.written,
            f"{each.name}: calls": len(each.calls),
            f"{each.name}: server waits, share": 1 - each.busy / each.seconds,
            f"{each.name}: urgent waits, s": each.urgent_seconds,
            f"{each.name}: urgent waits, units": each.urgent_units,
        }
    result.ratios = {
        "wall, Celery chain over Shoebox": at_least(chain.seconds / shoebox.seconds, 2),
        "wall, loop with the instruction first over Shoebox": at_least(
            loop_plain.seconds / shoebox.seconds, 1
        ),
        "wall, loop with the document first over Shoebox": at_least(loop.seconds / shoebox.seconds, 1),
        "wall at the same speed of the server, Celery chain over Shoebox": Ratio(
            value=chain.at_speed(speed) / shoebox.at_speed(speed)
        ),
        "wall at the same speed of the server, loop with the document first over Shoebox": Ratio(
            value=loop.at_speed(speed) / shoebox.at_speed(speed)
        ),
        "prompt tokens computed, Celery chain over Shoebox": at_least(chain.computed / shoebox.computed, 2),
        "prompt tokens computed, loop with the document first over Shoebox": Ratio(
            value=loop.computed / shoebox.computed
        ),
        "first result, Celery chain over Shoebox": at_least(chain.first / shoebox.first, 1),
        "urgent waits for so many units of others in Shoebox": at_most(shoebox.urgent_units, 1),
    }
    tokens = statistics.mean(call.tokens_computed or 0 for call in loop_plain.calls)
    same = all(each.categories == loop.categories for each in runs)
    result.notes = [
        f"{count} documents and one urgent one, {tokens:.0f} tokens a call, one model for all calls; "
        f"categories {'the same everywhere' if same else 'DIFFER'}.",
        "Shoebox's times begin with the start of its command. At the same speed of the server: as if each "
        "had met the speed that all met on average, because the machine is not equally free for all of them.",
        "The server reads prompts for real and writes what a script says, at no cost a token. "
        f"A GPU that reads {GPU[0]:.0f} and writes {GPU[1]:.0f} tokens a second would take, by these tokens: "
        + ", ".join(f"{each.name} {each.on_gpu():.0f} s" for each in runs)
        + ".",
    ]
    return result
