"""A plain Celery application as tutorials write it: a chain of tasks a document, one queue, one worker.

    celery --app tests.bench.chain worker --concurrency 1

Default settings but for the addresses, which the bench gives in the environment.
"""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from celery import Celery, chain

from tests.bench.plain import PlainReader

app = Celery("plain", broker=os.environ.get("BENCH_REDIS"), backend=os.environ.get("BENCH_REDIS"))


@lru_cache(maxsize=1)
def _reader() -> PlainReader:
    return PlainReader(os.environ["BENCH_OLLAMA"], os.environ["BENCH_MODEL"], document_first=False)


@app.task
def extract_text(path: str) -> dict[str, Any]:
    """Read the file."""
    return {"path": path, "text": Path(path).read_text(encoding="utf-8")}


@app.task
def classify(document: dict[str, Any]) -> dict[str, Any]:
    """Choose its category."""
    return {**document, "category": _reader().category(document["text"])}


@app.task
def extract_fields(document: dict[str, Any]) -> dict[str, Any]:
    """Find its fields."""
    return {**document, "fields": _reader().fields(document["text"], document["category"])}


@app.task
def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Write title and summary."""
    said = _reader().summary(document["text"], document["category"])
    return {**document, **said, "ended": time.time()}


def submit(path: Path) -> Any:
    """Begin a document; returns what its end can be waited for with."""
    return chain(extract_text.s(str(path)), classify.s(), extract_fields.s(), summarise.s()).apply_async()
