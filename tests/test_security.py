"""What strangers can put into Redis, folders and files, and what becomes of it."""

import ast
import json
import os
import re
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from redis import Redis

from app import opening
from app.checks import Verdict
from app.cli import main
from app.intake import Found, find_files
from app.private_files import be_private
from app.services.supervisord import Supervisor
from app.taking import Refused, Taken, take_files
from app.trust_check import check_ledger, check_trust
from tasks import exchange as exchange_module
from tasks import spool
from tasks.broker_messages import unit_messages
from tasks.broker_url import runtime_dir
from tasks.celery_tasks import drop_foreign_tasks
from tasks.documents import (
    Analysis,
    Classification,
    Field,
    FieldStatus,
    Line,
    OcrResult,
    Page,
    Stage,
    State,
    TextSource,
)
from tasks.engines.llm.addresses import ollama_url
from tasks.errors import ConfigError, ExitCode, FileError, ServiceError
from tasks.exchange import Exchange
from tasks.home import Home
from tasks.ledger import Ledger
from tasks.orders import Order, Outcome, Presence
from tasks.queues import broker_lists, get_app
from tasks.reading import extract
from tasks.result_checks import check_classification, check_ocr, honest
from tasks.settings import Settings, get_settings
from tasks.units import mark_queued, units_of
from tests.samples import office

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("tasks/**/*.py")])
PAPER = "Invoice 12 from Lamp Co. Total 30.00 EUR, due 2026-03-01. Thank you for your order.\n"


@pytest.fixture
def home(ledger: Ledger, settings: Settings, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Its messages go nowhere."""
    opened = Home(ledger, settings, exchange)
    monkeypatch.setattr(opened.dispatcher, "publish", lambda *_: None)
    return opened


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


# ---------------------------------------------------------------- what others put into Redis


@pytest.mark.parametrize(
    "forged",
    [
        b"no json",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"issue": "x"}',
        b'{"issue": 1, "seconds": NaN}',
        b'{"issue": 1, "seconds": -5}',
        b'{"issue": 1, "path": "/etc"}',
    ],
    ids=range(8),
)
def test_an_outcome_that_cannot_be_read_costs_its_unit_an_attempt_and_nobody_else(
    home: Home, papers: Path, redis: Redis, forged: bytes
) -> None:
    paper = papers / "a.txt"
    paper.write_text(PAPER)
    document = home.add(paper, "builtin", urgent=False).document
    [unit] = units_of(home.ledger, document.id)
    for attempt in range(1, home.settings.max_attempts + 1):
        mark_queued(home.ledger, unit.id)
        redis.set(f"shoebox:{home.ledger.home}:{unit.id}:outcome", forged)
        home.tick() if attempt % 2 else home.record(unit.id)
        [now] = units_of(home.ledger, document.id)
        assert now.attempts == attempt
    row = home.ledger.document(document.id)
    assert row is not None
    assert row.state is State.QUARANTINED
    assert "not of the form" in row.message


def test_an_outcome_that_is_too_large_is_not_fetched(
    exchange: Exchange, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "MAX_OUTCOME_BYTES", 1000)
    redis.set("shoebox:h:7:outcome", Outcome(issue=1, result={"text": "x" * 5000}).model_dump_json())
    for found in (exchange.outcome("h", 7), exchange.traces("h", [7])[7].outcome):
        assert found is not None
        assert found.failure is not None
        assert "more than" in found.failure.message


def test_presence_that_cannot_be_is_not_believed(exchange: Exchange, redis: Redis) -> None:
    good = Presence(worker="gpu@box", queues=("gpu",), slots=1, pid=1)
    exchange.announce_presence(good, 12)
    entry = json.loads(redis.hget("shoebox:presence", "gpu@box") or b"")
    forged = {
        "garbage": b"\xff",
        "list": b"[]",
        "deep": b"[" * 100_000,
        "no time": json.dumps({"presence": entry["presence"]}),
        "for ever": json.dumps({**entry, "until": entry["until"] + 1e9}),
        "never": json.dumps({**entry, "until": float("nan")}),
        "endless": json.dumps({**entry, "until": float("inf")}),
        "greedy": json.dumps({**entry, "presence": {**entry["presence"], "slots": 10**9}}),
        "large": json.dumps({**entry, "presence": {**entry["presence"], "llm_problem": "x" * 2_000_000}}),
        "talkative": json.dumps({**entry, "presence": {**entry["presence"], "queues": ["gpu"] * 1000}}),
    }
    for name, value in forged.items():
        redis.hset("shoebox:presence", name, value)
    assert exchange.presence() == [good]


def test_messages_of_others_do_not_keep_home_from_finding_its_own(redis: Redis) -> None:
    own = json.dumps({"headers": {"id": "h.12.1"}})
    others = ["x", "[]", "{}", '{"headers": 5}', '{"headers": {"id": 5}}', "[" * 100_000, b"\xff\xfe"]
    others += [
        json.dumps({"headers": {"id": name}}) for name in ("h", "h.", "h.x.1", "h.-1.1", "h.²", "g.3.1")
    ]
    redis.rpush(broker_lists("cpu")[0], *others, own)
    assert [message.unit for message in unit_messages(redis, "h", ("cpu",))] == [12]


def test_what_is_read_lies_in_the_spool(settings: Settings, ledger: Ledger, papers: Path) -> None:
    secret = papers / "secret.txt"
    secret.write_text("private")
    order = Order(home="h", unit=1, issue=1, document="x", stage=Stage.EXTRACT)
    from tasks.stages.extract import extract as stage
    from tasks.stages.ocr import render

    for wrong in (str(secret), f"../../{secret.name}", "", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" * 64):
        params = {"sha256": wrong, "name": "secret.txt"}
        with pytest.raises(FileError, match="not named by a hash"):
            stage(order.model_copy(update={"params": params}), settings)
        params = {"sha256": wrong, "mime": "image/png", "pages": (1,)}
        with pytest.raises(FileError, match="not named by a hash"):
            render(order.model_copy(update={"params": params}), settings)


def test_a_worker_knows_only_the_tasks_of_its_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOEBOX_REDIS_URL", "redis://127.0.0.1:1/0")
    for queue, has, lacks in (
        ("gpu", "shoebox.ocr", "shoebox.extract"),
        ("cpu", "shoebox.classify", "shoebox.render"),
        ("home", "shoebox.extract", "shoebox.ocr"),
    ):
        get_settings.cache_clear()
        get_app.cache_clear()
        app = get_app()
        app.loader.import_default_modules()
        app.finalize()
        drop_foreign_tasks(app, queue)
        assert has in app.tasks
        assert lacks not in app.tasks
    assert app.conf.accept_content == ["json"]
    assert not app.conf.worker_enable_remote_control
    get_app.cache_clear()


def page(number: int, **changes: object) -> Page:
    return Page(number=number, text="Invoice", source=TextSource.OCR, score=0.9).model_copy(update=changes)


@pytest.mark.parametrize(
    "found",
    [
        [page(9)],
        [page(1), page(1)],
        [page(1, text="x" * 4_000_001)],
        [page(1, score=float("nan"))],
        [page(1, rotation=45)],
        [page(1, width=10**9)],
        [page(1, lines=(Line(text="x", box=(0, 0, 1, 1), confidence=float("inf")),))],
        [page(1, error="x" * 30_000)],
    ],
    ids=range(8),
)
def test_ocr_is_of_the_pages_that_were_asked_for_and_of_their_size(found: list[Page]) -> None:
    check_ocr(OcrResult(pages=(page(1), page(2))), asked=(1, 2))
    with pytest.raises(ValueError, match="it does not have"):
        check_ocr(OcrResult.model_construct(pages=tuple(found)), asked=(1, 2))


def test_a_classification_says_what_can_be() -> None:
    check_classification(Classification(category="a", confidence=1.0, evidence=("word",)))
    for changes in ({"confidence": float("nan")}, {"confidence": 7.0}, {"evidence": ("x",) * 200}):
        with pytest.raises(ValueError, match="it does not have"):
            check_classification(Classification(category="a", confidence=1.0).model_copy(update=changes))


def test_no_worker_speaks_for_a_person_or_verifies_what_stands_nowhere() -> None:
    field = Field(name="total", value="1", quote="1", page=1, start=2, end=3, status=FieldStatus.VERIFIED)
    assert honest(field, {1: 10}) == field
    assert honest(field.model_copy(update={"status": FieldStatus.CORRECTED}), {1: 10}).status == "unverified"
    for changes in ({"page": 9}, {"end": 11}, {"start": -1}, {"start": 5, "end": 4}):
        said = honest(field.model_copy(update=changes), {1: 10})
        assert (said.status, said.page, said.start, said.end) == ("unverified", None, None, None)
    Analysis(title="", summary="", fields=(said,))


# ---------------------------------------------------------------- files that are swapped


def test_a_file_of_a_folder_that_becomes_a_link_is_not_followed(
    home: Home, papers: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private.txt"
    private.write_text("Private words that nobody added.")
    (papers / "a.txt").write_text(PAPER)
    (papers / "below").mkdir()
    (papers / "below" / "b.txt").write_text(PAPER + "b")
    (papers / "c.txt").write_text(PAPER + "c")
    files = list(find_files([papers]))
    assert all(isinstance(file, Found) for file in files)
    (papers / "a.txt").unlink()
    (papers / "a.txt").symlink_to(private)
    (papers / "below").rename(papers / "moved")
    (tmp_path / "b.txt").write_text("More private words.")
    (papers / "below").symlink_to(tmp_path)
    results = list(take_files(home, files, "builtin", urgent=False))
    refused = [one for one in results if isinstance(one, Refused)]
    assert [one.path.name for one in refused] == ["a.txt", "b.txt"]
    assert all("symbolic link" in one.error.message for one in refused)
    assert [one.path.name for one in results if isinstance(one, Taken)] == ["c.txt"]
    assert len(home.ledger.documents()) == 1


def test_a_link_that_is_named_is_taken(home: Home, papers: Path, tmp_path: Path) -> None:
    (papers / "a.txt").write_text(PAPER)
    link = tmp_path / "link.txt"
    link.symlink_to(papers / "a.txt")
    [taken] = take_files(home, find_files([link]), "builtin", urgent=False)
    assert isinstance(taken, Taken)


def test_an_original_that_changed_does_not_cost_another_document_its_copy(home: Home, papers: Path) -> None:
    """Its new content is that of the other, whose copy is all that there is of it."""
    first, second = papers / "a.txt", papers / "b.txt"
    first.write_text(PAPER)
    second.write_text(PAPER + "b")
    documents = [home.add(path, "builtin", urgent=False).document for path in (first, second)]
    spool.discard(home.settings, documents[0].sha256)
    first.write_text(PAPER + "b")
    second.unlink()
    with pytest.raises(FileError, match="has changed"):
        spool.ensure(home.settings, documents[0])
    assert spool.ensure(home.settings, documents[1]).read_text() == PAPER + "b"
    first.write_text("Words that were not added.")
    with pytest.raises(FileError, match="has changed"):
        spool.ensure(home.settings, documents[0])
    copies = [path.name for path in home.settings.spool_dir.rglob("*") if path.is_file()]
    assert copies == [documents[1].sha256]


# ---------------------------------------------------------------- the user's files and folders


def test_settings_recipes_and_data_that_others_can_change_are_told(
    settings: Settings, ledger: Ledger
) -> None:
    assert check_trust(settings).verdict is Verdict.OK
    settings.recipes_path.mkdir()
    recipe = settings.recipes_path / "mine.toml"
    recipe.write_text("")
    recipe.chmod(0o666)
    said = check_trust(settings)
    assert said.verdict is Verdict.WARN
    assert str(recipe) in said.found
    assert "chmod go-w" in said.remedy


def test_the_doctor_looks_at_the_ledger_and_changes_nothing(settings: Settings) -> None:
    assert check_ledger(settings).found == "none yet"
    with Ledger.open(settings) as ledger:
        assert "whole" in check_ledger(settings).found
        ledger.db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="newer"):
        check_ledger(settings)
    settings.ledger_path.write_bytes(b"x" * 5000)
    with pytest.raises(ServiceError, match="damaged"):
        check_ledger(settings)
    assert settings.ledger_path.read_bytes() == b"x" * 5000


def test_orders_go_to_no_supervisor_of_somebody_else(settings: Settings, tmp_path: Path) -> None:
    """Who takes the folder's name after a clean-up of /tmp gets no word from us."""
    folder = tmp_path / "taken"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    link = settings.data_dir / "run" / "sockets"
    link.parent.mkdir(parents=True)
    link.symlink_to(folder)
    assert runtime_dir(settings) == folder
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "supervisor.sock"))
        server.listen()
        with pytest.raises(ServiceError, match="not a private folder of yours"):
            Supervisor(settings).programs()


def test_a_viewer_has_the_umask_that_the_user_gave(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = tmp_path / "viewer"
    viewer.write_text(
        f'#!/bin/sh\numask > "{tmp_path}/told.new" && mv "{tmp_path}/told.new" "{tmp_path}/told"\n'
    )
    viewer.chmod(0o700)
    monkeypatch.setattr(opening, "_viewer", lambda: str(viewer))
    monkeypatch.setattr("app.private_files._given", None)
    before = os.umask(0o022)
    try:
        be_private()
        (papers / "a.txt").write_text(PAPER)
        assert (papers / "a.txt").stat().st_mode & 0o777 == 0o600
        opening.open_original(bytes(papers / "a.txt"))
        while not (tmp_path / "told").exists():
            os.sched_yield()  # the test's own time limit ends this
        assert int((tmp_path / "told").read_text(), 8) == 0o022
    finally:
        os.umask(before)


# ---------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    "address",
    ["redis://:se/CANARY@h:6379", "redis://:se#CANARY@h", "rediss://u:CANARY?@h/0", "redis://[CANARY@h"],
)
def test_an_address_of_redis_that_is_wrong_is_not_repeated(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOEBOX_REDIS_URL", address)
    with pytest.raises(ConfigError) as caught:
        get_settings()
    assert "CANARY" not in str(caught.value)
    assert "redis_url" in str(caught.value)


def test_an_address_of_ollama_that_is_wrong_is_repeated_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        ollama_url("http://user:se/CANARY@host:x")
    assert "CANARY" not in str(caught.value)


def test_names_that_a_shell_puts_for_a_star_do_nothing_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.umask(0o022)
    for arguments in (["ls", "--\x1b]0;owned\x07"], ["\x1b[2J"], ["show", "a", "\x9b31m\u202e"]):
        monkeypatch.setattr(sys, "argv", ["shoebox", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == ExitCode.USAGE
        said = capsys.readouterr().err
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said)
        assert "\\x1b" in said or "\\x9b" in said
    os.umask(before)


# ---------------------------------------------------------------- files that ask for other files


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """An address of this machine, and what asked there."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                asked.append(connection.recv(1000).decode("utf-8", "replace"))
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            ended.set()
            thread.join()


def _docx_with(url: str) -> bytes:
    """A letter with an external entity, an external image and a template elsewhere."""
    buffer = BytesIO(office.docx())
    with zipfile.ZipFile(buffer) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts["word/_rels/document.xml.rels"] = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r9" Type="{kinds}/image" Target="{url}/image" TargetMode="External"/>'
        f'<Relationship Id="r8" Type="{kinds}/attachedTemplate" Target="{url}/t" TargetMode="External"/>'
        "</Relationships>"
    ).encode()
    parts["docProps/core.xml"] = (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "{url}/entity"><!ENTITY f SYSTEM'
        ' "file:///etc/passwd">]><coreProperties><title>&e;&f;</title></coreProperties>'
    ).encode()
    new = BytesIO()
    with zipfile.ZipFile(new, "w") as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return new.getvalue()


def test_no_file_has_another_one_fetched(papers: Path, settings: Settings) -> None:
    with listening() as (url, asked):
        html = (
            f'<html><head><base href="{url}/"><link rel=stylesheet href="{url}/css"><script src="{url}/js">'
            f'</script></head><body><img src="{url}/img"><iframe src="{url}/frame"></iframe><p>{PAPER}</p>'
            f'<object data="{url}/object"></object>'
            f'<meta http-equiv=refresh content="0;url={url}/r"></body></html>'
        )
        svg = (
            f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg'
            f' xmlns="http://www.w3.org/2000/svg"><image href="{url}/svg"/><text>&e;</text></svg>'
        )
        mail = (
            "From: a@example.org\nSubject: bill\nMIME-Version: 1.0\n"
            "Content-Type: multipart/mixed; boundary=b\n\n"
            f"--b\nContent-Type: text/html\n\n{html}\n--b\nContent-Type: message/external-body;"
            f' access-type=URL; URL="{url}/external"\n\nContent-Type: text/plain\n\n--b--\n'
        )
        rtf = f'{{\\rtf1 {{\\field{{\\*\\fldinst INCLUDEPICTURE "{url}/rtf"}}}} {PAPER}}}'
        files = {
            "a.html": html,
            "a.svg": svg,
            "a.eml": mail,
            "a.rtf": rtf,
            "a.md": f"![x]({url}/md)\n{PAPER}",
        }
        found = []
        for name, text in {**{n: t.encode() for n, t in files.items()}, "a.docx": _docx_with(url)}.items():
            (papers / name).write_bytes(text)
            try:
                found.append("".join(page.text for page in extract(papers / name, name, settings).pages))
            except FileError as error:
                found.append(str(error))
    assert asked == []
    assert sum("Lamp Co" in text for text in found) >= 4
    assert not any("root:" in text for text in found)


# ---------------------------------------------------------------- the code, and what it is built from

_NEVER = {
    *("eval", "exec", "os.system", "os.popen", "os.spawnl", "os.spawnv", "subprocess.getoutput"),
    *("pickle.loads", "pickle.load", "marshal.loads", "shelve.open", "torch.load", "tempfile.mktemp"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "shutil.unpack_archive"),
}
_NEVER_IMPORTED = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "pty", "commands"}


def _dotted(node: ast.expr) -> str:
    """What is called, such as `os.system`; it begins with a dot for a method of a result."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def _dangers(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = _dotted(node.func)
        if name in _NEVER or name.endswith((".extractall", ".extract", "create_subprocess_shell")):
            yield name
        for keyword in node.keywords:
            is_off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in {"shell", "allow_pickle"} and not is_off:
                yield keyword.arg
    elif isinstance(node, ast.Import | ast.ImportFrom):
        names = {alias.name.partition(".")[0] for alias in node.names}
        names.add((getattr(node, "module", None) or "").partition(".")[0])
        yield from names & _NEVER_IMPORTED


def test_no_source_file_starts_a_shell_or_runs_data() -> None:
    found = [
        f"{source.relative_to(ROOT)}: {danger}"
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        for danger in _dangers(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run('x', shell=True)",
        "os.system('x')",
        "import pickle",
        "from pickle import loads",
        "eval('x')",
        "yaml.load(x)",
        "archive.extractall()",
        "archive.extract(member)",
        "numpy.load(x, allow_pickle=True)",
    ],
)
def test_what_starts_a_shell_or_runs_data_would_be_found(line: str) -> None:
    assert [danger for node in ast.walk(ast.parse(line)) for danger in _dangers(node)]


@pytest.mark.parametrize("lock", sorted((ROOT / ".requirements").glob("*.lock")), ids=lambda path: path.name)
def test_every_requirement_is_locked_with_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[A-Za-z0-9][\w.\[\]-]*==\S+", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line
    assert "--require-hashes" in (ROOT / "run.sh").read_text(encoding="utf-8")
