"""How the services are."""

from dataclasses import dataclass
from pathlib import Path

from app.services.folders import log_tail, program_log
from app.services.processes import service_processes, supervisors
from app.services.programs import HOPELESS_EXIT
from app.services.redis_client import ask_redis, redis_place
from app.services.supervisord import ProgramState, Supervisor, restarts
from tasks.errors import ServiceError
from tasks.settings import Settings


@dataclass(frozen=True)
class ProgramStatus:
    """One supervised program."""

    name: str
    state: str
    """supervisord's word, such as RUNNING, BACKOFF or FATAL."""
    pid: int
    """0 if it does not run."""
    uptime_seconds: int
    restarts: int
    """Since the supervisor started."""
    exit_status: int
    """Of its last end; -1 after a signal."""
    log: Path
    problem: str
    """A sentence if something is wrong, else empty."""


@dataclass(frozen=True)
class RedisStatus:
    """The Redis that is used."""

    place: str
    embedded: bool
    up: bool
    version: str = ""
    memory_bytes: int = 0
    clients: int = 0
    problem: str = ""


@dataclass(frozen=True)
class ServicesStatus:
    """Everything about the services of one data directory."""

    running: bool
    """A supervisor is there."""
    redis: RedisStatus
    programs: tuple[ProgramStatus, ...] = ()
    problems: tuple[str, ...] = ()
    """A sentence for everything that is wrong; empty also when nothing was started."""


def status(settings: Settings) -> ServicesStatus:
    """Look at the services; changes nothing and never raises."""
    redis = redis_status(settings)
    processes = service_processes(settings)
    if not processes:
        problems = (redis.problem,) if redis.problem and not redis.embedded else ()
        return ServicesStatus(running=False, redis=redis, problems=problems)
    if not supervisors(processes):
        orphans = (
            f"{len(processes)} processes are left of a supervisor that was killed."
            " ./run.sh up ends them and starts anew; ./run.sh down only ends them."
        )
        return ServicesStatus(running=False, redis=redis, problems=(orphans,))
    try:
        programs = tuple(_program_status(settings, state) for state in Supervisor(settings).programs())
    except ServiceError as error:
        return ServicesStatus(running=True, redis=redis, problems=(str(error),))
    sentences = [redis.problem, *(program.problem for program in programs)]
    return ServicesStatus(
        running=True, redis=redis, programs=programs, problems=tuple(one for one in sentences if one)
    )


def redis_status(settings: Settings) -> RedisStatus:
    """Ask Redis how it is; never raises."""
    embedded = settings.redis_url is None
    try:
        info = ask_redis(settings)
    except ServiceError as error:
        return RedisStatus(place=redis_place(settings), embedded=embedded, up=False, problem=str(error))
    return RedisStatus(
        place=redis_place(settings),
        embedded=embedded,
        up=True,
        version=info.version,
        memory_bytes=info.memory_bytes,
        clients=info.clients,
        problem=info.warning,
    )


def _program_status(settings: Settings, state: ProgramState) -> ProgramStatus:
    log = program_log(settings, state.name)
    return ProgramStatus(
        name=state.name,
        state=state.state,
        pid=state.pid,
        uptime_seconds=state.uptime_seconds,
        restarts=restarts(settings, state.name),
        exit_status=state.exit_status,
        log=log,
        problem=program_problem(state, log),
    )


def program_problem(state: ProgramState, log: Path) -> str:
    """What is wrong with a program, in a sentence with the last words of its log; empty if nothing is."""
    if state.state in ("RUNNING", "STARTING", "STOPPING"):
        return ""
    end = "was killed" if state.exit_status < 0 else f"ended with status {state.exit_status}"
    sentence = {
        "BACKOFF": f"{state.name} {end} just after its start and is tried again.",
        "EXITED": f"{state.name} {end}.",
        "STOPPED": f"{state.name} is stopped.",
        "FATAL": f"{state.name} {end} again and again and was given up.",
    }.get(state.state, f"{state.name} is in an unknown state.")
    # What is said before that status is a message and its remedy, a line each.
    last_words = " ".join(log_tail(log, lines=2 if state.exit_status == HOPELESS_EXIT else 1).split())
    return f"{sentence} Its last words ({log}): {last_words}" if last_words else sentence
