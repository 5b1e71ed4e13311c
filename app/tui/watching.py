"""What the UI looks at again and again, in threads of its own: the machines, and the ledger itself."""

from typing import TYPE_CHECKING

from app.machines import collect
from tasks.broker_url import redis_url
from tasks.errors import ServiceError
from tasks.ledger import Ledger

if TYPE_CHECKING:
    from redis import Redis

    from app.tui.app import ShoeboxApp

_LEDGER_SECONDS = 1.0
_CALM_LOOKS = 20
"""With events coming, the ledger is looked at only every so many times, in case one was missed."""


def look_at_machines(app: "ShoeboxApp") -> None:
    """Ask the workers and the ledger how they are; `app.show_machines` gets the answer."""

    def look() -> None:
        with Ledger.open(app.settings) as ledger:
            redis = _redis(app)
            try:
                machines = collect(app.settings, ledger, redis)
            finally:
                if redis is not None:
                    redis.close()
        app.call_from_thread(app.show_machines, machines)

    if not any(worker.group == "machines" and worker.is_running for worker in app.workers):
        app.run_worker(look, group="machines", thread=True, exit_on_error=False)


def _redis(app: "ShoeboxApp") -> "Redis | None":
    from tasks.exchange import connect

    if not app.link.up:
        return None
    try:
        return connect(redis_url(app.settings), retries=0)
    except ServiceError:
        return None


def look_at_ledger(app: "ShoeboxApp") -> None:
    """Read the ledger again when it has changed and no event can have told of it."""
    seen = _version(app)
    looks = 0

    def look() -> None:
        nonlocal seen, looks
        looks += 1
        if app.link.up and looks % _CALM_LOOKS:
            return
        version = _version(app)
        if version != seen:
            seen = version
            app.reload()

    app.set_interval(_LEDGER_SECONDS, look)


def _version(app: "ShoeboxApp") -> int:
    """A number that changes when another process has changed the ledger (sqlite.org/pragma.html)."""
    return int(app.ledger.db.execute("PRAGMA data_version").fetchone()[0])
