"""The stage look, without torch: whether it is planned, what it counts for, what is said when it fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.listing import full_record
from app.looks import look_line
from app.report import report
from app.trace import trace
from app.tui.document_words import heading
from tasks.agreement import combined, contradiction, verdict
from tasks.calibration import Sureness
from tasks.capability import is_light, light, runnable, usable
from tasks.dispatch import Dispatcher
from tasks.documents import Classification, Extraction, Failure, Page, Stage, State, TextSource, Value
from tasks.engines.torchscript import LookError
from tasks.exchange import Exchange
from tasks.home import Home
from tasks.image_classifiers import ImageClassifier, InputForm, find_classifier
from tasks.ledger import DocumentRow, Ledger
from tasks.look_planning import known_classifiers, note_classifiers
from tasks.looks import Look, LookParams, PageLook
from tasks.orders import ImagePage, Order, Outcome
from tasks.overview import overviews
from tasks.pipeline import Pipeline
from tasks.reading import decode
from tasks.recipe_images import ImageClassifierUse, LabelMeans
from tasks.running import UnitResult, prepare_unit, run_unit
from tasks.said import CATEGORY, corrections
from tasks.settings import Settings
from tasks.stages import look as stage
from tasks.stages.reading import read
from tasks.units import UnitRow, mark_queued, unit, units_of
from tests.looking import CLASSIFIER, LABELS, install, look, presence, write_recipe
from tests.samples import scans

INVOICE = Classification(category="invoice", confidence=0.9, evidence=("'Invoice' on page 1",))
PAGE = Page(number=1, text="Invoice 17\nTotal 2.50 EUR", source=TextSource.LAYER, score=1.0)


class Desk:
    """A home whose recipe asks for an image classifier; each unit gets the outcome that the test tells."""

    def __init__(self, folder: Path, **given: object) -> None:
        self.folder = folder
        self.settings = Settings.model_validate(
            {"data_dir": folder / "data", "recipe_dir": folder / "recipes", "engine": "offline", **given}
        )
        write_recipe(self.settings.recipes_path)
        self.ledger = Ledger.open(self.settings)
        self.pipeline = Pipeline(self.ledger, self.settings)

    def announce(self, *classifiers: ImageClassifier) -> None:
        with self.ledger.transaction():
            note_classifiers(self.ledger, [presence(*classifiers)])

    def add(self, name: str = "a.pdf", data: bytes = b"", recipe: str = "pics") -> DocumentRow:
        path = self.folder / name
        path.write_bytes(data or name.encode())
        return self.pipeline.submit(path, recipe, urgent=False).document

    def extracted(self, *pages: Page, mime: str = "application/pdf", name: str = "a.pdf") -> DocumentRow:
        """A document whose text has been read."""
        document = self.add(name)
        self.end(document, Extraction(mime=mime, pages=pages or (PAGE,)))
        return self.row(document)

    def row(self, document: DocumentRow) -> DocumentRow:
        row = self.ledger.document(document.id)
        assert row is not None
        return row

    def waiting(self, document: DocumentRow) -> UnitRow:
        [found] = [u for u in units_of(self.ledger, document.id) if u.state is State.WAITING]
        return found

    def end(self, document: DocumentRow, result: Value | Failure) -> None:
        taken = mark_queued(self.ledger, self.waiting(document).id)
        if isinstance(result, Failure):
            outcome = Outcome(issue=taken.issue, failure=result)
        else:
            outcome = Outcome(issue=taken.issue, result=result.model_dump(mode="json"), worker="gpu@box")
        self.pipeline.record(taken.id, outcome)

    def read_on(self, document: DocumentRow) -> DocumentRow:
        """The offline engine does all that is left."""
        while self.row(document).state in {State.WAITING, State.RUNNING}:
            waiting = self.waiting(document)
            order = Order(
                home="h",
                unit=waiting.id,
                issue=1,
                document=document.id,
                stage=waiting.stage,
                params=waiting.params,
            )
            payload = Home(self.ledger, self.settings, None).reading_payload(order)  # type: ignore[arg-type]
            done = read(order, payload, self.settings, lambda _: None, lambda: False)
            taken = mark_queued(self.ledger, waiting.id)
            self.pipeline.record(taken.id, Outcome(issue=taken.issue, result=done.result))
        return self.row(document)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with made.ledger:
        yield made


# Planning


def test_a_document_is_looked_at_between_reading_and_classifying(desk: Desk) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted()
    waiting = desk.waiting(document)
    assert (waiting.stage, waiting.queue, waiting.model) == (Stage.LOOK, "gpu", CLASSIFIER.model)
    params = LookParams.model_validate(waiting.params)
    assert params.pages == (ImagePage(number=1),)
    assert (params.classifier, params.digest, params.form) == ("letters", CLASSIFIER.digest, CLASSIFIER.form)
    desk.end(document, look({"Rechnung": 1.0}))
    assert desk.waiting(document).stage is Stage.CLASSIFY


def test_the_pages_that_ocr_turned_are_shown_upright_and_as_many_as_the_recipe_says(desk: Desk) -> None:
    write_recipe(desk.settings.recipes_path, "pages = 2")
    desk.announce(CLASSIFIER)
    pages = [PAGE.model_copy(update={"number": n, "rotation": 90 * (n == 2)}) for n in (1, 2, 3)]
    params = LookParams.model_validate(desk.waiting(desk.extracted(*pages)).params)
    assert params.pages == (ImagePage(number=1), ImagePage(number=2, rotation=90))


@pytest.mark.parametrize("announced", [(), (CLASSIFIER.model_copy(update={"name": "others"}),)])
def test_where_no_worker_has_it_the_document_goes_on_and_says_so(
    desk: Desk, announced: tuple[ImageClassifier, ...]
) -> None:
    desk.announce(*announced)
    document = desk.extracted()
    assert desk.waiting(document).stage is Stage.CLASSIFY
    assert desk.read_on(document).state is State.DONE
    why = "not looked at: No worker that is up has the image classifier 'letters'."
    assert look_line(desk.ledger, desk.row(document)) == why
    assert any(why in line for line in report(desk.ledger, desk.row(document), with_text=False))
    assert any(why in line for line in trace(desk.ledger, desk.row(document)))
    desk.announce(CLASSIFIER)  # it is looked at when it is read again
    desk.pipeline.retry(document)  # what was extracted is known
    assert desk.waiting(document).stage is Stage.LOOK


@pytest.mark.parametrize("mime", ["text/plain", "message/rfc822"])
def test_what_has_no_image_is_not_looked_at(desk: Desk, mime: str) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted(mime=mime)
    assert desk.waiting(document).stage is Stage.CLASSIFY
    assert not units_of(desk.ledger, document.id, Stage.LOOK)
    assert look_line(desk.ledger, desk.row(document)) == ""


def test_a_recipe_without_it_and_a_category_that_a_person_gave_need_no_look(desk: Desk) -> None:
    desk.announce(CLASSIFIER)
    plain = desk.add("plain.pdf", recipe="builtin")
    desk.end(plain, Extraction(mime="application/pdf", pages=(PAGE,)))
    assert desk.waiting(plain).stage is Stage.CLASSIFY
    given = desk.extracted()
    desk.end(given, look({"letter": 1.0}))
    desk.read_on(given)
    desk.pipeline.correct(desk.row(given), CATEGORY, "contract")
    desk.pipeline.retry(given)
    assert Stage.LOOK not in {u.stage for u in units_of(desk.ledger, given.id)}


def test_a_classifier_that_vanishes_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("tasks.look_planning.time.time", lambda: now)
    desk.announce(CLASSIFIER)
    waits, runs = desk.extracted(name="a.pdf"), desk.extracted(name="b.pdf")
    out = mark_queued(desk.ledger, desk.waiting(runs).id)
    desk.ledger.db.execute("UPDATE units SET state = 'running' WHERE id = ?", (out.id,))
    desk.announce()
    desk.pipeline.give_up_looks()
    assert desk.waiting(waits).stage is Stage.LOOK  # the worker may only be starting again
    now += 31
    desk.announce()
    desk.pipeline.give_up_looks()
    assert desk.waiting(waits).stage is Stage.CLASSIFY
    assert desk.row(waits).state is not State.FAILED
    assert "'letters'" in look_line(desk.ledger, desk.row(waits))
    still = unit(desk.ledger, out.id)
    assert still is not None and still.state is State.RUNNING  # somebody is on it


def test_what_workers_have_is_written_down_only_when_it_is_news(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("tasks.look_planning.time.time", lambda: now)
    desk.announce(CLASSIFIER)
    before = desk.ledger.db.total_changes
    now += 5
    desk.announce(CLASSIFIER)
    assert desk.ledger.db.total_changes == before
    now += 20
    desk.announce(CLASSIFIER)
    now += 20
    assert known_classifiers(desk.ledger) == (CLASSIFIER,)
    with desk.ledger.transaction():
        note_classifiers(desk.ledger, [presence(CLASSIFIER, queue="cpu")])
    now += 20
    assert known_classifiers(desk.ledger) == ()


def test_the_same_content_is_not_looked_at_twice_by_the_same_classifier(desk: Desk) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted()
    desk.end(document, look({"Rechnung": 1.0}))
    desk.read_on(document)
    desk.pipeline.retry(document)
    [again] = units_of(desk.ledger, document.id, Stage.LOOK)
    assert (again.state, again.message) == (State.DONE, "known result")
    other = CLASSIFIER.model_copy(update={"digest": "f" * 16})
    desk.read_on(document)
    desk.ledger.set_meta("image classifiers", "")
    desk.announce(other)
    desk.pipeline.retry(document)
    assert desk.waiting(document).model == other.model


# Failing


@pytest.mark.parametrize(("kind", "tries"), [("error", 3), ("died", 3), ("timeout", 3), ("file", 1)])
def test_a_look_that_fails_costs_the_evidence_and_not_the_document(desk: Desk, kind: str, tries: int) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted()
    for _ in range(tries):
        assert desk.waiting(document).stage is Stage.LOOK
        desk.end(document, Failure(kind=kind, message="'letters' gave an output that is not finite."))
    assert desk.waiting(document).stage is Stage.CLASSIFY
    row = desk.read_on(document)
    assert (row.state, row.category) == (State.DONE, "invoice")
    why = "not looked at: 'letters' gave an output that is not finite."
    assert look_line(desk.ledger, row) == why
    assert any(why in line for line in report(desk.ledger, row, with_text=False))
    assert full_record(desk.ledger, row)["look"]["message"].startswith("'letters' gave")


@pytest.mark.parametrize(
    "result",
    [
        {"labels": LABELS, "pages": [{"page": 2, "probabilities": [1, 0, 0]}], "device": "cpu"},
        {"labels": LABELS, "pages": [{"page": 1, "probabilities": [1, 0]}], "device": "cpu"},
        {"labels": LABELS, "pages": [{"page": 1, "probabilities": [0.9, 0.9, 0.9]}], "device": "cpu"},
        {"labels": LABELS, "pages": [{"page": 1, "probabilities": [2, -1, 0]}], "device": "cpu"},
        {"labels": LABELS, "pages": [], "device": "cpu"},
        {"category": "invoice"},
    ],
)
def test_a_result_of_another_form_counts_as_a_failure(desk: Desk, result: dict[str, Any]) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted()
    for _ in range(3):
        taken = mark_queued(desk.ledger, desk.waiting(document).id)
        desk.pipeline.record(taken.id, Outcome(issue=taken.issue, result=result))
    assert desk.waiting(document).stage is Stage.CLASSIFY
    assert "The look stage gave a wrong result" in look_line(desk.ledger, desk.row(document))


# What it counts for

USE = ImageClassifierUse(model="letters", labels=(LabelMeans(name="Rechnung", category="invoice"),))
CATEGORIES = ("invoice", "letter", "contract", "other")


def asked(weight: float = 0.75, **given: Any) -> LookParams:
    use = USE.model_copy(update={"weight": weight, **given})
    return LookParams(
        sha256="",
        mime="",
        pages=(ImagePage(number=1),),
        classifier="letters",
        digest=CLASSIFIER.digest,
        form=CLASSIFIER.form,
        use=use,
        categories=CATEGORIES,
    )


def says(category: str, confidence: float) -> Classification:
    return Classification(category=category, confidence=confidence)


def test_agreement_makes_surer_and_contradiction_less_sure() -> None:
    agreed = combined(says("invoice", 0.7), asked(), look({"Rechnung": 0.95, "letter": 0.05}))
    assert agreed.category == "invoice" and 0.7 < agreed.confidence < 1
    assert "it looks like invoice (95% by letters, 'Rechnung')" in agreed.evidence
    against = combined(says("letter", 0.9), asked(), look({"Rechnung": 0.95, "letter": 0.05}))
    assert against.category == "letter" and 0.5 < against.confidence < 0.9
    assert against.evidence == ("though it looks like invoice (95% by letters, 'Rechnung')",)


def test_an_unsure_text_gives_way_to_a_sure_image_and_both_are_named() -> None:
    found = combined(says("letter", 0.35), asked(), look({"Rechnung": 0.99, "letter": 0.01}))
    assert found.category == "invoice"
    assert found.evidence[-1] == "the text alone says letter"


def test_a_label_that_means_no_category_counts_for_nothing() -> None:
    seen = look({"photo": 0.96, "Rechnung": 0.02, "letter": 0.02})
    assert verdict(asked(), seen).category == ""
    found = combined(says("letter", 0.6), asked(), seen)
    assert (found.category, found.confidence) == ("letter", pytest.approx(0.6, abs=0.01))
    assert "which is no category" in found.evidence[-1]


def test_a_category_that_no_label_means_is_not_voted_down_by_what_the_classifier_cannot_say() -> None:
    seen = look({"Rechnung": 0.5, "letter": 0.5})
    assert combined(says("contract", 0.6), asked(), seen).confidence == pytest.approx(0.6, abs=0.01)


def test_without_weight_or_any_label_that_means_something_nothing_changes() -> None:
    text, sure = says("letter", 0.6), look({"Rechnung": 1.0})
    assert combined(text, asked(weight=0), sure) == text
    nothing = Look(labels=("x", "y"), pages=(PageLook(page=1, probabilities=(1.0, 0.0)),), device="cpu")
    assert combined(text, asked(), nothing) == text


def test_several_pages_count_by_their_mean() -> None:
    one = verdict(asked(), look({"Rechnung": 1.0}, {"letter": 1.0}, {"letter": 1.0}))
    assert one.category == "letter" and one.probability == pytest.approx(2 / 3)


@given(
    st.sampled_from(CATEGORIES),
    st.floats(0, 1),
    st.lists(st.floats(0.001, 1), min_size=3, max_size=3),
    st.floats(0, 2),
)
def test_what_comes_out_is_always_a_category_with_a_share(
    category: str, confidence: float, raw: list[float], weight: float
) -> None:
    seen = look({label: value / sum(raw) for label, value in zip(LABELS, raw, strict=True)})
    found = combined(says(category, confidence), asked(weight=weight), seen)
    assert found.category in CATEGORIES
    assert 0 <= found.confidence <= 1
    surer = combined(says(category, min(1.0, confidence + 0.1)), asked(weight=weight), seen)
    if surer.category == found.category == category:
        assert surer.confidence >= found.confidence - 1e-3


def test_only_a_sure_image_against_a_sure_text_is_a_contradiction() -> None:
    sure = look({"Rechnung": 0.97, "letter": 0.03})
    words = contradiction(says("letter", 0.88), asked(), sure, 0.5)
    assert words == ("The image looks like 'invoice' (97%, by letters), but the text says 'letter' (88%).")
    assert contradiction(says("letter", 0.4), asked(), sure, 0.5) == ""
    assert contradiction(says("invoice", 0.9), asked(), sure, 0.5) == ""
    assert contradiction(says("letter", 0.9), asked(), look({"Rechnung": 0.7, "letter": 0.3}), 0.5) == ""
    assert contradiction(says("letter", 0.9), asked(), look({"photo": 1.0}), 0.5) == ""
    assert contradiction(says("contract", 0.9), asked(), sure, 0.5) == ""  # no label means it


def test_a_contradiction_sends_the_document_to_review_until_a_person_has_decided(desk: Desk) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted()
    desk.end(document, look({"letter": 0.99, "Rechnung": 0.01}))
    row = desk.read_on(document)
    assert row.state is State.REVIEW
    assert "The image looks like 'letter' (99%, by letters), but the text says 'invoice'" in row.message
    line = look_line(desk.ledger, row)
    assert line.startswith("letter 99%, Rechnung 1%, photo 0%, by letters on cpu; the text says invoice")
    record = full_record(desk.ledger, row)["look"]
    assert record["category"] == "letter" and record["text"]["category"] == "invoice"
    assert record["labels"][0] == {"label": "Rechnung", "category": "invoice", "probability": 0.01}
    desk.pipeline.correct(row, CATEGORY, row.category)
    after = desk.row(document)
    assert (after.state, after.category) == (State.DONE, row.category)
    assert look_line(desk.ledger, after) == "letter 99%, Rechnung 1%, photo 0%, by letters on cpu"


def test_confidence_with_the_images_word_is_calibrated_apart_from_that_of_the_text_alone(desk: Desk) -> None:
    desk.announce(CLASSIFIER)
    alone = desk.add("alone.pdf", recipe="builtin")
    desk.end(alone, Extraction(mime="application/pdf", pages=(PAGE,)))
    desk.read_on(alone)
    for number in range(12):
        seen = desk.extracted(name=f"{number}.pdf")
        desk.end(seen, look({"Rechnung": 0.9, "letter": 0.1}))
        desk.read_on(seen)
        desk.pipeline.correct(desk.row(seen), CATEGORY, "contract")
    [said] = corrections(desk.ledger, seen.id)
    assert said.model == "offline with image classifier letters"
    row = desk.row(alone)
    assert Sureness(desk.ledger, row).of_category() == row.confidence


# Over a real Redis


@pytest.fixture
def scan(desk: Desk) -> DocumentRow:
    """A scanned invoice that waits to be looked at."""
    desk.announce(CLASSIFIER)
    document = desk.add("scan.pdf", scans.scanned_invoice())
    desk.end(document, Extraction(mime="application/pdf", pages=(PAGE,)))
    return desk.row(document)


class Scripted:
    """Stands in for torch: notes the shape of what it is shown, and says what it is told."""

    labels = LABELS
    device = "cpu"

    def __init__(self, *rows: list[float]) -> None:
        self.rows = rows
        self.shown: list[tuple[int, ...]] = []

    def predict(self, images: list[Any]) -> list[list[float]]:
        self.shown += [image.shape for image in images]
        if not self.rows:
            raise LookError("'letters' gave an output that is not finite (NaN or infinite).", "Look at it.")
        return list(self.rows)


def send_through(desk: Desk, exchange: Exchange, sent: list[Order]) -> UnitRow:
    """Home releases the unit and draws its page, a worker runs it, home records the outcome."""
    home = Home(desk.ledger, desk.settings, exchange)
    home.dispatcher = Dispatcher(desk.ledger, desk.settings, exchange, lambda order, _: sent.append(order))
    home.dispatcher.release()
    order = sent[-1]
    assert prepare_unit(exchange, order, 12, "home", lambda: stage.draw(order, desk.settings))
    assert sum(map(len, exchange.payload(order))) < 100_000

    def work(images: list[bytes]) -> UnitResult:
        return UnitResult(stage.look_at(order, images, desk.settings).model_dump(mode="json"))

    assert run_unit(exchange, order, 12, order.target, work, needs_payload=True)
    home.record(order.unit)
    found = unit(desk.ledger, order.unit)
    assert found is not None
    return found


def test_a_page_goes_to_the_worker_that_has_the_classifier_and_its_word_comes_back(
    desk: Desk, scan: DocumentRow, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted([0.96, 0.03, 0.01])
    monkeypatch.setattr(stage, "_classifier", lambda params, settings: scripted)
    exchange.announce_presence(presence(worker="without"), 60)
    exchange.announce_presence(presence(CLASSIFIER, worker="with"), 60)
    sent: list[Order] = []
    ended = send_through(desk, exchange, sent)
    assert [(order.target, order.stage) for order in sent] == [("with", Stage.LOOK)]
    assert scripted.shown == [(96, 64, 3)]
    assert ended.state is State.DONE
    row = desk.read_on(scan)
    assert (row.state, row.category) == (State.DONE, "invoice")
    assert any("it looks like invoice (96%" in line for line in row.evidence)


def test_what_the_worker_says_is_wrong_reaches_the_document(
    desk: Desk, scan: DocumentRow, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_classifier", lambda params, settings: Scripted())
    exchange.announce_presence(presence(CLASSIFIER, worker="with"), 60)
    sent: list[Order] = []
    tries = [send_through(desk, exchange, sent) for _ in range(3)]
    assert [one.attempts for one in tries] == [1, 2, 3]
    assert tries[-1].state is State.QUARANTINED
    assert desk.read_on(scan).state is State.DONE
    assert "not finite" in look_line(desk.ledger, desk.row(scan))


def test_the_tick_notes_what_workers_have(desk: Desk, exchange: Exchange) -> None:
    exchange.announce_presence(presence(CLASSIFIER), 60)
    Home(desk.ledger, desk.settings, exchange)._look_at_classifiers(usable(exchange.presence()))
    assert known_classifiers(desk.ledger) == (CLASSIFIER,)


def test_a_classifier_is_light_and_only_for_those_that_have_it() -> None:
    with_it, without = presence(CLASSIFIER), presence()
    assert CLASSIFIER.model in runnable(with_it) and CLASSIFIER.model not in runnable(without)
    assert CLASSIFIER.model in light(with_it)
    assert is_light(CLASSIFIER.model) and not is_light("shoebox-large")


# Drawing


@pytest.mark.parametrize(("resize", "white"), [("letterbox", True), ("stretch", False)])
def test_home_draws_a_page_of_just_the_size_that_is_wanted(
    desk: Desk, scan: DocumentRow, resize: str, white: bool
) -> None:
    form = InputForm.model_validate({"width": 200, "height": 100, "resize": resize, "pad": 7})
    params = LookParams.model_validate(desk.waiting(scan).params).model_copy(update={"form": form})
    order = Order(
        home="h", unit=1, issue=1, document=scan.id, stage=Stage.LOOK, params=params.model_dump(mode="json")
    )
    [png] = stage.draw(order, desk.settings)
    image = decode(png)
    assert image.shape == (100, 200, 3)
    assert bool(np.all(image[:, :40] == 7)) is white  # a page is higher than wide: its sides are filled
    assert image[:, 90:110].std() > 5


def test_without_torch_the_unit_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("tasks.engines.torchscript.importlib.import_module", missing)
    stage._loaded.cache_clear()
    install(settings)
    here = find_classifier("letters", settings).announced
    params = asked().model_copy(update={"digest": here.digest, "form": here.form})
    order = Order(
        home="h", unit=1, issue=1, document="d", stage=Stage.LOOK, params=params.model_dump(mode="json")
    )
    with pytest.raises(LookError, match="torch is not installed"):
        stage.look_at(order, [b""], settings)


def test_the_page_of_a_document_says_what_the_image_looks_like(desk: Desk) -> None:
    desk.announce(CLASSIFIER)
    document = desk.extracted()
    desk.end(document, look({"Rechnung": 0.9, "letter": 0.1}))
    row = desk.read_on(document)
    shown = heading(row, overviews(desk.ledger, [row.id])[0], "1 of 1", look_line(desk.ledger, row)).plain
    assert "image: Rechnung 90%, letter 10%, photo 0%, by letters on cpu; the text says invoice" in shown
