"""What is shown of a task's arguments: which unit it is for, never what a document or a question says."""

import re
from collections.abc import Mapping

_WORDS = ("home", "unit", "issue", "document", "stage", "model", "question")
_WORD = re.compile(r"[\w.:/@+-]{1,120}", re.ASCII)
_PAIR = rf"'(?:{'|'.join(_WORDS)})': (?:'{_WORD.pattern}'|\d{{1,18}})"
_SHOWN = re.compile(rf"\{{(?:{_PAIR}(?:, {_PAIR}){{0,9}})?\}}", re.ASCII)
_ERROR = re.compile(r"[A-Za-z]\w{0,60}", re.ASCII)
_WHY = re.compile(r"NoResultError\('[a-z ]{1,20}'\)")
NOTHING = "{}"


def shown(kwargs: object) -> dict[str, str | int]:
    """The ids among a task's arguments by name; few and short, whatever the arguments are."""
    if not isinstance(kwargs, Mapping):
        return {}
    order = kwargs.get("order", kwargs.get("batch"))
    source = order if isinstance(order, Mapping) else kwargs
    found = ((name, _id(source.get(name))) for name in _WORDS)
    return {name: value for name, value in found if value is not None}


def shown_text(kwargs: object) -> str:
    """The same as text, for the header of a message, from where events have it."""
    return repr(shown(kwargs))


def harmless_arguments(text: object) -> str:
    """What a message's header says of the arguments, if it is what shown_text() makes, else nothing."""
    return text if isinstance(text, str) and _SHOWN.fullmatch(text) else NOTHING


def harmless_error(text: object) -> str:
    """The name of an exception of which Celery tells; of ours the kind of failure too. Others may quote."""
    if not isinstance(text, str):
        return ""
    if _WHY.fullmatch(text):
        return text
    name = _ERROR.match(text)
    return name[0] if name else ""


def _id(value: object) -> str | int | None:
    """The value if it can be an id or a name of ours, else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 10**18 else None
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
