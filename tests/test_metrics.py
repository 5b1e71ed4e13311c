"""/metrics of the API: equal to what ledger and Redis know, in Prometheus' own forms, never in the way."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api import numbers
from app.api.application import ROUTERS
from app.api.numbers import Source
from app.metrics.home import Values, disk_values, ledger_values
from tasks.circuit import load_circuit, save_circuit
from tasks.documents import FINAL_STATES, Failure, Stage, State
from tasks.exchange import Exchange
from tasks.homes import announce_home
from tasks.ledger import DocumentRow, Ledger
from tasks.metrics.declared import FAILURE_KINDS, HOME_METRICS, OTHER, Kind
from tasks.metrics.exposition import OPEN_METRICS, exposition
from tasks.orders import Outcome, Swap
from tasks.settings import Settings
from tasks.units import mark_queued, units_of
from tests.api import BEARER, ELSEWHERE, api_client, in_loop
from tests.metrics import Scrape, announce_workers, call, parsed, presence
from tests.pool_worker import url_of
from tests.system import ROOT
from tests.test_corrections import INVOICE, Desk

NOW = 2_000_000_000.0
OPEN = {"Accept": "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"}


@pytest.fixture
def desk(ledger: Ledger, settings: Settings, tmp_path: Path) -> Desk:
    return Desk(ledger, settings, tmp_path)


def submitted(desk: Desk, name: str) -> str:
    path = desk.folder / name
    path.write_text(name)
    return desk.pipeline.submit(path, "builtin", urgent=False).document.id


def fail(desk: Desk, document: str, kind: str, **more: Any) -> None:
    unit = mark_queued(desk.ledger, desk.waiting(document)[0].id)
    desk.pipeline.record(
        unit.id, Outcome(issue=unit.issue, failure=Failure(kind=kind, message="secret words"), **more)
    )


def look(ledger: Ledger, settings: Settings) -> Scrape:
    """What a scrape says of the ledger."""
    return parsed(exposition(HOME_METRICS, ledger_values(ledger, settings, NOW), "")[0])


def assert_true(scrape: Scrape, ledger: Ledger) -> None:
    """Every gauge of documents, units and queues is what the ledger says when it is asked in another way."""
    documents = ledger.documents()
    states = Counter(document.state.value for document in documents)
    units = [unit for document in documents for unit in units_of(ledger, document.id)]
    by_stage = Counter((unit.stage.value, unit.state.value) for unit in units)
    for state in State:
        if state is not State.QUEUED:
            assert scrape.value("shoebox_documents", state=state.value) == states[state]
        for stage in Stage:
            if state is not State.REVIEW:
                said = scrape.value("shoebox_units", stage=stage.value, state=state.value)
                assert said == by_stage[stage.value, state.value]
    for queue in ("home", "cpu", "gpu"):
        left = [unit for unit in units if unit.queue == queue and unit.state not in FINAL_STATES]
        waiting = sum(unit.state is State.WAITING for unit in left)
        assert scrape.value("shoebox_queue_units", queue=queue, state="waiting") == waiting
        assert scrape.value("shoebox_queue_units", queue=queue, state="out") == len(left) - waiting
        oldest = min((unit.planned_at for unit in left), default=NOW)
        assert scrape.value("shoebox_queue_oldest_unit_seconds", queue=queue) == pytest.approx(NOW - oldest)


def test_documents_in_every_state_are_told_as_the_ledger_has_them(desk: Desk, settings: Settings) -> None:
    read, accepted = desk.read(INVOICE), desk.read("Nothing that tells what it is.")
    assert desk.row(accepted).state is State.REVIEW
    fail(desk, submitted(desk, "locked.pdf"), "file")
    fail(desk, submitted(desk, "bomb.zip"), "limit")
    desk.pipeline.cancel(desk.row(submitted(desk, "cancelled.txt")))
    submitted(desk, "waiting.txt")
    mark_queued(desk.ledger, desk.waiting(submitted(desk, "out.txt"))[0].id)

    before = look(desk.ledger, settings)
    assert_true(before, desk.ledger)
    assert before.value("shoebox_documents_added_total") == 7
    ended = {
        state: before.value("shoebox_documents_ended_total", state=state.value) for state in FINAL_STATES
    }
    assert ended == dict.fromkeys(FINAL_STATES, 1)
    assert before.value("shoebox_unit_failures_total", stage="extract", kind="file") == 1
    assert before.value("shoebox_units_done_total", stage="extract") == 2
    assert before.value("shoebox_unit_duration_seconds_count", stage="analyse", engine="offline") == 2

    desk.pipeline.correct(desk.row(accepted), "category", "invoice")
    for document in (read, accepted):
        desk.pipeline.remove(desk.row(document))
    after = look(desk.ledger, settings)
    assert_true(after, desk.ledger)
    assert all(after.counters()[key] >= value for key, value in before.counters().items())
    assert after.value("shoebox_documents_added_total") == 7


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_gauges_are_true_and_counters_never_go_down(
    desk: Desk, settings: Settings, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents are added, read, failed, cancelled, begun again and removed in any order."""
    chance, runs, record = random.Random(seed), [0], desk.pipeline.record

    def counted(unit: int, outcome: Outcome) -> DocumentRow | None:
        runs[0] += 1
        return record(unit, outcome)

    monkeypatch.setattr(desk.pipeline, "record", counted)
    before: dict[Any, float] = {}
    for step in range(40):
        documents = desk.ledger.documents()
        open_ones = [row for row in documents if row.state not in FINAL_STATES and desk.waiting(row.id)]
        what = chance.choice(("add", "read", "fail", "fail", "cancel", "retry", "remove"))
        if what == "add" or not documents:
            if chance.random() < 0.5:
                desk.read(f"{INVOICE}{step}")
            else:
                submitted(desk, f"{step}.txt")
        elif what == "fail" and open_ones:
            kind = chance.choice([*FAILURE_KINDS[:-1], "\n{injected}"])
            fail(desk, chance.choice(open_ones).id, kind)
        elif what == "cancel" and open_ones:
            desk.pipeline.cancel(chance.choice(open_ones))
        elif what == "retry":
            desk.pipeline.retry(chance.choice(documents))
        elif what == "remove":
            desk.pipeline.remove(chance.choice(documents))
        scrape = look(desk.ledger, settings)
        assert_true(scrape, desk.ledger)
        counters = scrape.counters()
        assert all(counters[key] >= value for key, value in before.items()), what
        before = counters
        names = {"shoebox_units_done_total", "shoebox_unit_failures_total"}
        assert sum(value for (name, _), value in counters.items() if name in names) == runs[0]


def test_tokens_loads_and_durations_are_counted_by_the_model_that_home_asked_for(
    desk: Desk, settings: Settings
) -> None:
    desk.see_models()
    document = submitted(desk, "letter.txt")
    desk.files[document] = None  # type: ignore[assignment]
    desk.succeed(document, _extraction())
    [waiting] = desk.waiting(document)
    assert waiting.model.startswith("shoebox-small")
    calls = (
        call("an invented name", prompt_tokens=300, cached_tokens=200, reply_tokens=20),
        call("x" * 500, prompt_tokens=-5, reply_tokens=10**30, error="secret words"),
    )
    swaps = (Swap(loaded=waiting.model, seconds=3.5), Swap(loaded="an invented name", seconds=1e308))
    unit = mark_queued(desk.ledger, waiting.id)
    result = {"category": "letter", "confidence": 0.9, "evidence": []}
    outcome = Outcome(issue=unit.issue, result=result, seconds=0.7, calls=calls, swaps=swaps, worker="w")
    desk.pipeline.record(unit.id, outcome)

    scrape = look(desk.ledger, settings)
    small = {"model": "shoebox-small"}
    assert scrape.value("shoebox_model_calls_total", **small) == 2
    assert scrape.value("shoebox_model_call_errors_total", **small) == 1
    assert scrape.value("shoebox_prompt_tokens_total", **small) == 300
    assert scrape.value("shoebox_cached_prompt_tokens_total", **small) == 200
    assert scrape.value("shoebox_completion_tokens_total", **small) == 20 + 100_000_000
    assert scrape.value("shoebox_model_loads_total", **small) == 1
    assert scrape.value("shoebox_model_load_seconds_total", **small) == 3.5
    assert scrape.value("shoebox_model_loads_total", model="other") == 1
    assert scrape.value("shoebox_prompt_tokens_total", model="shoebox-large") == 0
    taken = {"stage": "classify", "engine": "ollama"}
    assert scrape.value("shoebox_unit_duration_seconds_bucket", le="0.5", **taken) == 0
    assert scrape.value("shoebox_unit_duration_seconds_bucket", le="1.0", **taken) == 1
    assert scrape.value("shoebox_unit_duration_seconds_bucket", le="+Inf", **taken) == 1
    assert scrape.value("shoebox_unit_duration_seconds_sum", **taken) == 0.7
    assert scrape.value("shoebox_queue_busy_seconds_total", queue=unit.queue) == 0.7


def _extraction() -> Any:
    from tasks.documents import Extraction, Page, TextSource

    page = Page(number=1, text=INVOICE, source=TextSource.LAYER, score=1.0)
    return Extraction(mime="text/plain", pages=(page,))


# ---------------------------------------------------------------- the page


@pytest.fixture
def home(redis: Redis, tmp_path: Path) -> Settings:
    """A home with a real Redis, in which workers have said that they are there."""
    settings = Settings(data_dir=tmp_path / "data", recipe_dir=tmp_path / "recipes", redis_url=url_of(redis))
    exchange = Exchange(redis)
    announce_workers(exchange)
    exchange.announce_presence(presence("cpu").model_copy(update={"version": "0", "worker": "old"}), 60)
    with Ledger.open(settings) as ledger:
        announce_home(exchange, ledger.home)
        Desk(ledger, settings, tmp_path).read(INVOICE)
        save_circuit(ledger, load_circuit(ledger).succeeded())
    return settings


@pytest.fixture
def api(home: Settings) -> Iterator[TestClient]:
    with api_client(home) as client:
        yield client


def test_a_scrape_has_every_metric_in_both_forms(api: TestClient, home: Settings) -> None:
    plain, opened = api.get("/metrics"), api.get("/metrics", headers=OPEN)
    assert (plain.status_code, opened.status_code) == (200, 200)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert opened.headers["content-type"] == OPEN_METRICS
    scrape = parsed(plain.content)
    assert parsed(opened.content, OPEN_METRICS).samples == scrape.samples  # one look, shared
    for metric in HOME_METRICS:
        family = scrape.families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*metric.labels}, metric.name
    assert len(scrape.families) == len(HOME_METRICS)
    assert scrape.value("shoebox_ledger_up") == scrape.value("shoebox_redis_up") == 1
    assert scrape.value("shoebox_home_up") == 1
    workers = {queue: scrape.value("shoebox_queue_workers", queue=queue) for queue in ("home", "cpu", "gpu")}
    assert workers == {"home": 1, "cpu": 1, "gpu": 1}
    assert scrape.value("shoebox_queue_unfit_workers", queue="cpu") == 1
    assert scrape.value("shoebox_queue_slots", queue="gpu") == 2
    assert scrape.value("shoebox_gpu_utilisation_ratio") == 0.5
    assert scrape.value("shoebox_gpu_memory_used_bytes") == 6 * 2**30
    assert scrape.value("shoebox_ledger_size_bytes") >= home.ledger_path.stat().st_size
    assert len(scrape.samples) < 400


def test_names_are_as_prometheus_wants_them() -> None:
    assert len({metric.name for metric in HOME_METRICS}) == len(HOME_METRICS)
    for metric in HOME_METRICS:
        assert re.fullmatch(r"shoebox_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert not re.search(r"milli|minutes|percent|megabytes|_ms", metric.name)
        assert metric.help.endswith(".") and "\n" not in metric.help
    assert all(module.__name__.startswith("app.api.routes.") for module in ROUTERS)


def test_every_kind_of_failure_has_a_series() -> None:
    """Their list stands where a failure is described."""
    source = (ROOT / "tasks" / "documents.py").read_text(encoding="utf-8")
    described = source.partition("class Failure(Value)")[2].partition("message: str")[0]
    kinds = set(re.findall(r"`([a-z ]+)`", described))
    assert len(kinds) > 5 and kinds == {*FAILURE_KINDS} - {OTHER}


def test_nothing_on_the_page_comes_from_a_document(desk: Desk, settings: Settings) -> None:
    desk.read(f"{INVOICE} canarytext")
    fail(desk, submitted(desk, "canaryname.pdf"), "canarykind")
    page = exposition(HOME_METRICS, ledger_values(desk.ledger, settings, NOW), "")[0].decode()
    assert parsed(page.encode()).value("shoebox_unit_failures_total", stage="extract", kind="other") == 1
    for word in ("canary", "secret", "Nordlicht", "invoice", str(settings.data_dir)):
        assert word not in page


def test_it_is_let_in_as_the_rest_of_the_api(home: Settings) -> None:
    with api_client(home, client=ELSEWHERE) as elsewhere:
        assert elsewhere.get("/metrics").status_code == 401
        assert elsewhere.get("/metrics", headers=BEARER).status_code == 200
    with api_client(home, needs_token=True) as here:
        assert here.get("/metrics").status_code == 401
    with api_client(home) as here:
        rebound = here.get("/metrics", headers={"Host": "evil.example"})
        assert rebound.status_code == 421


def test_without_redis_the_ledger_is_still_told_of(settings: Settings, desk: Desk) -> None:
    desk.read(INVOICE)
    with api_client(settings) as api:
        scrape = parsed(api.get("/metrics").content)
    assert (scrape.value("shoebox_redis_up"), scrape.value("shoebox_ledger_up")) == (0, 1)
    assert scrape.value("shoebox_documents_added_total") == 1
    # Nobody knows of workers now: no alert of a queue without one is to be raised.
    assert not scrape.has("shoebox_queue_workers", queue="cpu")
    assert not scrape.has("shoebox_home_up")


def test_what_hangs_holds_up_one_thread_and_no_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "PATIENCE_SECONDS", 0.01)

    async def scenario() -> None:
        asked, answered = [], asyncio.Event()

        async def hangs() -> Values:
            asked.append(1)
            await answered.wait()
            return {("shoebox_x", ()): 1.0}

        source = Source("Redis", hangs)
        assert [await source.values() for _ in range(3)] == [None, None, None]
        assert len(asked) == 1
        monkeypatch.setattr(numbers, "PATIENCE_SECONDS", 60)
        answered.set()
        assert await source.values() == {("shoebox_x", ()): 1.0}

        async def breaks() -> Values:
            raise OSError("secret words")

        assert await Source("the ledger", breaks).values() is None

    in_loop(scenario)


def test_looking_waits_for_no_writer_and_no_writer_for_it(
    desk: Desk, settings: Settings, ledger: Ledger
) -> None:
    document = desk.read(INVOICE)
    with Ledger.open(settings) as other:
        other.db.execute("PRAGMA busy_timeout = 0")
        with ledger.transaction():  # a writer in the middle of something
            ledger.update_document(document, state=State.FAILED)
            assert look(other, settings).value("shoebox_documents", state="failed") == 0
        seen: list[State] = []

        def writes_meanwhile(_: str) -> None:
            if not seen:
                seen.append(State.REVIEW)
                ledger.db.execute("PRAGMA busy_timeout = 0")
                ledger.update_document(document, state=State.REVIEW)

        other.db.set_trace_callback(
            lambda sql: writes_meanwhile(sql) if "FROM documents GROUP" in sql else None
        )
        scrape = look(other, settings)
    assert seen and scrape.value("shoebox_documents", state="failed") == 1
    assert look(ledger, settings).value("shoebox_documents", state="review") == 1


def test_no_scrape_reads_a_whole_table(desk: Desk, settings: Settings, ledger: Ledger) -> None:
    desk.read(INVOICE)
    asked: list[str] = []
    ledger.db.set_trace_callback(asked.append)
    ledger_values(ledger, settings, NOW)
    ledger.db.set_trace_callback(None)
    questions = [sql for sql in asked if sql.startswith("SELECT")]
    assert len(questions) > 5
    for sql in questions:
        steps = [row["detail"] for row in ledger.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        scans = {step for step in steps if step.startswith("SCAN") and "INDEX" not in step}
        assert scans <= {"SCAN tallies"}, sql


def test_nobody_is_told_of_a_model_server_that_was_never_there(desk: Desk, settings: Settings) -> None:
    assert "shoebox_model_server_up" not in look(desk.ledger, settings).names
    save_circuit(desk.ledger, load_circuit(desk.ledger).succeeded())
    assert look(desk.ledger, settings).value("shoebox_model_server_up") == 0


def test_an_open_circuit_and_a_missing_model_are_told(desk: Desk, settings: Settings) -> None:
    desk.see_models()
    scrape = look(desk.ledger, settings)
    assert scrape.value("shoebox_model_server_up") == 1
    assert scrape.value("shoebox_model_up", model="shoebox-large") == 1
    assert scrape.value("shoebox_model_circuit_open", model="shoebox-large") == 0
    circuit = load_circuit(desk.ledger)
    save_circuit(desk.ledger, circuit.model_failed("shoebox-large:latest", "secret words").failed("secret"))
    scrape = look(desk.ledger, settings)
    assert scrape.value("shoebox_model_circuit_open", model="shoebox-large") == 1
    assert scrape.value("shoebox_model_circuit_open", model="shoebox-small") == 0
    assert scrape.value("shoebox_model_server_circuit_open") == 1
    unknown = settings.model_copy(update={"large_model": "nobody-has-it"})
    assert look(desk.ledger, unknown).value("shoebox_model_up", model="nobody-has-it") == 0
    offline = settings.model_copy(update={"engine": "offline"})
    assert "shoebox_model_up" not in look(desk.ledger, offline).names


def test_a_folder_that_is_not_there_leaves_the_disk_out(settings: Settings, tmp_path: Path) -> None:
    there = disk_values(Settings(data_dir=tmp_path))
    assert 0 < there["shoebox_data_free_bytes", ()] <= there["shoebox_data_size_bytes", ()]
    gone = disk_values(settings.model_copy(update={"data_dir": tmp_path / "gone"}))
    assert ("shoebox_data_free_bytes", ()) not in gone and gone["shoebox_ledger_size_bytes", ()] == 0
