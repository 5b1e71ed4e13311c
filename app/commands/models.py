"""The command `models`: what is here, where it runs and why; fetching what is missing."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import click

from app.commands.documents import json_option
from app.plain_text import shortened, visible
from tasks.documents import Stage
from tasks.errors import ConfigError, ServiceError
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from tasks.engines.llm.base import ChatClient, ModelInfo
    from tasks.engines.llm.ollama_client import OllamaClient
    from tasks.engines.llm.ollama_models import Progress as OllamaProgress

_DOES = {Stage.CLASSIFY: "classifies", Stage.ANALYSE: "title, summary, fields"}


@click.command()
@click.argument("names", nargs=-1)
@click.option("--check", is_flag=True, help="Only show; fetch and make nothing.")
@json_option
def models(names: tuple[str, ...], check: bool, as_json: bool) -> None:
    """Show the language models of this machine's Ollama, and set up those that Shoebox uses.

    Those are the two of the settings, those that your recipes name, and NAMES: say them on a machine that
    does not have your recipes. What is missing is fetched; shoebox-small and shoebox-large are made from
    ollama/Modelfile and ollama/Modelfile.large. With everything here, no network is needed.
    """
    from tasks.engines.llm.base import LlmError
    from tasks.stages.reading import make_client

    settings = get_settings()
    wanted = _wanted(settings, names)
    client = make_client(settings)
    refused: dict[str, str] = {}
    try:
        if settings.engine != "openai" and not check:
            refused = _set_up(cast("OllamaClient", client), list(wanted), settings)
        found = client.models()
        probes = _probe_used(client, found, list(wanted), settings, anew=not check)
        sizes = _sizes(cast("OllamaClient", client), wanted, settings) if settings.engine != "openai" else []
    except LlmError as error:
        raise ServiceError(error.message, error.remedy) from error
    finally:
        client.close()
    _show(found, probes, wanted, settings, as_json=as_json)
    if not as_json:
        for line in sizes:
            click.echo(visible(line))
        _raise_missing(_missing(found, wanted), refused)


def _wanted(settings: Settings, names: tuple[str, ...]) -> dict[str, str]:
    """The models to have, each with what it is for. A recipe that cannot be read is told of."""
    from pydantic import TypeAdapter, ValidationError

    from app.model_uses import model_uses
    from tasks.model_names import ModelName

    for name in names:
        try:
            TypeAdapter(ModelName).validate_python(name)
        except ValidationError as error:
            raise click.UsageError(f"{visible(name)!r} is no name of a model.") from error
    uses = model_uses(settings)
    for problem in uses.problems:
        click.echo(visible(f"Left out: {problem.message} {problem.remedy}"), err=True)
    words = {
        name: "; ".join(
            f"{_DOES[use.stage]} ({use.where})" if use.where else _DOES[use.stage] for use in uses.of(name)
        )
        for name in uses.models
    }
    return words | {name: "named here" for name in names if name not in words}


def _probe_used(
    client: "ChatClient",
    found: "tuple[ModelInfo, ...]",
    wanted: list[str],
    settings: Settings,
    *,
    anew: bool,
) -> dict[str, str]:
    """How the used models answered a small question, by name. Each is asked once; the ledger remembers."""
    from tasks.engines.llm.probe import Probe, probe
    from tasks.ledger import Ledger
    from tasks.planning import CPU_QUEUE
    from tasks.routing import context_of, queue_of, same_model

    results = {}
    with Ledger.open(settings) as ledger:
        for name in wanted:
            model = next((one for one in found if same_model(one.name, name)), None)
            if model is None or "completion" not in (model.capabilities or ("completion",)):
                continue
            if model.is_remote and not settings.allow_remote_models:
                continue
            num_ctx = context_of(name, settings)
            note = f"probe {settings.engine} {model.name} {model.parameters} {num_ctx}"
            if not ledger.meta(note) and anew:
                on_cpu = queue_of(model, settings)[0] == CPU_QUEUE
                threads = settings.num_thread if on_cpu else None
                asked = probe(client, model.name, num_ctx, on_cpu=on_cpu, num_thread=threads)
                if asked.problem:
                    results[model.name] = asked.words()
                    continue
                ledger.set_meta(note, asked.model_dump_json())
            if known := ledger.meta(note):
                results[model.name] = Probe.model_validate_json(known).words()
    return results


def _sizes(client: "OllamaClient", wanted: Iterable[str], settings: Settings) -> list[str]:
    """What the used models are expected to take of memory, by their files and contexts, in words."""
    from tasks.routing import context_of

    found = ((name, client.memory.footprint(name, context_of(name, settings))) for name in wanted)
    words = "{} takes about {:.1f} GB with a context of {:,} tokens."
    return [words.format(name, model.bytes / 1e9, model.num_ctx) for name, model in found if model.bytes]


def _set_up(client: "OllamaClient", wanted: list[str], settings: Settings) -> dict[str, str]:
    """Fetch and make the models that are missing. Returns those that cannot be had, with the reasons.

    Raises:
        LlmError: the server, or its way to the registry, is down.
    """
    from tasks.engines.llm.base import LlmError, LlmErrorKind
    from tasks.engines.llm.ollama_models import looks_remote
    from tasks.routing import same_model

    here = [model.name for model in client.models()]
    refused = {}
    for name in wanted:
        if any(same_model(name, one) for one in here):
            continue
        if looks_remote(name) and not settings.allow_remote_models:
            refused[name] = f"{name} runs in a cloud, which is not allowed."
            continue
        try:
            _make(client, name, here, settings)
        except LlmError as error:
            if error.kind is not LlmErrorKind.REFUSED:
                raise
            refused[name] = f"{name} cannot be had: {error.message}"
    return refused


def _make(client: "OllamaClient", name: str, here: list[str], settings: Settings) -> None:
    """Fetch a model; or make it, if it is the one of a tier and ours to make."""
    from app.modelfile import modelfiles, read_modelfile
    from tasks.routing import context_of, same_model

    files = {settings.small_model: "Modelfile", settings.large_model: "Modelfile.large"}
    if name not in files or not name.startswith("shoebox-"):
        with _Bar(f"fetching {name}") as bar:
            client.pull(name, bar.show)
        return
    recipe = read_modelfile(modelfiles() / files[name])
    if not any(same_model(recipe.base, one) for one in here):
        with _Bar(f"fetching {recipe.base} for {name}") as bar:
            client.pull(recipe.base, bar.show)
    with _Bar(f"making {name}") as bar:
        parameters = {**recipe.parameters, "num_ctx": context_of(name, settings)}
        client.create(name, recipe.base, recipe.system, parameters, bar.show)


def _show(
    found: "tuple[ModelInfo, ...]",
    probes: dict[str, str],
    wanted: dict[str, str],
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    from app.tables import print_table
    from tasks.routing import queue_of, same_model

    rows: list[dict[str, Any]] = []
    for model in found:
        queue, reason = queue_of(model, settings)
        use = "; ".join(words for name, words in wanted.items() if same_model(name, model.name))
        rows.append(
            {
                "name": model.name,
                "parameters": model.parameters,
                "context_length": model.context_length,
                "capabilities": list(model.capabilities),
                "queue": queue,
                "reason": reason,
                "used_for": use,
                "probe": probes.get(model.name, ""),
                "remote": model.is_remote,
                "missing": False,
            }
        )
    nothing = {**dict.fromkeys(("parameters", "context_length"), 0), "capabilities": [], "remote": False}
    nothing |= dict.fromkeys(("queue", "reason", "probe"), "")
    rows += [
        {"name": name, **nothing, "used_for": wanted[name], "missing": True}
        for name in _missing(found, wanted)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    print_table(
        ("model", "size", "queue", "why", "used for", "probe"),
        [
            (
                shortened(row["name"], 40),
                f"{row['parameters'] / 1e9:.2g} B" if row["parameters"] else "?",
                _place(row, settings),
                row["reason"],
                visible(row["used_for"]) or "-",
                visible(row["probe"]),
            )
            for row in rows
        ],
    )


def _place(row: dict[str, Any], settings: Settings) -> str:
    """The queue of a model, or why it is on none."""
    if row["missing"]:
        return "missing"
    return "cloud: refused" if row["remote"] and not settings.allow_remote_models else str(row["queue"])


def _missing(found: "tuple[ModelInfo, ...]", wanted: Iterable[str]) -> list[str]:
    from tasks.routing import same_model

    return [name for name in wanted if not any(same_model(name, model.name) for model in found)]


def _raise_missing(missing: list[str], refused: dict[str, str]) -> None:
    """Say which models are missing, and why those that cannot be had.

    Raises:
        ConfigError: some are.
    """
    if not missing:
        return
    reasons = "".join(f" {reason}" for reason in refused.values())
    raise ConfigError(
        f"Missing: {', '.join(missing)}.{reasons}",
        "Correct the name where it stands, or make such a model with `ollama create`."
        if refused
        else "./run.sh models fetches and makes them; --check only looks.",
    )


class _Bar:
    """A progress bar on a terminal, a line a step in a pipe."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._title = title
        self._status = ""
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: "OllamaProgress") -> None:
        """Take a message of the server."""
        status = visible(progress.status)
        if status != self._status and not self._console.is_terminal:
            click.echo(f"{self._title}: {status}", err=True)
        self._status = status
        self._progress.update(
            self._task,
            description=f"{self._title}: {status}",
            completed=progress.completed,
            total=progress.total or None,
        )
