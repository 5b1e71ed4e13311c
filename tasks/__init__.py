"""The pipeline: what runs on workers, and the domain under it.

`celery -A tasks ...` finds the Celery application here. It is made on first use, so that importing
`tasks.ledger` costs a user interface no Celery.
"""

import os
import sys
from pathlib import Path
from typing import Any

# onnxruntime 1.29 and later reports to its maker, and leaves an identifier in ~/.cache, unless this is set
# before it is first imported (microsoft/onnxruntime#27379). Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def __getattr__(name: str) -> Any:
    if name in {"app", "celery"}:
        return _celery_application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _celery_application() -> Any:
    from tasks.errors import ShoeboxError
    from tasks.queues import get_app

    try:
        return get_app()
    except ShoeboxError as error:
        if "celery" not in Path(sys.argv[0]).parts[-2:]:
            raise
        # Celery's command would show where this was raised, and the words after that.
        raise SystemExit(f"{error.message}\n{error.remedy}") from None
