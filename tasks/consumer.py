"""A Celery consumer that outlives whatever Redis does: the worker's processes and their models stay loaded.

Celery's own ends the worker when Redis refuses a command (full memory, a script that runs, a replica, rights
taken) and when what somebody else has put on a queue is no message of Celery's; and it may end while
it gives up a connection that broke. This one says in a line what is wrong, waits and connects again.
"""

import logging
import time
import warnings
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from tasks.inspection.telling import Outbox
from tasks.redis_words import SaidOnce, redis_words

log = logging.getLogger("shoebox.worker")

_FIRST_PAUSE_SECONDS = 1
_LOOK_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5
"""So that work goes on soon after Redis is back, however long it was away."""
_STRANGE = (ValueError, LookupError, TypeError, AttributeError)
"""What reading somebody else's message raises in kombu."""
_STEADY_SECONDS = 10.0
"""A connection that has lasted so long was a good one."""


class PatientConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Connects again until it is told to stop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.event_dispatcher = Outbox(str(self.hostname))
        conn = self.conninfo
        self.connection_errors = (*conn.connection_errors, *conn.channel_errors, *_STRANGE)
        self._said = SaidOnce(log)
        self._connected_at = 0.0
        self._pauses = 0

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """As after."""
        self._say(exc)
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Say it, give the connection up, and wait a little where it had not lasted."""
        self._say(exc)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a page about a default of Celery 6
            try:
                super().on_connection_error_after_connected(exc)
            except Exception as another:  # kombu gives messages back over the connection that broke
                log.debug("giving the connection up: %r", another)
        self._pause(exc)

    def ensure_connected(self, conn: Any) -> Any:
        """Try until there is a connection."""
        conn = conn.ensure_connection(
            lambda error, _: self._say(error),
            None,
            interval_start=_FIRST_PAUSE_SECONDS,
            interval_step=1,
            interval_max=_LONGEST_PAUSE_SECONDS,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        self._connected_at = time.monotonic()
        return conn

    def call_soon_ack(self, p: Any, *arguments: Any, **options: Any) -> Any:
        """Acknowledge or reject a message: `p` is the method of the message, and logs the errors it is given.

        A message that cannot be acknowledged would take up its place for ever, and a worker with one place
        would never ask for another: such a connection is given up.
        """
        logger = arguments[0] if arguments else log
        channel = p.__self__.channel

        def settle() -> None:
            try:
                p(logger, (), **options)
            except self.connection_errors as error:
                if channel is not None and not channel.closed:
                    raise
                log.debug("a message of an earlier connection is not acknowledged: %r", error)

        return self.call_soon(settle)

    def on_ready(self) -> None:
        """The queues are being listened to; only time tells whether Redis lets us."""
        since = self._connected_at

        def has_lasted() -> None:
            if since == self._connected_at:
                self._said.right()

        self.timer.call_after(_STEADY_SECONDS, has_lasted)
        super().on_ready()

    def _say(self, error: BaseException) -> None:
        if isinstance(error, _STRANGE):
            log.warning("What was on a queue is no message of Celery's (%s); dropped.", type(error).__name__)
        else:
            self._said.wrong(f"{redis_words(error)} Waiting for it; units in hand go on.")

    def _pause(self, error: BaseException) -> None:
        """A server that takes connections and refuses everything else must not be asked in a tight loop."""
        if isinstance(error, _STRANGE):  # there may be many such messages, and each is dropped
            return
        if time.monotonic() - self._connected_at > _STEADY_SECONDS:
            self._pauses = 0
        self._pauses += 1
        deadline = time.monotonic() + min(self._pauses * _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while time.monotonic() < deadline:
            maybe_shutdown()
            time.sleep(_LOOK_SECONDS)
