"""The daily digest: when it is made, what it says, and that beat and the webhook carry it."""

import os
import stat
import time as clock_time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from app.commands.notices import digest as digest_command
from tasks.documents import Field, State
from tasks.errors import ConfigError
from tasks.ledger import Ledger
from tasks.notify.beat import DailyAt
from tasks.notify.daily import day_due, last_digest, make_if_due, preview, write_digest
from tasks.notify.digest import Digest, gather
from tasks.notify.digest_words import MAX_LISTED, MAX_ROWS, digest_markdown, digest_payload
from tasks.notify.outbox import Channel, Outbox
from tasks.notify.standing import notice_problems
from tasks.settings import Settings, get_settings
from tasks.worker import beat_schedule
from tests.hooks import receiving
from tests.system import running
from tests.test_tui_store import enter


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose clocks change."""
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    clock_time.tzset()
    yield
    if before is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", before)
    clock_time.tzset()


@pytest.fixture
def daily(settings: Settings) -> Settings:
    return settings.model_copy(update={"digest_at": "08:00"})


def local(text: str) -> float:
    """Seconds since 1970 of a local time."""
    return datetime.fromisoformat(text).timestamp()


NOW = "2026-11-21 09:00"
TODAY = date(2026, 11, 21)


def owe(ledger: Ledger, name: str, due: str, amount: str, currency: str = "EUR", **columns: str) -> str:
    """An invoice that says when it is to be paid."""
    facts = {"state": State.DONE, "category": "invoice", "party": "Stadtwerke"} | columns
    document = enter(ledger, name, amount=amount, currency=currency, added_at=0.0, **facts)
    ledger.put_fields(document, [Field(name="due_date", value=due)])
    return document


def made(ledger: Ledger, settings: Settings, at: str) -> date | None:
    """The day of the digest that is made at a time, if one is."""
    written = make_if_due(ledger, settings, local(at))
    return written.digest.day if written else None


# When


def test_there_is_one_a_day_at_its_time(ledger: Ledger, daily: Settings) -> None:
    assert made(ledger, daily, "2026-11-21 08:00") == TODAY
    assert made(ledger, daily, "2026-11-21 08:01") is None
    assert made(ledger, daily, "2026-11-22 07:59") is None
    assert made(ledger, daily, "2026-11-22 08:00") == date(2026, 11, 22)
    assert sorted(path.name for path in daily.digests_path.iterdir()) == [
        "digest-2026-11-21.md",
        "digest-2026-11-22.md",
    ]


def test_nothing_is_made_while_it_is_off(ledger: Ledger, settings: Settings) -> None:
    assert made(ledger, settings, NOW) is None
    assert not settings.digests_path.exists()


def test_times_that_were_missed_are_made_up_for_once(ledger: Ledger, daily: Settings) -> None:
    made(ledger, daily, "2026-11-10 08:00")
    document = enter(ledger, "meanwhile.pdf", added_at=local("2026-11-12 12:00"))
    written = make_if_due(ledger, daily, local("2026-11-21 06:30"))
    assert written is not None
    assert written.digest.day == date(2026, 11, 20)
    assert [paper.id for paper in written.digest.came_in] == [document]
    assert made(ledger, daily, "2026-11-21 06:31") is None
    assert made(ledger, daily, "2026-11-21 08:00") == TODAY


def test_another_time_makes_no_second_one_on_the_day(ledger: Ledger, daily: Settings) -> None:
    made(ledger, daily, "2026-11-21 08:00")
    later = daily.model_copy(update={"digest_at": "18:00"})
    assert made(ledger, later, "2026-11-21 12:00") is None
    assert made(ledger, later, "2026-11-21 18:00") is None
    assert made(ledger, later, "2026-11-22 18:00") == date(2026, 11, 22)


def test_no_document_is_told_twice_or_not_at_all(ledger: Ledger, daily: Settings) -> None:
    began = local("2026-10-20 08:00")
    for number in range(200):
        enter(ledger, f"{number}.pdf", added_at=began + 1 + number * 7200)
    told = []
    for minute in range(0, 30 * 24 * 60, 7):
        if written := make_if_due(ledger, daily, began + minute * 60):
            told += [paper.name for paper in written.digest.came_in]
    assert told == [f"{number}.pdf" for number in range(200)]


def test_a_clock_that_was_wrong_ends_nothing(ledger: Ledger, daily: Settings) -> None:
    made(ledger, daily, "2036-01-01 08:00")
    assert made(ledger, daily, NOW) == TODAY


@pytest.mark.parametrize("at", ["8:00", "24:00", "08:60", "08:00:00", " 08:00", "now", "08:00\n", "٠٨:٠٠"])
def test_a_time_that_is_none_is_refused(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOEBOX_DIGEST_AT", at)
    with pytest.raises(ConfigError, match=r"digest_at.*07:30"):
        get_settings()


@pytest.mark.parametrize(
    ("at", "first"), [("2026-03-28 12:00", "2026-03-29"), ("2026-10-24 12:00", "2026-10-25")]
)
def test_beat_goes_by_the_local_clock_when_the_clocks_change(at: str, first: str) -> None:
    schedule = DailyAt("08:00")
    last, sent = datetime.fromtimestamp(local(at), UTC), []
    now = last
    while len(sent) < 3:
        is_due, wait = schedule.state(last, now)
        assert 0 < wait <= 30
        if is_due:
            sent.append(now.astimezone())
            last = now
        now += timedelta(seconds=wait)
    day = date.fromisoformat(first)
    assert [moment.date() for moment in sent] == [day + timedelta(days=n) for n in range(3)]
    assert {moment.strftime("%H:%M") for moment in sent} == {"08:00"}


def test_beat_sends_for_it_once_when_its_time_has_come(daily: Settings) -> None:
    from celery import Celery
    from celery.beat import Scheduler

    sent: list[tuple[str, dict[str, object]]] = []

    class Recording(Scheduler):
        def apply_async(self, entry: Any, **_: object) -> None:
            sent.append((entry.task, entry.options))

    app = Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = beat_schedule("home.1", daily)
    scheduler = Recording(app)
    scheduler.schedule["digest"].last_run_at = datetime.now(UTC) - timedelta(days=1, seconds=1)
    for _ in range(5):
        scheduler.tick()
    assert [options for task, options in sent if task == "shoebox.digest"] == [
        {"queue": "home.1", "expires": 600.0}
    ]
    assert "digest" not in beat_schedule("home.1", daily.model_copy(update={"digest_at": ""}))


# What


def test_it_says_what_came_in_what_to_look_at_and_what_is_due(ledger: Ledger, settings: Settings) -> None:
    now = local(NOW)
    enter(ledger, "old.pdf", state=State.DONE, added_at=now - 100_000)
    enter(ledger, "new.pdf", state=State.DONE, category="letter", added_at=now - 10)
    enter(ledger, "look.pdf", state=State.REVIEW, message="The category is uncertain.", added_at=0.0)
    enter(ledger, "bad.pdf", state=State.FAILED, message="Broken.", finished_at=now - 5, added_at=0.0)
    enter(ledger, "bad-before.pdf", state=State.FAILED, finished_at=now - 200_000, added_at=0.0)
    owe(ledger, "b.pdf", "2026-11-24", "0.20")
    owe(ledger, "a.pdf", "2026-11-21", "10.10")
    owe(ledger, "c.pdf", "2026-12-05", "7", "USD")
    owe(ledger, "too-late.pdf", "2026-12-06", "99")
    owe(ledger, "over.pdf", "2026-11-20", "5")
    owe(ledger, "forgotten.pdf", "2026-11-06", "99")
    owe(ledger, "failed.pdf", "2026-11-22", "99", state=State.FAILED)
    owe(ledger, "receipt.pdf", "2026-11-22", "99", category="receipt")
    digest = gather(ledger, settings, TODAY, now - 3600, now)
    names = {
        part: [paper.name for paper in getattr(digest, part)]
        for part in ("came_in", "review", "failed", "due", "overdue")
    }
    assert names == {
        "came_in": ["new.pdf"],
        "review": ["look.pdf"],
        "failed": ["bad.pdf"],
        "due": ["a.pdf", "b.pdf", "c.pdf"],
        "overdue": ["over.pdf"],
    }
    text = "".join(digest_markdown(digest))
    assert "From 2026-11-21 08:00 to 2026-11-21 09:00." in text
    assert "1 document.\n" in text
    assert "| letter | 1 |" in text
    assert "- **look.pdf**" in text
    assert "The category is uncertain." in text
    assert "3 documents, in all 10.30 EUR, 7 USD." in text
    assert "| 2026-11-20 | 5 EUR | Stadtwerke | over.pdf |" in text


def test_a_recipe_of_ones_own_says_which_field_is_the_due_date(ledger: Ledger, settings: Settings) -> None:
    settings.recipes_path.mkdir(parents=True)
    (settings.recipes_path / "mine.toml").write_text(
        '[categories.bill]\ndescribe = "A bill."\n[categories.bill.fields.pay_by]\ntype = "date"\n'
        'role = "due"\ndescribe = "When to pay."\n'
    )
    mine = enter(ledger, "mine.pdf", state=State.DONE, category="bill", recipe="mine", amount="1")
    ledger.put_fields(mine, [Field(name="pay_by", value="2026-11-23")])
    gone = enter(ledger, "gone.pdf", state=State.DONE, category="bill", recipe="no-such", amount="2")
    ledger.put_fields(gone, [Field(name="due_date", value="2026-11-22")])
    digest = gather(ledger, settings, TODAY, 0.0, local(NOW))
    assert [paper.id for paper in digest.due] == [gone, mine]


def test_amounts_that_are_none_do_no_harm(ledger: Ledger, settings: Settings) -> None:
    for number, amount in enumerate(("", "abc", "NaN", "Infinity", "1.5")):
        owe(ledger, f"{number}.pdf", "2026-11-22", amount, "")
    owe(ledger, "date.pdf", "2026-11-2x", "3")
    digest = gather(ledger, settings, TODAY, 0.0, local(NOW))
    assert "5 documents, in all 1.5 ?." in "".join(digest_markdown(digest))


def test_hostile_text_is_text(ledger: Ledger, settings: Settings) -> None:
    now = local(NOW)
    hostile = "[x](javascript:alert(1))|<img src=x>\x1b[31m\n# Heading"
    enter(ledger, hostile, state=State.REVIEW, message=hostile, category=hostile, added_at=now - 1)
    text = "".join(digest_markdown(gather(ledger, settings, TODAY, 0.0, now)))
    assert "\x1b" not in text
    assert "\n# Heading" not in text
    assert "](" not in text.replace("\\]", "")
    assert "<img" not in text.replace("\\<", "")


def test_ten_thousand_documents_stay_a_page(ledger: Ledger, settings: Settings) -> None:
    with ledger.transaction():
        for number in range(MAX_ROWS + 7):
            enter(ledger, f"{number}.pdf", state=State.DONE)
    digest = gather(ledger, settings, TODAY, 0.0, clock_time.time())
    text = "".join(digest_markdown(digest))
    assert f"{MAX_ROWS + 7} documents." in text
    assert "... and 7 more." in text
    payload = digest_payload(digest, with_fields=True)
    assert len(payload["came_in"]) == MAX_LISTED
    assert payload["counts"]["came_in"] == MAX_ROWS + 7


def test_a_webhook_is_told_ids_alone_unless_more_is_wanted(ledger: Ledger, daily: Settings) -> None:
    document = owe(ledger, "secret-clinic.pdf", "2026-11-22", "12.00")
    digest = gather(ledger, daily, TODAY, 0.0, local(NOW))
    bare = digest_payload(digest, with_fields=False)
    assert bare["due"] == [document]
    for told in ("clinic", "12.00", "Stadtwerke", "invoice"):
        assert told not in str(bare)
    full = digest_payload(digest, with_fields=True)
    assert (full["due"][0]["name"], full["due"][0]["due"]) == ("secret-clinic.pdf", "2026-11-22")
    assert full["totals"] == {"due": {"EUR": "12.00"}, "overdue": {}}


def test_each_channel_is_told_of_it(ledger: Ledger, daily: Settings) -> None:
    wanted = daily.model_copy(
        update={"notify_desktop": True, "webhook_url": SecretStr("http://127.0.0.1:1/")}
    )
    made(ledger, wanted, NOW)
    made(ledger, wanted, NOW)
    batch = Outbox(ledger).claim(Channel.DESKTOP, local(NOW))
    assert batch is not None
    (notice,) = batch.notices
    assert notice.payload["summary"].startswith("Digest of 2026-11-21: 0 came in")
    assert Outbox(ledger).has_due(Channel.WEBHOOK, local(NOW))


# The file


def test_only_its_owner_can_read_it_and_there_is_never_half_of_it(
    ledger: Ledger, daily: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = gather(ledger, daily, TODAY, 0.0, local(NOW))
    path = write_digest(digest, daily)
    whole = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def broken(_digest: Digest) -> Iterator[str]:
        yield "half"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.notify.daily.digest_markdown", broken)
    with pytest.raises(OSError, match="No space"):
        write_digest(digest, daily)
    assert path.read_text() == whole
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_said_and_tried_again(ledger: Ledger, daily: Settings) -> None:
    daily.digests_path.write_text("in the way")
    assert made(ledger, daily, "2026-11-21 08:00") is None
    assert "cannot be written" in " ".join(notice_problems(ledger, daily))
    daily.digests_path.unlink()
    assert day_due(ledger, daily, local("2026-11-21 08:04")) is None
    assert made(ledger, daily, "2026-11-21 08:05") == TODAY
    assert list(notice_problems(ledger, daily)) == []


def test_the_folder_may_be_chosen(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    chosen = {"~/d": tmp_path / "d", "d": settings.data_dir / "d", "/x/d": Path("/x/d")}
    for given, path in chosen.items():
        assert settings.model_copy(update={"digest_dir": Path(given)}).digests_path == path


def test_the_command_shows_today_and_marks_nothing(
    ledger: Ledger, daily: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = local(NOW)
    enter(ledger, "early.pdf", added_at=now - 20)
    assert make_if_due(ledger, daily, now - 10) is not None
    enter(ledger, "late.pdf", added_at=now - 5)
    before = last_digest(ledger)
    monkeypatch.setattr("app.commands.notices.get_settings", lambda: daily)
    monkeypatch.setattr("app.commands.notices.time.time", lambda: now)
    printed = CliRunner().invoke(digest_command, []).output
    assert "early.pdf" in printed
    assert "late.pdf" in printed
    written = CliRunner().invoke(digest_command, ["--write"])
    assert Path(written.output.strip()).read_text() == printed
    assert last_digest(ledger) == before


def test_a_preview_does_not_make_it_due_less(ledger: Ledger, daily: Settings) -> None:
    preview(ledger, daily, local(NOW))
    assert day_due(ledger, daily, local(NOW)) == TODAY


# The whole


def test_beat_and_the_home_worker_bring_the_digest_and_documents_to_a_webhook(tmp_path: Path) -> None:
    past = (datetime.now().astimezone() - timedelta(minutes=2)).strftime("%H:%M")
    with (
        receiving() as receiver,
        running(
            tmp_path / "system",
            SHOEBOX_DIGEST_AT=past,
            SHOEBOX_WEBHOOK_URL=receiver.url,
            SHOEBOX_WEBHOOK_SECRET="s3cret",
            SHOEBOX_ENGINE="offline",
        ) as system,
    ):
        system.await_true(lambda: [e for e in receiver.events if e["kind"] == "digest"], 60, "the digest")
        (file,) = (system.folder / "data" / "digests").iterdir()
        assert file.read_text().startswith("# Shoebox, ")
        paper = system.folder / "letter.txt"
        paper.write_text("Dear Ms Example,\n\nplease find our letter.\n\nKind regards\nA. Sample\n")
        system.run("add", paper, "--wait")
        (document,) = system.documents()

        def told() -> list[str]:
            return [e["state"] for e in receiver.events if e.get("document") == document.id]

        assert system.await_true(told, 60, "the document was told") == [document.state.value]
        assert len([e for e in receiver.events if e["kind"] == "digest"]) == 1
        system.await_true(lambda: "0 to be told" in system.run("notify").stdout, 30, "all is marked")
        logs = "".join(log.read_text() for log in (system.folder / "data" / "logs").glob("*.log"))
        assert "tok3n" not in logs + system.run("status", "--json").stdout
        assert "s3cret" not in logs
