"""The command `models`: what is here, where it runs and why; fetching what is missing."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from app.commands.documents import json_option
from app.plain_text import shortened, visible
from tasks.errors import ConfigError, ServiceError
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from tasks.engines.llm.base import ChatClient, ModelInfo
    from tasks.engines.llm.ollama_client import OllamaClient
    from tasks.engines.llm.ollama_models import Progress as OllamaProgress

_MODELFILES = Path(__file__).resolve().parent.parent.parent / "ollama"


@click.command()
@click.option("--check", is_flag=True, help="Only show; fetch and make nothing.")
@json_option
def models(check: bool, as_json: bool) -> None:
    """Show the language models of this machine's Ollama, and set up the two that Shoebox uses.

    What is missing is fetched and made from ollama/Modelfile (small tier) and ollama/Modelfile.large.
    With everything here, no network is needed.
    """
    from tasks.engines.llm.base import LlmError
    from tasks.stages.reading import make_client

    settings = get_settings()
    client = make_client(settings)
    try:
        if settings.engine != "openai" and not check:
            _set_up(cast("OllamaClient", client), settings)
        found = client.models()
        probes = _probe_used(client, found, settings, anew=not check)
    except LlmError as error:
        raise ServiceError(error.message, error.remedy) from error
    finally:
        client.close()
    _show(found, probes, settings, as_json=as_json)


def _probe_used(
    client: "ChatClient", found: "tuple[ModelInfo, ...]", settings: Settings, *, anew: bool
) -> dict[str, str]:
    """How the used models answered a small question, by name. Each is asked once; the ledger remembers."""
    from tasks.engines.llm.probe import Probe, probe
    from tasks.ledger import Ledger
    from tasks.planning import CPU_QUEUE
    from tasks.routing import queue_of, same_model

    results = {}
    with Ledger.open(settings) as ledger:
        for name, num_ctx in {
            settings.small_model: settings.small_num_ctx,
            settings.large_model: settings.large_num_ctx,
        }.items():
            model = next((one for one in found if same_model(one.name, name)), None)
            if model is None or "completion" not in (model.capabilities or ("completion",)):
                continue
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


def _set_up(client: "OllamaClient", settings: Settings) -> None:
    """Make the models of the two tiers that are missing, if they are ours to make."""
    from app.modelfile import read_modelfile
    from tasks.routing import same_model

    here = [model.name for model in client.models()]
    for name, num_ctx, file in (
        (settings.small_model, settings.small_num_ctx, "Modelfile"),
        (settings.large_model, settings.large_num_ctx, "Modelfile.large"),
    ):
        if any(same_model(name, one) for one in here):
            continue
        recipe = read_modelfile(_MODELFILES / file)
        if not name.startswith("shoebox-"):
            with _Bar(f"fetching {name}") as bar:
                client.pull(name, bar.show)
            continue
        if not any(same_model(recipe.base, one) for one in here):
            with _Bar(f"fetching {recipe.base} for {name}") as bar:
                client.pull(recipe.base, bar.show)
        with _Bar(f"making {name}") as bar:
            parameters = {**recipe.parameters, "num_ctx": num_ctx}
            client.create(name, recipe.base, recipe.system, parameters, bar.show)


def _show(
    found: "tuple[ModelInfo, ...]", probes: dict[str, str], settings: Settings, *, as_json: bool
) -> None:
    from app.tables import print_table
    from tasks.routing import queue_of, same_model

    used = {settings.small_model: "classifies", settings.large_model: "title, summary, fields"}
    rows: list[dict[str, Any]] = []
    for model in found:
        queue, reason = queue_of(model, settings)
        use = ", ".join(words for name, words in used.items() if same_model(name, model.name))
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
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    print_table(
        ("model", "size", "queue", "why", "used for", "probe"),
        [
            (
                shortened(row["name"], 40),
                f"{row['parameters'] / 1e9:.2g} B" if row["parameters"] else "?",
                "cloud: refused" if row["remote"] and not settings.allow_remote_models else row["queue"],
                row["reason"],
                row["used_for"] or "-",
                visible(row["probe"]),
            )
            for row in rows
        ],
    )
    missing = [name for name in used if not any(same_model(name, model.name) for model in found)]
    if missing:
        raise ConfigError(
            f"Missing: {', '.join(missing)}.", "./run.sh models fetches and makes them; --check only looks."
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
