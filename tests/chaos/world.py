"""All that a round can strike: a home with its services, a worker elsewhere, a model server, a UI."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from redis.exceptions import RedisError

from app.services.processes import service_processes, supervisors
from app.services.supervisord import Supervisor
from app.watch.journal import Journal, WhenTaken
from tasks.broker_url import redis_url
from tasks.circuit import load_circuit
from tasks.documents import FINAL_STATES, Stage
from tasks.errors import ServiceError
from tasks.exchange import Exchange, connect
from tasks.ledger import Ledger
from tasks.settings import Settings
from tasks.units import outstanding
from tests.chaos.audit import Audit
from tests.chaos.clock import Clock
from tests.chaos.disk import Disk
from tests.chaos.link import Link, LinkState
from tests.chaos.reference import Reference
from tests.chaos.window import Window
from tests.elsewhere import HeadlessWorker, children_of
from tests.ollama import ModelSpec, OllamaDouble
from tests.proxy import free_port
from tests.system import System

_MODELS = (
    ModelSpec(name="shoebox-small", parameter_size="1.5B", context_length=32768, scripted=True),
    ModelSpec(name="shoebox-large", parameter_size="7.6B", context_length=32768, scripted=True),
)
_CHATTER = ("HTTP Request: GET", "notices of the system")
"""What logs are full of, whatever happens."""
WORKERS = 5
"""Worker processes: three at home, two elsewhere."""
_SILENCE_SECONDS = 8
"""A model server that says nothing for so long counts as away; by default a user waits for minutes."""


class World:
    """The system under test and everything around it. Use it as a context manager.

    Args:
        folder: all that it has.
        disk_problem: why there is no small disk for the data directory; empty if there is one.
    """

    def __init__(self, folder: Path, disk_problem: str = "") -> None:
        self.folder = folder.resolve()
        self._stack = ExitStack()
        self.clock = Clock(self.folder / "clock")
        self.double = OllamaDouble(_MODELS)
        self.model_link = Link(lambda: self.double.port)
        self.redis_port = free_port()
        self.far_link = Link(lambda: self.redis_port)
        self.disk = Disk(self.folder / "home" / "data", disk_problem)
        self.watched = self.folder / "watched"
        self.window: Window | None = None
        self.ups = 0
        """How often a person had to start the services."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.disk)
            stack.enter_context(self.double)
            stack.enter_context(self.model_link)
            stack.enter_context(self.far_link)
            self.system = System(self.folder / "home", self._environment())
            self.system.python = self.clock.python
            stack.callback(self.system.run, "down", check=False)
            self.up()
            Ledger.open(self.settings).close()  # makes it, if no worker has yet
            self.audit = Audit(self.settings.ledger_path)
            self._watch()
            self.far = stack.enter_context(self._elsewhere())
            stack.callback(self.close_window)
            self._warm_up()
            self.reference = stack.enter_context(closing(self._reference()))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _environment(self) -> dict[str, str]:
        return {
            "OLLAMA_HOST": f"http://127.0.0.1:{self.model_link.port}",
            "SHOEBOX_REDIS_PORT": str(self.redis_port),
            "SHOEBOX_CPU_CONCURRENCY": "2",
            "SHOEBOX_CPU_CONCURRENCY_MIN": "2",
            "SHOEBOX_OCR_THREADS": "1",
            "SHOEBOX_LARGE_NUM_CTX": "4096",
            "SHOEBOX_SILENCE_SECONDS": str(_SILENCE_SECONDS),
            "SHOEBOX_LOAD_SECONDS": str(_SILENCE_SECONDS),
            "SHOEBOX_WATCH_SETTLE_SECONDS": "0.5",
            "SHOEBOX_WATCH_RESCAN_SECONDS": "5",
        }

    @property
    def settings(self) -> Settings:
        """The home's."""
        return self.system.settings

    # The home

    def up(self) -> None:
        """Start the services, as a person does."""
        self.system.run("up")
        self.ups += 1

    def _watch(self) -> None:
        self.watched.mkdir()
        with Journal.open(self.settings) as journal:
            journal.put_folder(self.watched, "builtin", WhenTaken.LEAVE, only_new=False)

    def supervisor(self) -> int:
        """The supervisor's process; 0 if there is none."""
        found = supervisors(service_processes(self.settings))
        return found[0].pid if found else 0

    def program(self, name: str) -> int:
        """A supervised program's main process; 0 if it does not run or nobody knows."""
        try:
            return next((one.pid for one in Supervisor(self.settings).programs() if one.name == name), 0)
        except ServiceError:
            return 0

    def holders(self) -> set[int]:
        """The processes on this machine that hold the lease of a unit."""
        with Ledger.open(self.settings) as ledger, closing(connect(redis_url(self.settings))) as redis:
            units = [unit.id for unit in outstanding(ledger)]
            return {holder.pid for holder in Exchange(redis).holders(ledger.home, units).values()}

    def present(self) -> list[str]:
        """The workers that home knows to be up."""
        try:
            with closing(connect(redis_url(self.settings))) as redis:
                return [presence.worker for presence in Exchange(redis).presence()]
        except (RedisError, ServiceError):
            return []

    def flush(self) -> None:
        """FLUSHALL."""
        with closing(connect(redis_url(self.settings))) as redis:
            redis.flushall()

    # Elsewhere

    def _elsewhere(self) -> HeadlessWorker:
        password = redis_url(self.settings).partition("://:")[2].partition("@")[0]
        environment: Mapping[str, str] = {
            **self._environment(),
            "SHOEBOX_REDIS_URL": f"redis://:{password}@127.0.0.1:{self.far_link.port}/0",
            "SHOEBOX_CPU_CONCURRENCY": "1",
            "SHOEBOX_CPU_CONCURRENCY_MIN": "1",
            "SHOEBOX_ENGINE": "auto",
        }
        return HeadlessWorker(self.folder / "elsewhere", environment=environment)

    def far_children(self) -> list[int]:
        """The processes elsewhere that do the work."""
        return [child for member in self.far.members() for child in children_of(member)]

    def start_elsewhere(self) -> None:
        """Start the worker elsewhere again, as that machine's own supervision would."""
        self.far.__exit__()
        self.far.__enter__()

    # The UI

    def open_window(self) -> Window:
        """The UI on a terminal, a new one if there is none."""
        if self.window is None or not self.window.is_open:
            self.close_window()
            self.window = Window([self.clock.python, "-m", "app"], self.system.environment)
        return self.window

    def close_window(self) -> None:
        """Close the terminal."""
        if self.window is not None:
            self.window.close()
            self.window = None

    # Around the rounds

    def _warm_up(self) -> None:
        """Have the models known and called once: documents wait for them from then on."""

        def is_known() -> bool:
            with Ledger.open(self.settings) as ledger:
                circuit = load_circuit(ledger)
            return not any(
                isinstance(circuit.reader(stage, self.settings), str)
                for stage in (Stage.CLASSIFY, Stage.ANALYSE)
            )

        def has_read() -> bool:
            # On a busy machine the first call may have been given up, and the document read without a model.
            with Ledger.open(self.settings) as ledger:
                was_seen = load_circuit(ledger).was_seen
            return was_seen and all(row.state in FINAL_STATES for row in self.system.documents())

        self.system.await_true(is_known, what="home knows the models")
        first = self.folder / "first.txt"
        first.write_text("Dear Olga Fehr,\n\nthe first letter of all.\n\nYours sincerely\n")
        self.system.run("add", first)
        self.system.await_true(has_read, what="the models have read the first document")

    def _reference(self) -> Reference:
        with Ledger.open(self.settings) as ledger:
            known = load_circuit(ledger).known
        settings = self.settings.model_copy(
            update={"data_dir": self.folder / "reference", "ollama_host": self.double.url}
        )
        return Reference(settings, known)

    def make_ready(self) -> None:
        """Before a round: everything that a person would start again is there."""
        self.far_link.switch(LinkState.UP)
        self.model_link.switch(LinkState.UP)
        self.disk.free()
        if self.double.process is None or self.double.process.poll() is not None:
            self.double.kill()
            self.double.start()
        if not self.supervisor():
            self.up()
        if self.far.running.poll() is not None:
            self.start_elsewhere()

    def members(self) -> dict[int, str]:
        """Every living process of this world, known by its folder in their environment."""
        mark, own = os.fsencode(self.folder), os.getpid()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if int(entry.name) != own and mark in (entry / "environ").read_bytes():
                    state = (entry / "stat").read_text().rpartition(") ")[2][:1]
                    if state != "Z":
                        words = (entry / "cmdline").read_text().replace("\0", " ")
                        found[int(entry.name)] = f"[{state}] {words[-150:]}"
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def log_tails(self, lines: int = 6) -> str:
        """The last lines of every log."""
        logs = [*sorted(self.settings.log_dir.glob("*.log")), self.folder / "elsewhere" / "log"]
        tails = []
        for log in logs:
            if log.exists():
                words = log.read_text(errors="replace").splitlines()
                words = [line for line in words if not any(one in line for one in _CHATTER)][-lines:]
                tails.append("\n".join([f"--- {log.name}", *(line[:300] for line in words)]))
        return "\n".join(tails)


@contextmanager
def stopped_world(world: World) -> Iterator[None]:
    """Whatever is left stopped goes on: a world that is torn down must not wait for frozen processes."""
    try:
        yield
    finally:
        for pid in world.members():
            resume(pid)


def resume(pid: int) -> None:
    """SIGCONT, if it is still there."""
    send(pid, signal.SIGCONT)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
