"""What an Ollama server has in GPU memory, what a model will take, and making one leave."""

from datetime import UTC, datetime

from tasks.documents import Value
from tasks.engines.llm.addresses import is_this_machine
from tasks.engines.llm.ollama_models import OllamaCatalogue, Running, Show, full_name

_WORKING_SHARE = 1.2
"""What a model takes beside its cache, in sizes of its file: weights and the buffers of its layers."""
_CACHE_BYTES = 2
"""Of a number in the cache of keys and values: 16 bits, unless the server was told otherwise."""
_NEVER = 10.0**10


class LoadedModel(Value):
    """A model that a server has in memory."""

    name: str
    """With its tag, in lower case."""
    size: int
    """Bytes in all kinds of memory; 0 where the server does not say."""
    vram: int
    """Bytes of that on GPUs."""
    num_ctx: int
    """0 where the server does not say."""
    seconds_left: float
    """Until the server unloads it, unless it is used again; below 0 while it is kept by a reply."""

    @property
    def is_split(self) -> bool:
        """Whether a part of it is left to the processor, because the GPU had no room for all.

        Of one that is whole on the GPU both figures are the same: that is how `ollama ps` tells.
        """
        return self.vram < 0.99 * self.size


class Footprint(Value):
    """What a model is expected to take of a GPU."""

    key: str
    """Names the model, its content and its context: what decides how much it takes."""
    bytes: int
    """Estimated; 0 where nothing is known."""
    num_ctx: int
    """The context that the server will give it: never more than it was trained for."""


class OllamaMemory:
    """The memory of one server. Every question takes about a millisecond.

    Each method raises LlmError, as those of the client do, where the server gives no answer.
    """

    def __init__(self, url: str, catalogue: OllamaCatalogue) -> None:
        self._url = url
        self._catalogue = catalogue

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, and so may use the same GPU."""
        return is_this_machine(self._url)

    def loaded(self) -> tuple[LoadedModel, ...]:
        """The models that are in memory, those on the processor included.

        Raises:
            LlmError: the server does not answer.
        """
        now = datetime.now(UTC)
        return tuple(_loaded(model, now) for model in self._catalogue.running())

    def unload(self, name: str) -> None:
        """Make a model leave; a reply that it is writing is ended first, so that may take a while.

        Raises:
            LlmError: the server does not answer, or does not have the model.
        """
        self._catalogue.unload(name)

    def footprint(self, name: str, num_ctx: int) -> Footprint:
        """What a model will take, estimated from its file and the form of its cache.

        Raises:
            LlmError: the server does not answer.
        """
        tag = self._catalogue.tag(name)
        if tag is None:
            return Footprint(key=f"{full_name(name)} {num_ctx}", bytes=0, num_ctx=num_ctx)
        context = min(num_ctx, tag.details.context_length or num_ctx)
        cache = _cache_bytes(self._catalogue.show(name), context)
        key = f"{full_name(name)} {tag.digest[:12]} {context}"
        return Footprint(key=key, bytes=round(tag.size * _WORKING_SHARE) + cache, num_ctx=context)


def _loaded(model: Running, now: datetime) -> LoadedModel:
    return LoadedModel(
        name=full_name(model.name),
        size=model.size,
        vram=model.size_vram,
        num_ctx=model.context_length,
        seconds_left=_seconds_left(model.expires_at, now),
    )


def _seconds_left(until: str, now: datetime) -> float:
    """How long until a time in RFC 3339; 0 for what is none."""
    try:
        return min((datetime.fromisoformat(until) - now).total_seconds(), _NEVER)
    except (ValueError, TypeError):  # no time; or one without a zone
        return 0.0


def _cache_bytes(shown: Show, context: int) -> int:
    """Bytes of keys and values of all layers; 0 where the model does not tell its form.

    Layers that look back at a window only, or share their cache, take less: better too much than too little.
    """
    layers, width = shown.number(".block_count"), shown.number(".embedding_length")
    heads = shown.number(".attention.head_count")
    pairs = shown.number(".attention.head_count_kv") or heads
    if not (layers and width and heads):
        return 0
    keys = shown.number(".attention.key_length") or width // heads
    values = shown.number(".attention.value_length") or width // heads
    return context * layers * pairs * (keys + values) * _CACHE_BYTES
