"""What is asked of a model, and whether its schema is one."""

import json
from dataclasses import dataclass
from typing import Any

from tests.ollama.answers import RefusedError
from tests.ollama.runners import Runner


@dataclass
class Ask:
    """What is asked of a model, after Ollama's checks."""

    messages: list[dict[str, Any]]
    options: dict[str, Any]
    prompt: str | None = None
    """Instead of messages: taken as it is."""
    schema: Any = None
    logprobs: bool = False
    top_logprobs: int = 0
    truncate: bool = True
    shift: bool = True
    text: str | None = None
    """The reply, if it is scripted by a fault; the prompt is evaluated all the same."""


def check_schema(runner: Runner, ask: Ask) -> None:
    """Refuse what is no JSON schema, in the words of the recorded server.

    The server recorded refused it while generating; this llama.cpp ignores it there and tells where a chat
    template is applied. That a pattern has to be anchored is no longer so at all. Two schemas were
    accepted that are refused now: an empty enumeration, which made an empty reply, and a reference to another
    site, which allowed any JSON.
    """
    if not isinstance(ask.schema, dict) or not ask.schema:
        return
    if ask.schema.get("enum") == []:
        ask.text = ""
        return
    if str(ask.schema.get("$ref", "")).startswith("https://"):
        ask.schema = "json"
        return
    form = {"type": "json_schema", "json_schema": {"schema": ask.schema}}
    applied = runner.server.ask("/apply-template", {"messages": ask.messages, "response_format": form})
    detail = applied.get("error", {}).get("message", "").rpartition("failed: ")[2]
    if not detail and _loose_pattern(ask.schema):
        detail = "Pattern must start with '^' and end with '$'"
    if not detail:
        return
    native = runner.spec.mode == "native"
    prefix = "Unable to generate parser for this template. Automatic parser generation failed: "
    message = (prefix if native else "Field 'json_schema': \"json_schema\": ") + (
        f"JSON schema conversion failed:\n{detail}"
    )
    error = {"error": {"code": 400, "message": message, "type": "invalid_request_error"}}
    raise RefusedError(400, compact(error), late=not native)


def _loose_pattern(schema: Any) -> bool:
    """Whether a regular expression in the schema is not anchored at both ends."""
    if isinstance(schema, list):
        return any(_loose_pattern(member) for member in schema)
    if not isinstance(schema, dict):
        return False
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$")):
        return True
    return any(_loose_pattern(member) for member in schema.values())


def compact(message: dict[str, Any]) -> str:
    """JSON without spaces, as Go and llama.cpp write it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
