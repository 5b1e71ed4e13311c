"""Starting and stopping the services as a whole."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.services import folders
from app.services.processes import (
    POLL_SECONDS,
    end_processes,
    service_processes,
    supervisors,
    wait_until_gone,
)
from app.services.programs import REDIS, Program, default_programs, write_config
from app.services.redis_client import ask_redis
from app.services.redis_server import prepare_redis
from app.services.supervisord import ProgramState, Supervisor, launch, restarts
from tasks.errors import ServiceError
from tasks.settings import Settings

STOP_SECONDS = 30.0
"""For an orderly end: the workers' ten seconds, then ten for Redis, and room."""
ORPHAN_SECONDS = 10.0
"""From SIGTERM to SIGKILL for what no supervisor looks after."""
HOPELESS_RESTARTS = 2
"""`up` gives up on a program that has ended just after its start once more often than this."""


@dataclass(frozen=True)
class UpResult:
    """What `up` found or did."""

    already_up: bool
    programs: tuple[str, ...]
    redis_version: str


@dataclass(frozen=True)
class DownResult:
    """What `down` did."""

    was_running: bool
    killed: int
    """Processes that did not end when asked."""


def up(
    settings: Settings,
    programs: Sequence[Program] | None = None,
    timeout: float = 60.0,
    asked_at: float | None = None,
) -> UpResult:
    """Start Redis and the workers, and wait until all of them run. Does nothing if they do.

    A run that was broken off is completed. After an error nothing is left running that was not there before.

    Args:
        settings: whose services.
        programs: other ones than the usual.
        timeout: seconds until all have to run.
        asked_at: when that was asked for, in seconds since the epoch, if not just now: a `down` that came
            after it stands.

    Raises:
        ServiceError: something does not start; says which, why, and what to do. Or they were stopped since.
        ConfigError: the ledger was written by a newer version.
    """
    wanted = default_programs(settings) if programs is None else tuple(programs)
    folders.prepare_folders(settings)
    if programs is None:
        _prepare_ledger(settings)
    with folders.services_lock(settings):
        if asked_at is not None and folders.stopped_at(settings) > asked_at:
            raise ServiceError("The services were stopped meanwhile.", "Start them with ./run.sh up.")
        found = bool(supervisors(service_processes(settings)))
        try:
            if not found:
                _start_supervisor(settings, wanted)
            supervisor = Supervisor(settings)
            deadline = time.monotonic() + timeout
            version = _wait_for_redis(settings, supervisor, deadline)
            started = _start_missing(supervisor)
            _wait_for_programs(settings, supervisor, deadline)
        except BaseException:
            if not found:
                _stop(settings)
            raise
        names = tuple(program.name for program in supervisor.programs())
        return UpResult(already_up=found and not started, programs=names, redis_version=version)


def _prepare_ledger(settings: Settings) -> None:
    """Make or migrate it here, where somebody reads what is said, and not in each of the workers."""
    from tasks.ledger import Ledger

    Ledger.open(settings).close()


def is_up(settings: Settings) -> bool:
    """Whether the services were started, however Redis is."""
    return bool(supervisors(service_processes(settings)))


def _start_supervisor(settings: Settings, programs: Sequence[Program]) -> None:
    end_processes(settings, ORPHAN_SECONDS)
    folders.check_free_space(settings)
    with folders.clear_refusals(settings.data_dir):
        folders.make_runtime_dir(settings)
        if settings.redis_url is None:
            prepare_redis(settings)
        write_config(settings, programs)
        launch(settings)


def _wait_for_redis(settings: Settings, supervisor: Supervisor, deadline: float) -> str:
    """Wait for the embedded Redis, which may have to load its file; another one must be there already."""
    while True:
        try:
            return ask_redis(settings).version
        except ServiceError as error:
            if settings.redis_url is not None:
                raise
            ended = restarts(settings, REDIS)  # before its state: it may be started between the two
            redis = next((one for one in supervisor.programs() if one.name == REDIS), None)
            if redis is None:
                raise
            if _has_given_up(redis, ended) or time.monotonic() > deadline:
                raise _did_not_start(settings, redis) from error
            if redis.state == "STOPPED":
                supervisor.start(redis)
        time.sleep(POLL_SECONDS)


def _has_given_up(redis: ProgramState, ended: int) -> bool:
    """Whether the server ended again after it was started once more, without files that it could not read."""
    keeps_ending = redis.state == "BACKOFF" and ended >= 1
    return keeps_ending or redis.state == "FATAL"


def _start_missing(supervisor: Supervisor) -> bool:
    """Start every program that is not on its way; tell whether there was one."""
    missing = [one for one in supervisor.programs() if one.state in ("STOPPED", "EXITED", "FATAL")]
    for program in missing:
        supervisor.start(program)
    return bool(missing)


def _wait_for_programs(settings: Settings, supervisor: Supervisor, deadline: float) -> None:
    ended: dict[str, int] = {}  # counted before a state is asked for: it may be started between the two
    while waiting := [one for one in supervisor.programs() if one.state != "RUNNING"]:
        for program in waiting:
            if _is_hopeless(program, ended.get(program.name, 0)) or time.monotonic() > deadline:
                raise _did_not_start(settings, program)
        ended = {program.name: restarts(settings, program.name) for program in waiting}
        time.sleep(POLL_SECONDS)


def _is_hopeless(program: ProgramState, ended: int) -> bool:
    keeps_ending = program.state == "BACKOFF" and ended >= HOPELESS_RESTARTS
    return keeps_ending or program.state in ("FATAL", "EXITED")


def _did_not_start(settings: Settings, program: ProgramState) -> ServiceError:
    log = folders.program_log(settings, program.name)
    words = folders.log_tail(log)
    remedy = f"Its log is {log}; ./run.sh doctor checks the rest."
    return ServiceError(f"{program.name} does not start. Its last words:\n{words or '(none)'}\n", remedy)


def down(settings: Settings) -> DownResult:
    """Stop everything `up` started, orphans of a killed supervisor included, and wait until all has ended."""
    with folders.services_lock(settings):
        folders.note_stop(settings)
        return _stop(settings)


def _stop(settings: Settings) -> DownResult:
    processes = service_processes(settings)
    was_running = bool(processes)
    if supervisors(processes):
        try:
            Supervisor(settings).shutdown()
            wait_until_gone(settings, STOP_SECONDS)
        except ServiceError:  # it hangs; end_processes() deals with that
            pass
    killed = end_processes(settings, ORPHAN_SECONDS)
    folders.remove_runtime_dir(settings)
    return DownResult(was_running=was_running, killed=killed)
