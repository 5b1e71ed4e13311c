"""A running Shoebox to measure, with a probe on its Redis, and a bare Redis for others."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.services import find_server
from tasks.broker_url import redis_url
from tasks.circuit import load_circuit
from tasks.documents import FINAL_STATES, Stage
from tasks.ledger import DocumentRow, Ledger
from tasks.planning import GPU_QUEUE
from tasks.units import UnitRow
from tests.bench.probe import Probe, UnitTimes
from tests.ollama import OllamaDouble
from tests.system import ROOT, System, running

WAIT_SECONDS = 3000.0


@dataclass
class House:
    """The system, and what was seen of it."""

    system: System
    probe: Probe

    def documents(self) -> list[DocumentRow]:
        """All of them."""
        return self.system.documents()

    def units(self) -> dict[int, UnitRow]:
        """All units of the ledger by their number."""
        from tasks.units import units_of

        with Ledger.open(self.system.settings) as ledger:
            return {one.id: one for document in ledger.documents() for one in units_of(ledger, document.id)}

    def await_ended(self, count: int) -> list[DocumentRow]:
        """Wait until so many documents have ended, looking seldom enough not to disturb."""
        with Ledger.open(self.system.settings) as ledger:
            states = ", ".join(f"'{state}'" for state in FINAL_STATES)
            query = f"SELECT count(*) FROM documents WHERE state IN ({states}) AND NOT provisional"
            if self.system.environment.get("SHOEBOX_ENGINE") == "offline":
                query = query.removesuffix(" AND NOT provisional")
            give_up = time.monotonic() + WAIT_SECONDS
            while ledger.db.execute(query).fetchone()[0] < count:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"{count} documents did not end in {WAIT_SECONDS:.0f} s")
                time.sleep(0.2)
        return self.documents()

    def gpu_times(self) -> list[tuple[UnitTimes, UnitRow]]:
        """The units that ran on the gpu queue, in the order of their start."""
        units = self.units()
        seen = [
            (times, units[times.unit])
            for times in self.probe.times().values()
            if times.started and times.ended and times.unit in units
        ]
        on_gpu = [pair for pair in seen if pair[1].queue == GPU_QUEUE]
        return sorted(on_gpu, key=lambda pair: pair[0].started)


def one_model(name: str, num_ctx: int) -> dict[str, str]:
    """Settings that have one model do everything."""
    return {
        "SHOEBOX_SMALL_MODEL": name,
        "SHOEBOX_LARGE_MODEL": name,
        "SHOEBOX_SMALL_NUM_CTX": str(num_ctx),
        "SHOEBOX_LARGE_NUM_CTX": str(num_ctx),
    }


@contextmanager
def house(folder: Path, double: OllamaDouble | None = None, **environment: str) -> Iterator[House]:
    """A system that is up, knows its models, and is watched.

    Its Redis is beside it, because the embedded one has no MONITOR; it writes down as much as that.
    """
    if double is not None:
        environment["OLLAMA_HOST"] = double.url
    with (
        bare_redis(folder / "redis", "--appendonly", "yes", "--maxmemory-policy", "noeviction") as socket,
        running(folder, SHOEBOX_REDIS_URL=f"unix://{socket}", **environment) as system,
    ):
        if double is not None:
            await_models(system)
        with Probe(redis_url(system.settings), folder / "monitor") as probe:
            yield House(system, probe)


def await_models(system: System) -> None:
    """Wait until home knows where both stages of reading go."""

    def is_known() -> bool:
        with Ledger.open(system.settings) as ledger:
            circuit = load_circuit(ledger)
        stages = (Stage.CLASSIFY, Stage.ANALYSE)
        return not any(isinstance(circuit.reader(stage, system.settings), str) for stage in stages)

    system.await_true(is_known, what="home knows the models")


@contextmanager
def bare_redis(folder: Path, *options: str) -> Iterator[Path]:
    """A Redis with its own defaults but for these options; gives its socket."""
    from redis import Redis
    from redis.backoff import ConstantBackoff
    from redis.exceptions import ConnectionError
    from redis.retry import Retry

    from tasks.settings import Settings

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "r.sock"
    binary = find_server(Settings(data_dir=folder)).binary
    command = [str(binary), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    command += options
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    patient = Retry(ConstantBackoff(0.02), 500, supported_errors=(ConnectionError, FileNotFoundError))
    client = Redis(unix_socket_path=str(path), retry=patient)
    try:
        client.ping()
        yield path
    finally:
        client.close()
        server.terminate()
        server.wait()


@contextmanager
def python_program(
    *arguments: str, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program beside ours, ended with SIGTERM. What it says is in the log."""
    env = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as out:
        command = [sys.executable, *arguments]
        program = subprocess.Popen(command, env=env, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield program
    finally:
        program.terminate()
        program.wait()
