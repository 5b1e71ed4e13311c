"""Two workers in network namespaces of their own against one home; one is cut off for a minute.

`python -m tests.bench.cutoff [SCALE]`, where 1.0 is the full minute. Needs Linux, `ip`, and root or a system
that lets users make namespaces. All addresses are in namespaces that are made here: home has 10.77.0.1, the
workers .2 and .3, a bridge lies between. A worker is cut off by taking its port from the bridge: both ends
keep their carrier and hear nothing, as when a cable is pulled behind a switch.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from app.services import find_server
from tasks.documents import FINAL_STATES, Stage, State
from tasks.events import EventKind, read_events
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.settings import Settings, get_settings
from tasks.units import UnitRow, outstanding, units_of
from tests.conftest import patient
from tests.elsewhere import HeadlessWorker, bare_home
from tests.samples import scans
from tests.system import ROOT, System

CUT_SECONDS = 60.0
_NETWORK = "10.77.0"
_PORT = 6379
_PASSWORD = "only-in-these-namespaces"
_RESULT = "result: "
_ENDED = re.compile(r"[ \"]([0-9a-f]+)\.(\d+)\.(\d+): ocr of \S+ \w+ in ")


def run(scale: float) -> dict[str, Any]:
    """Cut one of two workers off for a minute times `scale`; returns figures, or `skipped` with the reason.

    Raises:
        AssertionError: documents were lost or recorded twice; the figures are in the text.
    """
    if reason := _cannot():
        return {"skipped": reason}
    command = [*_unshare(), sys.executable, "-m", "tests.bench.cutoff", "--inside", str(scale)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(_RESULT)]
    if done.returncode != 0 or not lines:
        raise AssertionError(f"It ended with {done.returncode}.\n{done.stdout}{done.stderr}")
    figures: dict[str, Any] = json.loads(lines[-1].removeprefix(_RESULT))
    if figures["lost"] or figures["recorded_twice"]:
        raise AssertionError(f"Lost, or recorded twice: {figures}")
    return figures


def _cannot() -> str:
    """Why it cannot run here, in words; empty if it can."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return f"There is no {tool} here: install util-linux and iproute2."
    probe = "ip link set lo up && ip link add br0 type bridge && ip link add v0 type veth peer name v1"
    tried = subprocess.run([*_unshare(), "sh", "-c", probe], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        words = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        return (
            f"No network namespace with a bridge can be made here, neither as root nor as a user ({words})."
        )
    return ""


def _unshare() -> list[str]:
    return ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--net", "--user", "--map-root-user"]


class _Switch:
    """A bridge in the namespace of this process, and one namespace a worker on it."""

    def __init__(self) -> None:
        _do("ip", "link", "set", "lo", "up")
        _do("ip", "link", "add", "br0", "type", "bridge")
        _do("ip", "addr", "add", f"{_NETWORK}.1/24", "dev", "br0")
        _do("ip", "link", "set", "br0", "up")

    @contextmanager
    def machine(self, number: int) -> Iterator[list[str]]:
        """A namespace with the address that ends in `number`; the command that runs others inside."""
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made; exec sleep infinity"], stdout=subprocess.PIPE
        )
        try:
            if holder.stdout is None or holder.stdout.readline() != b"made\n":
                raise RuntimeError("No network namespace could be made.")
            inside = ["nsenter", "--target", str(holder.pid), "--net", "--"]
            port = f"port{number}"
            _do("ip", "link", "add", port, "type", "veth", "peer", "name", "net0", "netns", str(holder.pid))
            _do("ip", "link", "set", port, "master", "br0", "up")
            for words in (f"addr add {_NETWORK}.{number}/24 dev net0", "link set net0 up", "link set lo up"):
                _do(*inside, "ip", *words.split())
            yield inside
        finally:
            holder.kill()
            holder.communicate()

    @staticmethod
    def cut(number: int) -> None:
        """Take a machine's port from the bridge."""
        _do("ip", "link", "set", f"port{number}", "nomaster")

    @staticmethod
    def mend(number: int) -> None:
        """Give it back."""
        _do("ip", "link", "set", f"port{number}", "master", "br0")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def _redis(folder: Path) -> Iterator[Redis]:
    """A Redis that the namespaces reach; the embedded one never listens on a network."""
    command = [find_server(Settings(data_dir=folder)).binary, "--port", str(_PORT), "--save", ""]
    command += ["--bind", "127.0.0.1", f"{_NETWORK}.1", "--requirepass", _PASSWORD, "--dir", str(folder)]
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    client = Redis(port=_PORT, password=_PASSWORD, retry=patient())
    try:
        client.ping()
        yield client
    finally:
        client.close()
        server.kill()
        server.wait()


def _until(condition: Callable[[], object], what: str, seconds: float = 600) -> float:
    """Wait until it holds; returns the seconds that it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise AssertionError(f"It did not come true in {seconds} s that {what}.")
        time.sleep(0.05)
    return time.monotonic() - begin


class _Trial:
    """One home, the worker that is cut off, and the one that is not."""

    def __init__(self, home: System, redis: Redis, cut: HeadlessWorker, other: HeadlessWorker) -> None:
        self.home = home
        self.exchange = Exchange(redis)
        self.cut = cut
        self.other = other

    def names(self, worker: HeadlessWorker) -> list[str]:
        """The parts of a worker that home knows to be up."""
        present = [presence.worker for presence in self.exchange.presence()]
        return [name for name in present if worker.id and worker.id in name]

    def in_hand(self, worker: HeadlessWorker) -> dict[int, int]:
        """The OCR units that a worker is on, with their issues. A lease names the process."""
        pids = {p.pid for p in self.exchange.presence() if worker.id and worker.id in p.worker}
        with Ledger.open(self.home.settings) as ledger:
            units = {unit.id: unit for unit in outstanding(ledger) if unit.stage is Stage.OCR}
            held = self.exchange.holders(ledger.home, list(units))
        return {unit: h.issue for unit, h in held.items() if h.worker_pid in pids}

    def units(self) -> list[UnitRow]:
        """All units."""
        with Ledger.open(self.home.settings) as ledger:
            return [unit for document in ledger.documents() for unit in units_of(ledger, document.id)]

    def add(self, first: int, count: int) -> None:
        """Hand in scans of one page each."""
        paths = [self.home.folder / f"scan {number}.pdf" for number in range(first, first + count)]
        for number, path in enumerate(paths, first):
            path.write_bytes(scans.scanned(pages=1, seed=number))
        self.home.run("add", *paths)

    def finals(self) -> Counter[str]:
        """How often each document was said to have ended. A record that changes nothing says nothing."""
        with Ledger.open(self.home.settings) as ledger:
            home = ledger.home
        _, events = read_events(self.exchange.redis, home, "0-0", 1)
        return Counter(
            event.document
            for event in events
            if event.kind is EventKind.DOCUMENT and event.state in FINAL_STATES
        )


def _measure(trial: _Trial, scale: float) -> dict[str, Any]:
    cut_seconds, before, after = CUT_SECONDS * scale, max(4, round(40 * scale)), max(3, round(12 * scale))
    trial.add(0, before)
    _until(lambda: trial.in_hand(trial.cut), "the worker that will be cut off has a unit in hand")
    _Switch.cut(2)
    began, held = time.monotonic(), trial.in_hand(trial.cut)
    figures: dict[str, Any] = {"cut_seconds": cut_seconds, "units_in_hand_at_the_cut": len(held)}
    seen = {
        "seconds_until_home_missed_it": lambda: not trial.names(trial.cut),
        "seconds_until_its_units_were_issued_again": lambda: _reissued(trial, held),
    }
    while time.monotonic() - began < cut_seconds:
        for name in [name for name in seen if name not in figures]:
            if seen[name]():
                figures[name] = round(time.monotonic() - began, 1)
        time.sleep(0.1)
    _Switch.mend(2)
    figures["seconds_until_it_was_back"] = round(_until(lambda: trial.names(trial.cut), "it is back"), 1)
    first_log = len(trial.cut.log)
    trial.add(before, after)
    trial.home.await_ended(900)
    figures["units_that_it_did_after"] = len(_ENDED.findall(trial.cut.log[first_log:]))
    return {**figures, **_verdict(trial, before + after, held)}


def _reissued(trial: _Trial, held: dict[int, int]) -> bool:
    return all(
        unit.issue > held[unit.id] or unit.state in FINAL_STATES for unit in trial.units() if unit.id in held
    )


def _verdict(trial: _Trial, documents: int, held: dict[int, int]) -> dict[str, Any]:
    units, finals = trial.units(), trial.finals()
    done = [document for document in trial.home.documents() if document.state in (State.DONE, State.REVIEW)]
    recorded = {unit.id: unit.worker for unit in units if unit.stage is Stage.OCR}
    ended_by = {int(unit) for _, unit, _ in _ENDED.findall(trial.cut.log)}
    return {
        "documents": documents,
        "done": len(done),
        "lost": documents - len(done),
        "recorded_twice": sum(count > 1 for count in finals.values()),
        "units": len(units),
        "units_in_hand_recorded_by_the_other": sum(trial.other.id in recorded[unit] for unit in held),
        "outcomes_that_came_late_and_were_dropped": sum(
            trial.cut.id not in recorded[unit] for unit in ended_by
        ),
        "attempts_counted": sum(unit.attempts for unit in units),
    }


def _inside(scale: float) -> dict[str, Any]:
    """In the namespace that holds home and the bridge."""
    switch = _Switch()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoebox-cutoff-")))
        os.environ.update(
            SHOEBOX_REDIS_URL=f"redis://:{_PASSWORD}@127.0.0.1:{_PORT}/0",
            SHOEBOX_ENGINE="offline",
            SHOEBOX_DATA_DIR=str(folder / "home" / "data"),
            XDG_CONFIG_HOME=str(folder / "config"),
        )
        get_settings.cache_clear()
        redis = stack.enter_context(_redis(folder))
        kept = {name: value for name, value in os.environ.items() if name.startswith("SHOEBOX_")}
        home = stack.enter_context(bare_home(folder / "home", **kept))
        url = f"redis://:{_PASSWORD}@{_NETWORK}.1:{_PORT}/0"
        environment = {"SHOEBOX_REDIS_URL": url, "SHOEBOX_CPU_CONCURRENCY": "1", "SHOEBOX_OCR_THREADS": "1"}
        workers = [
            stack.enter_context(
                HeadlessWorker(
                    folder / f"machine {number}",
                    environment=environment,
                    inside=stack.enter_context(switch.machine(number)),
                )
            )
            for number in (2, 3)
        ]
        trial = _Trial(home, redis, *workers)
        _until(lambda: all(len(trial.names(worker)) == 2 for worker in workers), "both workers are up")
        try:
            return _measure(trial, scale)
        except BaseException:
            print(workers[0].log, workers[1].log, file=sys.stderr)
            raise


def main() -> None:
    """See the module."""
    if sys.argv[1:2] == ["--inside"]:
        print(_RESULT + json.dumps(_inside(float(sys.argv[2]))))
        return
    print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0), indent=1))


if __name__ == "__main__":
    main()
