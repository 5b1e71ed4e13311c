"""Stages classify and analyse: an engine reads the text of a document."""

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

from tasks.documents import DocumentText, Failure, PartAnalysis, Stage, Value
from tasks.engines import reading_engine
from tasks.engines.llm.base import LlmError, LlmErrorKind
from tasks.engines.llm.engine import LlmEngine
from tasks.engines.llm.page_images import PageImage
from tasks.engines.llm.tokens import TokenEstimate
from tasks.errors import ConfigError
from tasks.orders import LlmParams, Order, ReadParams
from tasks.recipes import Recipe
from tasks.running import UnitFailedError, UnitResult
from tasks.settings import Settings
from tasks.vram import server_of, vram_lease

if TYPE_CHECKING:
    from tasks.engines.llm.base import ChatClient

_FAILURE_KINDS = {
    LlmErrorKind.UNAVAILABLE: "unavailable",
    LlmErrorKind.NO_MODEL: "no model",
    LlmErrorKind.CANCELLED: "cancelled",
    LlmErrorKind.BAD_REPLY: "reply",
    LlmErrorKind.REFUSED: "reply",
}


class ReadPayload(Value):
    """What a unit of classify or analyse is given."""

    recipe: Recipe
    document: DocumentText
    """The text to read; without pages for a merge."""
    parts: tuple[PartAnalysis, ...] = ()
    """What to merge."""
    characters: int = 0
    """Of the whole document's text, for a merge."""
    fence_key: str = ""
    tokens: TokenEstimate | None = None
    """What has been learned about the model's tokens."""
    images: tuple[int, ...] = ()
    """The numbers of the pages whose images follow in the payload, a JPEG file each."""


def read(
    order: Order,
    payload: list[bytes],
    settings: Settings,
    on_text: Callable[[str], None],
    should_stop: Callable[[], bool],
    client: "ChatClient | None" = None,
) -> UnitResult:
    """Classify or analyse. The payload is a `ReadPayload` as JSON, and behind it the page images, if any.

    With a client, that one is asked and left open.

    Raises:
        UnitFailedError: the language model gave no result; carries the traces of its calls.
    """
    given = ReadPayload.model_validate_json(payload[0])
    params = ReadParams.model_validate(order.params)
    if params.llm is None:
        return UnitResult(_read_offline(order.stage, given, params))
    images = [PageImage(page=page, data=data) for page, data in zip(given.images, payload[1:], strict=True)]
    with nullcontext(client) if client else closing(make_client(settings)) as asked:
        return _read_by_model(
            order.stage, given, images, params, params.llm, asked, settings, on_text, should_stop
        )


def make_client(settings: Settings) -> "ChatClient":
    """The client of this machine's model server.

    Raises:
        ConfigError: the settings name no server.
    """
    if settings.engine == "openai":
        from tasks.engines.llm.openai_client import OpenAiClient

        if not settings.openai_url:
            raise ConfigError(
                "The engine is openai, but openai_url is not set.",
                "Set SHOEBOX_OPENAI_URL, such as http://127.0.0.1:8000.",
            )
        return OpenAiClient(
            settings.openai_url,
            settings.openai_key,
            silence_seconds=settings.silence_seconds,
            load_seconds=settings.load_seconds,
            allow_remote=settings.allow_remote_models,
        )
    from tasks.engines.llm.ollama_client import OllamaClient

    return OllamaClient(
        settings.ollama_host,
        silence_seconds=settings.silence_seconds,
        load_seconds=settings.load_seconds,
        allow_remote=settings.allow_remote_models,
    )


def _read_offline(stage: Stage, given: ReadPayload, params: ReadParams) -> dict[str, Any]:
    engine = reading_engine(params.engine)
    if stage is Stage.CLASSIFY:
        return engine.classify(given.document, given.recipe, params.examples).model_dump(mode="json")
    category = given.recipe.category(params.category)
    return engine.analyse(given.document, category, params.examples).model_dump(mode="json")


def _read_by_model(
    stage: Stage,
    given: ReadPayload,
    images: Sequence[PageImage],
    params: ReadParams,
    llm: LlmParams,
    client: "ChatClient",
    settings: Settings,
    on_text: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> UnitResult:
    engine = LlmEngine(
        client,
        llm.model,
        llm.num_ctx,
        bytes.fromhex(given.fence_key),
        tokens=given.tokens,
        decision_model=llm.is_decision_model,
        on_cpu=llm.on_cpu,
        num_thread=settings.num_thread if llm.on_cpu else None,
        keep_alive=settings.keep_alive,
        images=images,
        on_text=on_text,
        should_stop=should_stop,
    )
    server = None if llm.on_cpu else server_of(client)
    lease = vram_lease(settings.data_dir)
    try:
        with lease.model(server, llm.model, llm.num_ctx, engine.calls) as swaps:
            result = _ask(engine, stage, given, params, llm)
    except LlmError as error:
        kind = _FAILURE_KINDS.get(error.kind, "error")
        failure = Failure(
            kind=kind,
            message=error.message,
            remedy=error.remedy,
            scope=error.scope,
            retry_seconds=error.retry_seconds,
        )
        raise UnitFailedError(failure, tuple(engine.calls)) from error
    return UnitResult(result, tuple(engine.calls), tuple(swaps))


def _ask(
    engine: LlmEngine, stage: Stage, given: ReadPayload, params: ReadParams, llm: LlmParams
) -> dict[str, Any]:
    if stage is Stage.CLASSIFY:
        return engine.classify(given.document, given.recipe, params.examples).model_dump(mode="json")
    category = given.recipe.category(params.category)
    if given.parts:
        return engine.merge(given.parts, category, given.characters).model_dump(mode="json")
    if llm.part:
        part = engine.analyse_part(given.document, category, llm.part, llm.parts, params.examples)
        return part.model_dump(mode="json")
    return engine.analyse(given.document, category, params.examples).model_dump(mode="json")
