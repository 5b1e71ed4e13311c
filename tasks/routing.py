"""Which model a stage and category wants, its queue by its size, and whether some worker has it."""

from collections.abc import Iterable

from pydantic import Field

from tasks.documents import Stage, Value
from tasks.engines.llm.base import ModelInfo
from tasks.orders import Presence
from tasks.planning import CPU_QUEUE, GPU_QUEUE
from tasks.recipes import Recipe
from tasks.settings import Settings

_DECISION = frozenset({"decision", "systemone"})
"""The capability of a decision model; how servers will name it is documented nowhere yet."""

_CHAT = "completion"
"""Ollama's word for a model that writes text; one that makes vectors has another."""
_VISION = "vision"
"""Ollama's word for a model that takes images."""


class Route(Value):
    """Where calls to a model go."""

    model: str
    queue: str
    num_ctx: int
    is_decision_model: bool = False
    sees: bool = False
    """Whether the model takes images."""
    reason: str
    """In words, for people."""

    @property
    def on_cpu(self) -> bool:
        """Whether the model is kept off the GPU."""
        return self.queue == CPU_QUEUE


class KnownModels(Value):
    """What the workers of each queue say about the model servers they reach."""

    by_queue: dict[str, tuple[ModelInfo, ...]] = Field(default_factory=dict)
    problem: str = "No worker has said yet which language models it reaches."
    """Why there are no models, in words; empty if there are some."""

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of the models on each queue, one for each worker that has it."""
        return {queue: sorted(model.name for model in models) for queue, models in self.by_queue.items()}

    def find(self, name: str, queue: str | None = None) -> ModelInfo | None:
        """The model of this name, on one queue or on any."""
        queues = self.by_queue if queue is None else {queue: self.by_queue.get(queue, ())}
        return next((m for models in queues.values() for m in models if same_model(m.name, name)), None)


def same_model(one: str, other: str) -> bool:
    """Whether two names mean the same model: Ollama adds `:latest` to a name without a tag."""
    return one.removesuffix(":latest") == other.removesuffix(":latest")


def known_models(presences: Iterable[Presence]) -> KnownModels:
    """Put together what the workers that are up have announced."""
    by_queue: dict[str, tuple[ModelInfo, ...]] = {}
    problems = []
    for presence in presences:
        for queue in presence.queues:
            if queue in {CPU_QUEUE, GPU_QUEUE}:
                by_queue[queue] = by_queue.get(queue, ()) + presence.models
                if presence.llm_problem:
                    problems.append(presence.llm_problem)
    if any(by_queue.values()):
        return KnownModels(by_queue=by_queue, problem="")
    problem = problems[0] if problems else "No worker that reaches a language model is up."
    return KnownModels(by_queue=by_queue, problem=problem)


def wanted_model(
    stage: Stage, settings: Settings, recipe: Recipe | None = None, category: str = ""
) -> tuple[str, int]:
    """Name and context of the model for a stage: the category's, else the recipe's, else the settings'."""
    of_settings = settings.small_model if stage is Stage.CLASSIFY else settings.large_model
    name = (recipe.model_for(stage, category) if recipe else None) or of_settings
    return name, context_of(name, settings)


def context_of(name: str, settings: Settings) -> int:
    """The context of a model in tokens.

    It follows from the name alone, not from the stage, category or recipe that it is called for: each change
    of `num_ctx` makes Ollama load the model again.
    """
    for other, num_ctx in settings.model_contexts.items():
        if same_model(other, name):
            return num_ctx
    tiers = ((settings.small_model, settings.small_num_ctx), (settings.large_model, settings.large_num_ctx))
    contexts = [num_ctx for model, num_ctx in tiers if same_model(model, name)]
    return max(contexts, default=settings.large_num_ctx)


def queue_of(info: ModelInfo, settings: Settings) -> tuple[str, str]:
    """The queue of a model, and why in words."""
    for name, queue in settings.model_queues.items():
        if same_model(name, info.name):
            return queue, "by name, in the settings"
    billions = info.parameters / 1e9
    limit = settings.cpu_model_billions
    if not info.parameters:
        return GPU_QUEUE, "its size is unknown"
    if billions <= limit:
        return CPU_QUEUE, f"{billions:.2g} billion parameters, up to {limit:g} go there"
    return GPU_QUEUE, f"{billions:.2g} billion parameters, more than {limit:g}"


def missing_words(name: str) -> str:
    """What is said where no server has a model."""
    return f"The model server has no model {name!r}. `./run.sh models` sets it up."


def route(known: KnownModels, name: str, num_ctx: int, settings: Settings) -> Route | str:
    """Where calls to a model go, or in words why they cannot go anywhere."""
    info = known.find(name)
    if info is None:
        return known.problem or missing_words(name)
    if info.is_remote and not settings.allow_remote_models:
        return f"The model {name!r} runs in a cloud, which is not allowed."
    if info.capabilities and _DECISION.union({_CHAT}).isdisjoint(info.capabilities):
        return (
            f"The model {name!r} cannot read: its server says that it is for {', '.join(info.capabilities)}."
        )
    queue, reason = queue_of(info, settings)
    if known.find(name, queue) is None:
        return f"No worker of the {queue} queue reaches the model {name!r}."
    return Route(
        model=name,
        queue=queue,
        num_ctx=num_ctx,
        is_decision_model=not _DECISION.isdisjoint(info.capabilities),
        sees=_VISION in info.capabilities or any(same_model(name, one) for one in settings.vision_models),
        reason=reason,
    )
