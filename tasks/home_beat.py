"""The one Celery beat of a home. A second one would send every tick twice."""

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.errors import ServiceError, ShoeboxError
from tasks.settings import Settings, get_settings
from tasks.steady_beat import SteadyScheduler

log = logging.getLogger("shoebox.beat")


class OnlyBeat:
    """The right to be the beat of a home. Kept until this process ends, however that happens."""

    def __init__(self, settings: Settings) -> None:
        self._path = lock_path(settings)
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> None:
        """Have it now.

        Raises:
            ServiceError: another beat has it.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(
                f"This home has a beat already{self._holder()}; a second one would send every tick twice.",
                "It is a part of what ./run.sh up starts. To run your own, stop that: ./run.sh down",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def wait(self) -> None:
        """Have it once nobody else has."""
        try:
            self.take()
        except ServiceError as error:
            log.warning("%s Waiting for it to end.", error.message)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.take()

    def give_back(self) -> None:
        """Let another have it."""
        os.close(self._lock)

    def _holder(self) -> str:
        with suppress(OSError):
            text = os.pread(self._lock, 20, 0)
            return f" (process {text.decode()})" if text.isdigit() else ""
        return ""


def lock_path(settings: Settings) -> Path:
    """Of the file that the beat of a home has locked."""
    return settings.data_dir / "beat.lock"


class HomeScheduler(SteadyScheduler):
    """The scheduler of `celery -A tasks beat`: what Shoebox's own beat sends, unless that runs."""

    def setup_schedule(self) -> None:
        """Load the schedule of the home in the data directory."""
        from tasks.worker import home_schedule

        try:
            settings = get_settings()
            self._only = OnlyBeat(settings)
            self._only.take()
            self.update_from_dict(home_schedule(settings))
        except ShoeboxError as error:  # Celery would show it as an accident of its own
            raise SystemExit(f"{error.message}\n{error.remedy}") from None

    def close(self) -> None:
        """Nothing is kept in a file."""

    @property
    def info(self) -> Any:
        """For the banner of `celery beat`."""
        return "    . home -> its schedule is in no file"
