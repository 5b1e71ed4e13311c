"""The pipeline: what runs on workers, and the domain under it.

`celery -A tasks ...` finds the Celery application here. It is made on first use, so that importing
`tasks.ledger` costs a user interface no Celery.
"""

import os
from typing import Any

# onnxruntime 1.29 and later reports to its maker, and leaves an identifier in ~/.cache, unless this is set
# before it is first imported (microsoft/onnxruntime#27379). Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def __getattr__(name: str) -> Any:
    if name in {"app", "celery"}:
        from tasks.queues import get_app

        return get_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
