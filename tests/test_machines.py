"""How the machines are: what the ledger, Redis, the GPU's driver and the model server say of them."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from app import __version__
from app.machines import Machines, Queue, collect
from tasks import gpu
from tasks.broker_url import redis_url
from tasks.circuit import Circuit, save_circuit
from tasks.documents import Stage, State
from tasks.engines.llm.base import ModelInfo
from tasks.exchange import Exchange, Holder, connect
from tasks.gpu import Gpu, GpuWatch, gpus, named_gpus, visible_gpus
from tasks.ledger import Ledger
from tasks.orders import LlmParams, OcrParams, Order, Presence, ReadParams
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.routing import KnownModels
from tasks.settings import Settings
from tasks.throughput import Depth, depths, seconds_left, throughput
from tasks.units import UnitPlan, mark_ended, mark_queued, plan_units
from tests.system import System

NOW = 1_800_000_000.0
OCR = OcrParams(sha256="0" * 64, mime="application/pdf", pages=(5, 6, 7, 8)).model_dump(mode="json")


def enter(
    ledger: Ledger,
    name: str,
    state: State = State.DONE,
    stage: Stage = Stage.ANALYSE,
    *,
    added_at: float = NOW - 3600,
    finished_at: float | None = None,
    pages: int = 3,
    units: dict[tuple[Stage, str], float | None] | None = None,
) -> str:
    """A document with units; each has a stage, a queue and how long it took, None if it waits."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    document = ledger.insert_document(
        sha256, name, Path("/p") / sha256, Path(__file__).stat(), "builtin", urgent=False
    )
    ledger.update_document(
        document.id, state=state, stage=stage, added_at=added_at, finished_at=finished_at, page_count=pages
    )
    for (unit_stage, queue), seconds in (units or {}).items():
        (unit,) = plan_units(ledger, document, [UnitPlan(unit_stage, queue, "offline", OCR, "key")])
        if seconds is not None:
            mark_ended(ledger, unit.id, State.DONE, seconds=seconds, worker="w@h")
    return document.id


# Throughput


def test_what_ended_in_the_last_minutes_counts(ledger: Ledger) -> None:
    for number in range(10):
        enter(ledger, f"{number}", finished_at=NOW - 20 * number, pages=4)
    enter(ledger, "long ago", finished_at=NOW - 301)
    enter(ledger, "failed", State.FAILED, finished_at=NOW - 1, pages=0)

    rate = throughput(ledger, NOW)

    assert rate.documents_per_minute == pytest.approx(11 / 5)
    assert rate.pages_per_minute == pytest.approx(40 / 5)


def test_work_that_began_a_minute_ago_counts_for_that_minute(ledger: Ledger) -> None:
    for number in range(6):
        enter(ledger, f"{number}", added_at=NOW - 60, finished_at=NOW - number)

    assert throughput(ledger, NOW).documents_per_minute == pytest.approx(6)


def test_one_document_that_took_a_second_is_no_high_speed(ledger: Ledger) -> None:
    enter(ledger, "quick", added_at=NOW - 1, finished_at=NOW)

    assert throughput(ledger, NOW).documents_per_minute == pytest.approx(2)


def test_cancelling_thousands_is_no_throughput(ledger: Ledger) -> None:
    enter(ledger, "unwanted", State.CANCELLED, finished_at=NOW)

    assert throughput(ledger, NOW).documents_per_minute == 0


def test_a_clock_that_was_set_back_makes_no_speed(ledger: Ledger) -> None:
    enter(ledger, "from the future", added_at=NOW + 80_000, finished_at=NOW + 86_400)
    enter(ledger, "added in the future", added_at=NOW + 500, finished_at=NOW - 10)

    assert throughput(ledger, NOW).documents_per_minute == pytest.approx(2)


# Time left


def whole(ledger: Ledger, name: str) -> None:
    """A document that has been read: 1 s at home, 40 s of OCR, 3 s and 6 s on the cpu queue."""
    enter(
        ledger,
        name,
        finished_at=NOW,
        units={
            (Stage.EXTRACT, HOME_QUEUE): 1.0,
            (Stage.OCR, GPU_QUEUE): 40.0,
            (Stage.CLASSIFY, CPU_QUEUE): 3.0,
            (Stage.ANALYSE, CPU_QUEUE): 6.0,
        },
    )


def left(ledger: Ledger, **slots: int) -> float | None:
    return seconds_left(ledger, {HOME_QUEUE: 2, CPU_QUEUE: 1, GPU_QUEUE: 1} | slots, depths(ledger))


def test_nothing_to_do_takes_no_time(ledger: Ledger) -> None:
    whole(ledger, "done")

    assert left(ledger) == 0.0


def test_before_anything_was_measured_nobody_can_say(ledger: Ledger) -> None:
    enter(ledger, "first", State.WAITING, Stage.EXTRACT, units={(Stage.EXTRACT, HOME_QUEUE): None})

    assert left(ledger) is None


def test_stages_that_are_not_planned_yet_count(ledger: Ledger) -> None:
    whole(ledger, "done")
    for number in range(5):
        units = {(Stage.EXTRACT, HOME_QUEUE): None}
        enter(ledger, f"waits {number}", State.WAITING, Stage.EXTRACT, units=units)

    assert left(ledger) == pytest.approx(5 * 40)  # the gpu queue has the most to do
    assert left(ledger, gpu=10) == pytest.approx(5 * 9)  # now the cpu queue has
    assert left(ledger, gpu=10, cpu=15) == pytest.approx(5 * 4)


def test_what_a_document_has_behind_it_does_not_count(ledger: Ledger) -> None:
    whole(ledger, "done")
    units = {(Stage.OCR, GPU_QUEUE): 40.0, (Stage.ANALYSE, CPU_QUEUE): None}
    enter(ledger, "almost", State.RUNNING, Stage.ANALYSE, units=units)

    assert left(ledger) == pytest.approx(6)


def test_only_some_documents_will_need_ocr(ledger: Ledger) -> None:
    whole(ledger, "scan")
    units = {
        (Stage.EXTRACT, HOME_QUEUE): 1.0,
        (Stage.CLASSIFY, CPU_QUEUE): 3.0,
        (Stage.ANALYSE, CPU_QUEUE): 6.0,
    }
    enter(ledger, "text", finished_at=NOW, units=units)
    enter(ledger, "new", State.WAITING, Stage.EXTRACT, units={(Stage.EXTRACT, HOME_QUEUE): None})
    assert left(ledger) == pytest.approx(20)

    enter(ledger, "a scan", State.RUNNING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})

    assert left(ledger) == pytest.approx(20 + 40)


def test_many_planned_units_of_one_document_count_each(ledger: Ledger) -> None:
    whole(ledger, "scan")
    book = enter(ledger, "book", State.RUNNING, Stage.OCR)
    document = ledger.document(book)
    assert document is not None
    plan_units(ledger, document, [UnitPlan(Stage.OCR, GPU_QUEUE, "paddleocr", OCR, "")] * 100)

    assert left(ledger) == pytest.approx(100 * 40)


def test_a_queue_that_nobody_serves_never_ends(ledger: Ledger) -> None:
    whole(ledger, "scan")
    enter(ledger, "b", State.RUNNING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})

    assert left(ledger, gpu=0) is None
    assert seconds_left(ledger, {}, depths(ledger)) is None


def test_depth_is_what_waits_and_what_is_out(ledger: Ledger) -> None:
    waiting: dict[tuple[Stage, str], float | None] = {(Stage.OCR, GPU_QUEUE): None}
    enter(ledger, "a", State.RUNNING, Stage.OCR, units=waiting)
    enter(ledger, "b", State.RUNNING, Stage.OCR, units=waiting)
    enter(ledger, "c", State.RUNNING, units={(Stage.ANALYSE, CPU_QUEUE): 1.0})
    mark_queued(ledger, 1)

    assert depths(ledger) == {GPU_QUEUE: Depth(waiting=1, out=1)}


# GPUs


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in the place of nvidia-smi."""

    def put(script: str) -> Path:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return program

    return put


MIB = 2**20


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "echo '0, NVIDIA RTX A6000, 49140, 1024, 37, GPU-0a'; echo '1, NVIDIA RTX A6000, 49140, 0, 0, x'",
            (
                Gpu(
                    index=0,
                    name="NVIDIA RTX A6000",
                    memory_total=49140 * MIB,
                    memory_used=1024 * MIB,
                    utilisation=37,
                    uuid="GPU-0a",
                ),
                Gpu(index=1, name="NVIDIA RTX A6000", memory_total=49140 * MIB, memory_used=0, utilisation=0),
            ),
        ),
        (
            "echo '0, NVIDIA GB10, [N/A], [Not Supported], [N/A], GPU-1b'",
            (Gpu(index=0, name="NVIDIA GB10", memory_total=0, memory_used=0, uuid="GPU-1b"),),
        ),
        ("echo 'No devices were found'", ()),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", ()),
        ("printf '\\377\\376, x, y'", ()),
        ("", ()),
        ("kill -9 $$", ()),
    ],
)
def test_gpus_are_what_the_driver_says(
    nvidia_smi: Callable[[str], Path], script: str, expected: tuple[Gpu, ...]
) -> None:
    nvidia_smi(script)

    assert gpus() == expected


WHOLE = (
    Gpu(index=0, name="A", memory_total=1, memory_used=0, uuid="GPU-8932f937"),
    Gpu(index=1, name="B", memory_total=1, memory_used=0, uuid="GPU-46309f12"),
    Gpu(index=2, name="C", memory_total=1, memory_used=0, uuid="GPU-46ab9f12"),
)
PART = Gpu(index=2, name="C MIG 1g", memory_total=0, memory_used=0, uuid="MIG-46ab")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("0,1", "AB"),
        ("1, 0", "BA"),
        ("GPU-89", "A"),
        ("GPU-46", ""),  # two begin with it
        ("GPU-463,2", "BC"),
        ("1,1,GPU-46309f12", "B"),
        ("1,-1,0", "B"),
        ("7", ""),
        ("NoDevFiles", ""),
        ("none", ""),
        ("", ""),
        ("GPU-", ""),
        ("MIG-46ab", "C MIG 1g"),
    ],
)
def test_gpus_are_named_as_cuda_names_them(names: str, expected: str) -> None:
    assert "".join(gpu.name for gpu in named_gpus(names, (*WHOLE, PART))) == expected


DIVIDED = """
if [ "$1" = -L ]; then
  echo 'GPU 0: NVIDIA A100 (UUID: GPU-1)'
  echo '  MIG 3g.20gb     Device  0: (UUID: MIG-a)'
  echo '  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-1/5/0)'
  echo 'GPU 1: NVIDIA A100 (UUID: GPU-2)'
else
  echo '0, NVIDIA A100, 40960, 7, [N/A], GPU-1'
  echo '1, NVIDIA A100, 40960, 7, 3, GPU-2'
fi"""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["MIG-a", "MIG-GPU-1/5/0", "GPU-2"]),
        ("MIG-a", ["MIG-a"]),
        ("1", ["GPU-2"]),
        ("GPU-1", ["GPU-1"]),
        ("", []),
    ],
)
def test_a_divided_gpu_counts_as_its_instances(
    nvidia_smi: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    visible: str | None,
    expected: list[str],
) -> None:
    nvidia_smi(DIVIDED)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    found = visible_gpus()

    assert [gpu.uuid for gpu in found] == expected
    assert all(gpu.name == "NVIDIA A100 MIG 3g.20gb" for gpu in found if gpu.uuid == "MIG-a")


def test_a_driver_that_hangs_is_not_waited_for(
    nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_SECONDS", 0.2)
    nvidia_smi("exec sleep 1000")

    assert gpus() == ()


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    watch = GpuWatch(threading.Event())

    assert gpus() == ()
    assert watch.seen == ()
    assert "gpus" not in {thread.name for thread in threading.enumerate()}


def test_the_watch_sees_how_memory_fills(
    nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_WATCH_SECONDS", 0.01)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-2")
    program = nvidia_smi("echo '0, G, 100, 99, 1, GPU-1'; echo '1, G, 100, 10, 1, GPU-2'")
    leaving = threading.Event()
    watch = GpuWatch(leaving)
    try:
        await_true(lambda: watch.seen and watch.seen[0].memory_used == 10 * MIB)
        new = program.with_name("new")
        new.write_text("#!/bin/sh\necho '1, G, 100, 90, 1, GPU-2'\n")
        new.chmod(0o755)
        new.replace(program)
        await_true(lambda: watch.seen and watch.seen[0].memory_used == 90 * MIB)
    finally:
        leaving.set()


def await_true(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another thread does."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)


# All of it


def announce(redis: Redis, queue: str, pid: int = 7, slots: int = 1, **more: object) -> Presence:
    presence = Presence.model_validate(
        {"worker": f"{queue}@box", "queues": (queue,), "slots": slots, "pid": pid, "host": "box", **more}
    )
    Exchange(redis).announce_presence(presence, 60)
    return presence


def queue_named(machines: Machines, name: str) -> Queue:
    return next(queue for queue in machines.queues if queue.name == name)


def hold(redis: Redis, ledger: Ledger, unit: int, worker_pid: int, seconds: float = 0.0) -> None:
    """Let a worker on `box` be on a unit, since some seconds."""
    exchange = Exchange(redis)
    holder = Holder("box", worker_pid, exchange.now() - seconds, 999, 1)
    redis.set(f"shoebox:{ledger.home}:{unit}:lease", holder.token)


def test_a_worker_is_shown_with_what_it_is_on(settings: Settings, ledger: Ledger, redis: Redis) -> None:
    enter(ledger, "scan.pdf", State.RUNNING, Stage.OCR, pages=12, units={(Stage.OCR, GPU_QUEUE): None})
    mark_queued(ledger, 1)
    announce(redis, GPU_QUEUE, pid=7)
    announce(redis, CPU_QUEUE, pid=8)
    hold(redis, ledger, 1, worker_pid=7, seconds=30)

    machines = collect(settings, ledger, redis)

    cpu, gpu_worker = machines.workers
    assert (cpu.name, cpu.works) == ("cpu@box", ())
    (work,) = gpu_worker.works
    assert (work.name, work.stage, work.place) == ("scan.pdf", Stage.OCR, "pages 5-8 of 12")
    assert 30 <= work.seconds < 60
    assert queue_named(machines, GPU_QUEUE) == Queue(GPU_QUEUE, workers=1, slots=1, busy=1, depth=1)


def test_home_is_busy_while_it_renders_pages_for_the_gpu_queue(
    settings: Settings, ledger: Ledger, redis: Redis
) -> None:
    enter(ledger, "scan.pdf", State.RUNNING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})
    mark_queued(ledger, 1)
    announce(redis, GPU_QUEUE, pid=7)
    announce(redis, HOME_QUEUE, pid=9, slots=2)
    hold(redis, ledger, 1, worker_pid=9)

    machines = collect(settings, ledger, redis)

    assert queue_named(machines, HOME_QUEUE).busy == 1
    assert queue_named(machines, GPU_QUEUE).busy == 0


def test_the_part_of_a_long_document_is_said(settings: Settings, ledger: Ledger, redis: Redis) -> None:
    document = ledger.document(enter(ledger, "long.pdf", State.RUNNING))
    assert document is not None
    for part in (2, 0):
        llm = LlmParams(model="m", num_ctx=512, on_cpu=False, part=part, parts=7)
        params = ReadParams(engine="ollama", llm=llm).model_dump(mode="json")
        (unit,) = plan_units(ledger, document, [UnitPlan(Stage.ANALYSE, GPU_QUEUE, "m", params, "")])
        mark_queued(ledger, unit.id)
        hold(redis, ledger, unit.id, worker_pid=7)
    announce(redis, GPU_QUEUE, pid=7, slots=2)

    (worker,) = collect(settings, ledger, redis).workers

    assert [work.place for work in worker.works] == ["part 2 of 7", "merging 7 parts"]


def test_work_for_a_queue_without_workers_is_a_problem_with_a_remedy(
    settings: Settings, ledger: Ledger, redis: Redis
) -> None:
    enter(ledger, "scan.pdf", State.WAITING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})
    announce(redis, HOME_QUEUE)

    machines = collect(settings, ledger, redis)

    (problem,) = machines.problems
    assert "1 unit waits for the gpu queue, but no worker serves it" in problem
    assert "./run.sh worker --queues gpu" in problem
    assert machines.eta_seconds is None


def test_with_redis_away_the_ledger_still_tells(
    settings: Settings, ledger: Ledger, redis: Redis, tmp_path: Path
) -> None:
    enter(ledger, "scan.pdf", State.WAITING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})
    model = ModelInfo(name="shoebox-large:latest", parameters=8_000_000_000)
    save_circuit(ledger, Circuit(known=KnownModels(by_queue={GPU_QUEUE: (model,)})))
    gone = Redis(unix_socket_path=str(tmp_path / "no.sock"))

    for machines in (collect(settings, ledger, None), collect(settings, ledger, gone)):
        assert not machines.link
        assert (machines.workers, machines.problems) == ((), ())
        assert machines.unfinished == 1
        assert queue_named(machines, GPU_QUEUE).depth == 1
        assert [(model.name, model.queue) for model in machines.models] == [
            ("shoebox-large:latest", GPU_QUEUE)
        ]
    gone.close()


def test_a_presence_or_lease_of_another_version_hides_nothing(
    settings: Settings, ledger: Ledger, redis: Redis
) -> None:
    enter(ledger, "a.pdf", State.RUNNING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})
    mark_queued(ledger, 1)
    announce(redis, GPU_QUEUE)
    redis.hset("shoebox:presence", "x@y", f'{{"presence": {{"new": 1}}, "until": {time.time() + 60}}}')
    redis.set(f"shoebox:{ledger.home}:1:lease", "host:1:1")

    (worker,) = collect(settings, ledger, redis).workers

    assert (worker.name, worker.works) == ("gpu@box", ())


def test_each_model_is_shown_once_a_machine_with_its_queue_and_use(
    settings: Settings, ledger: Ledger, redis: Redis
) -> None:
    large = ModelInfo(name="shoebox-large:latest", parameters=8_200_000_000, loaded=True, vram=6 * 2**30)
    small = ModelInfo(name="shoebox-small", parameters=1_200_000_000, loaded=False, vram=0)
    other = ModelInfo(name="another", parameters=0)
    for queue in (CPU_QUEUE, GPU_QUEUE):
        announce(redis, queue, models=(large, small, other))

    machines = collect(settings, ledger, redis)

    assert [
        (model.name, model.queue, model.used_for, model.loaded, model.vram) for model in machines.models
    ] == [
        ("shoebox-large:latest", GPU_QUEUE, (Stage.ANALYSE,), True, 6 * 2**30),
        ("shoebox-small", CPU_QUEUE, (Stage.CLASSIFY,), False, 0),
        ("another", GPU_QUEUE, (), None, None),
    ]
    assert "more than 4" in machines.models[0].reason


def test_who_uses_a_model_is_said_and_which_of_them_is_missing(settings: Settings, ledger: Ledger) -> None:
    settings.recipes_path.mkdir(parents=True)
    recipe = settings.recipes_path / "mine.toml"
    recipe.write_text('[categories.bill]\ndescribe = "A bill."\nmodel = "bookkeeper:14b"\n')
    small = ModelInfo(name="shoebox-small", parameters=1_000_000_000)
    large = ModelInfo(name="shoebox-large", parameters=8_000_000_000)
    bookkeeper = ModelInfo(name="bookkeeper:14b", parameters=14_000_000_000)
    known = KnownModels(by_queue={GPU_QUEUE: (large, bookkeeper), CPU_QUEUE: (small,)}, problem="")
    save_circuit(ledger, Circuit(known=known).succeeded())

    machines = collect(settings, ledger, None)

    used = {model.name: model.used_for for model in machines.models}
    assert used["bookkeeper:14b"] == ("analyse (mine: bill)",)
    read = "classify by shoebox-small on the cpu queue, analyse by shoebox-large on the gpu queue"
    assert machines.llm.words == f"{read}, and 1 more for single categories or other recipes"
    assert machines.llm.ok

    recipe.write_text('[categories.bill]\ndescribe = "A bill."\nmodel = "auditor:70b"\n')
    llm = collect(settings, ledger, None).llm
    assert (llm.ok, llm.model) == (False, "shoebox-large")
    assert llm.words == f"{read}. The model server has no model 'auditor:70b'. `./run.sh models` sets it up."

    recipe.write_text("categories = 1\n")  # `doctor` says so
    assert collect(settings, ledger, None).llm.words == read


def test_the_gpus_of_a_machine_are_shown_once(settings: Settings, ledger: Ledger, redis: Redis) -> None:
    card = Gpu(index=0, name="G", memory_total=2 * MIB, memory_used=MIB, utilisation=5)
    announce(redis, GPU_QUEUE, gpus=(card,))
    announce(redis, GPU_QUEUE, worker="gpu-2@box", pid=8, gpus=(card,))

    assert collect(settings, ledger, redis).gpus == (("box", card),)


def test_the_reader_is_named(settings: Settings, ledger: Ledger) -> None:
    assert collect(settings, ledger, None).llm.ok  # nobody has ever had a model here
    large = ModelInfo(name="shoebox-large", parameters=8_000_000_000)
    small = ModelInfo(name="shoebox-small", parameters=1_000_000_000)
    known = KnownModels(by_queue={GPU_QUEUE: (large,), CPU_QUEUE: (small,)}, problem="")
    save_circuit(ledger, Circuit(known=known).succeeded())

    reader = collect(settings, ledger, None).llm
    assert (reader.model, reader.queue, reader.ok) == ("shoebox-large", GPU_QUEUE, True)
    assert (
        reader.words
        == "classify by shoebox-small on the cpu queue, analyse by shoebox-large on the gpu queue"
    )

    save_circuit(ledger, Circuit(known=known).succeeded().failed("It went away."))
    reader = collect(settings, ledger, None).llm
    assert (reader.model, reader.ok) == ("", False)
    assert "The offline engine reads. It went away." in reader.words


def test_the_workers_of_a_running_system_announce_themselves(
    own_system: Callable[..., System], nvidia_smi: Callable[[str], Path]
) -> None:
    nvidia_smi("echo '0, NVIDIA A6000, 9, 1, 0, GPU-a'; echo '1, NVIDIA L4, 9, 1, 0, GPU-b'")
    system = own_system(PATH=os.environ["PATH"])

    def seen() -> Machines | None:
        redis = connect(redis_url(system.settings))
        with Ledger.open(system.settings) as ledger, closing(redis):
            machines = collect(system.settings, ledger, redis)
        return machines if len(machines.workers) == 4 and len(machines.gpus) == 2 else None

    machines = system.await_true(seen, what="four workers and two GPUs")

    assert machines is not None
    cpu, first, second, home = machines.workers
    queues = [worker.queues for worker in machines.workers]
    assert queues == [(CPU_QUEUE,), (GPU_QUEUE,), (GPU_QUEUE,), (HOME_QUEUE,)]
    assert [worker.name.partition("@")[0] for worker in (first, second)] == ["gpu-0", "gpu-1"]
    assert [[gpu.name for gpu in worker.gpus] for worker in (first, second)] == [
        ["NVIDIA A6000"],
        ["NVIDIA L4"],
    ]
    assert (cpu.gpus, home.gpus) == ((), ())
    assert {"python", "paddleocr"} <= dict(first.software).keys()
    assert {(worker.host, worker.version) for worker in machines.workers} == {
        (socket.gethostname(), __version__)
    }
    assert machines.problems == ()


def test_a_lease_names_the_worker_and_since_when(exchange: Exchange) -> None:
    order = Order(home="h", unit=1, issue=2, document="d", stage=Stage.OCR)
    before = exchange.now()

    exchange.take_lease(order, 60)

    holder = exchange.holders("h", [1, 2])[1]
    assert (holder.worker_pid, holder.pid, holder.issue) == (os.getppid(), os.getpid(), 2)
    assert before - 0.01 <= holder.since <= exchange.now() + 0.01
    assert exchange.holders("h", []) == {}
