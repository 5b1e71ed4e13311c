"""Logs: their form, their bounds, what never gets into them, and reading them."""

import ast
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from redis import Redis
from redis.exceptions import RedisError

from app.logs.entries import PRINTED, REDIS, SUPERVISOR, Choice, entries
from app.logs.files import Following, files_of, read_entries
from app.services import programs as programs_module
from app.services.folders import log_tail, prepare_folders
from app.services.processes import service_processes
from tasks.documents import Stage
from tasks.errors import NotFoundError
from tasks.exchange import Exchange
from tasks.logs import about, about_order
from tasks.logs.flood import FloodGuard
from tasks.logs.lines import MAX_LINE, JsonLines, TextLines, parse
from tasks.logs.output import BoundedFile
from tasks.logs.secrets import know, masked, secrets_of
from tasks.logs.words import described, words_of
from tasks.orders import Order
from tasks.running import LeaseKeeper, UnitResult, run_unit
from tasks.settings import Settings
from tests.system import ROOT

CANARY = "CANARY Musterfrau owes 4711"
ORDER = Order(home="ab12", unit=7, issue=2, document="c0ffee01", stage=Stage.OCR)


class Written(logging.Handler):
    """Keeps lines as they would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines("cpu", "cpu@box"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def fields(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def written() -> Iterator[Written]:
    """Everything that is logged, at every level."""
    handler = Written()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


log = logging.getLogger("shoebox.test")


# --- Form


def test_a_line_says_when_who_and_what_it_is_about(written: Written) -> None:
    with about_order(ORDER):
        log.warning("%s: page %d of %s", ORDER.task_id, 3, Path("/home/eva/tax.pdf"))
    log.info("elsewhere")
    first, second = written.fields
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    del first["time"]
    assert first == {
        "level": "warning",
        "logger": "shoebox.test",
        "message": "ab12.7.2: page 3 of /home/eva/tax.pdf",
        "program": "cpu",
        "worker": "cpu@box",
        "pid": os.getpid(),
        "home": "ab12",
        "document": "c0ffee01",
        "unit": 7,
        "stage": "ocr",
        "attempt": 2,
        "spans": [[0, 8, "text"], [20, 37, "file"]],
    }
    assert not {"document", "unit", "spans"} & second.keys()


def test_a_unit_and_the_thread_that_keeps_its_lease_say_which_unit(
    exchange: Exchange, written: Written
) -> None:
    def work(_: list[bytes]) -> UnitResult:
        log.info("working")
        renewed = threading.Event()

        def renew() -> bool:
            renewed.set()
            return False  # which is logged

        with LeaseKeeper(renew, 0.03, "x") as keeper:
            assert renewed.wait(30)
            keeper._thread.join(30)
        return UnitResult({})

    assert run_unit(exchange, ORDER, 30.0, "cpu@box", work, needs_payload=False)
    said = [fields for fields in written.fields if fields["logger"].startswith("shoebox")]
    assert [fields["message"] for fields in said][:2] == ["working", "x: another worker has the lease"]
    assert all(fields["unit"] == 7 and fields["document"] == "c0ffee01" for fields in said)
    assert any("done in" in fields["message"] for fields in said)


def test_an_exception_is_its_class_and_its_places(written: Written) -> None:
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error
    except KeyError:
        log.exception("%s", "it failed")
    (fields,) = written.fields
    assert fields["error"] == "KeyError"
    assert fields["cause"] == ["ValueError"]
    assert re.fullmatch(
        r"tests/test_logs\.py:\d+ test_an_exception_is_its_class_and_its_places", *fields["traceback"]
    )
    assert CANARY not in written.lines[0]


@pytest.mark.parametrize("text", ["x" * 50_000, "\u202e" * 3000, "ä" * 5000, "\U0001f600" * 2000])
def test_a_line_is_never_longer_than_a_pipe_takes_at_once(written: Written, text: str) -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError

    try:
        deep(40)
    except ValueError:
        log.exception("long: %s", text, extra={"file": text})
    assert len(written.lines[0].encode()) < MAX_LINE
    assert parse(written.lines[0]) is not None


def test_words_for_a_person_hold_nothing_that_acts() -> None:
    record = logging.LogRecord("shoebox.x", logging.INFO, "x.py", 1, "said %s", ("\x1b[2J\nnext",), None)
    line = TextLines("home", "").format(record)
    assert line.endswith(r"INFO     home    said \x1b[2J\x0anext")
    assert "\n" not in line


def test_every_text_that_is_logged_is_a_constant() -> None:
    """What varies must be an argument: that is how a support file tells it apart."""
    wrong = []
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]:
        source = path.read_text()
        for node in ast.walk(ast.parse(source)) if "getLogger" in source else ():
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "_log"), attr=level), args=[*arguments]
                ) if level in {"debug", "info", "warning", "error", "exception", "critical", "log"}:
                    text = arguments[1 if level == "log" else 0]
                    parts = [text.body, text.orelse] if isinstance(text, ast.IfExp) else [text]
                    if not all(isinstance(part, ast.Constant) for part in parts):
                        wrong.append(f"{path.name}:{node.lineno}")
    assert wrong == []


# --- What never gets in


class Reply(BaseModel):
    amount: int


def test_what_a_validation_complains_of_is_not_repeated(written: Written) -> None:
    with pytest.raises(ValueError, match="Musterfrau") as caught:
        Reply.model_validate({"amount": CANARY})
    log.warning("a wrong reply: %s", caught.value)
    log.error("a wrong reply: %r", caught.value, exc_info=caught.value)
    assert "Musterfrau" not in "".join(written.lines)
    assert written.fields[0]["message"] == "a wrong reply: ValidationError"


def test_what_redis_was_sent_is_not_repeated(redis: Redis, written: Written) -> None:
    redis.config_set("maxmemory", 1)
    with pytest.raises(RedisError, match="Musterfrau") as caught, redis.pipeline() as pipe:
        pipe.rpush("payload", CANARY)
        pipe.execute()
    log.warning("Redis does not take it: %s", caught.value)
    with pytest.raises(RedisError, match="Musterfrau") as unknown:
        redis.execute_command("NOSUCH", CANARY)
    log.warning("Redis does not take it: %s", unknown.value)
    assert "Musterfrau" not in "".join(written.lines)
    assert "command not allowed when used memory" in written.fields[0]["message"]
    assert "unknown command" in written.fields[1]["message"]


def test_what_a_task_of_celery_was_given_or_raised_is_not_repeated(written: Written) -> None:
    from celery import Celery

    application = Celery("x", set_as_current=False)

    @application.task(name="fails")
    def fails(text: str) -> None:
        raise ValueError(text)

    fails.apply(kwargs={"text": CANARY})
    (fields,) = (
        one for one in written.fields if one["logger"] == "celery.app.trace" and one["level"] == "error"
    )
    assert fields["message"].startswith("Task fails[")
    assert fields["message"].endswith("raised unexpected: ValueError")
    assert fields["error"] == "ValueError"
    logging.getLogger("celery.worker.consumer.consumer").error(
        "Received unregistered task of type %s.\n%s", "'x'", f"{{'text': {CANARY!r}}} (99b)"
    )
    assert "Musterfrau" not in "".join(written.lines)


def test_other_objects_are_named_by_their_class_only(written: Written) -> None:
    log.info("%s and %r and %.5s and %5d", {"a": CANARY}, [CANARY], CANARY, 3)
    assert written.fields[0]["message"] == "<dict> and <list> and CANA and     3"
    written.emit(logging.LogRecord("shoebox.x", logging.INFO, "x.py", 1, "%s %s", ("too few",), None))
    assert written.fields[1]["message"] == "%s %s"


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter22@box:6379/0 is away",
        "unix://user:hunter22@/run/x",
        "https://hunter22@hooks.example/a",
        "password=hunter22",
        'requirepass "hunter22"'.replace(" ", ": "),
        "Authorization: Bearer hunter22",
        "api_key: 'hunter22'",
        "SHOEBOX_OPENAI_KEY_TOKEN=hunter22",
    ],
)
def test_secrets_are_masked_where_they_usually_stand(text: str) -> None:
    assert "hunter22" not in masked(text)


def test_known_secrets_are_masked_wherever_they_stand(settings: Settings) -> None:
    mine = settings.model_copy(
        update={
            "redis_url": SecretStr("redis://:s3cr%21t-one@box/0"),
            "webhook_url": SecretStr("https://hooks.example/T0K3N-two"),
            "openai_key": SecretStr("sk-three"),
        }
    )
    know(secrets_of(mine))
    said = masked("a s3cr!t-one b s3cr%21t-one c https://hooks.example/T0K3N-two d sk-three")
    assert said == "a *** b *** c *** d ***"


def test_libraries_tell_only_what_is_wrong(settings: Settings) -> None:
    source = f"""
import logging, sys, warnings
from tasks import logs
from tasks.settings import Settings
logs.configure("x", Settings(data_dir={str(settings.data_dir)!r}, log_level="debug"))
for name in ("httpx", "httpcore", "PIL", "celery.worker.strategy"):
    logging.getLogger(name).info("said by %s", name)
logging.getLogger("httpx").warning("warned")
logging.getLogger("celery.worker").info("ready")
logging.getLogger("multiprocessing").propagate = False  # as billiard does
logging.getLogger("multiprocessing").error("lost")
logging.getLogger("shoebox.x").debug("ours")
logging.captureWarnings(True)  # as Celery does
warnings.warn({CANARY!r})
warnings.warn("", type("CPendingDeprecationWarning", (UserWarning,), dict()))
raise ValueError({CANARY!r})
"""
    ended = run_python(source)
    fields = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [one["message"] for one in fields] == [
        "warned",
        "ready",
        "lost",
        "ours",
        "UserWarning at <string>:14",
        "The program ended by an error that nobody foresaw",
    ]
    assert fields[5]["error"] == "ValueError"
    assert CANARY not in ended.stderr


def test_a_crash_of_native_code_is_in_the_log(settings: Settings) -> None:
    ended = run_python(
        f"""
from tasks import logs
from tasks.settings import Settings
import faulthandler, os, signal
logs.configure("x", Settings(data_dir={str(settings.data_dir)!r}))
def reading_a_page():
    os.kill(os.getpid(), signal.SIGSEGV)
reading_a_page()
"""
    )
    assert ended.returncode == -11
    (first, *rest) = list(entries("gpu", ended.stderr.splitlines(), "2026-01-01T00:00:00.000Z"))
    assert first.words.endswith("Fatal Python error: Segmentation fault")
    assert first.level == "error"
    assert first.time == "2026-01-01T00:00:00.000Z"
    assert any("reading_a_page" in entry.words for entry in rest)


def run_python(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# --- Bounds


def test_the_same_message_many_times_is_counted() -> None:
    clock, passed, later = [0.0], [], []
    guard = FloodGuard(passed.append, clock=lambda: clock[0], later=lambda _, tell: later.append(tell))

    def say(text: str, *arguments: object, document: str = "") -> bool:
        record = logging.LogRecord("shoebox.x", logging.WARNING, "x.py", 1, text, arguments, None)
        with about(document=document):
            return bool(guard.filter(record))

    assert sum(say("Redis is away: %s", "gone", document="c0ffee01") for _ in range(417)) == 5
    assert say("Redis is away: %s", "for another reason")
    assert all(say("taken in", document=f"{number:08x}") for number in range(50))
    assert len(later) == 1
    clock[0] = 5.0
    later.pop()()
    (summary,) = passed
    fields = json.loads(JsonLines("x", "").format(summary))
    assert fields["message"] == "repeated 412 times in 5 s: Redis is away: gone"
    assert fields["document"] == "c0ffee01"
    assert say("Redis is away: %s", "gone", document="c0ffee01")
    assert sum(say("loop %d", number) for number in range(5000)) == 2000


def test_a_file_has_a_bound_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "tui.log"
    writers = [BoundedFile(path, max_bytes=20_000) for _ in range(3)]  # as three processes
    for writer in writers:
        writer.setFormatter(JsonLines("tui", ""))

    def write(writer: BoundedFile) -> None:
        for number in range(300):
            writer.emit(logging.LogRecord("shoebox.x", logging.INFO, "x.py", 1, "line %d", (number,), None))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["tui.log", "tui.log.1"]
    for file in files:
        assert file.stat().st_size < 20_000 + 3 * MAX_LINE
        assert file.stat().st_mode & 0o777 == 0o600
        assert all(parse(line) for line in file.read_text().splitlines())
    for writer in writers:
        writer.close()


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    writer = BoundedFile(tmp_path / "logs" / "x.log")
    writer.setFormatter(JsonLines("x", ""))
    writer.emit(logging.LogRecord("shoebox.x", logging.INFO, "x.py", 1, "line", (), None))
    target = tmp_path / "precious"
    target.write_text("")
    (tmp_path / "link.log").symlink_to(target)
    linked = BoundedFile(tmp_path / "link.log")
    linked.setFormatter(JsonLines("x", ""))
    linked.emit(logging.LogRecord("shoebox.x", logging.INFO, "x.py", 1, "line", (), None))
    assert target.read_text() == ""


def test_what_the_supervisor_catches_has_a_bound(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.services import Program, down, up

    monkeypatch.setattr(programs_module, "LOG_BYTES", 100_000)
    redis_program = Program("redis", (sys.executable, "-m", "tests.supervised", "redis"))
    noise = Program("gpu", (sys.executable, "-m", "tests.supervised", "shout"))
    try:
        up(settings, (redis_program, noise))
        wait_for(lambda: any("end" in log_tail(file, 1) for file in files_of(settings, "gpu")))
        files = files_of(settings, "gpu")
        assert [file.name for file in files] == ["gpu.log.2", "gpu.log.1", "gpu.log"]
        for file in settings.log_dir.iterdir():
            assert file.stat().st_size < 100_000 + 128 * 1024, file  # what the supervisor reads at once
            assert file.stat().st_mode & 0o777 == 0o600, file
    finally:
        down(settings)
    assert not service_processes(settings)


def test_every_program_of_the_supervisor_has_a_bound(settings: Settings) -> None:
    prepare_folders(settings)
    mine = settings.model_copy(update={"extra_worker_command": ("true",)})
    programs_module.write_config(mine, programs_module.default_programs(mine))
    config = programs_module.config_path(settings).read_text()
    sections = re.findall(r"\[program:(\w+)\]", config)
    assert {"redis", "home", "cpu", "gpu", "beat", "watch", "scaler"} <= set(sections)
    assert config.count("stdout_logfile_maxbytes=5242880\nstdout_logfile_backups=2\n") == len(sections)
    assert "\nlogfile_maxbytes=5242880\n" in config


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1200):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come true")


# --- Reading


def write_logs(settings: Settings) -> None:
    settings.log_dir.mkdir(parents=True)

    def line(second: int, message: str, **fields: object) -> str:
        time = f"2026-03-04T05:06:{second:02}.000Z"
        return json.dumps(
            {"time": time, "level": "info", "message": message, "logger": "shoebox.x", **fields}
        )

    home, cpu = settings.log_dir / "home.log", settings.log_dir / "cpu.log"
    (settings.log_dir / "home.log.1").write_text(line(1, "first", document="c0ffee01") + "\n")
    home.write_text(
        line(3, "third", document="c0ffee01", unit=7) + "\nEmpty page!!\n" + line(9, "ninth") + "\n"
    )
    cpu.write_text(
        line(
            2,
            "second",
            document="c0ffee01",
            unit=7,
            level="warning",
            error="KeyError",
            traceback=["a.py:1 f"],
        )
        + "\n{broken\n"
        + line(4, "\x1b[2Jfourth", document="other")
        + "\n"
    )


def test_logs_are_one_story_by_time(settings: Settings) -> None:
    write_logs(settings)
    found = list(read_entries(settings, ("cpu", "home")))
    said = [str(entry.fields["message"]).removeprefix("\x1b[2J") for entry in found]
    assert said == ["first", "second", "{broken", "third", "Empty page!!", "fourth", "ninth"]
    of_document = [entry for entry in found if Choice("c0ffee").has(entry)]
    assert [entry.fields["message"] for entry in of_document] == ["first", "second", "third"]
    assert [entry.program for entry in found if Choice(unit=7).has(entry)] == ["cpu", "home"]
    (grave,) = (entry for entry in found if Choice(level="warning").has(entry))
    assert grave.words.endswith(
        "WARNING  cpu     second: KeyError  [document c0ffee01, unit 7]\n    a.py:1 f"
    )
    assert "\x1b" not in "".join(entry.words for entry in found)


def test_lines_of_redis_and_of_the_supervisor_have_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "123:M 04 Mar 2026 05:06:07.089 * Ready to accept connections",
        "123:C 04 Mar 2026 05:06:08.001 # Out of memory",
        "2026-03-04 05:06:07,100 WARN exited: cpu (terminated by SIGKILL; not expected)",
        "Segmentation fault",
    ]
    ready, memory, exited, printed = entries("x", lines)
    assert (ready.whose, memory.whose, exited.whose, printed.whose) == (REDIS, REDIS, SUPERVISOR, PRINTED)
    assert (ready.level, memory.level, exited.level, printed.level) == ("info", "warning", "warning", "error")
    assert ready.time[13:] == ":06:07.089Z"  # the hour is local
    assert ready.time < exited.time < memory.time == printed.time


def test_following_goes_on_when_a_log_is_put_aside(settings: Settings) -> None:
    write_logs(settings)
    home = settings.log_dir / "home.log"
    following = Following(settings, "home")
    assert following.new_entries() == []
    with home.open("a") as file:
        file.write("half a ")
    assert following.new_entries() == []
    with home.open("a") as file:
        file.write("line\nlast\n")
        home.rename(settings.log_dir / "home.log.1")
        file.write("after it\n")
    home.write_text("new\n")
    said = [entry.fields["message"] for entry in following.new_entries()]
    following.close()
    assert said == ["half a line", "last", "after it", "new"]


def test_the_command_shows_a_document(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from app.commands import logs as command

    write_logs(settings)
    monkeypatch.setattr(command, "get_settings", lambda: settings)

    def shown(*arguments: str) -> list[str]:
        done = CliRunner().invoke(command.logs, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        return str(done.output).splitlines()

    assert "  home    first  [document c0ffee01]" in shown("--document", "c0ffee01")[0]
    assert len(shown("--document", "c0ffee01")) == 4  # a traceback has a line of its own
    assert len(shown("--lines", "2")) == 2
    assert [json.loads(line)["program"] for line in shown("home", "--json")] == ["home"] * 4
    with pytest.raises(NotFoundError, match="no log of 'nobody'"):
        shown("nobody")


def test_last_words_are_words(settings: Settings) -> None:
    write_logs(settings)
    assert log_tail(settings.log_dir / "cpu.log", 3) == (
        "second: KeyError (a.py:1 f)\n{broken\n\\x1b[2Jfourth"
    )
    with (settings.log_dir / "cpu.log").open("a") as file:
        file.write(json.dumps({"time": "x", "message": "y" * 3000}) + "\n")
        file.write("end\n" * 3)
    assert log_tail(settings.log_dir / "cpu.log", 4).split("\n")[0] == "y" * 3000


def test_descriptions_of_errors_keep_what_is_about_the_machine() -> None:
    assert described(OSError(28, "No space left on device")) == "OSError: [Errno 28] No space left on device"
    assert described(UnicodeDecodeError("utf-8", b"x", 0, 1, CANARY)) == "UnicodeDecodeError"
    record = logging.LogRecord(
        "shoebox.x", logging.INFO, "x.py", 1, "%s", (FileNotFoundError(2, "no", "/a b"),), None
    )
    words = words_of(record)
    assert words.text == "FileNotFoundError: [Errno 2] no: '/a b'"
    assert [(span.start, span.end, span.kind) for span in words.spans] == [(0, len(words.text), "error")]
