"""What a support file says of settings, versions, services and workers."""

import importlib.metadata
import os
import platform
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_origin
from urllib.parse import urlsplit

from app import __version__
from app.checks import Check, Verdict
from app.support.redaction import Redactor
from tasks.settings import Settings

MODEL_SETTINGS = frozenset(
    ("small_model", "large_model", "embedding_model", "vision_models", "model_contexts", "model_queues")
)
"""Names of models may be told."""
_PLAIN_CHECKS = frozenset(
    ("python", "packages", "libraries", "ocr models", "gpu", "memory", "terminal", "services")
)
"""Checks that speak of the machine only, unless they fail, and then may repeat anything."""
_PLAIN_IF_OK = frozenset(("data folder", "ocr engine", "search by meaning"))
_CHECKS_OF_PLACES = frozenset(("redis", "llm server"))
"""Checks that name a place, which is replaced, and nothing else of the user's."""
_BROKE = re.compile(r"could not be checked: (\w+)\(")
_VERSION = re.compile(r"[\w.+~ -]{1,60}")


def version_facts() -> dict[str, Any]:
    """Of Shoebox, Python, the system, and every package that is installed."""
    packages = sorted((str(one.metadata["Name"]), one.version) for one in importlib.metadata.distributions())
    return {
        "shoebox": __version__,
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "packages": dict(packages),
    }


def settings_facts(settings: Settings) -> dict[str, Any]:
    """Every setting: numbers and choices as they are, of all others only whether they were changed."""
    return {name: _setting(settings, name) for name in type(settings).model_fields}


def _setting(settings: Settings, name: str) -> Any:
    field = type(settings).model_fields[name]
    value = getattr(settings, name)
    if value is None or isinstance(value, bool | int | float):
        return value
    if name in MODEL_SETTINGS or get_origin(field.annotation) is Literal:
        return list(value) if isinstance(value, tuple) else value
    is_default = not field.is_required() and value == field.get_default(call_default_factory=True)
    if is_default and isinstance(value, str | tuple | dict):
        return list(value) if isinstance(value, tuple) else value
    return "<default>" if is_default else "<set>"


def addresses(settings: Settings) -> list[str]:
    """The addresses of servers that the settings name, and their hosts, in order to replace them."""
    secret = [one.get_secret_value() for one in (settings.redis_url, settings.webhook_url) if one]
    plain = [settings.ollama_host, settings.openai_url, os.environ.get("OLLAMA_HOST")]
    found = [*secret, *(one for one in plain if one)]
    for address in list(found):
        try:
            host = urlsplit(address if "://" in address else f"//{address}").hostname
        except ValueError:
            continue
        found += [host] if host else []
    return found


def check_facts(checks: list[Check], redactor: Redactor) -> list[dict[str, str]]:
    """The doctor's report. What a check found may name folders and recipes, or repeat an error's words."""
    return [
        {"name": check.name, "verdict": str(check.verdict), "found": found.found, "remedy": found.remedy}
        for check in checks
        for found in (_safe_check(check, redactor),)
    ]


def _safe_check(check: Check, redactor: Redactor) -> Check:
    remedy = redactor.clean(check.remedy)
    if broke := _BROKE.match(check.found):
        return replace(check, found=f"could not be checked: {broke[1]}", remedy=remedy)
    is_plain = check.name in _PLAIN_CHECKS and check.verdict is not Verdict.FAIL
    is_plain |= check.name in _PLAIN_IF_OK and check.verdict is Verdict.OK
    if is_plain or check.name in _CHECKS_OF_PLACES:
        return replace(check, found=redactor.clean(check.found), remedy=remedy)
    return replace(check, found="<left out>", remedy="<left out>" if remedy else "")


def service_facts(settings: Settings) -> dict[str, Any]:
    """How the programs and Redis are; their last words are left out, the logs are there."""
    from app.services import status

    found = status(settings)
    return {
        "running": found.running,
        "redis": {
            "embedded": found.redis.embedded,
            "up": found.redis.up,
            "version": _version(found.redis.version),
            "memory_bytes": found.redis.memory_bytes,
            "clients": found.redis.clients,
            "has_problem": bool(found.redis.problem),
        },
        "programs": [
            {
                "name": one.name,
                "state": one.state,
                "pid": one.pid,
                "uptime_seconds": one.uptime_seconds,
                "restarts": one.restarts,
                "exit_status": one.exit_status,
                "has_problem": bool(one.problem),
            }
            for one in found.programs
        ],
        "problems": len(found.problems),
        "free_bytes": _free_bytes(settings.data_dir),
    }


def _free_bytes(folder: Path) -> int | None:
    import shutil

    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def worker_facts(settings: Settings, redactor: Redactor) -> list[dict[str, Any]]:
    """The workers that are up. Raises where Redis is not there."""
    from tasks.broker_url import redis_url
    from tasks.exchange import Exchange, connect

    redis = connect(redis_url(settings), retries=0)
    try:
        presences = Exchange(redis).presence()
    finally:
        redis.close()
    for one in presences:
        redactor.know("host", [one.host])
    return [
        {
            "worker": redactor.clean(one.worker),
            "queues": [redactor.clean(queue) for queue in one.queues],
            "slots": one.slots,
            "version": _version(one.version),
            "software": {_version(name): _version(text) for name, text in one.software.items()},
            "models": [redactor.clean(model.name) for model in one.models],
            "gpus": [
                {"name": redactor.clean(gpu.name), "total": gpu.memory_total, "used": gpu.memory_used}
                for gpu in one.gpus
            ],
            "ocr_device": _version(one.ocr_device),
            "has_llm_problem": bool(one.llm_problem),
            "has_version_problem": bool(one.version_problem),
        }
        for one in presences
    ]


def _version(text: str) -> str:
    """What another machine says of itself, if it has the form of a version."""
    return text if _VERSION.fullmatch(text) else ("?" if text else "")
