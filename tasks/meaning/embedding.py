"""Making vectors, on a worker of the cpu queue."""

import math

from tasks.engines.llm.base import ChatClient, EmbedRequest, LlmError, LlmErrorKind, Vector
from tasks.errors import ShoeboxError
from tasks.meaning.batches import EmbedPayload, EmbedQuery, EmbedResult, QueryReply, pack
from tasks.running import UnitResult
from tasks.settings import Settings
from tasks.stages.reading import make_client

_QUERY_SECONDS = 15.0
"""A query that takes longer is waited for by nobody; the model may need them to load."""
_SHORTEST_HALF = 50
_SERVERS_FAULT = frozenset({LlmErrorKind.UNAVAILABLE, LlmErrorKind.NO_MODEL, LlmErrorKind.CANCELLED})


def embed_batch(payload: list[bytes], settings: Settings) -> UnitResult:
    """Make the vectors of a batch, an `EmbedPayload` as JSON. A failure is a result as well."""
    given = EmbedPayload.model_validate_json(payload[0])
    request = EmbedRequest(
        model=given.model,
        texts=given.texts,
        num_ctx=given.num_ctx,
        on_cpu=given.on_cpu,
        num_thread=settings.num_thread,
        keep_alive=settings.keep_alive,
    )
    try:
        client = make_client(settings)
        try:
            vectors = embed_all(client, request, given.prefix)
        finally:
            client.close()
        result = EmbedResult(chunks=given.chunks, vectors=tuple(map(pack, vectors)))
    except LlmError as error:
        result = EmbedResult(problem=str(error), is_servers=error.kind in _SERVERS_FAULT)
    except ShoeboxError as error:
        result = EmbedResult(problem=str(error), is_servers=True)
    return UnitResult(result.model_dump(mode="json"))


def embed_all(client: ChatClient, request: EmbedRequest, prefix: str) -> tuple[Vector, ...]:
    """A vector for each text. One that is too long for the model is read in halves, never cut.

    Raises:
        LlmError: there are none.
    """
    texts = tuple(prefix + text for text in request.texts)
    try:
        return client.embed(request.model_copy(update={"texts": texts}))
    except LlmError as error:
        if error.kind is not LlmErrorKind.OVERFLOW:
            raise
        if len(texts) > 1:
            alone = (request.model_copy(update={"texts": (text,)}) for text in request.texts)
            return tuple(vector for one in alone for vector in embed_all(client, one, prefix))
        halves = _halves(request.texts[0])
        if min(map(len, halves)) < _SHORTEST_HALF:
            raise
        return (_mean(embed_all(client, request.model_copy(update={"texts": halves}), prefix)),)


def embed_query(query: EmbedQuery, settings: Settings) -> QueryReply:
    """Make the vector of a query. A failure is a reply as well."""
    patience = {"silence_seconds": _QUERY_SECONDS, "load_seconds": _QUERY_SECONDS}
    request = EmbedRequest(
        model=query.model,
        texts=(query.text,),
        num_ctx=query.num_ctx,
        on_cpu=query.on_cpu,
        num_thread=settings.num_thread,
        keep_alive=settings.keep_alive,
    )
    try:
        client = make_client(settings.model_copy(update=patience))
        try:
            (vector,) = embed_all(client, request, "")
        finally:
            client.close()
    except ShoeboxError as error:
        return QueryReply(problem=str(error))
    return QueryReply(vector=pack(vector))


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    at = text.find(" ", middle)
    at = middle if at < 0 else at
    return text[:at], text[at:]


def _mean(vectors: tuple[Vector, ...]) -> Vector:
    """The direction between them, whatever their lengths."""
    united = [[number / math.hypot(*vector) for number in vector] for vector in vectors]
    mean = tuple(map(sum, zip(*united, strict=True)))
    return mean if any(mean) else vectors[0]
