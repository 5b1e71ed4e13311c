"""Secrets never get into a log: known ones by their value, others by where they stand."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.settings import Settings

MASK = "***"
_SHORTEST = 4
"""A shorter secret would mask half of the words; it protects nothing anyway."""

_IN_URL = re.compile(r"(?<=://)[^\s/@]*@")
_NAMED = re.compile(
    r"(?i)\b((?:[a-z0-9]+[_-])*(?:password|passwd|requirepass|secret|token|api[_-]?key|authorization)\b"
    r"[\"']?\s*[=:]\s*[\"']?(?:bearer\s+|basic\s+)?)[^\s\"',;&]+"
)

_known: list[str] = []


def know(secrets: list[str]) -> None:
    """Mask these values from now on, in this process."""
    wanted = {secret for secret in [*_known, *secrets] if len(secret) >= _SHORTEST}
    _known[:] = sorted(wanted, key=len, reverse=True)  # one may be a part of another


def secrets_of(settings: "Settings") -> list[str]:
    """Every secret of the settings, and the passwords in their addresses."""
    from urllib.parse import unquote, urlsplit

    from pydantic import SecretStr

    values = [getattr(settings, name) for name in type(settings).model_fields]
    found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    for value in [*found, *(value for value in values if isinstance(value, str) and "://" in value)]:
        try:
            password = urlsplit(value).password or ""
        except ValueError:
            continue
        found += [password, unquote(password)]
    return [*found, _embedded_password(settings)]


def _embedded_password(settings: "Settings") -> str:
    """Of the embedded Redis; it is written before the programs start."""
    from tasks.broker_url import redis_config_path

    try:
        config = redis_config_path(settings).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r'^requirepass "([0-9a-f]+)"$', config, re.MULTILINE)
    return found[1] if found else ""


def masked(text: str) -> str:
    """The text without secrets."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    if "://" in text:
        text = _IN_URL.sub(f"{MASK}@", text)
    return _NAMED.sub(rf"\g<1>{MASK}", text)
