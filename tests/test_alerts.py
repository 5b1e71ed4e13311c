"""Alerts of queues with too much to do: raised once, cleared late enough, told to everybody."""

import json
import logging

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from app.commands.services import status
from app.machines import collect
from app.tui.feed import Link
from app.tui.machine_lines import queue_lines
from tasks.alerts import check_depths, depth_alerts
from tasks.documents import Stage, State
from tasks.exchange import Exchange
from tasks.home import Home
from tasks.ledger import Ledger
from tasks.notify.deliver import Delivery
from tasks.notify.desktop import summary
from tasks.notify.outbox import Channel, Kind, Outbox
from tasks.orders import Presence
from tasks.planning import CPU_QUEUE, GPU_QUEUE, HOME_QUEUE
from tasks.settings import Settings, get_settings
from tasks.units import UnitPlan, plan_units
from tests.hooks import receiving
from tests.test_machines import enter

NOW = 1_800_000_000.0
BOX = Presence(worker="gpu@box", queues=("gpu",), slots=2, pid=1)


@pytest.fixture
def few(settings: Settings) -> Settings:
    return settings.model_copy(update={"alert_depth": 10})


def queue_up(ledger: Ledger, number: int, queue: str = GPU_QUEUE) -> None:
    """So many units of a queue, and no others."""
    ledger.db.execute("DELETE FROM units")
    ledger.db.execute("DELETE FROM documents")
    document = ledger.document(enter(ledger, "long", State.RUNNING, Stage.OCR))
    assert document is not None
    plan_units(
        ledger, document, [UnitPlan(Stage.OCR, queue, "paddleocr", {}, f"{key}") for key in range(number)]
    )


def look(ledger: Ledger, settings: Settings, *workers: Presence, now: float = NOW) -> None:
    check_depths(ledger, settings, workers, now)


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """Channel and state of each alert in the outbox."""
    rows = ledger.db.execute("SELECT channel, payload FROM outbox WHERE kind = 'alert' ORDER BY id")
    return [(row["channel"], json.loads(row["payload"])["state"]) for row in rows]


def test_an_alert_goes_up_above_the_limit_and_down_below_four_fifths_of_it(
    ledger: Ledger, few: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shoebox.alerts")
    seen = []
    for depth in (10, 11, 12, 9, 8, 7, 10, 11):
        queue_up(ledger, depth)
        look(ledger, few, BOX)
        seen.append([alert.depth for alert in depth_alerts(ledger)])
    assert seen == [[], [11], [12], [9], [8], [], [], [11]]
    assert [(record.levelname, record.message[:32]) for record in caplog.records] == [
        ("WARNING", "The gpu queue has 11 units to do"),
        ("INFO", "The gpu queue has 7 units to do:"),
        ("WARNING", "The gpu queue has 11 units to do"),
    ]


def test_each_change_is_told_once_and_a_restart_is_no_news(settings: Settings, few: Settings) -> None:
    wanted = few.model_copy(update={"webhook_url": SecretStr("http://127.0.0.1:1/"), "notify_desktop": True})
    for now in (NOW, NOW + 2):
        with Ledger.open(settings) as ledger:
            queue_up(ledger, 11)
            look(ledger, wanted, now=now)
            assert [alert.since for alert in depth_alerts(ledger)] == [NOW]
    with Ledger.open(settings) as ledger:
        queue_up(ledger, 1)
        look(ledger, wanted)
        assert told(ledger) == [("desktop", "raised"), ("webhook", "raised"), ("webhook", "over")]


def test_it_says_who_serves_and_how_long_the_rest_takes(ledger: Ledger, few: Settings) -> None:
    queue_up(ledger, 1200)
    look(ledger, few)
    (alert,) = depth_alerts(ledger)
    assert alert.words == (
        "The gpu queue has 1,200 units to do (alert_depth is 10). No worker serves it."
        " How long the rest will take is not known yet."
    )
    queue_up(ledger, 0)
    ledger.db.execute("UPDATE documents SET state = 'cancelled'")
    enter(ledger, "read", units={(Stage.OCR, GPU_QUEUE): 60.0, (Stage.ANALYSE, GPU_QUEUE): 0.1})
    for number in range(11):
        enter(ledger, f"{number}", State.RUNNING, Stage.OCR, units={(Stage.OCR, GPU_QUEUE): None})
    other = BOX.model_copy(update={"worker": "gpu@other", "slots": 1})
    home = Presence(worker="home@here", queues=("home",), slots=2, pid=1)
    look(ledger, few, BOX, other, home)
    (alert,) = depth_alerts(ledger)
    assert (alert.workers, alert.slots) == (2, 3)
    assert alert.words.endswith("2 workers serve it, 3 at a time. The rest will take about 4 min.")


def test_each_queue_has_its_own(ledger: Ledger, few: Settings) -> None:
    queue_up(ledger, 30, HOME_QUEUE)
    ledger.db.execute("UPDATE units SET queue = 'cpu' WHERE id % 2")
    look(ledger, few)
    assert [alert.queue for alert in depth_alerts(ledger)] == [CPU_QUEUE, HOME_QUEUE]


def test_nought_switches_it_off_and_clears_what_was_up(ledger: Ledger, few: Settings) -> None:
    queue_up(ledger, 50)
    look(ledger, few)
    look(ledger, few.model_copy(update={"alert_depth": 0}))
    assert depth_alerts(ledger) == ()


def test_a_tick_raises_it_and_ui_and_status_show_it(
    ledger: Ledger, few: Settings, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_up(ledger, 11)
    exchange.announce_presence(BOX, 60)
    monkeypatch.setattr("tasks.dispatch.Dispatcher.release", lambda _: 0)
    Home(ledger, few, exchange).tick()
    (alert,) = depth_alerts(ledger)
    machines = collect(few, ledger, exchange.redis)
    assert machines.alerts == (alert,)
    assert f"! {alert.words}" in [line.plain for line in queue_lines(machines, Link(up=True))]
    monkeypatch.setenv("SHOEBOX_DATA_DIR", str(few.data_dir))
    get_settings.cache_clear()
    printed = CliRunner().invoke(status)
    assert (printed.exit_code, f"Alert: {alert.words}" in printed.output) == (0, True)
    (fact,) = json.loads(CliRunner().invoke(status, ["--json"]).output)["alerts"]
    assert (fact["queue"], fact["depth"], fact["words"]) == ("gpu", 11, alert.words)


def test_the_webhook_gets_it_signed_and_the_desktop_gets_its_words(ledger: Ledger, few: Settings) -> None:
    with receiving() as receiver:
        hooked = few.model_copy(
            update={
                "webhook_url": SecretStr(receiver.url),
                "webhook_secret": SecretStr("s"),
                "notify_desktop": True,
            }
        )
        queue_up(ledger, 11)
        look(ledger, hooked, BOX)
        notices = Outbox(ledger).claim(Channel.DESKTOP, NOW)
        assert notices is not None
        (alert,) = depth_alerts(ledger)
        assert summary(notices.notices) == alert.words
        Delivery(ledger, hooked, clock=lambda: NOW, show=lambda _: None).run()
        (request,) = receiver.received
        assert request.headers["X-Shoebox-Signature"].startswith("sha256=")
        assert request.body["events"] == [
            {
                "id": f"{ledger.home}-2",
                "kind": Kind.ALERT.value,
                "at": "2027-01-15T08:00:00Z",
                "state": "raised",
                "queue": "gpu",
                "depth": 11,
                "limit": 10,
                "workers": 1,
                "seconds_left": None,
                "words": alert.words,
            }
        ]
