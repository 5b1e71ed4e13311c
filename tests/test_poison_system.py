"""Poison in the middle of a batch, on a real system: it ends in words, and the rest is read."""

from collections.abc import Callable
from pathlib import Path

from tasks.documents import Stage, State
from tests import samples
from tests.poison import POISONS, archives, texts
from tests.system import System, states_of


def test_poison_is_set_aside_with_the_reason_and_the_rest_is_read(
    own_system: Callable[..., System], tmp_path: Path
) -> None:
    system = own_system(SHOEBOX_ENGINE="offline", SHOEBOX_EXTRACT_MEGABYTES="500")
    poisons = ("nested-spans.odt", "swollen-stream.pdf", "bomb.docx", "huge.png", "scripts.html")
    paths = [samples.make("letter.pdf", tmp_path)]
    for name in poisons:
        paths.append(tmp_path / name)
        paths[-1].write_bytes(POISONS[name]())
    mail = tmp_path / "mail.eml"
    mail.write_bytes(texts.mail_with(b"notes.odt", archives.odt_of_nested_spans()))
    paths += [
        mail,
        *(samples.make(name, tmp_path) for name in ("notes.txt", "invoice-en.pdf", "letter.docx")),
    ]
    children = system.json("status")["programs"]
    system.run("add", *paths)
    ended = system.await_ended()
    states, found = states_of(ended), {document.name: document for document in ended}
    for name in ("letter.pdf", "notes.txt", "invoice-en.pdf", "letter.docx"):
        assert states[name] in {State.DONE, State.REVIEW}, found[name].message
        assert found[name].category
    # It crashed three times, and is set aside; too much memory is final at once.
    assert states["nested-spans.odt"] is State.QUARANTINED
    assert "SIGSEGV" in found["nested-spans.odt"].message
    assert states["swollen-stream.pdf"] is State.QUARANTINED
    assert "more than 500 MB of memory" in found["swollen-stream.pdf"].message
    assert "extract_megabytes" in found["swollen-stream.pdf"].remedy
    attempts = {
        name: [unit.attempts for unit in system.units(found[name].id) if unit.stage is Stage.EXTRACT]
        for name in ("nested-spans.odt", "swollen-stream.pdf")
    }
    assert attempts == {"nested-spans.odt": [3], "swollen-stream.pdf": [1]}
    assert states["bomb.docx"] is states["huge.png"] is State.FAILED
    assert "would unpack to" in found["bomb.docx"].message
    assert states["mail.eml"] is State.REVIEW
    assert "attachments were not read" in found["mail.eml"].message
    # No program was started again, and no copy of a worker is left.
    assert [(each["name"], each["pid"]) for each in system.json("status")["programs"]] == [
        (each["name"], each["pid"]) for each in children
    ]
    assert not list(system.settings.spool_dir.glob("reading-*"))
