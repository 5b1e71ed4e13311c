"""How much GPU memory each model took when it was loaded last: what was measured outranks any estimate."""

import json
import logging
from contextlib import suppress
from pathlib import Path

from tasks.whole_file import whole_file

log = logging.getLogger("shoebox.vram")

_MOST = 64
"""Models that are remembered, those that were loaded last."""


class Needs:
    """Bytes by model, in a small JSON file.

    Several processes may write it; what one of them loses is only measured again. A file that is missing or
    damaged is an empty one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, key: str) -> int:
        """What the model took last time; 0 if it was never seen."""
        return self._read().get(key, 0)

    def remember(self, key: str, taken: int) -> None:
        """Keep what a model took; a file that cannot be written costs only the memory of it."""
        known = self._read()
        known.pop(key, None)
        kept = dict([*known.items(), (key, taken)][-_MOST:])
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with whole_file(self._path) as file:
                json.dump(kept, file, indent=0)
        except OSError as error:
            log.warning("What models take of the GPU cannot be kept: %s", error)

    def _read(self) -> dict[str, int]:
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return {key: value for key, value in found.items() if isinstance(value, int) and value > 0}
        return {}
