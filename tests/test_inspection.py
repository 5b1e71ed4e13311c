"""Celery's own tools and Flower before a real worker: what they are told, and what they cannot do."""

import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from celery import Celery
from kombu import pools
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import tasks
from app.flower.gate import Gate
from tasks.documents import Stage
from tasks.errors import ServiceError
from tasks.home_beat import HomeScheduler, OnlyBeat
from tasks.inspection import listening, wire
from tasks.inspection.answers import Asked
from tasks.inspection.shown import harmless_arguments, harmless_error, shown, shown_text
from tasks.inspection.telling import Outbox, tell
from tasks.ledger import Ledger
from tasks.orders import Order
from tasks.publishing import publish_unit
from tasks.queues import BROKER_PREFIX, get_app
from tasks.settings import Settings, get_settings
from tests.own_redis import PASSWORD, URL_PASSWORD, OwnRedis
from tests.pool_worker import HOLD, held_tasks, pool_worker
from tests.proxy import free_port
from tests.system import ROOT
from tests.test_services import eventually

REFUSED = "no orders"
PRIVATE = "Dr. Canary's bill"
ORDER = Order(
    home="h",
    unit=7,
    issue=2,
    document="d0c",
    stage=Stage.CLASSIFY,
    params={"engine": "offline", "category": PRIVATE},
    model="offline",
)


@dataclass(frozen=True)
class Worker:
    """A worker of the cpu queue, its Redis, and what looks at it."""

    process: psutil.Popen
    server: OwnRedis
    redis: Redis
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SHOEBOX_REDIS_URL": self.server.url,
            "SHOEBOX_DATA_DIR": str(self.folder / "data"),
            "PYTHONPATH": str(ROOT),
        }

    def asked(self, question: str, **arguments: object) -> Any:
        """What the worker answers."""
        control = get_app().control
        [reply] = control.broadcast(question, arguments, reply=True, limit=1, timeout=20)
        [said] = reply.values()
        return said


@pytest.fixture(scope="module")
def running_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("inspection")
    (folder / "redis").mkdir()
    with (
        OwnRedis(folder / "redis") as server,
        server.client() as redis,
        pool_worker(server.url, folder) as process,
    ):
        eventually(lambda: redis.pubsub_numsub(wire.channel(redis, wire.QUESTIONS))[0][1])
        yield Worker(process, server, redis, folder)


@pytest.fixture
def worker(running_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """The worker, with this process as its client."""
    monkeypatch.setenv("SHOEBOX_REDIS_URL", running_worker.server.url)
    forget_connections()
    yield running_worker
    forget_connections()


def forget_connections() -> None:
    pools.reset()
    get_settings.cache_clear()
    get_app.cache_clear()


@contextmanager
def busy(worker: Worker) -> Iterator[None]:
    """While the worker's one process is at work."""
    worker.redis.delete("held", "ended", "go")
    held_tasks(worker.server.url, 1)
    eventually(lambda: worker.redis.llen("held"))
    yield
    worker.redis.rpush("go", 1)
    eventually(lambda: worker.redis.llen("ended"))


def test_a_worker_that_is_busy_says_what_it_does_and_no_secret(worker: Worker) -> None:
    with busy(worker):
        [running] = worker.asked("active")
        assert running["name"] == HOLD
        assert running["delivery_info"]["routing_key"] == "cpu"
        assert worker.asked("ping") == {"ok": "pong"}
        assert worker.asked("reserved") == worker.asked("scheduled") == worker.asked("revoked") == []
        assert worker.asked("query_task", ids=[running["id"], "x"])[running["id"]][0] == "active"
        assert "shoebox.ocr" in worker.asked("registered")
        assert worker.asked("active_queues")[0]["name"] == "cpu"
        assert worker.asked("stats")["pool"]["max-concurrency"] == 1
        said = [worker.asked(one) for one in ("stats", "conf", "report", "active", "active_queues", "clock")]
    text = json.dumps(said)
    assert PASSWORD not in text
    assert URL_PASSWORD not in text
    for key in worker.redis.scan_iter(f"{BROKER_PREFIX}*pidbox*"):
        if worker.redis.type(key) == b"list":
            assert worker.redis.ttl(key) > 0


def test_a_worker_takes_no_orders(worker: Worker) -> None:
    with busy(worker):
        [running] = worker.asked("active")
        for order, arguments in (
            ("shutdown", {}),
            ("pool_grow", {"n": 5}),
            ("pool_shrink", {"n": 1}),
            ("pool_restart", {}),
            ("autoscale", {"max": 9, "min": 9}),
            ("add_consumer", {"queue": "other"}),
            ("cancel_consumer", {"queue": "cpu"}),
            ("rate_limit", {"task_name": HOLD, "rate_limit": "1/h"}),
            ("time_limit", {"task_name": HOLD, "hard": 0.1}),
            ("revoke", {"task_id": running["id"], "terminate": True, "signal": "KILL"}),
            ("terminate", {"task_id": running["id"], "signal": "KILL"}),
            ("hello", {"from_node": "x", "revoked": {running["id"]: 1.0}}),
            ("objgraph", {}),
            ("__class__", {}),
        ):
            assert REFUSED in worker.asked(order, **arguments)["error"], order
        assert worker.asked("active") == [running]
        assert worker.asked("revoked") == []
    assert worker.asked("stats")["pool"]["max-concurrency"] == 1
    assert worker.asked("active_queues")[0]["name"] == "cpu"


def test_rubbish_among_the_questions_and_a_redis_that_was_wiped_are_survived(worker: Worker) -> None:
    channel = wire.channel(worker.redis, wire.QUESTIONS)
    oid = "0" * 36
    reply_to = {"exchange": "x", "routing_key": oid}
    for body in (
        [],
        5,
        {"method": ["ping"]},
        {"method": "ping", "reply_to": {"exchange": "x", "routing_key": "cpu"}},
        {"method": "query_task", "arguments": {"ids": 5}, "reply_to": reply_to},
        {"method": "ping", "pattern": "(a+)+$", "matcher": "pcre", "reply_to": reply_to},
        {"method": "x" * 100_000, "reply_to": reply_to},
    ):
        worker.redis.publish(channel, wire.message(body, "x", ""))
    for raw in (b"", b"\xff", b"[" * 60_000, b'{"body": 5}', b'{"body": "AAAA"}', b"{}"):
        worker.redis.publish(channel, raw)
    assert worker.asked("ping") == {"ok": "pong"}
    replies = [json.loads(one) for one in worker.redis.lrange(wire.reply_list(oid), 0, -1)]
    assert len(replies) == 1, "only the one that is a question is answered, with an error"
    assert worker.redis.llen(f"{BROKER_PREFIX}cpu") == 0
    worker.server.kill()
    worker.server.wipe()
    worker.server.start()
    eventually(lambda: worker.redis.pubsub_numsub(channel)[0][1])
    forget_connections()  # this side's were cut, too
    assert worker.asked("ping") == {"ok": "pong"}
    with busy(worker):
        assert len(worker.asked("active")) == 1


def test_celerys_command_and_flower_show_it(worker: Worker) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "tasks"]
    told = subprocess.run(
        [*celery, "status"], env=worker.environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "1 node online" in told.stdout
    with flower(worker) as client:
        eventually(lambda: client.get("/api/workers", params={"status": 1}).json())
        node = next(iter(client.get("/api/workers", params={"status": 1}).json()))
        assert node.startswith("cpu@")
        publish_unit(ORDER, "cpu", Settings(data_dir=worker.folder / "data"))
        with busy(worker):
            eventually(lambda: len(client.get("/api/tasks").json()) == 2)
            tasks = {one["name"]: one for one in client.get("/api/tasks").json().values()}
            held_tasks(worker.server.url, 1)
            lengths = client.get("/api/queues/length").json()["active_queues"]
            assert {"name": "cpu", "messages": 1} in lengths
            worker.redis.rpush("go", 1)
        assert tasks[HOLD]["state"] == "STARTED"
        failed = tasks["shoebox.classify"]
        assert failed["state"] == "FAILURE"
        assert failed["uuid"] == "h.7.2"
        assert failed["exception"] == "NoResultError('lost')"
        assert failed["traceback"] is None
        assert failed["routing_key"] == "cpu"
        assert "'document': 'd0c'" in failed["kwargs"]
        ended = client.get(f"/api/task/info/{tasks[HOLD]['uuid']}")
        eventually(lambda: client.get(f"/api/task/info/{tasks[HOLD]['uuid']}").json()["state"] == "SUCCESS")
        assert ended.status_code == 200
        pages = ("/", f"/worker/{node}", "/broker", "/task/h.7.2", "/api/workers?refresh=1", "/api/tasks")
        everything = "".join(client.get(page).text for page in pages)
        for secret in (PASSWORD, URL_PASSWORD, PRIVATE, "Canary"):
            assert secret not in everything
        orders = (
            f"worker/shutdown/{node}",
            f"task/apply/{HOLD}",
            f"task/send-task/{HOLD}",
            "task/revoke/h.7.2",
        )
        for order in orders:
            assert client.post(f"/api/{order}").status_code == 403
        rows = {"draw": 1, "start": 0, "length": 9, "order[0][column]": 0, "columns[0][data]": "name"}
        assert client.post("/tasks/datatable", data=rows).json()["recordsTotal"] >= 2
        assert client.get("/api/tasks", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401
        assert "access-control-allow-origin" not in client.get("/api/tasks").headers
    assert worker.process.is_running()


@contextmanager
def flower(worker: Worker) -> Iterator[httpx.Client]:
    """A client of Flower, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "app", "flower", "--port", str(port)]
    with (worker.folder / "flower.log").open("wb") as log:
        process = subprocess.Popen(command, env=worker.environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

            def answers() -> bool:
                with suppress(httpx.TransportError):
                    return client.get("/healthcheck").status_code == 200
                return False

            eventually(answers)
            yield client
    finally:
        process.terminate()
        assert process.wait() == 0
    assert PASSWORD not in (worker.folder / "flower.log").read_text()


# ---------------------------------------------------------------- the parts, without a worker


def test_only_ids_are_shown_of_what_a_task_is_given() -> None:
    sent = {"order": ORDER.model_dump(mode="json")}
    expected = {
        "home": "h",
        "unit": 7,
        "issue": 2,
        "document": "d0c",
        "stage": "classify",
        "model": "offline",
    }
    assert shown(sent) == expected
    assert harmless_arguments(shown_text(sent)) == shown_text(sent) == repr(expected)
    assert shown({"query": {"text": PRIVATE, "model": "m"}}) == {}
    assert shown({"order": {"unit": True, "document": PRIVATE, "home": ["x"], "model": "m" * 999}}) == {}
    for kwargs in (None, [], "x", 5, {"order": "x"}):
        assert shown(kwargs) == {}
    for text in (repr(sent), "{'unit': 'my bill'}", "{'name': 'bill.pdf'}", "{'unit': 7", "", None, 5):
        assert harmless_arguments(text) == "{}"
    assert harmless_error("NoResultError('no model')") == "NoResultError('no model')"
    assert harmless_error(f"ValueError('{PRIVATE}')") == "ValueError"
    assert harmless_error("TimeLimitExceeded(60.0)") == "TimeLimitExceeded"
    assert harmless_error("'a bill'") == harmless_error(None) == ""


def test_a_worker_tells_of_tasks_only_while_somebody_listens(redis: Redis) -> None:
    outbox = Outbox("cpu@box")
    outbox.send("task-started", uuid="a")
    assert outbox.take(0) == []
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.psubscribe(wire.channel(redis, wire.EVENTS) + "/*")
    eventually(redis.pubsub_numpat)
    telling = threading.Thread(target=tell, args=(redis, outbox))
    telling.start()
    eventually(lambda: outbox.listeners == 1)
    outbox.routed("a", "cpu")
    outbox.send("task-received", uuid="a", name="shoebox.ocr", kwargs=PRIVATE, args=PRIVATE, secret=PRIVATE)
    outbox.send("task-failed", uuid="a", exception=f"ValueError('{PRIVATE}')", traceback=PRIVATE)
    outbox.close()
    telling.join()
    told: list[Any] = []
    while not told or told[-1]["type"] != "worker-offline":
        message = heard.get_message(timeout=20)
        body = wire.body_of(message["data"]) if message else []
        told += body if isinstance(body, list) else [body]
    kinds = [event["type"] for event in told]
    assert kinds == ["worker-online", "task-received", "task-failed", "worker-offline"]
    assert (told[1]["routing_key"], told[1]["kwargs"], told[2]["exception"]) == ("cpu", "{}", "ValueError")
    assert "Canary" not in json.dumps(told)
    heard.close()
    eventually(lambda: not redis.pubsub_numpat())
    outbox = Outbox("cpu@box")
    outbox.close()
    tell(redis, outbox)
    assert outbox.listeners == 0


def test_a_burst_of_events_takes_little_memory_where_redis_does_not_take_them() -> None:
    outbox = Outbox("cpu@box")
    outbox.listeners = 1
    for number in range(5_000):
        outbox.send("task-started", uuid=str(number))
    taken = 0
    while events := outbox.take(0):
        taken += len(events)
    assert taken == 2_000


def test_a_user_of_redis_that_may_not_subscribe_costs_a_line_in_the_log(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    rights = "~shoebox:* resetchannels +@all -@admin -@dangerous +info"
    redis.execute_command(f"ACL SETUSER shoebox on >word {rights}")
    path = redis.connection_pool.connection_kwargs["path"]
    client = Redis(unix_socket_path=path, username="shoebox", password="word")
    ended = threading.Event()
    hearing = threading.Thread(target=listening.listen, args=(client, Asked(None), "cpu@box", ended))
    hearing.start()
    eventually(lambda: "does not let its user subscribe" in caplog.text)
    ended.set()
    hearing.join()
    client.close()


def test_a_line_to_redis_that_is_dead_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_LOOK", 0.05), ("_PING", 0.1), ("_SILENT", 2.0), ("_PAUSE", 0.05)):
        monkeypatch.setattr(listening, f"{name}_SECONDS", seconds)
    subscribed: list[int] = []

    class Watched(Redis):
        def pubsub(self, **options: Any) -> Any:
            subscribed.append(1)
            return super().pubsub(**options)

    with OwnRedis(tmp_path) as server, server.client() as boss:
        client = Watched(port=server.port, password=PASSWORD, socket_timeout=1, retry=Retry(NoBackoff(), 0))
        ended = threading.Event()
        hearing = threading.Thread(target=listening.listen, args=(client, Asked(None), "cpu@box", ended))
        hearing.start()
        eventually(lambda: boss.pubsub_numsub(wire.channel(client, wire.QUESTIONS))[0][1])
        os.kill(boss.info("server")["process_id"], signal.SIGSTOP)
        eventually(lambda: len(subscribed) > 1)
        ended.set()
        hearing.join()


def test_a_home_has_one_beat(settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOEBOX_DATA_DIR", str(settings.data_dir))
    get_settings.cache_clear()
    first = OnlyBeat(settings)
    first.take()
    with pytest.raises(ServiceError, match=f"process {os.getpid()}"):
        OnlyBeat(settings).take()
    with pytest.raises(SystemExit, match="has a beat already"):
        HomeScheduler(app=Celery(), lazy=False)
    first.give_back()
    scheduler = HomeScheduler(app=Celery(), lazy=False)
    assert scheduler.schedule["tick"].task == "shoebox.tick"
    assert scheduler.schedule["tick"].options["queue"] == f"home.{ledger.home}"
    get_settings.cache_clear()


def test_celerys_command_says_in_words_that_redis_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    get_app.cache_clear()
    with pytest.raises(ServiceError):
        _ = tasks.app
    for command in ("/x/.venv/bin/celery", "/x/celery/__main__.py"):
        monkeypatch.setattr(sys, "argv", [command, "-A", "tasks", "status"])
        with pytest.raises(SystemExit, match=r"not running\.\nStart it with: \./run\.sh up"):
            _ = tasks.app


def basic(login: str) -> dict[str, str]:
    return {"Host": "x", "Authorization": "Basic " + b64encode(login.encode()).decode()}


@pytest.mark.parametrize(
    ("method", "path", "headers", "client", "status"),
    [
        ("GET", "/", {"Host": "localhost:5555"}, "127.0.0.1", None),
        ("GET", "/", {"Host": "[::1]:5555"}, "::1", None),
        ("POST", "/tasks/datatable", {"Host": "127.0.0.1"}, "127.0.0.1", None),
        ("POST", "/api/task/revoke/x", {"Host": "127.0.0.1"}, "127.0.0.1", 403),
        ("POST", "/api/task/revoke/x", {"Authorization": "Bearer secret"}, "10.0.0.2", 403),
        ("GET", "/", {"Host": "evil.example"}, "127.0.0.1", 421),
        ("GET", "/", {}, "127.0.0.1", 421),
        ("GET", "/", {"Host": "127.0.0.1"}, "10.0.0.2", 401),
        ("GET", "/metrics", {"Host": "127.0.0.1", "Via": "1.1 x"}, "127.0.0.1", 401),
        ("GET", "/", basic("shoebox:secret"), "10.0.0.2", None),
        ("GET", "/", basic("root:secret"), "10.0.0.2", 401),
        ("GET", "/", {"Host": "x", "Authorization": "Basic \xe4"}, "10.0.0.2", 401),
        ("GET", "/", {"Host": "x", "Authorization": "Bearer secre"}, "10.0.0.2", 401),
    ],
)
def test_flower_is_looked_at_from_this_machine_or_with_the_token(
    method: str, path: str, headers: dict[str, str], client: str, status: int | None
) -> None:
    denial = Gate("secret", needs_token=False).denial(method, path, headers, client)
    assert (denial.status if denial else None) == status
    if "Authorization" not in headers:
        closed = Gate("secret", needs_token=True).denial(method, path, headers, client)
        assert closed is not None
        assert closed.status == 401
