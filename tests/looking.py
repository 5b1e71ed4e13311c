"""For tests of the stage look: a recipe that asks for it, a classifier that is announced, what it says."""

from collections.abc import Mapping
from pathlib import Path

from tasks.image_classifiers import ImageClassifier, InputForm
from tasks.looks import Look, PageLook
from tasks.orders import Presence
from tasks.planning import GPU_QUEUE
from tasks.settings import Settings

RECIPE = """\
[image_classifier]
model = "letters"
{keys}

[image_classifier.labels]
"Rechnung" = "invoice"

[categories.invoice]
describe = "What has to be paid."
[categories.invoice.evidence]
"invoice" = 6

[categories.letter]
describe = "Something written to somebody."
[categories.letter.evidence]
"dear" = 6

[categories.contract]
describe = "What was agreed."
"""
SIDECAR = """\
labels = ["Rechnung", "letter", "photo"]
width = 64
height = 96
"""
LABELS = ("Rechnung", "letter", "photo")
CLASSIFIER = ImageClassifier(name="letters", digest="0123456789abcdef", form=InputForm(width=64, height=96))


def write_recipe(folder: Path, keys: str = "", name: str = "pics") -> None:
    """The recipe, with more keys for the image classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(RECIPE.format(keys=keys), encoding="utf-8")


def presence(*classifiers: ImageClassifier, worker: str = "one", queue: str = GPU_QUEUE) -> Presence:
    """A worker that is up and has these."""
    return Presence(worker=worker, queues=(queue,), slots=1, pid=1, image_classifiers=classifiers)


def look(*pages: Mapping[str, float]) -> Look:
    """What the classifier says about pages: the probability of each label."""
    seen = tuple(
        PageLook(page=number, probabilities=tuple(page.get(label, 0.0) for label in LABELS))
        for number, page in enumerate(pages, start=1)
    )
    return Look(labels=LABELS, pages=seen, device="cpu")


def install(
    settings: Settings, name: str = "letters", sidecar: str = SIDECAR, network: bytes = b"net"
) -> Path:
    """Puts a classifier into the folder of this machine. Its network need not be one."""
    folder = settings.data_dir / "classifiers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(sidecar, encoding="utf-8")
    path = folder / f"{name}.pt"
    path.write_bytes(network)
    return path
