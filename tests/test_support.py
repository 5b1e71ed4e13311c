"""The support file: useful, bounded, and without anything that is the user's."""

import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.support import log_lines as log_lines_module
from app.support.bundle import write_bundle
from app.support.redaction import Redactor
from tasks.errors import FileError
from tasks.ledger import Ledger
from tasks.logs import about
from tasks.logs.lines import JsonLines
from tasks.pipeline import Pipeline
from tasks.settings import Settings

CANARY = "Zyxwvut"
"""In every place where something of the user's can stand; alone, in sentences, and in file names."""
OWN_WORDS = frozenset(("id", "document", "state", "stage", "sha256", "kind", "channel", "failure"))
"""Columns that hold ids and words of the program; what a damaged one does is another test."""


def unpacked(path: Path) -> dict[str, str]:
    """What is in it; its own bytes must not hold a name either."""
    assert CANARY.encode() not in path.read_bytes()
    with zipfile.ZipFile(path) as bundle:
        assert bundle.testzip() is None
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that are full of what is the user's own, of a user whose home has such a name too."""
    home = tmp_path / f"home of {CANARY}"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", f"user{CANARY}")
    recipes = home / "recipes"
    recipes.mkdir()
    (recipes / f"{CANARY}-taxes.toml").write_text(f'[[category]]\nname = "{CANARY}"\n')
    return Settings(
        data_dir=home / "data",
        recipe_dir=recipes,
        redis_url=SecretStr(f"redis://{CANARY}:{CANARY}pw@redis.{CANARY.lower()}.invalid:1/0"),
        webhook_url=SecretStr(f"https://{CANARY}.invalid/hook/{CANARY}"),
        webhook_secret=SecretStr(CANARY),
        openai_key=SecretStr(f"sk-{CANARY}"),
        openai_url=f"http://{CANARY}.invalid/v1",
        ollama_host=f"{CANARY}.invalid:11434",
        tidy_template=f"{CANARY}/{{date}}{{ext}}",
        watch_taken_folder=CANARY,
        extra_worker_command=(f"/opt/{CANARY}", "--password", CANARY),
        recipe=f"{CANARY}-taxes",
        keys={"intray.retry": CANARY},
    )


def fill_ledger(settings: Settings) -> str:
    """A document, and canaries in every column of every table that is not of the program's own words."""
    folder = settings.data_dir.parent / f"{CANARY} tax 2025"
    folder.mkdir()
    file = folder / f"{CANARY} & sons, invoice.txt"
    file.write_text(f"Invoice of {CANARY}")
    with Ledger.open(settings) as ledger:
        document = Pipeline(ledger, settings).submit(file, "builtin", urgent=False).document.id
        ledger.set_meta("circuit", CANARY)
        db = ledger.db
        values = (document, f"name{CANARY}", CANARY)
        db.execute("INSERT INTO corrections (document, field, old, new, model, prompt_version, at)"
                   " VALUES (?, ?, ?, '', '', '', 1)", values)  # fmt: skip
        db.execute("INSERT INTO fields (document, name, value, quote, status, confidence, position)"
                   " VALUES (?, ?, ?, '', 'verified', 1, 0)", values)  # fmt: skip
        db.execute("INSERT INTO outbox (channel, kind, document, payload, created_at, due_at)"
                   " VALUES ('webhook', 'document', ?, ?, 1, 1)", (document, CANARY))  # fmt: skip
        db.execute("INSERT INTO calls (document, stage, at, attempt, trace) VALUES (?, 'analyse', 1, 1, ?)",
                   (document, CANARY))  # fmt: skip
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = 0
        for table in [name for name in tables if not name.startswith(("sqlite", "search", "meta"))]:
            for column in db.execute(f"PRAGMA table_info({table})").fetchall():
                is_text = column["type"] in ("TEXT", "BLOB") and not column["pk"]
                if is_text and column["name"] not in OWN_WORDS | {"queue", "model"}:
                    filled += db.execute(
                        f"UPDATE {table} SET {column['name']} = ? || {column['name']}", (f"{CANARY} ",)
                    ).rowcount
        assert filled > 25
    return document


def fill_logs(settings: Settings, document: str) -> None:
    """Logs with names in all places where names may stand, and with what must not be there at all."""
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    form = JsonLines("home", f"home@{CANARY}-laptop")

    def say(
        text: str, *arguments: object, name: str = "shoebox.x", error: BaseException | None = None
    ) -> None:
        info = (type(error), error, error.__traceback__) if error else None
        lines.append(form.format(logging.LogRecord(name, logging.WARNING, "x.py", 1, text, arguments, info)))

    path = settings.data_dir.parent / f"{CANARY} tax 2025" / f"{CANARY} & sons, invoice.txt"
    with about(document=document, unit=7, stage="ocr", attempt=2, file=str(path)):
        say("%s: %s", path, "taken")
        say("%s: %s of %s: %s in %.2f s", "ab12cd34.7.2", "ocr", document, "timeout", 3.5)
        say("cannot be read: %s", FileNotFoundError(2, "No such file", str(path)), error=ValueError(CANARY))
    say("Connected to %s", f"redis://:{CANARY}@db.{CANARY}.invalid:6379/0", name="celery.worker")
    say("%s", f"mail of eva.{CANARY}@example.org", name="shoebox.extra")
    say(f"a library's own words on {CANARY}", name="PIL.Image")
    say("heard of %s at %s", "192.168.7.9", "10.0.0.7", name="celery.worker")
    with about(document=f"no id {CANARY}", stage=CANARY, file=CANARY):
        say("strange ids")
    lines += [
        f"Empty page of {CANARY}!!",
        json.dumps({"message": CANARY, "time": "x", "spans": "broken"}),
        json.dumps(
            {"message": f"{CANARY} x", "time": "x", "spans": [[0, 9999, "text"]], "traceback": [CANARY]}
        ),
        "Fatal Python error: Segmentation fault",
        "Current thread 0x00007f0000000000 (most recent call first):",
        f'  File "/home/{CANARY}/shoebox/tasks/reading/pdf.py", line 12 in text_of',
    ]
    (settings.log_dir / "home.log").write_text("\n".join(lines) + "\n")
    (settings.log_dir / "redis.log").write_text(
        "1:M 04 Mar 2026 05:06:07.089 * Ready to accept connections unix\n"
        f"1:M 04 Mar 2026 05:06:07.089 # Current Client: argv[2]: {CANARY}\n"
        f"1:M 04 Mar 2026 05:06:07.089 # Can't open {settings.data_dir}/redis/x: disk of {CANARY}-laptop\n"
    )
    (settings.log_dir / f"{CANARY}.log").write_text(f"{CANARY}\n")


def test_nothing_of_the_users_is_in_it(
    mine: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: f"{CANARY}-laptop")
    document = fill_ledger(mine)
    fill_logs(mine, document)
    path = tmp_path / "support.zip"
    told = write_bundle(mine, path)
    assert path.stat().st_mode & 0o777 == 0o600
    parts = unpacked(path)
    for name, text in parts.items():
        assert CANARY.lower() not in (name + text).lower(), name
        assert "example.org" not in text
    assert not any(part in "".join(parts.values()) for part in ("192.168.7.9", "10.0.0.7", "invoice.txt"))
    assert all(line.partition(":")[0] in parts for line in told)
    assert all(line in parts["README.txt"] for line in told)

    said = [json.loads(line) for line in parts["logs/home.jsonl"].splitlines()]
    taken, unit, failed = said[:3]
    assert (taken["message"], taken["file"]) == ("<file-1>: <text-1>", "<file-1>")
    assert unit["message"] == f"ab12cd34.7.2: ocr of {document}: timeout in 3.50 s"
    assert (unit["document"], unit["unit"], unit["stage"], unit["attempt"]) == (document, 7, "ocr", 2)
    assert (failed["message"], failed["error"]) == ("cannot be read: FileNotFoundError", "ValueError")
    assert any("Segmentation fault" in str(line.get("message")) for line in said)
    assert said[-1]["message"] == "  File pdf.py, line 12 in text_of"
    assert "Ready to accept connections" in parts["logs/redis.jsonl"]
    assert {"python", "redis", "trust"} <= {check["name"] for check in json.loads(parts["doctor.json"])}
    assert json.loads(parts["settings.json"])["max_attempts"] == 3
    assert json.loads(parts["settings.json"])["openai_key"] == "<set>"
    facts = json.loads(parts["ledger.json"])
    assert facts["documents"][0]["documents"] == 1
    assert [unit["document"] for unit in facts["latest_units"]] == [document]
    assert facts["queue_depths"] == {"home": 1}
    assert json.loads(parts["workers.json"]) == {"not_available": "ConnectionError"}


@pytest.fixture
def no_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds, and what it says is looked at in another test."""
    monkeypatch.setattr("app.doctor.run_checks", lambda _: [])


@pytest.mark.usefixtures("no_doctor")
def test_a_ledger_that_is_damaged_locked_or_strange_costs_only_its_own_part(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"data_dir": tmp_path / "home" / "data"})
    settings.data_dir.mkdir(parents=True)
    fill_ledger(settings)

    def facts(name: str) -> dict[str, Any]:
        write_bundle(settings, tmp_path / name)
        parts = unpacked(tmp_path / name)
        assert CANARY not in "".join(parts.values())
        return dict(json.loads(parts["ledger.json"]))

    with closing(sqlite3.connect(settings.ledger_path, isolation_level=None)) as db:
        db.execute(
            "UPDATE units SET state = ?, stage = ?, queue = ?, failure = ?, document = document",
            (CANARY,) * 4,
        )
        strange = facts("strange.zip")
        assert strange["units"][0] | {"seconds": []} == {
            **dict.fromkeys(("stage", "queue", "state", "failure"), "?"),
            "model": "reading",
            "units": 1,
            "most_attempts": 0,
            "most_issues": 0,
            "seconds": [],
            "model_loads": 0,
        }
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE documents SET title = ''")
        assert facts("locked.zip")["schema"] in (7, {"problem": "OperationalError"})
        db.execute("ROLLBACK")
    content = settings.ledger_path.read_bytes()
    settings.ledger_path.write_bytes(content[:4096] + b"\xff" * (len(content) - 8192) + CANARY.encode() * 500)
    damaged = facts("damaged.zip")
    assert "DatabaseError" in json.dumps(damaged) or damaged["file"] == "damaged"
    settings.ledger_path.write_text(CANARY * 1000)
    assert "DatabaseError" in json.dumps(facts("nothing.zip"))


@pytest.mark.usefixtures("no_doctor")
def test_a_huge_log_is_read_from_its_end(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines_module, "MAX_BYTES", 10_000)
    settings.log_dir.mkdir(parents=True)
    line = '{"time": "2026-03-04T05:06:07.089Z", "level": "info", "logger": "shoebox.x", "message": "end"}\n'
    with (settings.log_dir / "gpu.log").open("wb") as log:
        log.truncate(3_000_000_000)  # takes no room on the disk
        log.seek(0, os.SEEK_END)
        log.write(b"\n" + line.encode() * 20)
    write_bundle(settings, tmp_path / "support.zip")
    said = unpacked(tmp_path / "support.zip")["logs/gpu.jsonl"].splitlines()
    assert [json.loads(each).get("message") for each in said].count("end") == 20
    assert (tmp_path / "support.zip").stat().st_size < 100_000


@pytest.mark.usefixtures("no_doctor")
def test_no_file_is_replaced_and_none_is_left_behind(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, link = tmp_path / "there.zip", tmp_path / "link.zip"
    there.write_text("precious")
    link.symlink_to(tmp_path / "elsewhere")
    for path in (there, link, tmp_path / "no" / "folder.zip"):
        with pytest.raises(FileError, match=re.escape(str(path))):
            write_bundle(settings, path)
    assert there.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(FileError, match="No space left"):
        write_bundle(settings, tmp_path / "new.zip")
    assert not (tmp_path / "new.zip").exists()


def test_the_command_says_what_it_holds_and_where_it_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app", "doctor", "--bundle", "mine.zip"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.startswith(f"{tmp_path / 'mine.zip'} holds:\n")
    assert "  ledger.json: " in done.stdout
    assert "Look through it before you pass it on" in done.stdout
    assert "README.txt" in unpacked(tmp_path / "mine.zip")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("see https://a.example/x?y=z now", "see https://<address-1> now"),
        ("eva@example.org wrote", "<email-1> wrote"),
        ("from 192.168.0.4 and 127.0.0.1", "from <ip-1> and 127.0.0.1"),
        ("from fe80::1 and ::1", "from <ip-1> and ::1"),
        ("at 12:34:56", "at 12:34:56"),
        ("in /srv/papers/2025 and ~/x", "in <path-1> and <path-2>"),
        ("Meier on laptop, Meiers", "<name-1> on <host-1>, Meiers"),
        ("run ./run.sh up", "run ./run.sh up"),
        ("password=abc", "password=***"),
    ],
)
def test_what_stands_where_nobody_expects_it_is_replaced(text: str, cleaned: str) -> None:
    redactor = Redactor()
    redactor.know("name", ["Meier"])
    redactor.know("host", ["laptop"])
    assert redactor.clean(text) == cleaned
