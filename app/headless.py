"""Serving several queues from one command: a worker process for each, restarted when it dies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from tasks.lifeline import SUPERVISED

_RESTART_SECONDS = 2.0


def serve_all(queues: Sequence[str]) -> int:
    """Run one worker a queue until SIGTERM or SIGINT, then let each finish its unit.

    Returns the exit status: 0 when stopped.
    """
    stopping = threading.Event()
    threads = [threading.Thread(target=_keep_up, args=(queue, stopping)) for queue in queues]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def _keep_up(queue: str, stopping: threading.Event) -> None:
    while not stopping.is_set():
        # A session of its own, so that Ctrl-C in the terminal reaches only us and each worker is told once.
        worker = subprocess.Popen(
            [sys.executable, "-m", "app", "worker", "--queues", queue],
            env={**os.environ, SUPERVISED: "headless"},  # so that it ends when this process is killed
            start_new_session=True,
        )
        while worker.poll() is None:
            if stopping.wait(0.2):
                worker.terminate()
                worker.wait()
        stopping.wait(_RESTART_SECONDS)
