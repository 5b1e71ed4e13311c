"""The models that are loaded: one llama.cpp process each, as Ollama keeps them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.ollama.answers import RefusedError
from tests.ollama.journal import Call, Journal, Load
from tests.ollama.labels import LABELS
from tests.ollama.llama_server import LlamaServer
from tests.ollama.models import ModelSpec
from tests.ollama.tiny_model import write_tiny_model

KEEP_ALIVE = 300.0
FOR_EVER = 292 * 365.25 * 86400.0  # what a negative keep_alive comes to: the longest duration that Go can say
BUSY = "server busy, please try again.  maximum pending requests exceeded"
CRASHED = "an error was encountered while running the model: unexpected EOF"


@dataclass
class Runner:
    """A loaded model."""

    spec: ModelSpec
    num_ctx: int
    server: LlamaServer
    expires: float
    users: int = 0
    used: float = 0.0
    """When a request last ended, by the monotonic clock."""
    doomed: bool = False
    """Unload as soon as nobody uses it."""

    def ps(self) -> dict[str, Any]:
        """Its entry in /api/ps."""
        until = datetime.fromtimestamp(min(self.expires, 2**38), UTC)
        return {
            "name": self.spec.full_name,
            "model": self.spec.full_name,
            "size": max(2_673_868, self.spec.size_vram),
            "digest": self.spec.digest,
            "details": self.spec.details(lengths=False),
            "expires_at": until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "size_vram": self.spec.size_vram,
            "context_length": self.num_ctx,
        }


@dataclass
class RunnerPool:
    """Loads models on demand, unloads them on time, and counts every load.

    Args:
        folder: of the GGUF files; written when first needed.
        max_queue: requests that may wait for a model that is being loaded; one more is a 503.
        max_loaded: models in memory at a time, as OLLAMA_MAX_LOADED_MODELS; 0: any number. The one that was
            used longest ago makes room once nobody uses it.
    """

    folder: Path
    journal: Journal
    max_queue: int = 512
    max_loaded: int = 0
    _runners: dict[str, Runner] = field(default_factory=dict)
    _loading: set[str] = field(default_factory=set)
    _waiting: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def use(
        self, spec: ModelSpec, num_ctx: int | None, keep_alive: float | None, call: Call
    ) -> Iterator[Runner]:
        """Have the model loaded with that context length for the time of the block.

        Raises:
            RefusedError: too many wait already.
        """
        wanted = min(max(num_ctx if num_ctx is not None else spec.num_ctx, 4), spec.context_length)
        runner = self._acquire(spec, wanted, call)
        call.num_ctx = runner.num_ctx
        try:
            yield runner
        finally:
            with self._changed:
                runner.users -= 1
                runner.used = time.monotonic()
                seconds = KEEP_ALIVE if keep_alive is None else keep_alive
                runner.expires = time.time() + (seconds if seconds >= 0 else FOR_EVER)
                runner.doomed = runner.doomed or seconds == 0
                self._drop_unused()
                self._changed.notify_all()

    def unload(self, spec: ModelSpec) -> None:
        """Unload now, or when the streams that run have ended."""
        with self._changed:
            if runner := self._runners.get(spec.full_name):
                runner.doomed = True
                self._drop_unused()

    def kill(self, full_name: str) -> None:
        """SIGKILL the llama.cpp process of a model; the next request loads it again."""
        with self._changed:
            runner = self._runners.get(full_name)
        if runner:
            runner.server.process.kill()
            runner.server.process.wait()

    def loaded(self) -> list[Runner]:
        """What is loaded now."""
        with self._changed:
            self._drop_unused()
            return list(self._runners.values())

    def close(self) -> None:
        """End every process."""
        with self._changed:
            for runner in self._runners.values():
                runner.server.close()
            self._runners.clear()

    def _acquire(self, spec: ModelSpec, num_ctx: int, call: Call) -> Runner:
        name = spec.full_name
        with self._changed:
            self._drop_unused()
            while True:
                runner = self._runners.get(name)
                if runner and runner.server.process.poll() is not None:
                    self._runners.pop(name).server.close()
                elif runner and runner.num_ctx == num_ctx and not runner.doomed:
                    runner.users += 1
                    return runner
                elif runner and runner.users == 0:
                    self._runners.pop(name).server.close()
                elif runner is None and name not in self._loading and self._has_room():
                    self._loading.add(name)
                    break
                else:
                    self._wait()
        try:
            runner = self._load(spec, num_ctx)
            call.loaded = True
        finally:
            with self._changed:
                self._loading.discard(name)
                self._changed.notify_all()
        return runner

    def _has_room(self) -> bool:
        """Whether one more may be loaded now; unloads one if that makes the room. The lock is held."""
        if not self.max_loaded or len(self._runners) + len(self._loading) < self.max_loaded:
            return True
        idle = [runner for runner in self._runners.values() if runner.users == 0]
        if not idle:
            return False
        oldest = min(idle, key=lambda runner: runner.used)
        self._runners.pop(oldest.spec.full_name).server.close()
        return len(self._runners) + len(self._loading) < self.max_loaded

    def _wait(self) -> None:
        if self._waiting >= self.max_queue:
            raise RefusedError(503, BUSY)
        self._waiting += 1
        try:
            self._changed.wait()
        finally:
            self._waiting -= 1

    def _load(self, spec: ModelSpec, num_ctx: int) -> Runner:
        decides, labels = spec.can("decision"), "words" if spec.labelled else "plain"
        shape = f"{spec.layers}x{spec.feed_forward}"
        path = self.folder / f"tiny-{spec.seed}-{labels}-{shape}-{decides}.gguf"
        if not path.exists():
            known = LABELS if spec.labelled else {}
            write_tiny_model(
                path,
                seed=spec.seed,
                labels=known,
                layers=spec.layers,
                feed_forward=spec.feed_forward,
                decision=decides,
            )
        time.sleep(spec.load_seconds)
        only_embeds = spec.can("embedding") and not spec.can("completion")
        server = LlamaServer(path, num_ctx=num_ctx, parallel=spec.parallel, embedding=only_embeds)
        runner = Runner(spec, num_ctx, server, time.time() + KEEP_ALIVE, users=1)
        with self._changed:
            self._runners[spec.full_name] = runner
        self.journal.loaded(Load(spec.full_name, num_ctx, time.time(), server.process.pid))
        return runner

    def _drop_unused(self) -> None:
        """Unload what nobody uses and is doomed or past its time. The lock is held."""
        for name, runner in list(self._runners.items()):
            if runner.users == 0 and (runner.doomed or runner.expires < time.time()):
                self._runners.pop(name).server.close()
