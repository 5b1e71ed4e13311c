"""Small programs for the supervisor to run: `python -m tests.supervised redis|work|deaf|fail|shout`."""

import os
import signal
import sys


def main(what: str) -> None:
    """Be a Redis, wait for SIGTERM, ignore it, or end at once with a nasty message."""
    if what == "fail":
        raise SystemExit("no GPU \x1b[31mhere")
    from app.services import serve_redis
    from tasks.lifeline import die_with_parent
    from tasks.settings import get_settings

    if what == "redis":
        serve_redis(get_settings())
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent()
    if what == "shout":
        for _ in range(200):
            os.write(1, b"x" * 9_999 + b"\n")
        what = "end"
    print(what, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
