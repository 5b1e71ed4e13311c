"""A whole system that was started carelessly, whose Redis takes messages from anybody: what they can do."""

import base64
import json
import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from app.doctor import check_llm_server, check_recipes, check_redis, check_search, check_services
from app.trust_check import check_trust
from tasks.broker_url import redis_config_path, redis_url, runtime_dir
from tasks.documents import State
from tasks.exchange import connect
from tasks.ledger import Ledger
from tasks.planning import CPU_QUEUE, GPU_QUEUE
from tasks.queues import broker_lists, home_queue
from tests.system import System, running

pytestmark = pytest.mark.timeout(300)

SECRETS = {
    "SHOEBOX_OPENAI_KEY": "CANARY-openai-key-7f3a",
    "SHOEBOX_WEBHOOK_SECRET": "CANARY-webhook-secret-91bc",
    "SHOEBOX_WEBHOOK_URL": "http://user:CANARY-webhook-password@127.0.0.1:1/CANARY-webhook-token",
    "OLLAMA_HOST": "http://user:CANARY-ollama-password@127.0.0.1:1",
}
PAPER = "Invoice 12 from Lamp Co. Total 30.00 EUR, due 2026-03-01. Thank you for your order.\n" * 3


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that was started under umask 0 and knows secrets."""
    before = os.umask(0)
    try:
        with running(tmp_path_factory.mktemp("careless"), **SECRETS) as system:
            yield system
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def redis(careless: System) -> Iterator[Redis]:
    """What somebody has who knows the password."""
    with connect(redis_url(careless.settings)) as client:
        yield client


def home_of(system: System) -> str:
    with Ledger.open(system.settings) as ledger:
        return ledger.home


def queues(system: System) -> tuple[str, ...]:
    """The lists in Redis that the workers take from."""
    return tuple(broker_lists(queue)[0] for queue in (home_queue(home_of(system)), CPU_QUEUE, GPU_QUEUE))


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def message(body: object = ((), {}, {}), **changes: Any) -> str:
    """A message as Celery writes it, changed."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    changes.setdefault("headers", {"lang": "py", "task": "shoebox.tick", "id": "a.1.1"})
    properties = {
        "correlation_id": "a.1.1",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "cpu"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": os.urandom(8).hex(),
        **changes.pop("properties", {}),
    }
    return json.dumps(
        {
            "body": base64.b64encode(raw).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "properties": properties,
            **changes,
        }
    )


def rubbish(touched: Path) -> list[str | bytes]:
    """Messages that Shoebox never writes."""
    tick = {"lang": "py", "task": "shoebox.tick", "id": "a.1.1"}
    python = "application/x-python-serialize"
    return [
        *(b"\xff\xfe\x00", b"[]", b"{}", b"null", b"5", b'"x"', b"[" * 100_000, b'{"body": 5}'),
        *(message(headers=wrong) for wrong in (None, 5, [], {"task": ["x"], "id": "a"}, {**tick, "id": 5})),
        *(message(headers={**tick, "timelimit": wrong}) for wrong in (5, ["a", "b"], [1], {"a": 1})),
        *(message(headers={**tick, "eta": "never"}), message(headers={**tick, "expires": [1]})),
        *(message(body=wrong) for wrong in (b"no json", 5, [[], {}], [[], {"a": 1}, {}])),
        *(message(properties={name: 5}) for name in ("body_encoding", "delivery_info", "delivery_tag")),
        message(headers={**tick, "task": "no.such.task"}),
        message(headers={**tick, "task": "shoebox.record"}, body=[[], {"unit": "x"}, {}]),
        message(headers={**tick, "task": "shoebox.ocr"}, body=[[], {"order": 5}, {}]),
        message(body=pickle.dumps(Malicious(touched)), **{"content-type": python}),
        message(body=pickle.dumps(((Malicious(touched),), {}, {})), **{"content-type": python}),
        message(body=pickle.dumps(Malicious(touched))),
        message(body=b"!!python/object/apply:os.mkdir [x]", **{"content-type": "application/x-yaml"}),
    ]


def take(system: System, name: str) -> State:
    """Have a paper read, to the end of its way."""
    paper = system.folder / name
    paper.write_text(f"{name}: {PAPER}")
    system.run("add", paper, "--wait", check=False)
    return next(document.state for document in system.documents() if document.name == name)


def test_rubbish_in_the_queues_runs_nothing_and_stops_no_worker(careless: System, redis: Redis) -> None:
    touched = careless.folder / "touched"
    pids = {program["name"]: program["pid"] for program in careless.json("status")["programs"]}
    names = queues(careless)
    for queue in names:
        redis.lpush(queue, *rubbish(touched))
    assert take(careless, "after-rubbish.txt") in (State.DONE, State.REVIEW, State.WAITING)
    careless.await_true(lambda: not any(map(redis.llen, names)), what="the queues are empty")
    assert not touched.exists()
    assert {program["name"]: program["pid"] for program in careless.json("status")["programs"]} == pids
    log = (careless.settings.log_dir / "home.log").read_text()
    assert "ContentDisallowed" in log  # pickle and YAML


def test_no_message_has_a_worker_read_a_file_of_its_machine(careless: System, redis: Redis) -> None:
    """Reading is home's, and only of what lies in the spool under a hash."""
    secret = careless.folder / "secret.txt"
    secret.write_text("CANARY-file: private words that were never added.\n" * 20)
    names, home = queues(careless), home_of(careless)
    for number, queue in enumerate(names, start=9001):
        for task, unit, stage, params in (
            ("shoebox.extract", number, "extract", {"sha256": str(secret), "name": "secret.txt"}),
            (
                "shoebox.render",
                number + 10,
                "ocr",
                {"sha256": str(secret), "mime": "image/png", "pages": [1]},
            ),
        ):
            order = {
                "home": home,
                "unit": unit,
                "issue": 1,
                "document": "x",
                "stage": stage,
                "params": params,
            }
            headers = {"lang": "py", "task": task, "id": f"{home}.{unit}.1"}
            redis.lpush(queue, message([[], {"order": order}, {}], headers=headers))
    assert take(careless, "after-spying.txt") in (State.DONE, State.REVIEW, State.WAITING)
    careless.await_true(lambda: not any(map(redis.llen, names)), what="the queues are empty")
    for key in redis.scan_iter("shoebox:*"):
        kind = redis.type(key)
        parts = redis.lrange(key, 0, -1) if kind == b"list" else [redis.get(key)] if kind == b"string" else []
        assert not any(b"CANARY-file" in (part or b"") for part in parts)
        assert b":9002:" not in key and b":9003:" not in key  # cpu and gpu do not even know such tasks


def test_secrets_are_nowhere_but_in_their_own_files_and_environments(
    careless: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = redis_url(careless.settings).partition("@")[0].rpartition(":")[2]
    secrets = [password, *("CANARY-openai", "CANARY-webhook", "CANARY-ollama")]
    said = []
    for arguments in (["status"], ["status", "--json"], ["invite"]):
        done = careless.run(*arguments, check=False)
        said.append(done.stdout + done.stderr)
    said += [
        " ".join(process.cmdline())
        for process in psutil.process_iter()
        if process.pid in careless.processes()
    ]
    monkeypatch.setenv("OLLAMA_HOST", SECRETS["OLLAMA_HOST"])
    checks = (check_redis, check_services, check_llm_server, check_search, check_recipes, check_trust)
    said += [repr(check(careless.settings)) for check in checks]
    for text in said:
        assert not any(secret in text for secret in secrets), text
    for path in careless.settings.data_dir.rglob("*"):
        if path.is_file() and path != redis_config_path(careless.settings):
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path


def test_everything_is_private_whatever_the_umask_is(careless: System) -> None:
    for base in (careless.settings.data_dir, runtime_dir(careless.settings)):
        for path in (base, *base.rglob("*")):
            info = path.lstat()
            if not stat.S_ISLNK(info.st_mode):
                assert not info.st_mode & 0o077, f"{path} has mode {stat.S_IMODE(info.st_mode):o}"


def test_nothing_listens_but_on_sockets_in_the_private_folder(careless: System) -> None:
    for pid in careless.processes():
        for connection in psutil.Process(pid).net_connections(kind="all"):
            if connection.status == psutil.CONN_LISTEN:
                pytest.fail(f"process {pid} listens on {connection.laddr}")
