"""Commands about services: up down status, and what the supervisor runs."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from app.commands.documents import json_option
from app.plain_text import shortened, visible
from tasks.errors import ExitCode
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from app.services import UpResult
    from tasks.orders import Presence

_CELLS = 48
_PROBLEM_CELLS = 200


@click.command()
@click.option("--foreground", is_flag=True, help="Stay until stopped, and stop them then: for systemd.")
def up(foreground: bool) -> None:
    """Start Redis and the local workers in the background, if they are not running."""
    from app import services
    from app.share_check import REMEDY, share_of

    settings = get_settings()
    if warning := share_of(settings):
        click.echo(f"Warning: {visible(warning)}. {REMEDY}", err=True)
    if foreground:
        from app.services.foreground import stay_up

        stay_up(settings, _say_up)
    else:
        _say_up(services.up(settings))


def _say_up(result: "UpResult") -> None:
    word = "Already up" if result.already_up else "Up"
    click.echo(f"{word}: {', '.join(result.programs)} (Redis {result.redis_version}).")


@click.command()
def down() -> None:
    """Stop Redis and the local workers. Units in hand end or are taken up again by the next `up`."""
    from app import services

    result = services.down(get_settings())
    if not result.was_running:
        click.echo("Nothing was running.")
        return
    killed = f" {result.killed} had to be killed." if result.killed else ""
    click.echo(f"Down: nothing is left running.{killed}")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show services, workers, queues and how many documents are in each state."""
    from app import services
    from app.gpu_use import gpu_facts
    from tasks.meaning.standing import standing_line

    settings = get_settings()
    found = services.status(settings)
    presences = _presences(settings) if found.redis.up else []
    facts: dict[str, Any] = {
        **json.loads(json.dumps(asdict(found), default=str)),
        "workers": [presence.model_dump(mode="json") for presence in presences],
        **gpu_facts(settings, presences),
        "language_model": _language_model(settings),
        "search_by_meaning": standing_line(settings),
        "documents": _counts(settings),
        "notices": _notices(settings),
        "alerts": _alerts(settings),
        "extra_workers": _extra_workers(settings) if found.running else None,
        "metrics": _metrics(settings, presences),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        _print_status(facts)
    if facts["problems"]:
        sys.exit(ExitCode.SERVICE)


def _counts(settings: Settings) -> dict[str, int]:
    from tasks.ledger import Ledger

    if not settings.ledger_path.exists():
        return {}
    with Ledger.open(settings) as ledger:
        return {state.value: number for state, number in ledger.state_counts().items()}


def _notices(settings: Settings) -> list[str]:
    """In sentences, what is wrong with telling outside."""
    from tasks.ledger import Ledger
    from tasks.notify.standing import notice_problems

    if not settings.ledger_path.exists():
        return []
    with Ledger.open(settings) as ledger:
        return list(notice_problems(ledger, settings))


def _alerts(settings: Settings) -> list[dict[str, Any]]:
    """The queues that have too much to do."""
    from tasks.alerts import depth_alerts
    from tasks.ledger import Ledger

    if not settings.ledger_path.exists():
        return []
    with Ledger.open(settings) as ledger:
        return [{**alert.model_dump(), "words": alert.words} for alert in depth_alerts(ledger)]


def _extra_workers(settings: Settings) -> dict[str, Any] | None:
    """How many extra workers run, and what is wrong with them; None where none are wanted."""
    from app.extra_workers import extra_workers_note
    from tasks.ledger import Ledger

    if not settings.extra_worker_command or not settings.ledger_path.exists():
        return None
    with Ledger.open(settings) as ledger:
        return extra_workers_note(ledger).model_dump()


def _metrics(settings: Settings, presences: "list[Presence]") -> dict[str, Any]:
    """Where workers serve numbers for Prometheus, and which of this machine should but do not."""
    import socket

    here = [one for one in presences if settings.metrics_port and one.host == socket.gethostname()]
    return {
        "at": {one.worker: one.metrics for one in presences if one.metrics},
        "missing": [one.worker for one in here if not one.metrics],
    }


def _language_model(settings: Settings) -> str:
    """In a sentence, whether there is a language model."""
    from app.language_model import language_model
    from tasks.circuit import load_circuit
    from tasks.ledger import Ledger

    if not settings.ledger_path.exists():
        return ""
    with Ledger.open(settings) as ledger:
        return language_model(load_circuit(ledger), settings).words


def _presences(settings: Settings) -> "list[Presence]":
    from redis.exceptions import RedisError

    from tasks.broker_url import redis_url
    from tasks.exchange import Exchange, connect

    try:
        return Exchange(connect(redis_url(settings))).presence()
    except RedisError:
        return []


def _print_status(facts: dict[str, Any]) -> None:
    from app.gpu_use import gpu_lines
    from app.tables import print_table

    redis = facts["redis"]
    if not facts["running"]:
        click.echo("The local services are not running. Start them with: ./run.sh up")
    print_table(
        ("program", "state", "pid", "up", "restarts"),
        [
            (
                program["name"],
                program["state"].lower(),
                str(program["pid"]),
                f"{program['uptime_seconds']} s",
                str(program["restarts"]),
            )
            for program in facts["programs"]
        ],
    )
    if redis["up"]:
        memory = redis["memory_bytes"] / 1e6
        click.echo(f"{redis['place']}: version {redis['version']}, {memory:.1f} MB")
    for worker in facts["workers"]:
        queues = visible(", ".join(worker["queues"]))
        click.echo(f"worker {visible(worker['worker'])} serves {queues} with {worker['slots']} at a time")
        for line in _capabilities(worker):
            click.echo(f"  {line}")
    for line in gpu_lines(facts):
        click.echo(visible(line))
    if facts["language_model"]:
        click.echo(f"Language model: {visible(facts['language_model'])}")
    click.echo(f"Search by meaning: {visible(facts['search_by_meaning'])}")
    counts = ", ".join(f"{number} {state}" for state, number in sorted(facts["documents"].items()))
    click.echo(f"Documents: {counts or 'none yet'}")
    if extra := facts["extra_workers"]:
        click.echo(f"Extra workers: {extra['running']} running. {visible(extra['problem'])}".rstrip())
    for worker in facts["metrics"]["missing"]:
        click.echo(f"{visible(worker)} serves no numbers for Prometheus; its log says why: ./run.sh logs")
    for alert in facts["alerts"]:
        click.echo(f"Alert: {visible(alert['words'])}")
    for problem in facts["notices"] + facts["problems"]:
        click.echo(f"Problem: {visible(problem)}", err=True)


def _capabilities(worker: dict[str, Any]) -> Iterator[str]:
    """What a worker has to work with, a line each. All of it is other machines' text."""
    for gpu in worker["gpus"]:
        memory = ""
        if gpu["memory_total"]:
            used, total = gpu["memory_used"] / 2**30, gpu["memory_total"] / 2**30
            memory = f", {used:.1f} of {total:.1f} GiB in use"
        yield f"GPU {gpu['index']}: {shortened(gpu['name'], _CELLS)}{memory}"
    if models := [shortened(model["name"], _CELLS) for model in worker["models"]]:
        yield f"models: {', '.join(models)}"
    if eyes := [shortened(one["name"], _CELLS) for one in worker["image_classifiers"]]:
        yield f"image classifiers: {', '.join(eyes)}"
    versions = {"Shoebox": worker["version"], **worker["software"]}
    known = [
        f"{shortened(name, _CELLS)} {shortened(text, _CELLS)}" for name, text in versions.items() if text
    ]
    if known:
        yield f"runs on {', '.join(known)}"
    if worker["metrics"]:
        yield f"numbers for Prometheus at {shortened(worker['metrics'], _CELLS)}"
    if worker["version_problem"]:
        yield shortened(worker["version_problem"], _PROBLEM_CELLS)


@click.command("_beat", hidden=True)
def beat() -> None:
    """Send the ticks that make home look after lost units."""
    from tasks.lifeline import die_with_parent
    from tasks.worker import run_beat

    die_with_parent()
    run_beat(get_settings())


@click.command("_serve-redis", hidden=True)
def serve_redis() -> None:
    """Become the embedded Redis."""
    from app import services

    services.serve_redis(get_settings())


@click.command("_scaler", hidden=True)
def scaler() -> None:
    """Start and stop extra GPU workers as the setting says."""
    from app.extra_workers import serve
    from tasks.lifeline import die_with_parent

    die_with_parent()
    serve(get_settings())


@click.command("_clerk", hidden=True)
def clerk() -> None:
    """Carry out what the terminal UI asks for on standard input."""
    from app.clerk import serve

    serve(get_settings())


COMMANDS = (up, down, status, beat, serve_redis, scaler, clerk)
