"""Targets that read files: recipes, settings, mails, the journals of plans and of watched folders."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from app.plans.journal import Action, Step, StepState
from app.plans.journal import Journal as Plans
from app.watch.journal import FileState, WatchedFile, WhenTaken
from app.watch.journal import Journal as Watched
from app.watch.sight import Sight
from tasks.errors import ConfigError, FileError, ShoeboxError
from tasks.reading.cleaning import clean_text
from tasks.reading.kinds import Kind, UnknownKindError, kind_of
from tasks.reading.mail import read_mail
from tasks.recipes import RecipeError, parse_recipe
from tasks.settings import Settings, get_settings
from tests.fuzz.runner import Target
from tests.fuzz.shapes import mutated, mutated_bytes, texts
from tests.samples import office, trouble

_RECIPE = """\
name = "mine"
[models]
classify = "small:1b"
[categories.rent]
describe = "A letter about the rent."
model = "reader:8b"
[categories.rent.evidence]
"*miete" = 3.0
"rent is due" = 1.5
[categories.rent.fields.amount]
type = "amount"
describe = "What is to be paid."
role = "amount"
labels = ["Total", "Sum \u2026 due"]
[categories.rent.fields."iban"]
type = "identifier"
check = "iban"
describe = '''Where
to'''
[image_classifier]
name = "kinds"
[image_classifier.labels]
letter = "rent"
"""
_SETTINGS = """\
engine = "ollama"
ollama_host = "box:11434"
cpu_concurrency = 2
tidy_template = "{category}/{title}{ext}"
notify_on = ["done", "failed"]
webhook_url = "https://hook.example/a"
digest_at = "07:30"
extra_worker_command = ["ssh", "box"]
[model_contexts]
"reader:8b" = 16384
[keys]
"intray.retry" = "ctrl+r"
"""


@lru_cache(maxsize=1)
def _folder() -> Path:
    """A folder of this process's own, removed at its end."""
    import atexit

    made = TemporaryDirectory(prefix="shoebox-fuzz-")
    atexit.register(made.cleanup)
    return Path(made.name)


def check_recipe(raw: bytes) -> None:
    """A recipe, or a RecipeError that names its file."""
    try:
        recipe = parse_recipe(raw, "mine", "mine.toml")
    except RecipeError as error:
        assert "mine.toml" in error.message
        return
    assert "other" in recipe.category_names
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe
    assert len(recipe.version) == 12


def check_settings(raw: bytes) -> None:
    """Settings, or a ConfigError that names the file."""
    file = _folder() / "config.toml"
    file.write_bytes(raw)
    with _environment(SHOEBOX_CONFIG=str(file), SHOEBOX_DATA_DIR=str(_folder())):
        get_settings.cache_clear()
        try:
            get_settings()
        except ConfigError as error:
            assert str(file) in str(error)
        finally:
            get_settings.cache_clear()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def check_mail(raw: bytes) -> None:
    """A mail's text and attachments, or a FileError."""
    file = _folder() / "mail.eml"
    file.write_bytes(raw)
    with suppress(FileError):
        mail = read_mail(file, "mail.eml", Kind.EML)
        clean_text(mail.text).encode()
        for attachment in mail.attachments:
            assert attachment.name.strip()
            assert attachment.name.isprintable() or not set(attachment.name) & set("\0\x1b\n\r\u202e")


def check_kind(raw: bytes) -> None:
    """One of the kinds, or a FileError that says what is wrong."""
    file = _folder() / "any.file"
    file.write_bytes(raw)
    with suppress(FileError, UnknownKindError):
        assert kind_of(file, "any.file") in Kind


def _journal(journal: type[Plans] | type[Watched], name: str) -> bytes:
    """The bytes of a journal with a few rows."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        with journal.open(settings) as opened:
            if isinstance(opened, Plans):
                _fill_plans(opened)
            else:
                _fill_watched(opened)
        with closing(sqlite3.connect(settings.data_dir / name)) as db:
            db.execute("PRAGMA journal_mode = DELETE")  # all of it in the one file
        return (settings.data_dir / name).read_bytes()


def _fill_plans(journal: Plans) -> None:
    steps = [
        Step(
            0,
            number,
            f"d{number}",
            Path(f"/h/{number}.pdf"),
            PurePosixPath(f"a/{number}.pdf"),
            "0" * 64,
            state,
        )
        for number, state in enumerate(StepState)
    ]
    journal.add(Path("/h/tree"), Action.COPY, "{title}", steps)


def _fill_watched(journal: Watched) -> None:
    journal.put_folder(Path("/h/in"), "builtin", WhenTaken.LEAVE, only_new=False)
    for number, state in enumerate(FileState):
        sight = Sight(number, 1, 2, 3)
        journal.put(WatchedFile(Path(f"/h/in/{number}"), 1, state, sight, moving_to=Path("/h/in/Taken/a")))


def check_plans(raw: bytes) -> None:
    """What can be read of a damaged journal, or an error in words: never a trace of Python's."""
    settings = _damaged(raw, "plans.sqlite3")
    with suppress(ShoeboxError), Plans.open(settings) as journal:
        for plan in journal.plans():
            journal.steps(plan.id)
            journal.steps(plan.id, backwards=True)
            journal.counts(plan.id)
            journal.made_folders(plan.id)


def check_watched(raw: bytes) -> None:
    """The same for the list of watched folders and files."""
    settings = _damaged(raw, "watch.sqlite3")
    with suppress(ShoeboxError), Watched.open(settings) as journal:
        for folder in journal.folders():
            list(journal.files(folder.id))
            journal.counts(folder.id)
        journal.for_attention()
        journal.latest_entered(9)
        journal.changed_files(journal.last_change() - 1)


def _damaged(raw: bytes, name: str) -> Settings:
    settings = Settings(data_dir=_folder())
    for ending in ("", "-wal", "-shm"):
        (settings.data_dir / f"{name}{ending}").unlink(missing_ok=True)
    (settings.data_dir / name).write_bytes(raw)
    return settings


def _toml(*samples: str) -> st.SearchStrategy[bytes]:
    text = mutated(samples) | texts("=[]{}\"'.#\n abc123-", 300)
    return text.map(lambda one: one.encode("utf-8", "surrogatepass")) | st.binary(max_size=200)


_MAILS = (
    office.eml({"a.txt": ("text/plain", b"hello"), "b.eml": ("message/rfc822", office.eml({}))}),
    trouble.encrypted_eml(),
    office.eml({}),
)
_HEADS = (
    b"%PDF-1.7\n",
    b"PK\x03\x04",
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",
    b"{\\rtf",
    b"\xd0\xcf\x11\xe0",
    b"From: a\r\n",
    b"<html>",
)
_ZIPS = (office.docx(), office.odt(), office.epub())
_NESTED = b"a = " + b"[" * 20_000
_NESTED_TABLE = b"[" + b".".join([b"a"] * 20_000) + b"]\nb = 1"
TARGETS = (
    Target("recipe", _toml(_RECIPE), check_recipe, (_NESTED, _NESTED_TABLE)),
    Target("settings", _toml(_SETTINGS), check_settings, (_NESTED, _NESTED_TABLE, b"\x98", b"keys = 5")),
    Target("mail", mutated_bytes(_MAILS) | st.binary(max_size=300), check_mail),
    Target("kind", mutated_bytes([*_HEADS, *_ZIPS]) | st.binary(max_size=300), check_kind),
    Target(
        "plans",
        st.deferred(lambda: mutated_bytes([_journal(Plans, "plans.sqlite3")])) | st.binary(max_size=200),
        check_plans,
    ),
    Target(
        "watched",
        st.deferred(lambda: mutated_bytes([_journal(Watched, "watch.sqlite3")])) | st.binary(max_size=200),
        check_watched,
    ),
)
