"""What the UI remembers from one time to the next: theme, filter and order. Losing it costs nothing."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from app.tui.store import Filter, Sort
from tasks.documents import Value
from tasks.settings import Settings

DEFAULT_THEME = "textual-dark"


class Preferences(Value):
    """Kept in `ui.json` in the data directory."""

    theme: str = DEFAULT_THEME
    filter: Filter = Filter.ALL
    sort: Sort = Sort.AGE
    descending: bool = False

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """What was remembered; the defaults if nothing was, or if it cannot be read."""
        try:
            return cls.model_validate_json(_path(settings).read_bytes())
        except (OSError, ValidationError):
            return cls()

    def save(self, settings: Settings) -> None:
        """Remember. A disk that is full or read-only is no reason to disturb anyone."""
        path = _path(settings)
        draft = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            draft.write_text(self.model_dump_json(indent=1), encoding="utf-8")
            draft.replace(path)


def _path(settings: Settings) -> Path:
    return settings.data_dir / "ui.json"
