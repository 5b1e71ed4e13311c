"""The units of classify and analyse: by a language model where one can be asked, else offline."""

import hashlib

from tasks.documents import DocumentText, Page, Stage
from tasks.engines import OFFLINE, llm_engine_name, reading_engine
from tasks.engines.llm.base import LlmError
from tasks.engines.llm.parts import images_beside, plan_parts
from tasks.engines.llm.prompts import PROMPT_VERSION
from tasks.engines.llm.tokens import TokenEstimate
from tasks.errors import ConfigError
from tasks.examples import Example
from tasks.learning.retrieval import examples_for
from tasks.ledger import DocumentRow, Ledger
from tasks.orders import ImagePage, LlmParams, ReadParams, Span
from tasks.planning import CPU_QUEUE, document_text
from tasks.recipes import Category, Recipe
from tasks.routing import Route
from tasks.settings import Settings
from tasks.units import UnitPlan, UnitRow
from tasks.vision import images_of_parts, may_show, poor_pages


def plan_offline(
    ledger: Ledger, settings: Settings, document: DocumentRow, recipe: Recipe, stage: Stage
) -> list[UnitPlan]:
    """The unit of a stage for the offline engine."""
    text = document_text(ledger, document)
    examples = _examples(ledger, settings, document, text)
    params = ReadParams(engine=OFFLINE, category=_category(document, stage), examples=examples)
    maker = f"{OFFLINE}-{reading_engine(OFFLINE).version}"
    key = _key(document, stage, maker, recipe, params, text)
    return [UnitPlan(stage, CPU_QUEUE, OFFLINE, params.model_dump(mode="json"), key)]


def plan_llm(
    ledger: Ledger, settings: Settings, document: DocumentRow, recipe: Recipe, stage: Stage, route: Route
) -> list[UnitPlan]:
    """The units of a stage for a language model: one, or one for each part of a long document.

    Raises:
        ConfigError: the model's context has no room for a document beside the category's fields.
    """
    text = document_text(ledger, document)
    examples = _examples(ledger, settings, document, text)
    parts, images = [text], list[tuple[ImagePage, ...]]([()])
    if stage is Stage.ANALYSE:
        try:
            category = recipe.category(document.category)
            parts, images = _parts(ledger, settings, document, category, route, examples)
        except LlmError as error:
            raise ConfigError(error.message, error.remedy) from error
    engine = llm_engine_name(settings)
    maker = f"{engine}-{PROMPT_VERSION}-{route.model}-{route.num_ctx}"
    plans = []
    for number, (part, shown) in enumerate(zip(parts, images, strict=True), start=1):
        is_part = len(parts) > 1
        llm = LlmParams(
            model=route.model,
            num_ctx=route.num_ctx,
            on_cpu=route.on_cpu,
            is_decision_model=route.is_decision_model,
            part=number if is_part else 0,
            parts=len(parts),
            spans=_spans(part) if is_part else (),
            images=shown,
        )
        params = ReadParams(engine=engine, category=_category(document, stage), llm=llm, examples=examples)
        key = _key(document, stage, maker, recipe, params, text)
        plans.append(UnitPlan(stage, route.queue, route.model, params.model_dump(mode="json"), key))
    return plans


def _parts(
    ledger: Ledger,
    settings: Settings,
    document: DocumentRow,
    category: Category,
    route: Route,
    examples: tuple[Example, ...],
) -> tuple[list[DocumentText], list[tuple[ImagePage, ...]]]:
    """The parts that a document is analysed in, and the pages that the model is shown with each.

    Raises:
        LlmError: as `plan_parts`.
    """
    text, estimate = document_text(ledger, document), load_estimate(ledger, route.model)
    poor: list[Page] = []
    if route.sees and may_show(document.model_failures):
        poor = poor_pages(ledger.pages(document.id), settings.vision_below)
    wanted = min(len(poor), settings.vision_pages)
    most = images_beside(category, route.num_ctx, estimate, wanted, examples=examples)
    parts = plan_parts(text, category, route.num_ctx, estimate, most, examples=examples)
    return parts, images_of_parts(poor, parts, most)


def plan_merge(ended: list[UnitRow]) -> list[UnitPlan]:
    """The unit that puts the parts of a long document together; none if there is nothing to merge.

    `ended` are the units of analyse that the document has.
    """
    readings = [ReadParams.model_validate(unit.params) for unit in ended]
    if not readings or any(reading.llm is None or reading.llm.part == 0 for reading in readings):
        return []
    first = readings[0]
    llm = first.llm.model_copy(update={"part": 0, "spans": (), "images": ()}) if first.llm else None
    params = first.model_copy(update={"llm": llm})
    key = f"{ended[0].result_key}:merge"
    if any(reading.llm and reading.llm.images for reading in readings[1:]):
        # The first part's key stands for the text of the others, but not for their images.
        others = hashlib.sha256("".join(unit.result_key for unit in ended[1:]).encode())
        key = f"{key}:{others.hexdigest()[:24]}"
    return [UnitPlan(Stage.ANALYSE, ended[0].queue, ended[0].model, params.model_dump(mode="json"), key)]


def is_merge(params: ReadParams) -> bool:
    """Whether a unit merges parts rather than reading text."""
    return params.llm is not None and params.llm.parts > 1 and params.llm.part == 0


def part_text(document: DocumentText, spans: tuple[Span, ...]) -> DocumentText:
    """The part of a document that these spans mean; all of it for no spans."""
    if not spans:
        return document
    pages = {page.number: page for page in document.pages}
    chosen = tuple(
        pages[span.page].model_copy(
            update={"text": pages[span.page].text[span.start : span.end], "start": span.start}
        )
        for span in spans
    )
    return document.model_copy(update={"pages": chosen})


def load_estimate(ledger: Ledger, model: str) -> TokenEstimate:
    """What has been learned about a model's tokens."""
    note = ledger.meta(f"tokens {model}")
    return TokenEstimate.model_validate_json(note) if note else TokenEstimate(model=model)


def save_estimate(ledger: Ledger, estimate: TokenEstimate) -> None:
    """Keep what has been learned."""
    ledger.set_meta(f"tokens {estimate.model}", estimate.model_dump_json())


def _examples(
    ledger: Ledger, settings: Settings, document: DocumentRow, text: DocumentText
) -> tuple[Example, ...]:
    return examples_for(ledger, document, text) if settings.learn else ()


def _category(document: DocumentRow, stage: Stage) -> str:
    return document.category if stage is Stage.ANALYSE else ""


def _spans(part: DocumentText) -> tuple[Span, ...]:
    return tuple(
        Span(page=page.number, start=page.start, end=page.start + len(page.text)) for page in part.pages
    )


def _key(
    document: DocumentRow, stage: Stage, maker: str, recipe: Recipe, params: ReadParams, text: DocumentText
) -> str:
    """Under which key a result is kept: everything that it depends on."""
    digest = hashlib.sha256(text.model_dump_json().encode() + params.model_dump_json().encode())
    return f"{document.sha256}:{stage}:{maker}:{recipe.version}:{digest.hexdigest()[:24]}"
