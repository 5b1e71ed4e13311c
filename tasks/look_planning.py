"""Whether a document is looked at by an image classifier, and by which: decided from what workers announce.

The stage is optional. A document goes on without it where no worker has the classifier, and says so.
"""

import hashlib
import time
from collections.abc import Iterable

from tasks.documents import Stage, State, Value
from tasks.image_classifiers import LOOK_PREFIX, ImageClassifier, look_model
from tasks.ledger import DocumentRow, Ledger
from tasks.looks import LookParams
from tasks.orders import ImagePage, Presence
from tasks.planning import GPU_QUEUE
from tasks.reading.kinds import IMAGES, Kind
from tasks.recipes import Recipe
from tasks.units import UnitPlan, UnitRow, delete_unit, mark_ended, not_begun, plan_units, units_of

_NOTE = "image classifiers"
_GONE_SECONDS = 30.0
"""A classifier counts as there for so long after a worker last announced it: a worker that is started again
is back by then, and nothing waits for longer than this for one that is not."""
_REFRESH_SECONDS = 10.0
_DRAWING_VERSION = "1"
"""To be raised whenever home may draw another image of the same page."""
_DRAWN = IMAGES | {Kind.PDF}
"""Kinds whose pages have images. A mail or an Office document is text."""


class _Seen(Value):
    """A classifier and when a worker last announced it, in seconds since 1970."""

    classifier: ImageClassifier
    at: float


class _Note(Value):
    seen: tuple[_Seen, ...] = ()


def note_classifiers(ledger: Ledger, presences: Iterable[Presence]) -> None:
    """Note which image classifiers the workers that are up have announced."""
    now = time.time()
    before = {seen.classifier: seen.at for seen in _load(ledger).seen}
    there = dict.fromkeys(
        one for worker in presences if GPU_QUEUE in worker.queues for one in worker.image_classifiers
    )
    kept = {one: at for one, at in before.items() if 0 <= now - at < _GONE_SECONDS and one not in there}
    fresh = {one: _refreshed(before.get(one), now) for one in there}
    if (after := fresh | kept) != before:
        note = _Note(seen=tuple(_Seen(classifier=one, at=at) for one, at in after.items()))
        ledger.set_meta(_NOTE, note.model_dump_json())


def _refreshed(at: float | None, now: float) -> float:
    """Not written at each tick."""
    return at if at is not None and 0 <= now - at < _REFRESH_SECONDS else now


def known_classifiers(ledger: Ledger) -> tuple[ImageClassifier, ...]:
    """Those that some worker has, or had a moment ago."""
    now = time.time()
    return tuple(seen.classifier for seen in _load(ledger).seen if 0 <= now - seen.at < _GONE_SECONDS)


def _load(ledger: Ledger) -> _Note:
    note = ledger.meta(_NOTE)
    return _Note.model_validate_json(note) if note else _Note()


def plan_look(ledger: Ledger, document: DocumentRow, recipe: Recipe) -> list[UnitPlan]:
    """The unit that has a document looked at; none where the recipe wants none, or it was looked at already.

    Where no worker has the classifier there is none either, and a unit that has ended says so.
    """
    use = recipe.image_classifier
    if use is None or document.mime not in _DRAWN:
        return []
    for before in units_of(ledger, document.id, Stage.LOOK):
        if before.state is not State.CANCELLED:
            return []
        delete_unit(ledger, before.id)
    known = next((one for one in known_classifiers(ledger) if one.name == use.model), None)
    if known is None:
        _note_skipped(ledger, document, use.model)
        return []
    pages = tuple(
        ImagePage(number=page.number, rotation=page.rotation)
        for page in ledger.pages(document.id)[: use.page_count]
    )
    params = LookParams(
        sha256=document.sha256,
        mime=document.mime,
        pages=pages,
        classifier=known.name,
        digest=known.digest,
        form=known.form,
        use=use,
        categories=recipe.category_names,
    )
    return [UnitPlan(Stage.LOOK, GPU_QUEUE, known.model, params.model_dump(mode="json"), _key(params))]


def _key(params: LookParams) -> str:
    """Under which key a result is kept: what is looked at, and by what."""
    shown = params.model_dump_json(include={"pages", "form"})
    drawn = hashlib.sha256(shown.encode()).hexdigest()[:24]
    maker = look_model(params.classifier, params.digest)
    return f"{params.sha256}:{Stage.LOOK}:{maker}:{_DRAWING_VERSION}:{drawn}"


def _note_skipped(ledger: Ledger, document: DocumentRow, name: str) -> None:
    plan = UnitPlan(Stage.LOOK, GPU_QUEUE, look_model(name, ""), {}, "")
    for skipped in plan_units(ledger, document, [plan]):
        mark_ended(ledger, skipped.id, State.CANCELLED, message=nobody_has(name))


def nobody_has(name: str) -> str:
    """Why a document was not looked at."""
    return f"No worker that is up has the image classifier {name!r}."


def stranded_looks(ledger: Ledger) -> list[UnitRow]:
    """Looks that nobody has begun, for a classifier that no worker has any more."""
    there = {one.model for one in known_classifiers(ledger)}
    return [unit for unit in not_begun(ledger, GPU_QUEUE, LOOK_PREFIX) if unit.model not in there]
