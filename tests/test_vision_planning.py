"""Which pages a model is shown as images, and that nothing changes where there are none."""

import hashlib
from pathlib import Path

import pytest

from tasks.documents import DocumentText, Page, PageText, Stage, TextSource
from tasks.engines.llm.base import ModelInfo
from tasks.engines.llm.page_images import IMAGE_TOKENS
from tasks.engines.llm.parts import images_beside, plan_parts
from tasks.engines.llm.tokens import TokenEstimate
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import ImagePage, LlmParams, ReadParams
from tasks.planning import document_text
from tasks.read_planning import load_estimate, plan_llm, plan_merge
from tasks.recipes import load_recipe
from tasks.routing import KnownModels, Route, route
from tasks.settings import Settings
from tasks.units import UnitPlan, plan_units
from tasks.vision import images_of_parts, poor_pages

RECIPE = load_recipe("builtin", Path())
INVOICE = RECIPE.category("invoice")
CONTEXT = 16384
SHA256 = "ab" * 32


def ocr_page(number: int, score: float, text: str = "a poor scan", **more: object) -> Page:
    return Page.model_validate(
        {"number": number, "text": text, "source": TextSource.OCR, "score": score, **more}
    )


def layer_page(number: int, score: float = 1.0, text: str = "Invoice 7") -> Page:
    return Page(number=number, text=text, source=TextSource.LAYER, score=score)


def failed_page(number: int) -> Page:
    return Page(
        number=number, text="", source=TextSource.NONE, score=0.0, needs_ocr=True, error="OCR failed."
    )


def seeing(context: int = CONTEXT, *, sees: bool = True) -> Route:
    return Route(model="m", queue="gpu", num_ctx=context, sees=sees, reason="")


@pytest.fixture
def document(ledger: Ledger, tmp_path: Path) -> DocumentRow:
    """An invoice without pages."""
    path = tmp_path / "a.pdf"
    path.write_bytes(b"x")
    with ledger.transaction():
        row = ledger.insert_document(SHA256, "a.pdf", path, path.stat(), "builtin", urgent=False)
        ledger.update_document(row.id, category="invoice")
    found = ledger.document(row.id)
    assert found is not None
    return found


def put_pages(ledger: Ledger, document: DocumentRow, *pages: Page) -> None:
    with ledger.transaction():
        ledger.put_pages(document.id, pages)


def plans(
    ledger: Ledger, settings: Settings, document: DocumentRow, route: Route, stage: Stage = Stage.ANALYSE
) -> list[UnitPlan]:
    return plan_llm(ledger, settings, document, RECIPE, stage, route)


def shown(plan: UnitPlan) -> list[int]:
    llm = ReadParams.model_validate(plan.params).llm
    assert llm is not None
    return [page.number for page in llm.images]


def test_pages_that_ocr_read_badly_or_not_at_all_are_poor() -> None:
    pages = [
        ocr_page(1, 0.84),
        ocr_page(2, 0.85),
        layer_page(3, score=0.1),
        ocr_page(4, 0.0, text=" \n"),  # blank
        failed_page(5),
        Page(number=6, text="", source=TextSource.NONE, score=0.0),
    ]
    assert [page.number for page in poor_pages(pages, 0.85)] == [1, 5]
    assert poor_pages(pages, 0) == []


def test_the_worst_pages_are_shown_in_the_order_of_the_document() -> None:
    pages = [ocr_page(number, score) for number, score in ((1, 0.5), (2, 0.8), (3, 0.3), (4, 0.6), (5, 0.5))]
    whole = DocumentText(name="d", pages=tuple(PageText(number=page.number, text="x") for page in pages))
    [found] = images_of_parts(pages, [whole], 3)
    assert [page.number for page in found] == [1, 3, 5]


def test_each_part_is_shown_its_own_pages_and_a_split_page_goes_with_both() -> None:
    poor = [failed_page(1), ocr_page(3, 0.4, rotation=90), failed_page(4), ocr_page(6, 0.2), failed_page(8)]
    texts = ((2, 3), (3, 5), (6, 7))
    parts = [
        DocumentText(name="d", pages=tuple(PageText(number=number, text="x") for number in numbers))
        for numbers in texts
    ]
    found = images_of_parts(poor, parts, 4)
    assert [[page.number for page in pages] for pages in found] == [[1, 3], [3, 4], [6, 8]]
    assert found[0][1] == ImagePage(number=3, rotation=90)


@pytest.mark.parametrize(
    ("score", "rotation", "turned"),
    [(0.6, 180, 180), (0.4, 180, 0), (0.4, 90, 90), (0.4, 270, 270), (0.6, 0, 0)],
)
def test_a_page_is_turned_over_only_if_words_were_read_on_it(
    score: float, rotation: int, turned: int
) -> None:
    whole = DocumentText(name="d", pages=(PageText(number=1, text="x"),))
    [[shown]] = images_of_parts([ocr_page(1, score, rotation=rotation)], [whole], 4)
    assert shown.rotation == turned


def test_a_model_that_takes_images_is_shown_the_poor_pages(
    ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    put_pages(ledger, document, layer_page(1), ocr_page(2, 0.6, rotation=180), ocr_page(3, 0.95))
    [plan] = plans(ledger, settings, document, seeing())
    assert shown(plan) == [2]
    assert plan.params["llm"]["images"] == [{"number": 2, "rotation": 180}]
    [blind] = plans(ledger, settings, document, seeing(sees=False))
    assert shown(blind) == []
    assert plan.result_key != blind.result_key
    [classify] = plans(ledger, settings, document, seeing(), Stage.CLASSIFY)
    assert shown(classify) == []


def test_the_settings_say_which_pages_and_how_many(
    ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    put_pages(ledger, document, *(ocr_page(number, 0.9 - number / 100) for number in range(1, 7)))

    def numbers(**changed: object) -> list[int]:
        [plan] = plans(ledger, settings.model_copy(update=changed), document, seeing(65536))
        return shown(plan)

    assert numbers() == [6]
    assert numbers(vision_below=0.9) == [3, 4, 5, 6]
    assert numbers(vision_below=0.9, vision_pages=2) == [5, 6]
    assert numbers(vision_below=0) == []


def test_without_images_the_parameters_and_the_key_are_what_they_always_were(
    ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    put_pages(ledger, document, layer_page(1), ocr_page(2, 0.4))
    [plan] = plans(ledger, settings, document, seeing(sees=False))
    before = (
        '{"engine":"ollama","category":"invoice","llm":{"model":"m","num_ctx":16384,"on_cpu":false,'
        '"is_decision_model":false,"part":0,"parts":1,"spans":[]}}'
    )
    assert ReadParams.model_validate(plan.params).model_dump_json() == before
    text = document_text(ledger, document).model_dump_json()
    assert plan.result_key.endswith(hashlib.sha256((text + before).encode()).hexdigest()[:24])
    assert "images" not in plan.params["llm"]
    [switched_off] = plans(ledger, settings.model_copy(update={"vision_below": 0}), document, seeing())
    assert switched_off == plan


def test_a_document_that_brought_the_server_down_twice_is_read_without_images(
    ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    put_pages(ledger, document, ocr_page(1, 0.4))
    for failures, expected in ((1, [1]), (2, [])):
        with ledger.transaction():
            ledger.update_document(document.id, model_failures=failures)
        row = ledger.document(document.id)
        assert row is not None
        [plan] = plans(ledger, settings, row, seeing())
        assert shown(plan) == expected


def test_images_leave_room_for_the_text_and_never_refuse_a_document(
    ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    put_pages(ledger, document, *(ocr_page(number, 0.4, text="word " * 600) for number in range(1, 9)))
    tokens = load_estimate(ledger, "m")
    alone = plan_parts(document_text(ledger, document), INVOICE, CONTEXT, tokens)
    found = plans(ledger, settings, document, seeing())
    assert len(found) > len(alone)
    assert [number for plan in found for number in shown(plan)] == list(range(1, 9))
    most = images_beside(INVOICE, CONTEXT, tokens, 16)
    assert all(1 <= len(shown(plan)) <= most for plan in found)
    small = plans(ledger, settings, document, seeing(3072))
    assert small and all(shown(plan) == [] for plan in small)


@pytest.mark.parametrize("context", [3072, 4096, 8192, 16384, 65536])
def test_images_and_text_stay_within_the_context(context: int) -> None:
    tokens = TokenEstimate(model="m")
    pages = tuple(PageText(number=number, text="word " * 400) for number in range(1, 41))
    wanted = images_beside(INVOICE, context, tokens, 8)
    for part in plan_parts(DocumentText(name="d", pages=pages), INVOICE, context, tokens, wanted):
        assert tokens.count(part.text) + wanted * IMAGE_TOKENS < context


def test_the_merge_of_parts_depends_on_the_images_of_all_parts(
    ledger: Ledger, settings: Settings, document: DocumentRow
) -> None:
    many = [layer_page(number, text="word " * 900) for number in range(1, 12)]
    put_pages(ledger, document, *many, ocr_page(12, 0.4, text="word " * 900))

    def merge(sees: bool) -> UnitPlan:
        with ledger.transaction():
            ended = plan_units(ledger, document, plans(ledger, settings, document, seeing(8192, sees=sees)))
            ledger.db.execute("DELETE FROM units")
        assert len(ended) > 1 and bool(shown_in(ended[-1].params)) is sees
        assert not shown_in(ended[0].params)
        [plan] = plan_merge(ended)
        assert not shown_in(plan.params)
        if not sees:
            assert plan.result_key == f"{ended[0].result_key}:merge"
        return plan

    def shown_in(params: dict[str, object]) -> bool:
        llm = ReadParams.model_validate(params).llm
        return bool(llm and llm.images)

    assert merge(sees=True).result_key != merge(sees=False).result_key


def test_what_a_server_or_the_settings_say_of_a_model_is_noted_in_the_route(settings: Settings) -> None:
    def sees(capabilities: tuple[str, ...], **changed: object) -> bool:
        info = ModelInfo(name="reader:8b", parameters=8_000_000_000, capabilities=capabilities)
        known = KnownModels(by_queue={"gpu": (info,)}, problem="")
        found = route(known, "reader:8b", 4096, settings.model_copy(update=changed))
        assert isinstance(found, Route)
        return found.sees

    assert sees(("completion", "vision"))
    assert not sees(("completion", "tools"))
    assert sees(("completion",), vision_models=("reader:8b",))


def test_parameters_of_an_earlier_version_are_understood() -> None:
    assert LlmParams.model_validate({"model": "m", "num_ctx": 512, "on_cpu": False}).images == ()
