"""A worker's own numbers: counted over the deaths of its processes, and served while it is at work."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from app.api.access import Access
from app.commands import working
from app.commands.services import _metrics
from app.metrics import worker as serving
from app.metrics.worker import _Served
from app.services import default_programs
from app.worker_plan import metrics_line, plan_workers
from tasks.documents import Stage
from tasks.errors import ConfigError
from tasks.exchange import Exchange
from tasks.gpu import Gpu
from tasks.metrics.declared import WORKER_METRICS, Kind
from tasks.metrics.shared import SharedCounts
from tasks.metrics.worker import BusyClock, WorkerNumbers
from tasks.orders import Order
from tasks.settings import Settings
from tests.api import BEARER, TOKEN
from tests.metrics import GPU, Scrape, full_worker_page, parsed, presence
from tests.pool_worker import held_unit, pool_worker, url_of
from tests.proxy import free_port
from tests.test_services import eventually

UNIT = {"stage": "analyse"}


def page(port: int, path: str = "/metrics", **headers: str) -> tuple[int, bytes]:
    """What a worker answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def scraped(port: int) -> Scrape | None:
    """A worker's page; None while nobody listens."""
    try:
        return parsed(page(port)[1])
    except OSError:
        return None


def order(unit: int) -> Order:
    return Order(home="h", unit=unit, issue=1, document="d", stage=Stage.ANALYSE, model="offline")


def test_a_real_worker_is_scraped_while_it_works_and_counts_on_when_its_process_is_killed(
    redis: Redis, tmp_path: Path
) -> None:
    url, port = url_of(redis), free_port()
    settings = {
        "SHOEBOX_CPU_CONCURRENCY": "1",
        "SHOEBOX_METRICS_PORT": str(port),
        "SHOEBOX_ENGINE": "offline",
    }

    def value(name: str, **labels: str) -> float:
        scrape = scraped(port)
        assert scrape is not None
        return scrape.value(name, **labels) if scrape.has(name, **labels) else 0.0

    with pool_worker(url, tmp_path, **settings) as worker:
        eventually(lambda: scraped(port) and value("shoebox_worker_redis_up") == 1)
        assert value("shoebox_worker_busy_processes") == 0
        assert value("shoebox_worker_slots") == 1
        eventually(lambda: Exchange(redis).presence()[0].metrics == f"127.0.0.1:{port}")

        held_unit(url, order(1))
        eventually(lambda: redis.llen("held") == 1)
        eventually(lambda: value("shoebox_worker_busy_seconds_total", queue="cpu") > 0)  # it is still at it
        assert value("shoebox_worker_busy_processes") == 1
        assert value("shoebox_worker_units_done_total", **UNIT) == 0
        redis.lpush("go", 1)
        eventually(lambda: value("shoebox_worker_units_done_total", **UNIT) == 1)
        eventually(lambda: value("shoebox_worker_busy_processes") == 0)

        held_unit(url, order(2))
        eventually(lambda: redis.llen("held") == 2)
        [busy] = worker.children()
        before = scraped(port)
        busy.send_signal(signal.SIGKILL)
        eventually(lambda: value("shoebox_worker_unit_failures_total", kind="died", **UNIT) == 1)
        held_unit(url, order(3))
        eventually(lambda: redis.llen("held") == 3)
        redis.lpush("go", 1)
        eventually(lambda: value("shoebox_worker_units_done_total", **UNIT) == 2)

        after = scraped(port)
        assert before is not None and after is not None
        assert all(after.counters()[key] >= was for key, was in before.counters().items())
        taken = {"engine": "offline", **UNIT}
        assert after.value("shoebox_worker_unit_duration_seconds_count", **taken) == 2


def test_a_worker_of_the_gpu_queue_says_every_metric() -> None:
    scrape = parsed(full_worker_page())
    for metric in WORKER_METRICS:
        assert metric.name.startswith("shoebox_worker_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        family = scrape.families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*metric.labels}, metric.name
    assert len(scrape.families) == len(WORKER_METRICS)
    assert scrape.value("shoebox_worker_gpu_utilisation_ratio", gpu="0") == GPU.utilisation / 100  # type: ignore[operator]
    assert scrape.value("shoebox_worker_unit_failures_total", kind="died", **UNIT) == 1


def test_who_takes_the_place_of_a_dead_process_counts_on() -> None:
    counts = SharedCounts(2)
    first, other = counts.place(0), counts.place(1)
    first.add("units_done_total", ("ocr",), 1)
    first.is_at_work(working=True)
    other.add("units_done_total", ("ocr",), 2)
    assert counts.at_work() == [os.getpid()]
    second = counts.place(0)
    assert counts.at_work() == []
    second.add("units_done_total", ("ocr",), 3)
    second.add("units_done_total", ("größer",), 1)
    assert counts.totals() == {("units_done_total", ("ocr",)): 6.0, ("units_done_total", ("größer",)): 1.0}
    with pytest.raises(IndexError):
        counts.place(2)


def test_names_without_end_take_no_more_than_their_place() -> None:
    counts = SharedCounts(2)
    counts.place(1).add("kept", (), 7)
    place = counts.place(0)
    for number in range(400):
        place.add("made_up", (str(number),), 1)
    place.add("long", ("x" * 500,), 1)
    place.add("made_up", ("0",), 1)  # what is there goes on
    totals = counts.totals()
    assert len(totals) == 256 and totals["kept", ()] == 7 and totals["made_up", ("0",)] == 2


def test_what_a_forked_process_counts_is_seen_by_its_parent() -> None:
    counts = SharedCounts(1)
    child = os.fork()
    if not child:
        counts.place(0).add("units_done_total", ("ocr",), 5)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert counts.totals() == {("units_done_total", ("ocr",)): 5.0}


def test_a_process_is_busy_while_it_is_at_a_task_not_only_afterwards() -> None:
    numbers = WorkerNumbers("gpu", 1)
    clock = BusyClock(numbers.counts.place(0), "gpu")

    def seconds() -> float:
        return numbers.values(0.0)["shoebox_worker_busy_seconds_total", ("gpu",)]

    clock.accrue(100.0)
    assert seconds() == 0
    clock.begin(100.0)
    clock.accrue(101.0)
    assert seconds() == 1
    clock.accrue(103.5)
    clock.end(104.0)
    clock.accrue(110.0)
    assert seconds() == 4
    clock.begin(200.0)
    clock.end(201.0)
    assert seconds() == 5


def test_a_worker_that_is_cut_off_says_so() -> None:
    numbers = WorkerNumbers("cpu", 1)
    assert numbers.values(0.0)["shoebox_worker_redis_up", ()] == 0
    numbers.note_presence(presence("cpu", llm_problem="none"), 100.0)
    assert numbers.values(103.0)["shoebox_worker_redis_up", ()] == 1
    assert numbers.values(120.0)["shoebox_worker_redis_up", ()] == 0
    assert numbers.values(103.0)["shoebox_worker_model_server_up", ()] == 0
    home = WorkerNumbers("home", 1, asks_models=False)
    home.note_presence(presence("home", llm_problem="none"), 100.0)
    assert ("shoebox_worker_model_server_up", ()) not in home.values(103.0)


# ---------------------------------------------------------------- its server


@contextmanager
def served(port: int, host: str = "127.0.0.1") -> Iterator[_Served]:
    settings = Settings(metrics_port=port, metrics_host=host)
    access = Access(settings, TOKEN, needs_token=host != "127.0.0.1")
    one = _Served(settings, WorkerNumbers("cpu", 1), access)
    one.begin()
    try:
        yield one
    finally:
        eventually(lambda: one._server is not None)
        assert one._server is not None
        one._server.shutdown()
        one._server.server_close()


def test_it_is_open_on_this_machine_and_asks_for_the_token_elsewhere() -> None:
    port = free_port()
    with served(port):
        eventually(lambda: scraped(port))
        assert page(port)[0] == 200
        assert page(port, Accept="application/openmetrics-text")[1].endswith(b"# EOF\n")
        assert page(port, "/health")[0] == page(port, "/../etc/passwd")[0] == 404
        assert page(port, Host="evil.example")[0] == 421
        assert page(port, **{"X-Forwarded-For": "192.0.2.7"})[0] == 401
        assert page(port, Authorization="Bearer wrong")[0] == 401
    port = free_port()
    with served(port, "0.0.0.0"):
        eventually(lambda: page_or_none(port))
        assert page(port)[0] == page(port, "/health")[0] == 401
        assert page(port, **BEARER)[0] == 200


def page_or_none(port: int) -> int | None:
    """How a worker answers; None while it does not."""
    try:
        return page(port)[0]
    except (OSError, HTTPException):
        return None


def test_a_port_that_is_taken_costs_the_numbers_until_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "_AGAIN_SECONDS", 0.05)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with served(port):
            eventually(lambda: "Numbers are not served" in caplog.text)
            taken.close()
            eventually(lambda: scraped(port))
    assert caplog.text.count("Numbers are not served") == 1 and str(port) in caplog.text


def test_a_token_that_others_can_read_costs_the_numbers_not_the_worker(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(serving, "switch_on", lambda queue, _: begun.append(queue))
    settings.data_dir.mkdir()
    (settings.data_dir / "api.token").write_text("t" * 43)
    (settings.data_dir / "api.token").chmod(0o644)
    serving.serve_metrics(settings, "cpu", 1)
    assert not begun and "Numbers are not served" in caplog.text and "can be read by others" in caplog.text


def test_status_names_who_should_serve_numbers_and_does_not(settings: Settings) -> None:
    here = presence("cpu").model_copy(update={"host": socket.gethostname()})
    well = here.model_copy(update={"worker": "home@box", "metrics": "127.0.0.1:9810"})
    wanted = settings.model_copy(update={"metrics_port": 9810})
    assert _metrics(wanted, [here, well, presence("gpu")]) == {
        "at": {"home@box": "127.0.0.1:9810"},
        "missing": ["cpu@box"],
    }
    assert _metrics(settings, [here])["missing"] == []


def test_clients_that_say_nothing_or_say_it_slowly_keep_nobody_out_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_PATIENCE_SECONDS", 0.5)
    port = free_port()
    with served(port), ExitStack() as clients:
        eventually(lambda: scraped(port))
        for _ in range(20):  # more than are answered at the same time
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"GET /met")
        eventually(lambda: page_or_none(port) == 200)


# ---------------------------------------------------------------- several on one machine


def test_the_option_goes_before_the_setting_and_reaches_every_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[tuple[int, str]] = []

    def serve(settings: Settings, queues: tuple[str, ...], _: float | None) -> int:
        ran.append((settings.metrics_port, os.environ["SHOEBOX_METRICS_PORT"]))
        return len(queues) - 2

    monkeypatch.setattr("app.commands.working._serve_headless", serve)
    for what in ("tasks.lifeline.die_with_parent", "tasks.logs.configure"):  # of a process of its own
        monkeypatch.setattr(what, lambda *_: None)
    monkeypatch.setenv("SHOEBOX_METRICS_PORT", "9000")
    done = CliRunner().invoke(working.worker, ["--metrics-port", "9810"])
    assert (done.exit_code, ran) == (0, [(9810, "9810")]), done.output
    assert CliRunner().invoke(working.worker, ["--metrics-port", "0"]).exit_code == 2


def test_each_worker_of_a_machine_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [Gpu(index=n, name="L4", memory_total=1, memory_used=0, uuid=f"GPU-{n}") for n in (0, 1)]
    planned = plan_workers(("home", "cpu", "gpu"), cards, metrics_port=9810)
    ports = [one.environment["SHOEBOX_METRICS_PORT"] for one in planned]
    assert ports == ["9810", "9811", "9812", "9813"]
    assert metrics_line(planned, "127.0.0.1") == (
        "Numbers for Prometheus at 127.0.0.1: home on port 9810, cpu on port 9811,"
        " gpu-0 on port 9812, gpu-1 on port 9813."
    )
    with pytest.raises(ConfigError, match="4 workers"):
        plan_workers(("home", "cpu", "gpu"), cards, metrics_port=65533)
    monkeypatch.setattr("app.worker_plan.visible_gpus", lambda: ())
    programs = {one.name: one.environment for one in default_programs(Settings(metrics_port=9810))}
    assert programs["cpu"] == {"SHOEBOX_METRICS_PORT": "9811"}
    assert programs["beat"] == {}
    assert default_programs(Settings())[1].environment == {}
