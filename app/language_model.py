"""Which language models read, in a sentence."""

from dataclasses import dataclass

from app.model_uses import default_recipe, model_uses
from tasks.circuit import Circuit
from tasks.documents import Stage
from tasks.routing import Route
from tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Whether there is a language model, in a sentence."""

    words: str
    ok: bool
    """Whether one reads, or nobody wants one."""
    model: str = ""
    """Which one finds summary and fields; empty where the offline engine does."""
    queue: str = ""


def language_model(circuit: Circuit, settings: Settings) -> LanguageModel:
    """Which language models read by the default recipe, or why none does; and which others are missing."""
    recipe = default_recipe(settings)
    parts, read_by, model, queue = [], set(), "", ""
    for stage in (Stage.CLASSIFY, Stage.ANALYSE):
        route = circuit.reader(stage, settings, recipe)
        if isinstance(route, str):
            words = f"The offline engine reads. {route}"
            return LanguageModel(words, ok=not circuit.is_expected(settings))
        model, queue = route.model, route.queue
        read_by.add(model)
        parts.append(f"{stage.value} by {model} on the {queue} queue")
    words = ", ".join(parts)
    chosen = dict.fromkeys(use.model for use in model_uses(settings).uses if use.recipe)
    routes = [circuit.route_to(name, settings) for name in chosen]
    others = {route.model for route in routes if isinstance(route, Route)} - read_by
    if others:
        words += f", and {len(others)} more for single categories or other recipes"
    away = [route for route in routes if isinstance(route, str)]
    if away:
        more = f" {len(away) - 1} more are missing." if away[1:] else ""
        words = f"{words}. {away[0]}{more}"
    return LanguageModel(words, ok=not away, model=model, queue=queue)
