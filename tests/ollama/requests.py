"""Reading a request as Ollama does, with the errors that it gives."""

import json
import re
from typing import Any

from tests.ollama.answers import RefusedError

INTEGERS = ("num_ctx", "num_predict", "seed", "top_k", "num_gpu", "num_thread", "num_batch", "repeat_last_n")
FLOATS = ("temperature", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty")
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
NAME = re.compile(r"(?:[\w.-]+/){0,3}[\w.-]+(?::[\w.-]+)?", re.ASCII)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a body."""
    if not body:
        raise RefusedError(400, "missing request body")
    try:
        value = json.loads(body.decode("utf-8", "replace"))  # as Go does
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc.rstrip()):
            raise RefusedError(400, "unexpected EOF") from error
        character = error.doc[error.pos]
        raise RefusedError(400, f"invalid character '{character}' looking for beginning of value") from error
    if not isinstance(value, dict):
        raise RefusedError(
            400, f"json: cannot unmarshal {_go_type(value)} into Go value of type api.ChatRequest"
        )
    return value


def model_name(body: dict[str, Any]) -> str:
    """The model's name as it was sent."""
    name = body.get("model") or body.get("name") or ""
    if not name:
        raise RefusedError(400, "model is required")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RefusedError(400, "invalid model name")
    return name


def messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a chat."""
    found = body.get("messages") or []
    if not isinstance(found, list):
        kind = _go_type(found)
        raise RefusedError(
            400,
            f"json: cannot unmarshal {kind} into Go struct field ChatRequest.messages of type []api.Message",
        )
    return found


def keep_alive(body: dict[str, Any]) -> float | None:
    """Seconds; negative for ever; None if not said."""
    value = body.get("keep_alive")
    if value is None or isinstance(value, int | float):
        return value
    parts = re.findall(r"(-?[\d.]+)(ns|us|ms|s|m|h)", str(value))
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise RefusedError(400, f'time: invalid duration "{value}"')
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def options(body: dict[str, Any]) -> dict[str, Any]:
    """The options, of the right types; unknown ones are accepted and do nothing."""
    given: dict[str, Any] = body.get("options") or {}
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in INTEGERS and not number:
            raise RefusedError(500, f'option "{name}" must be of type integer')
        if name in FLOATS and not number:
            raise RefusedError(500, f'option "{name}" must be of type float32')
        if name == "stop" and not isinstance(value, list):
            raise RefusedError(500, 'option "stop" must be of type array')
    return {name: int(value) if name in INTEGERS else value for name, value in given.items()}


def top_logprobs(body: dict[str, Any]) -> int:
    """How many alternatives to each token are wanted."""
    wanted = body.get("top_logprobs") or 0
    if not 0 <= wanted <= 20:
        raise RefusedError(400, "top_logprobs must be between 0 and 20")
    return int(wanted)


def response_format(body: dict[str, Any], *, late: bool) -> Any:
    """A JSON schema, `json`, or None."""
    value = body.get("format")
    if value is None or value == "":
        return None
    if value == "json" or isinstance(value, dict):
        return value
    spelled = json.dumps(value).replace('"', '\\"')
    raise RefusedError(
        500, f'invalid format: "{spelled}"; expected "json" or a valid JSON Schema object', late=late
    )


def _go_type(value: Any) -> str:
    names = {str: "string", list: "array", bool: "bool", dict: "object", type(None): "null"}
    return names.get(type(value), "number")
