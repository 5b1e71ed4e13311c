"""Commands about working for a home from elsewhere: worker invite."""

import os
import sys
from pathlib import Path

import click

from app import __version__
from tasks.settings import Settings, get_settings

_QUEUES = ("home", "cpu", "gpu")


@click.command()
@click.option("--queues", default=None, help="Which queues to serve, with commas; by default cpu,gpu.")
@click.option("--redis", "redis_url", default=None, help="Address of home's Redis (or SHOEBOX_REDIS_URL).")
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    default=None,
    help="Serve numbers for Prometheus: the first process on this port, each further one on the next.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="A file with the password of that Redis, for an address without one.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=None,
    help="Once stopped: give back what is not finished after so long, as stopping twice does.",
)
@click.option("--name", default=None, hidden=True, help="Be one worker process of this name.")
@click.option("--local", is_flag=True, hidden=True, help="It is one of a home's own.")
def worker(
    queues: str | None,
    redis_url: str | None,
    metrics_port: int | None,
    password_file: Path | None,
    drain_seconds: float | None,
    name: str | None,
    local: bool,
) -> None:
    """Help a home from this or another machine until stopped by Ctrl-C or SIGTERM.

    The queue gpu is served by a process for each NVIDIA GPU. Units in hand are finished first; stopping twice
    gives them back. docs/gpu-box.md tells the whole story.
    """
    from tasks.lifeline import die_with_parent
    from tasks.logs import configure

    die_with_parent()
    wanted = _wanted_queues(queues)
    if metrics_port is not None:
        os.environ["SHOEBOX_METRICS_PORT"] = str(metrics_port)
    if password_file is not None:
        os.environ["SHOEBOX_REDIS_PASSWORD_FILE"] = str(password_file.absolute())
    if redis_url is not None:
        _hide_address(redis_url, queues, drain_seconds)
    get_settings.cache_clear()
    settings = get_settings()
    configure(name or "worker", settings)
    if name is None:
        sys.exit(_serve_headless(settings, wanted, drain_seconds))
    from app.joining import await_redis
    from tasks.worker import serve

    await_redis(settings, for_ever=True)
    if settings.metrics_port:
        from app.metrics.worker import serve_metrics
        from tasks.worker import processes

        serve_metrics(settings, wanted[0], processes(wanted[0], settings))
    serve(wanted[0], _local_name(name, settings) if local else name, settings, __version__)


def _local_name(name: str, settings: Settings) -> str:
    """A Redis of the user's own may carry several homes, of machines with the same host name even."""
    from tasks.ledger import Ledger

    if settings.redis_url is None:
        return name
    with Ledger.open(settings) as ledger:
        return f"{name}-{ledger.home}"


def _wanted_queues(queues: str | None) -> tuple[str, ...]:
    from app.worker_plan import HEADLESS_QUEUES

    if queues is None:
        return HEADLESS_QUEUES
    wanted = tuple(dict.fromkeys(part.strip() for part in queues.split(",") if part.strip()))
    if not wanted or set(wanted) - set(_QUEUES):
        raise click.UsageError(f"--queues takes some of: {', '.join(_QUEUES)}.")
    return wanted


def _hide_address(redis_url: str, queues: str | None, drain_seconds: float | None) -> None:
    """Begin again with the address in the environment: all users see the arguments of all processes.

    Does not return.
    """
    options = [] if queues is None else ["--queues", queues]
    options += [] if drain_seconds is None else ["--drain-seconds", str(drain_seconds)]
    command = [sys.executable, "-m", "app", "worker", *options]
    os.execve(sys.executable, command, {**os.environ, "SHOEBOX_REDIS_URL": redis_url})  # noqa: S606 - no shell


def _serve_headless(settings: Settings, queues: tuple[str, ...], drain_seconds: float | None) -> int:
    from app.headless import serve_all
    from app.joining import await_redis, check_version, say
    from app.worker_identity import worker_identity
    from app.worker_plan import metrics_line, plan_workers, serving_line

    await_redis(settings)
    check_version(settings, __version__)
    planned = plan_workers(queues, metrics_port=settings.metrics_port)
    with worker_identity(settings) as identity:
        say(serving_line(planned, settings.cpu_concurrency))
        if settings.metrics_port:
            say(metrics_line(planned, settings.metrics_host))
        return serve_all(planned, identity, drain_seconds)


@click.command()
@click.option("--show-password", is_flag=True, help="Print the password of Redis as well.")
def invite(show_password: bool) -> None:
    """Say what to type on another machine so that it works for this home."""
    from app.invitation import invitation

    click.echo(invitation(get_settings(), show_password=show_password))


COMMANDS = (worker, invite)
