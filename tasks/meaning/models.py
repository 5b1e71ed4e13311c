"""Which model makes vectors, and what it wants to stand before a text."""

from collections.abc import Sequence

from tasks.engines.llm.base import ModelInfo
from tasks.meaning.store import Space
from tasks.planning import CPU_QUEUE
from tasks.routing import KnownModels, Route, queue_of, same_model
from tasks.settings import Settings

OFF = "off"
CAPABILITY = "embedding"
"""Ollama's word for a model that makes vectors."""
NUM_CTX = 2048
"""More than any chunk has tokens; a model that was trained for less is given less by its server."""
METHOD = "1"
"""To be raised whenever chunks or prefixes change: then all vectors are made anew."""

_RETRIEVE = "Represent this sentence for searching relevant passages: "
_PREFIXES = (
    # Part of the name, what stands before a text of a document, before a query. The first that fits holds.
    ("nomic-embed-text", "search_document: ", "search_query: "),
    ("mxbai-embed", "", _RETRIEVE),
    ("snowflake-arctic-embed2", "", "query: "),
    ("snowflake-arctic-embed", "", _RETRIEVE),
    ("embeddinggemma", "title: none | text: ", "task: search result | query: "),
    (
        "qwen3-embedding",
        "",
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
    ),
    ("multilingual-e5", "passage: ", "query: "),
)


def prefixes(model: str) -> tuple[str, str]:
    """What a model wants before a text of a document, and before a query; empty for those that want nothing.

    Each from the model's own card on huggingface.co: nomic-ai/nomic-embed-text-v1.5, mixedbread-ai/
    mxbai-embed-large-v1, Snowflake/snowflake-arctic-embed-l-v2.0 and -m, google/embeddinggemma-300m,
    Qwen/Qwen3-Embedding-0.6B, intfloat/multilingual-e5-large. BGE-M3 and all-minilm want none.
    """
    name = model.casefold().rpartition("/")[2]
    return next(((text, query) for part, text, query in _PREFIXES if part in name), ("", ""))


def embedding_model(known: KnownModels, settings: Settings, in_use: str = "") -> Route | str:
    """The model that makes vectors, always off the GPU; or in words why there is none.

    Without a name in the settings the one `in_use` stays while a worker has it, because another one means to
    make every vector anew; else it is the first that is small enough for the processor.
    """
    if settings.embedding_model.casefold() == OFF:
        return "The settings switch it off."
    if settings.engine == "offline":
        return "The settings name the offline engine."
    if settings.embedding_model:
        return _by_name(known, settings)
    fitting = [info for info in known.by_queue.get(CPU_QUEUE, ()) if _fits(info, settings)]
    if not fitting:
        return known.problem or "The model server has no embedding model, such as nomic-embed-text."
    kept = (info for info in fitting if same_model(info.name, in_use))
    return _route(next(kept, fitting[0]), "the model server has it")


def _by_name(known: KnownModels, settings: Settings) -> Route | str:
    name = settings.embedding_model
    info = known.find(name, CPU_QUEUE)
    if info is None:
        return known.problem or f"No worker of the cpu queue reaches the model {name!r}."
    if info.is_remote and not settings.allow_remote_models:
        return f"The model {name!r} runs in a cloud, which is not allowed."
    return _route(info, "by name, in the settings")


def _fits(info: ModelInfo, settings: Settings) -> bool:
    may_run = not info.is_remote or settings.allow_remote_models
    return CAPABILITY in info.capabilities and may_run and queue_of(info, settings)[0] == CPU_QUEUE


def _route(info: ModelInfo, reason: str) -> Route:
    return Route(model=info.name, queue=CPU_QUEUE, num_ctx=NUM_CTX, reason=reason)


def serving_space(spaces: Sequence[Space], known: KnownModels) -> Space | None:
    """The vectors that a query is compared with; None: there are none whose model a worker has.

    While those of another model are being made the old ones serve, if they are complete.
    """
    usable = [one for one in spaces if one.dimensions and known.find(one.model, CPU_QUEUE)]
    complete = [one for one in usable if one.is_complete]
    return next(iter((complete or usable)[::-1]), None)
