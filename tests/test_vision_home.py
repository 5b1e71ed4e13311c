"""Home gives a unit its page images: drawn from the file, behind the text, only while they do no harm."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks import home as home_module
from tasks import spool
from tasks.celery_tasks import _queue_behind
from tasks.documents import Page, Stage, TextSource
from tasks.exchange import Exchange
from tasks.home import Home
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import ImagePage, LlmParams, Order, ReadParams, image_pages
from tasks.running import prepare_unit
from tasks.settings import Settings
from tasks.stages.reading import ReadPayload
from tasks.units import UnitPlan, mark_queued, mark_waiting, plan_units
from tests.pageimages import letter, turned

UPRIGHT = letter(dpi=100)


@dataclass
class Published:
    """What home has sent to the broker."""

    rendered: list[Order] = field(default_factory=list)
    sent: list[tuple[Order, str]] = field(default_factory=list)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    found = Published()
    monkeypatch.setattr(home_module, "publish_render", lambda order, _: found.rendered.append(order))
    monkeypatch.setattr(
        home_module, "publish_unit", lambda order, queue, _: found.sent.append((order, queue))
    )
    return found


@pytest.fixture
def home(ledger: Ledger, settings: Settings, exchange: Exchange) -> Home:
    return Home(ledger, settings, exchange)


@pytest.fixture
def document(ledger: Ledger, home: Home, tmp_path: Path) -> DocumentRow:
    """A scan of two pages, the first of which lay on its right side."""
    path = tmp_path / "scan.tiff"
    first, second = (Image.fromarray(page.image).convert("L") for page in (turned(UPRIGHT, 90), UPRIGHT))
    first.save(path, "TIFF", save_all=True, append_images=[second])
    row = home.pipeline.submit(path, "builtin", urgent=False).document
    pages = [
        Page(number=number, text="a poor scan", source=TextSource.OCR, score=0.5, rotation=rotation)
        for number, rotation in ((1, 270), (2, 0))
    ]
    with ledger.transaction():
        ledger.put_pages(row.id, pages)
        ledger.update_document(row.id, mime="image/tiff", category="letter", stage=Stage.ANALYSE)
        ledger.db.execute("DELETE FROM units")
    found = ledger.document(row.id)
    assert found is not None
    return found


def order_of(ledger: Ledger, document: DocumentRow, *images: ImagePage, attempts: int = 0) -> Order:
    llm = LlmParams(model="m", num_ctx=16384, on_cpu=False, images=images)
    params = ReadParams(engine="ollama", category="letter", llm=llm).model_dump(mode="json")
    with ledger.transaction():
        [unit] = plan_units(ledger, document, [UnitPlan(Stage.ANALYSE, "gpu", "m", params, "key")])
        for _ in range(attempts):
            mark_waiting(ledger, unit.id, attempt=True)
        queued = mark_queued(ledger, unit.id)
    return Order(
        home=ledger.home,
        unit=unit.id,
        issue=queued.issue,
        document=document.id,
        stage=Stage.ANALYSE,
        params=params,
    )


BOTH = (ImagePage(number=1, rotation=270), ImagePage(number=2))


def test_pages_are_drawn_upright_behind_the_text(
    home: Home, ledger: Ledger, exchange: Exchange, document: DocumentRow, published: Published
) -> None:
    order = order_of(ledger, document, *BOTH)
    home._publish(order, "gpu")
    assert (published.rendered, published.sent) == ([order], [])
    assert exchange.payload(order) == []

    assert prepare_unit(exchange, order, 12, "home", lambda: home.reading_payload(order, with_images=True))
    text, *images = exchange.payload(order)
    assert ReadPayload.model_validate_json(text).images == (1, 2)
    for image in images:
        shown = np.asarray(Image.open(BytesIO(image)).convert("L"), dtype=float)
        expected = UPRIGHT.image.mean(axis=2)
        assert shown.shape == expected.shape
        assert np.abs(shown - expected).mean() < 2


def test_a_unit_that_has_failed_with_images_is_handed_out_without_them(
    home: Home, ledger: Ledger, exchange: Exchange, document: DocumentRow, published: Published
) -> None:
    order = order_of(ledger, document, *BOTH, attempts=1)
    home._publish(order, "gpu")
    assert (published.rendered, published.sent) == ([], [(order, "gpu")])
    [text] = exchange.payload(order)
    assert ReadPayload.model_validate_json(text).images == ()


def test_a_unit_without_images_is_handed_out_at_once(
    home: Home, ledger: Ledger, exchange: Exchange, document: DocumentRow, published: Published
) -> None:
    order = order_of(ledger, document)
    home._publish(order, "gpu")
    assert (published.rendered, published.sent) == ([], [(order, "gpu")])
    assert len(exchange.payload(order)) == 1


def test_a_page_that_cannot_be_drawn_is_left_out(home: Home, ledger: Ledger, document: DocumentRow) -> None:
    order = order_of(ledger, document, ImagePage(number=2), ImagePage(number=7))
    text, *images = home.reading_payload(order, with_images=True)
    assert ReadPayload.model_validate_json(text).images == (2,)
    assert len(images) == 1


def test_a_file_that_is_gone_costs_the_images_and_not_the_document(
    home: Home, ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    order = order_of(ledger, document, *BOTH)
    spool.discard(settings, document.sha256)
    assert len(home.reading_payload(order, with_images=True)) == 3  # taken again from the original
    spool.discard(settings, document.sha256)
    Path(document.path.decode()).unlink()
    [text] = home.reading_payload(order, with_images=True)
    given = ReadPayload.model_validate_json(text)
    assert given.images == () and given.document.text


@pytest.mark.parametrize(("on_cpu", "queue"), [(False, "gpu"), (True, "cpu")])
def test_a_unit_goes_on_to_the_queue_of_its_model(on_cpu: bool, queue: str) -> None:
    llm = LlmParams(model="m", num_ctx=512, on_cpu=on_cpu, images=BOTH)
    params = ReadParams(engine="ollama", llm=llm).model_dump(mode="json")
    order = Order(home="h", unit=1, issue=1, document="d", stage=Stage.ANALYSE, params=params)
    assert _queue_behind(order) == queue
    assert image_pages(order.stage, order.params) == (1, 2)
    ocr = {"sha256": "ab" * 32, "mime": "image/tiff", "pages": [3]}
    assert _queue_behind(order.model_copy(update={"stage": Stage.OCR, "params": ocr})) == "gpu"
