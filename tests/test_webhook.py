"""The webhook: what is sent, how it is signed, and what becomes of it when the other side is at fault."""

import hashlib
import hmac
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from app.commands.notices import notify
from tasks.documents import State
from tasks.errors import ConfigError
from tasks.ledger import Ledger
from tasks.notify.deliver import Delivery
from tasks.notify.outbox import (
    BATCH_SIZE,
    GIVE_UP_SECONDS,
    LAST_RETRY_SECONDS,
    Channel,
    Outbox,
    retry_seconds,
    tell_of_state,
)
from tasks.notify.webhook import WebhookError, post
from tasks.settings import Settings, get_settings
from tests.hooks import Receiver, drip, endless_body, hang_up, receiving, status
from tests.system import ROOT
from tests.test_tui_store import enter

SECRET = "s3cret-of-the-hook"
NOTIFY_PAGE = (ROOT / "docs" / "notify.md").read_text()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hooked(settings: Settings, receiver: Receiver) -> Settings:
    return settings.model_copy(
        update={"webhook_url": SecretStr(receiver.url), "webhook_secret": SecretStr(SECRET)}
    )


@pytest.fixture
def delivery(ledger: Ledger, hooked: Settings, clock: Clock) -> Delivery:
    return Delivery(ledger, hooked, clock=clock, jitter=lambda: 0.0)


def end(ledger: Ledger, settings: Settings, name: str, state: State, now: float, **columns: str) -> str:
    """A document that has just come into a state, as the way of documents enters it."""
    document = enter(ledger, name, state=state, **columns)
    row = ledger.document(document)
    assert row is not None
    with ledger.transaction():
        tell_of_state(ledger, settings, row, now)
    return document


def expected_signature(timestamp: str, body: bytes) -> str:
    """Computed without any of the program's own code."""
    return "sha256=" + hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def test_a_document_is_told_by_its_id_alone(
    ledger: Ledger, hooked: Settings, delivery: Delivery, receiver: Receiver, clock: Clock
) -> None:
    document = end(ledger, hooked, "salary.pdf", State.DONE, clock(), title="Salary", amount="9000.00")
    assert delivery.is_due()
    assert delivery.run() == 1
    assert not delivery.is_due()
    (request,) = receiver.received
    assert request.body == {
        "version": 1,
        "delivery": f"{ledger.home}-1",
        "events": [
            {
                "id": f"{ledger.home}-1",
                "kind": "document",
                "at": "2027-01-15T08:00:00Z",
                "document": document,
                "state": "done",
            }
        ],
    }
    assert request.headers["X-Shoebox-Delivery"] == f"{ledger.home}-1"
    assert request.headers["User-Agent"] == "Shoebox"
    timestamp = request.headers["X-Shoebox-Timestamp"]
    assert timestamp == "1800000000"
    assert request.headers["X-Shoebox-Signature"] == expected_signature(timestamp, request.raw)


def test_fields_are_told_only_where_that_is_wanted(
    ledger: Ledger, hooked: Settings, receiver: Receiver, clock: Clock
) -> None:
    settings = hooked.model_copy(update={"webhook_content": "fields", "webhook_secret": None})
    end(ledger, settings, "a\x1b[31m.pdf", State.REVIEW, clock(), category="invoice", amount="1.00")
    Delivery(ledger, settings, clock=clock).run()
    (event,) = receiver.events
    assert (event["name"], event["category"], event["amount"]) == ("a\x1b[31m.pdf", "invoice", "1.00")
    assert "X-Shoebox-Signature" not in receiver.received[0].headers


def test_many_documents_come_in_few_requests(
    ledger: Ledger, hooked: Settings, delivery: Delivery, receiver: Receiver, clock: Clock
) -> None:
    documents = [end(ledger, hooked, f"{n}.pdf", State.DONE, clock()) for n in range(250)]
    delivery.run()
    assert [len(body["events"]) for body in receiver.bodies] == [BATCH_SIZE[Channel.WEBHOOK], 100, 50]
    assert [event["document"] for event in receiver.events] == documents


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(500), "it answered 500"),
        (status(404), "it answered 404"),
        (status(302, Location="/elsewhere"), "a redirect, which is not followed"),
        (status(307, Location="/elsewhere"), "a redirect, which is not followed"),
        (hang_up, "closed the connection"),
    ],
)
def test_a_refusal_is_tried_again_with_the_same_id_and_bytes(
    answer: Callable[..., None],
    words: str,
    ledger: Ledger,
    hooked: Settings,
    delivery: Delivery,
    receiver: Receiver,
    clock: Clock,
) -> None:
    receiver.answers.append(answer)
    end(ledger, hooked, "a.pdf", State.DONE, clock())
    assert delivery.run() == 0
    assert words in Outbox(ledger).state_of(Channel.WEBHOOK).last_error
    assert not delivery.is_due()
    clock.now += 5
    end(ledger, hooked, "b.pdf", State.DONE, clock())  # what is new does not change what was tried
    assert delivery.is_due()
    assert delivery.run() == 2
    first, again, new = receiver.received
    assert first.raw == again.raw
    assert first.headers["X-Shoebox-Delivery"] == again.headers["X-Shoebox-Delivery"]
    assert new.headers["X-Shoebox-Delivery"] != first.headers["X-Shoebox-Delivery"]
    assert {request.path for request in receiver.received} == {"/hook/tok3n"}
    assert again.headers["X-Shoebox-Signature"] == expected_signature("1800000005", again.raw)


def test_a_reply_that_drips_is_cut_off_as_a_whole(receiver: Receiver) -> None:
    receiver.answers.append(drip)
    with pytest.raises(WebhookError, match=r"within 0\.3 seconds"):
        post(SecretStr(receiver.url), None, "d", b"{}", 0.0, timeout=0.3)


def test_the_body_of_a_reply_is_not_read(receiver: Receiver) -> None:
    receiver.answers.append(endless_body)
    assert post(SecretStr(receiver.url), None, "d", b"{}", 0.0) == 200


def test_the_waits_double_up_to_an_hour_and_it_is_given_up_after_three_days(
    ledger: Ledger, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as reserved:  # bound, so nobody else answers there; not listening, so it refuses
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        hooked = settings.model_copy(update={"webhook_url": SecretStr(url)})
        delivery = Delivery(ledger, hooked, clock=clock, jitter=lambda: 0.0)
        end(ledger, hooked, "a.pdf", State.DONE, clock())
        began, waits = clock(), []
        while Outbox(ledger).state_of(Channel.WEBHOOK).waiting:
            assert delivery.run() == 0
            tried_at = clock()
            step = 5 if len(waits) < 12 else 60  # the long ones are all the same
            while not delivery.is_due() and Outbox(ledger).state_of(Channel.WEBHOOK).waiting:
                clock.now += step
            waits.append(clock() - tried_at)
    assert waits[:11] == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    assert set(waits[10:-2]) == {3600}
    assert clock() - began >= GIVE_UP_SECONDS[Channel.WEBHOOK]
    assert Outbox(ledger).state_of(Channel.WEBHOOK).given_up == 1
    assert "given up" in caplog.text


def test_no_wait_is_shorter_than_five_seconds_or_longer_than_an_hour() -> None:
    waits = [retry_seconds(attempts, jitter) for attempts in range(1, 2000) for jitter in (0.0, 0.5, 1.0)]
    assert min(waits) == 5
    assert max(waits) == LAST_RETRY_SECONDS


def test_many_batches_do_not_hammer_at_a_receiver_that_is_down(
    ledger: Ledger, hooked: Settings, delivery: Delivery, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [status(503)] * 4
    for number in range(250):
        end(ledger, hooked, f"{number}.pdf", State.DONE, clock())
    tried = []
    for _ in range(60):
        before = len(receiver.received)
        if delivery.is_due():
            delivery.run()
        tried.append(len(receiver.received) - before)
        clock.now += 1
    assert [second for second, number in enumerate(tried) if number] == [0, 5, 15, 35]
    for _ in range(4):
        clock.now += LAST_RETRY_SECONDS
        delivery.run()
    assert sorted({event["id"] for event in receiver.events}) == sorted(
        {f"{ledger.home}-{number}" for number in range(1, 251)}
    )
    assert not Outbox(ledger).state_of(Channel.WEBHOOK).waiting


def test_a_batch_that_is_always_refused_holds_up_no_other(
    ledger: Ledger, hooked: Settings, clock: Clock
) -> None:
    told: list[str] = []

    def refusing_the_first(_url: object, _secret: object, delivery: str, _body: bytes, _now: float) -> int:
        if delivery.endswith("-1"):
            raise WebhookError("it answered 400")
        told.append(delivery)
        return 200

    delivery = Delivery(ledger, hooked, clock=clock, jitter=lambda: 0.0, post=refusing_the_first)
    end(ledger, hooked, "poison.pdf", State.DONE, clock())
    delivery.run()
    for number in range(5):
        clock.now += 3600
        end(ledger, hooked, f"{number}.pdf", State.DONE, clock())
        delivery.run()
        clock.now += 3600
        delivery.run()
    assert len(told) == 5


def test_two_never_deliver_at_the_same_time(ledger: Ledger, hooked: Settings, clock: Clock) -> None:
    inner: list[tuple[bool, int]] = []

    def post_and_look(*_: object) -> int:
        with Ledger.open(hooked) as other:
            second = Delivery(other, hooked, clock=clock, post=post_and_look)
            inner.append((second.is_due(), second.run()))
        return 200

    for number in range(150):
        end(ledger, hooked, f"{number}.pdf", State.DONE, clock())
    assert Delivery(ledger, hooked, clock=clock, post=post_and_look).run() == 2
    assert inner == [(False, 0), (False, 0)]


KILLED = """
import os, signal, sys
from tasks.ledger import Ledger
from tasks.notify import webhook
from tasks.notify.deliver import Delivery
from tasks.settings import get_settings

def post_and_die(*arguments):
    webhook.post(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

with Ledger.open(get_settings()) as ledger:
    Delivery(ledger, get_settings(), clock=lambda: float(sys.argv[1]), post=post_and_die).run()
"""


def test_killed_between_sending_and_marking_it_is_sent_again_under_its_id(
    ledger: Ledger, hooked: Settings, delivery: Delivery, receiver: Receiver, clock: Clock
) -> None:
    end(ledger, hooked, "a.pdf", State.DONE, clock())
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SHOEBOX_DATA_DIR": str(hooked.data_dir),
        "SHOEBOX_WEBHOOK_URL": receiver.url,
        "SHOEBOX_WEBHOOK_SECRET": SECRET,
    }
    killed = subprocess.run([sys.executable, "-c", KILLED, str(clock())], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(receiver.received) == 1
    assert not delivery.is_due()
    clock.now += 61
    assert delivery.run() == 1
    first, again = receiver.received
    assert first.raw == again.raw
    assert first.headers["X-Shoebox-Delivery"] == again.headers["X-Shoebox-Delivery"]


def test_a_clock_that_was_wrong_holds_nothing_up(
    ledger: Ledger, hooked: Settings, delivery: Delivery, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers.append(status(500))
    clock.now += 10 * 365 * 24 * 3600
    end(ledger, hooked, "a.pdf", State.DONE, clock())
    delivery.run()
    clock.now -= 10 * 365 * 24 * 3600
    assert delivery.run() == 1


def test_what_was_told_is_not_kept_and_goes_with_its_document(
    ledger: Ledger, hooked: Settings, receiver: Receiver, clock: Clock
) -> None:
    settings = hooked.model_copy(update={"webhook_content": "fields"})
    end(ledger, settings, "told.pdf", State.DONE, clock(), title="Precious")
    Delivery(ledger, settings, clock=clock).run()
    assert ledger.db.execute("SELECT payload FROM outbox").fetchone()[0] == ""
    waiting = end(ledger, settings, "not-told.pdf", State.DONE, clock(), title="Precious")
    row = ledger.document(waiting)
    assert row is not None
    ledger.delete_document(row)
    assert not Outbox(ledger).has_due(Channel.WEBHOOK, clock())
    clock.now += 25 * 3600
    Delivery(ledger, settings, clock=clock).run()
    assert ledger.db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


def test_neither_secret_nor_address_is_ever_printed(
    ledger: Ledger,
    hooked: Settings,
    delivery: Delivery,
    receiver: Receiver,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [status(500), hang_up]
    end(ledger, hooked, "a.pdf", State.DONE, clock())
    for _ in range(3):
        delivery.run()
        clock.now += 60
    assert len(receiver.received) == 3
    said = [caplog.text, repr(hooked), repr(delivery), str(Outbox(ledger).state_of(Channel.WEBHOOK))]
    receiver.answers = [drip]
    try:
        post(SecretStr(receiver.url), SecretStr(SECRET), "d", b"{}", 0.0, timeout=0.2)
    except WebhookError as error:
        said += traceback.format_exception(error)
    said += ledger.db.execute("SELECT group_concat(last_error) FROM outbox").fetchone()[0] or []
    for text in said:
        assert SECRET not in text
        assert "tok3n" not in text


@pytest.mark.parametrize(
    "url",
    ["ftp://tok3n@x/", "tok3n", "http://", "http:///tok3n", "http://x:99999/tok3n", "http://x/tok3n\r\nA: b"],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOEBOX_WEBHOOK_URL", url)
    with pytest.raises(ConfigError, match="webhook_url") as caught:
        get_settings()
    assert "tok3n" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValidationError):
        Settings(webhook_url=SecretStr(url))


def run_notify(monkeypatch: pytest.MonkeyPatch, settings: Settings, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("app.commands.notices.get_settings", lambda: settings)
    result = CliRunner().invoke(notify, arguments)
    return result.exit_code, result.output


def test_the_command_tests_and_says_what_happened(
    ledger: Ledger,
    hooked: Settings,
    delivery: Delivery,
    receiver: Receiver,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver.answers = [status(500), status(500)]
    code, said = run_notify(monkeypatch, hooked, "--test")
    assert (code, "not delivered: it answered 500." in said) == (6, True)
    end(ledger, hooked, "a.pdf", State.DONE, clock())
    delivery.run()
    code, said = run_notify(monkeypatch, hooked)
    assert (code, "1 to be told; the last failure: it answered 500" in said) == (0, True)
    code, said = run_notify(monkeypatch, hooked, "--test")
    assert (code, "signed: delivered." in said) == (0, True)
    assert receiver.events[-1]["kind"] == "test"
    assert "tok3n" not in said


def test_the_receiver_in_the_documentation_tells_right_from_wrong() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", NOTIFY_PAGE, flags=re.DOTALL)
    names: dict[str, Callable[..., bool]] = {}
    exec(source, names)
    body, now = b'{"version": 1}', 1_800_000_000
    good = {"X-Shoebox-Timestamp": str(now), "X-Shoebox-Signature": expected_signature(str(now), body)}
    is_genuine = names["is_genuine"]
    assert is_genuine(good, body, SECRET, now + 10)
    assert not is_genuine(good, body + b" ", SECRET, now + 10)
    assert not is_genuine(good, body, "another", now + 10)
    assert not is_genuine(good, body, SECRET, now + 3600)
    assert not is_genuine(good | {"X-Shoebox-Timestamp": str(now + 1)}, body, SECRET, now + 10)
    assert not is_genuine({}, body, SECRET, now)


def test_the_settings_in_the_documentation_are_settings() -> None:
    named = set(re.findall(r"^\| `([a-z_]+)", NOTIFY_PAGE, flags=re.MULTILINE))
    assert {"digest_at", "webhook_url", "webhook_secret", "notify_on"} <= named <= set(Settings.model_fields)
