"""What ten corrections do to documents that were not corrected, by the offline engine.

    python -m tests.bench_learning [FOLDER...]

Reads made invoices of five senders, and each folder with a `truth.json` (see docs/offline-engine.md), in a
ledger of its own; corrects the first ten wrong values that stand on a page; reads the others again. The
folders are also read by a recipe that has no labels, as one would be that a user has only begun.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from tasks.accuracy import TRUTH_FILE, is_in_text, read_truth
from tasks.ledger import Ledger
from tasks.reading import extract
from tasks.recipes import BUILTIN
from tasks.settings import Settings
from tests.learning import CATEGORY, Effect, Reader, Told, measure_effect, pages_of
from tests.samples.senders import invoices_by_sender
from tests.test_corrections import Desk

_CORRECTIONS = 10


def main(folders: list[str]) -> None:
    made = [
        Told(f"{sample.sender} {number}", pages_of(sample.text), {**sample.truth, CATEGORY: "invoice"})
        for number, sample in enumerate(invoices_by_sender(6))
    ]
    show("made invoices of five senders", measure(made))
    for folder in folders:
        documents = list(told_of(Path(folder)))
        show(folder, measure(documents))
        show(f"{folder}, by a recipe without labels", measure(documents, without_labels=True))


def told_of(folder: Path) -> Iterator[Told]:
    """The files that a truth file names, with what stands on their pages of the truth."""
    for name, facts in read_truth(folder / TRUTH_FILE).items():
        extraction = extract(folder / name, name, Settings())
        text = "\n".join(page.text for page in extraction.pages)
        truth = {field: value for field, value in facts.items() if value and is_in_text(field, value, text)}
        yield Told(name, extraction.pages, {**truth, CATEGORY: "invoice"})


def measure(documents: list[Told], *, without_labels: bool = False) -> Effect:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data_dir=folder / "data", recipe_dir=folder)
        (folder / "bare.toml").write_text(recipe_without_labels(), encoding="utf-8")
        with Ledger.open(settings) as ledger:
            desk = Desk(ledger, settings, folder)
            reader = Reader(ledger, settings, desk, "bare" if without_labels else BUILTIN)
            return measure_effect(reader, documents, _CORRECTIONS)


def recipe_without_labels() -> str:
    packaged = resources.files("tasks").joinpath("builtin_recipe.toml").read_text(encoding="utf-8")
    return re.sub(r"^labels = \[.*?\]\n", "", packaged, flags=re.MULTILINE | re.DOTALL)


def show(what: str, effect: Effect) -> None:
    print(f"{what}: {effect.corrections} corrections")
    print(
        f"  {effect.documents} other documents: {effect.right_before} of {effect.values} values right before,"
        f" {effect.right_after} after; {len(effect.helped)} helped, {len(effect.harmed)} harmed"
    )
    for line in effect.harmed:
        print(f"  harmed: {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
