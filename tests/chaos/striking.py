"""Doing it: finding the process or the line that a strike means, striking, and mending it in time."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from redis.exceptions import RedisError

from tasks.errors import ServiceError
from tests.chaos.faults import How, Strike, Target
from tests.chaos.link import LinkState
from tests.chaos.world import World, children_of, resume, send

_PROGRAMS = {
    **{Target.HOME: "home", Target.CPU: "cpu", Target.GPU: "gpu", Target.BEAT: "beat"},
    **{Target.WATCHER: "watch", Target.REDIS: "redis"},
}
_PARENTS = {Target.HOME_CHILD: "home", Target.CPU_CHILD: "cpu", Target.GPU_CHILD: "gpu"}


def why_not(world: World, strike: Strike) -> str:
    """Why this cannot be done on this machine; empty if it can."""
    return {Target.DISK: world.disk.problem, Target.CLOCK: world.clock.problem}.get(strike.target, "")


@dataclass
class Struck:
    """What a strike did."""

    strike: Strike
    at: float
    """By the monotonic clock."""
    pids: tuple[int, ...] = ()
    killed: tuple[int, ...] = ()
    """Processes that must be gone: those that were killed."""
    mend: Callable[[], None] | None = field(default=None, repr=False)
    mended_at: float = 0.0
    note: str = ""

    @property
    def is_due(self) -> bool:
        """Whether it has lasted long enough."""
        if self.mend is None or self.strike.how is How.FREEZE:
            return False
        return time.monotonic() - self.at >= self.strike.seconds

    def end(self) -> None:
        """Mend it, if that has not been done."""
        if self.mend is not None:
            self.mend()
            self.mend = None
            self.mended_at = time.monotonic()


class Striker:
    """Strikes a world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def strike(self, strike: Strike, adding: "subprocess.Popen[str] | None") -> Struck:
        """Do it now. What is not there to be struck is said in the note."""
        struck = Struck(strike, time.monotonic())
        match strike.target:
            case Target.FAR_LINK | Target.MODEL_LINK:
                self._cut(struck)
            case Target.DISK:
                self._world.disk.fill()
                struck.mend = self._world.disk.free
            case Target.CLOCK:
                self._set_clock(struck)
            case Target.REDIS if strike.how is How.FLUSH:
                self._flush(struck)
            case Target.ADD:
                self._signal(struck, adding.pid if adding and adding.poll() is None else 0)
            case _:
                self._signal(struck, self._process(strike.target))
        if strike.how is How.WIPE:
            self._wipe()
        return struck

    def _cut(self, struck: Struck) -> None:
        is_far = struck.strike.target is Target.FAR_LINK
        link = self._world.far_link if is_far else self._world.model_link
        link.switch(LinkState.CUT if struck.strike.how is How.CUT else LinkState.SILENT)
        struck.mend = partial(link.switch, LinkState.UP)

    def _set_clock(self, struck: Struck) -> None:
        sign = 1 if struck.strike.how is How.FORWARD else -1
        self._world.clock.jump(sign * int(struck.strike.seconds))

    def _flush(self, struck: Struck) -> None:
        try:
            self._world.flush()
        except (RedisError, ServiceError) as error:
            struck.note = f"not flushed: {error}"

    def _wipe(self) -> None:
        shutil.rmtree(self._world.settings.data_dir / "redis" / "appendonlydir", ignore_errors=True)

    def _signal(self, struck: Struck, pid: int) -> None:
        is_kill = struck.strike.how in {How.KILL, How.WIPE}
        if not pid or not send(pid, signal.SIGKILL if is_kill else signal.SIGSTOP):
            struck.note = "was not there"
            return
        struck.pids = (pid,)
        if is_kill:
            struck.killed = (pid,)
        else:
            struck.mend = partial(resume, pid)

    def _process(self, target: Target) -> int:  # noqa: PLR0911 - a table
        world = self._world
        if target in _PROGRAMS:
            return world.program(_PROGRAMS[target])
        if target in _PARENTS:
            return self._child(children_of(world.program(_PARENTS[target])))
        match target:
            case Target.SUPERVISOR:
                return world.supervisor()
            case Target.MODEL_SERVER:
                return world.double.process.pid if world.double.process else 0
            case Target.RUNNER:
                return self._one([int(runner["pid"]) for runner in world.double.runners()])
            case Target.UI:
                return world.window.pid if world.window and world.window.is_open else 0
            case Target.CLERK:
                return world.window.clerk() if world.window else 0
            case Target.FAR_CHILD:
                return self._child(world.far_children())
            case Target.FAR_WORKER:
                return self._one(world.far.members())
        return world.far.running.pid

    def _child(self, children: list[int]) -> int:
        """One that works on a unit, if there is one."""
        try:
            busy = self._world.holders().intersection(children)
        except (RedisError, ServiceError):
            busy = set()
        return self._one(sorted(busy) or children)

    def _one(self, pids: list[int]) -> int:
        return self._rng.choice(pids) if pids else 0
