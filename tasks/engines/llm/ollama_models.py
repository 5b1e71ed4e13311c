"""What an Ollama server tells about itself and its models."""

import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from tasks.documents import Scope, Value
from tasks.engines.llm.base import LlmError, ModelInfo, ShouldStop
from tasks.engines.llm.failures import Failures

if TYPE_CHECKING:
    import httpx

    from tasks.engines.llm.wire import WatchedTransport

QUERY_SECONDS = 15.0
"""How long an answer may take."""

_SIZE = re.compile(r"([\d.]+)\s*([KMBT]?)", re.IGNORECASE)
Reply = TypeVar("Reply", bound=BaseModel)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class Details(BaseModel):
    """The part of an entry that describes the weights."""

    parameter_size: str | None = None
    context_length: int | None = None


class Tag(BaseModel):
    """An entry of /api/tags. Older servers leave out capabilities and context_length."""

    name: str
    details: Details = Details()
    capabilities: list[str] | None = None
    remote_host: str | None = None
    remote_model: str | None = None
    size: int = 0
    """Bytes on the disk."""
    digest: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether the server passes prompts for this model on to another one."""
        return bool(self.remote_host or self.remote_model) or looks_remote(self.name)

    @property
    def is_complete(self) -> bool:
        """Whether nothing needs to be asked of /api/show. Of a remote model nothing is of use."""
        described = self.capabilities is not None and parameters(self.details.parameter_size or "")
        return self.is_remote or bool(described and self.details.context_length)


class Tags(BaseModel):
    """The reply of /api/tags."""

    models: list[Tag] | None = None


class Running(BaseModel):
    """An entry of /api/ps."""

    name: str
    size: int = 0
    """Bytes in all kinds of memory."""
    size_vram: int = 0
    """Bytes of that on GPUs."""
    context_length: int = 0
    """0 from servers that do not say."""
    expires_at: str = ""
    """When the server will unload it, unless it is used again; in RFC 3339."""


class Ps(BaseModel):
    """The reply of /api/ps: the models that are loaded."""

    models: list[Running] | None = None


class Unloaded(BaseModel):
    """The reply of /api/chat to a request to unload."""

    done_reason: str = ""


class Show(BaseModel):
    """The reply of /api/show, as far as it is of use."""

    details: Details = Details()
    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    remote_host: str | None = None
    remote_model: str | None = None

    def number(self, ending: str) -> int:
        """The whole number under a key such as `llama.context_length`, 0 if there is none."""
        values = [v for key, v in (self.model_info or {}).items() if key.endswith(ending)]
        return next((v for v in values if isinstance(v, int)), 0)


class Version(BaseModel):
    """The reply of /api/version."""

    version: str = "unknown"


class Progress(Value):
    """How far the server is with fetching or creating a model."""

    status: str
    """In the server's words: `pulling manifest`, `pulling 3043f5d82c0c`, `success`."""
    completed: int = 0
    """Bytes of the layer that is being fetched."""
    total: int = 0
    """Bytes of that layer; 0 where there is nothing to count."""


OnProgress = Callable[[Progress], None]


def _never() -> bool:
    return False


class OllamaCatalogue:
    """Asks a server what it is and has.

    Not by the `ollama` package: it lacks the version, and drops capabilities and remote hosts from the list.
    """

    def __init__(self, url: str, wire: "WatchedTransport", failures: Failures) -> None:
        self._url = url
        self._wire = wire
        self._failures = failures

    def version(self) -> str:
        """The server's version, such as `0.32.15`."""
        return self._ask(Version, _never, "GET", "/api/version").version

    def models(self) -> tuple[ModelInfo, ...]:
        """All models, and which are loaded."""
        tags = self._tags(_never)
        loaded = self._loaded()
        return tuple(_with_memory(self._described(tag, _never), loaded) for tag in tags)

    def find(self, name: str, should_stop: ShouldStop) -> ModelInfo | None:
        """One model, None if the server does not list it."""
        tags = self._tags(should_stop)
        tag = next((tag for tag in tags if full_name(tag.name) == full_name(name)), None)
        return self._described(tag, should_stop) if tag else None

    def tag(self, name: str) -> Tag | None:
        """The entry of one model, None if the server does not list it."""
        return next((tag for tag in self._tags(_never) if full_name(tag.name) == full_name(name)), None)

    def running(self) -> list[Running]:
        """The models that are in memory."""
        return self._ask(Ps, _never, "GET", "/api/ps").models or []

    def show(self, name: str) -> Show:
        """What a model is made of."""
        return self._ask(Show, _never, "POST", "/api/show", {"model": name})

    def unload(self, name: str) -> None:
        """Let the server unload a model; a reply that it is writing for somebody is ended first."""
        body = {"model": name, "messages": [], "keep_alive": 0}
        self._ask(Unloaded, _never, "POST", "/api/chat", body)

    def _tags(self, should_stop: ShouldStop) -> list[Tag]:
        return self._ask(Tags, should_stop, "GET", "/api/tags").models or []

    def _loaded(self) -> dict[str, int] | None:
        """GPU memory in bytes of each model that is loaded; None where the server does not say."""
        try:
            running = self.running()
        except LlmError:  # before Ollama 0.1.33; what it is asked for next shows whether it is there at all
            return None
        return {full_name(model.name): model.size_vram for model in running}

    def _described(self, tag: Tag, should_stop: ShouldStop) -> ModelInfo:
        if tag.is_complete:
            return model_info(tag, Show())
        return model_info(tag, self._ask(Show, should_stop, "POST", "/api/show", {"model": tag.name}))

    def _ask(
        self, reply: type[Reply], should_stop: ShouldStop, method: str, path: str, body: object = None
    ) -> Reply:
        import httpx

        self._wire.begin(QUERY_SECONDS, QUERY_SECONDS, should_stop)
        try:
            return reply.model_validate_json(self._http.request(method, path, json=body).content)
        except (ValueError, httpx.HTTPError) as error:
            raise self._failures.away(f"{path} is not what Ollama answers") from error
        except LlmError as error:
            if method == "GET":  # no model and no document has to do with it
                error.scope = Scope.SERVER
            raise

    @cached_property
    def _http(self) -> "httpx.Client":
        import httpx

        key = os.environ.get("OLLAMA_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self._url, headers=headers, transport=self._wire, trust_env=False)


def model_info(tag: Tag, show: Show) -> ModelInfo:
    """Join what both say; `show` may be empty for an entry that is complete."""
    capabilities = tag.capabilities if tag.capabilities is not None else show.capabilities
    size = tag.details.parameter_size or show.details.parameter_size or ""
    return ModelInfo(
        name=tag.name,
        parameters=parameters(size) or show.number("general.parameter_count"),
        context_length=tag.details.context_length or show.number(".context_length"),
        capabilities=tuple(capabilities or ()),
        is_remote=tag.is_remote or bool(show.remote_host or show.remote_model),
    )


def _with_memory(info: ModelInfo, loaded: dict[str, int] | None) -> ModelInfo:
    if loaded is None or info.is_remote:
        return info
    name = full_name(info.name)
    return info.model_copy(update={"loaded": name in loaded, "vram": loaded.get(name, 0)})


def parameters(size: str) -> int:
    """How many parameters `7.6B`, `134.52M` or `151K` are; 0 for what is no size."""
    found = _SIZE.fullmatch(size.strip())
    try:
        return round(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    except (ValueError, OverflowError):  # no number, or one without end
        return 0


def full_name(name: str) -> str:
    """The name under which Ollama lists a model: with a tag."""
    return (name if ":" in name.rpartition("/")[2] else f"{name}:latest").casefold()


def looks_remote(name: str) -> bool:
    """Whether the name is one of Ollama's cloud: `gpt-oss:120b-cloud`, `glm-5:cloud`."""
    return full_name(name).endswith((":cloud", "-cloud"))
