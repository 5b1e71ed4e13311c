"""The pipeline: what runs on workers, and the domain under it.

`celery -A tasks ...` finds the Celery application here. It is made on first use, so that importing
`tasks.ledger` costs a user interface no Celery.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name in {"app", "celery"}:
        from tasks.queues import get_app

        return get_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
