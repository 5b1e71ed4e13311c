"""Who is told of a document, when, and what a desktop is shown."""

import html
import os
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from tasks.documents import Analysis, Classification, Failure, State
from tasks.ledger import DocumentRow, Ledger
from tasks.notify import desktop
from tasks.notify.deliver import Delivery
from tasks.notify.desktop import DesktopError, notification_command, show, summary
from tasks.notify.outbox import Channel, Kind, Notice, Outbox
from tasks.notify.standing import notice_problems
from tasks.orders import Outcome
from tasks.pipeline import Pipeline
from tasks.schema import MIGRATIONS
from tasks.settings import Settings
from tasks.worker import processes, slots
from tests.test_pipeline import Worker, extraction, read_to_the_end, text_page
from tests.test_webhook import Clock, end

READ = Analysis(title="A letter", summary="Of somebody.")
BROKEN = Failure(kind="file", message="No.")


@pytest.fixture
def wanted(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"webhook_url": SecretStr("http://127.0.0.1:1/"), "notify_desktop": True}
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Channel, document and state of all that is in the outbox."""
    rows = ledger.db.execute("SELECT channel, document, state FROM outbox ORDER BY id")
    return [tuple(row) for row in rows]


def added(
    ledger: Ledger, settings: Settings, folder: Path, name: str = "a.pdf"
) -> tuple[Worker, DocumentRow]:
    pipeline = Pipeline(ledger, settings)
    path = folder / name
    path.write_text(f"text of {name}")
    return Worker(pipeline), pipeline.submit(path, "builtin", urgent=False).document


def test_a_document_that_is_done_is_told_once_on_each_channel(
    ledger: Ledger, wanted: Settings, tmp_path: Path
) -> None:
    worker, document = added(ledger, wanted, tmp_path)
    worker.succeed(document, extraction(text_page(1)))
    assert told(ledger) == []
    worker.succeed(document, Classification(category="letter", confidence=0.9))
    unit = worker.take(document)
    outcome = Outcome(issue=unit.issue, result=READ.model_dump(mode="json"))
    worker.pipeline.record(unit.id, outcome)
    worker.pipeline.record(unit.id, outcome)  # it arrives twice
    assert told(ledger) == [("desktop", document.id, "done"), ("webhook", document.id, "done")]


def test_nobody_is_told_what_nobody_wants_to_know(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    worker, document = added(ledger, settings, tmp_path)
    read_to_the_end(worker, document)
    assert told(ledger) == []
    assert not Delivery(ledger, settings).is_due()


def test_only_the_chosen_states_are_told(ledger: Ledger, wanted: Settings, tmp_path: Path) -> None:
    chosen = wanted.model_copy(update={"notify_on": ("failed",)})
    worker, fine = added(ledger, chosen, tmp_path, "fine.pdf")
    read_to_the_end(worker, fine)
    worker, broken = added(ledger, chosen, tmp_path, "broken.pdf")
    worker.fail(broken, "file")
    assert [(document, state) for _, document, state in told(ledger)] == [(broken.id, "failed")] * 2


def test_cancelling_is_no_news(ledger: Ledger, wanted: Settings, tmp_path: Path) -> None:
    worker, document = added(ledger, wanted, tmp_path)
    worker.pipeline.cancel(document)
    assert told(ledger) == []


def test_a_change_that_is_undone_is_not_told(
    ledger: Ledger, wanted: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice and the state stand in one transaction."""
    worker, document = added(ledger, wanted, tmp_path)
    unit = worker.take(document)

    put = Outbox.put

    def put_and_break(*arguments: object, **named: object) -> None:
        put(*arguments, **named)  # type: ignore[arg-type]
        raise RuntimeError

    monkeypatch.setattr(Outbox, "put", put_and_break)
    with pytest.raises(RuntimeError):
        worker.pipeline.record(
            unit.id, Outcome(issue=unit.issue, failure=Failure(kind="file", message="No."))
        )
    assert told(ledger) == []
    assert worker.state(document) is not State.FAILED


def test_a_review_that_a_person_settles_is_done(ledger: Ledger, wanted: Settings, tmp_path: Path) -> None:
    worker, document = added(ledger, wanted, tmp_path)
    worker.succeed(document, extraction(text_page(1)))
    worker.succeed(document, Classification(category="letter", confidence=0.1))
    worker.succeed(document, READ)
    row = ledger.document(document.id)
    assert row is not None
    worker.pipeline.correct(row, "category", "letter")
    assert [state for channel, _, state in told(ledger) if channel == "webhook"] == ["review", "done"]


def test_a_ledger_of_the_version_before_gets_its_outbox(settings: Settings) -> None:
    settings.data_dir.mkdir()
    with closing(sqlite3.connect(settings.ledger_path)) as before:
        before.executescript("".join(MIGRATIONS[:3]))
        before.execute("PRAGMA user_version = 3")
    with Ledger.open(settings) as migrated:
        assert migrated.db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert told(migrated) == []


def test_what_nobody_wants_any_more_is_not_kept_for_ever(
    ledger: Ledger, wanted: Settings, settings: Settings, clock: Clock
) -> None:
    end(ledger, wanted, "a.pdf", State.DONE, clock())
    off = Delivery(ledger, settings, clock=clock)
    clock.now += 2 * 24 * 3600
    assert not off.is_due()
    clock.now += 2 * 24 * 3600
    assert off.is_due()
    off.run()
    assert not off.is_due()
    assert {row[0] for row in ledger.db.execute("SELECT payload FROM outbox")} == {""}


def test_delivery_has_a_process_of_its_own_at_home(wanted: Settings, settings: Settings) -> None:
    assert processes("home", wanted) == slots("home", wanted) + 1
    assert processes("home", settings) == slots("home", settings)
    assert processes("cpu", wanted) == slots("cpu", wanted)


# On the desktop


def notice(name: str, state: str, document: str = "") -> Notice:
    return Notice(1, Kind.DOCUMENT, document or name, state, {"name": name}, 0.0)


def test_many_documents_become_one_line() -> None:
    notices = [notice(f"{number}.pdf", "done") for number in range(12)]
    notices += [notice(f"r{number}.pdf", "review") for number in range(3)]
    assert summary(notices) == "12 done, 3 to review: r0.pdf, r1.pdf, r2.pdf, …"


def test_of_a_document_only_its_last_state_counts() -> None:
    assert summary([notice("a.pdf", "review"), notice("a.pdf", "done")]) == "1 done: a.pdf"


def test_a_digest_is_shown_by_its_summary() -> None:
    digest = Notice(2, Kind.DIGEST, "", "", {"summary": "Digest of today."}, 0.0)
    assert summary([digest, notice("a.pdf", "failed")]) == "Digest of today.\n1 failed: a.pdf"


def test_there_is_at_most_one_notification_in_thirty_seconds(
    ledger: Ledger, settings: Settings, clock: Clock
) -> None:
    wanted = settings.model_copy(update={"notify_desktop": True})
    shown: list[tuple[float, str]] = []
    began = clock()
    delivery = Delivery(ledger, wanted, clock=clock, show=lambda text: shown.append((clock() - began, text)))
    for second in range(61):
        end(ledger, wanted, f"{second}.pdf", State.DONE, clock())
        if delivery.is_due():
            delivery.run()
        clock.now += 1
    assert [at for at, _ in shown] == [0, 30, 60]
    assert [text.split(" ")[0] for _, text in shown] == ["1", "30", "30"]


def test_what_cannot_be_shown_is_dropped_after_ten_minutes_and_said(
    ledger: Ledger, settings: Settings, clock: Clock
) -> None:
    wanted = settings.model_copy(update={"notify_desktop": True})

    def no_desktop(_text: str) -> None:
        raise DesktopError("there is no desktop here")

    delivery = Delivery(ledger, wanted, clock=clock, show=no_desktop)
    end(ledger, wanted, "a.pdf", State.DONE, clock())
    delivery.run()
    assert list(notice_problems(ledger, wanted)) == [
        "The desktop: 1 notice to be told. The last failure: there is no desktop here."
    ]
    clock.now += 601
    delivery.run()
    assert Outbox(ledger).state_of(Channel.DESKTOP).given_up == 1
    assert "was not told 1 notice in" in " ".join(notice_problems(ledger, wanted))
    assert list(notice_problems(ledger, settings)) == []


@pytest.fixture
def notify_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Puts a program of that name on the path: it runs a line of shell, its arguments go to a file."""

    def install(line: str = "") -> Path:
        said = tmp_path / "arguments"
        program = tmp_path / "bin" / "notify-send"
        program.parent.mkdir()
        quoted = shlex.quote(str(said))
        program.write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" > {quoted}\n{line}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("DISPLAY", ":9")
        return said

    yield install


HOSTILE = "-<b>&\x1b[1m\n$(id)\\074i\\076\u202e.pdf"


def test_hostile_names_are_shown_as_text(notify_send: Callable[..., Path]) -> None:
    said = notify_send()
    show(summary([notice(HOSTILE, "review")]))
    *options, title, body = said.read_text().split("\0")[:-1]
    assert options == ["--app-name=Shoebox", "--"]
    assert title == "Shoebox"
    assert "<" not in body
    assert "\x1b" not in body
    assert shown_by_a_desktop(body) == r"1 to review: -<b>&\x1b[1m\x0a$(id)\074i\076\u202e.pdf"


def shown_by_a_desktop(body: str) -> str:
    """What notify-send and a desktop make of a body: C escapes first, then markup."""
    octal_or_letter = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
    letters = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

    def compressed(match: re.Match[str]) -> str:
        found = match[1]
        return chr(int(found, 8) % 256) if found[0] in "01234567" else letters.get(found, found)

    markup = octal_or_letter.sub(compressed, body)
    assert not re.search(r"<|&(?!(amp|lt|gt);)", markup)
    return html.unescape(markup)


@given(st.text())
def test_any_name_is_shown_as_it_is_made_visible(name: str) -> None:
    command = notification_command(
        "Shoebox", summary([notice(name, "done")]), {"DISPLAY": ":0", "PATH": os.defpath + ":/bin"}, "darwin"
    )
    text = command[-1]
    assert shown_by_a_desktop(desktop._body(text)) == text
    assert text.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f]", text)


def test_a_mac_gets_its_text_as_an_argument_and_not_as_a_script() -> None:
    command = notification_command("Shoebox", '" & do shell script "id', {}, "darwin")
    assert command[0] == "osascript"
    assert command[-2:] == ["Shoebox", '" & do shell script "id']
    assert not any("shell" in argument for argument in command[:-1])


@pytest.mark.parametrize(
    ("line", "words"),
    [("exit 3", "ended with 3"), ("exec sleep 60", "did not end within")],
)
def test_a_program_that_fails_is_said(
    line: str, words: str, notify_send: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop, "_SHOW_SECONDS", 0.5)
    notify_send(line)
    with pytest.raises(DesktopError, match=words):
        show("text")


def test_without_a_desktop_or_a_program_it_is_said() -> None:
    with pytest.raises(DesktopError, match="no desktop"):
        notification_command("t", "x", {"PATH": "/bin"}, "linux")
    with pytest.raises(DesktopError, match="no notify-send"):
        notification_command("t", "x", {"PATH": "/nowhere", "DISPLAY": ":0"}, "linux")


@pytest.mark.parametrize("value", [("cancelled",), ("done", "x"), "done"])
def test_a_state_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"notify_on": value})
