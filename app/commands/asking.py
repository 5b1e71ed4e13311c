"""The command that asks a question."""

import sys
import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import click

from app import completion
from app.commands.documents import json_option
from app.plain_text import visible, visible_json, visible_lines
from tasks.errors import ExitCode, NotFoundError
from tasks.ledger import Ledger
from tasks.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.asking.answers import Answer, Sentence, Source
    from tasks.question_asking import Asked

_SEARCHED = 200
_MODELS_SECONDS = 12.0
"""Workers that have just been started take so long to say which models they reach."""
_LOOK_SECONDS = 0.3


@click.command()
@click.argument("question")
@click.argument("names", metavar="[DOCUMENT...]", nargs=-1, shell_complete=completion.documents)
@click.option(
    "--search", "query", default="", help="Read the documents that this search finds; see `search`."
)
@click.option("--trace", "with_trace", is_flag=True, help="Every call to the language model.")
@json_option
def ask(question: str, names: tuple[str, ...], query: str, with_trace: bool, as_json: bool) -> None:
    """Ask QUESTION of all documents, or of those that are named.

    A language model answers from the pages that say most about it. Every sentence names the document and the
    page that it stands on, and only sentences whose citation was found are shown. Without a language model
    the passages themselves are shown. Ends with 8 if there is no answer.
    """
    settings = get_settings()
    with Ledger.open(settings) as ledger:
        documents = _chosen(ledger, names, query)
    printing = _Printing(quiet=as_json)
    answer = _answer(settings, question, documents, printing)
    if as_json:
        facts = answer.model_dump(mode="json") | {"answered": bool(answer.supported)}
        click.echo(visible_json(facts, indent=1))
    else:
        printing.end(answer)
        if with_trace:
            _print_trace(answer)
    if not answer.supported:
        sys.exit(ExitCode.UNANSWERED)


def _print_trace(answer: "Answer") -> None:
    from app.trace import call_lines

    for number, call in enumerate(answer.calls, start=1):
        click.echo(f"\ncall {number}: {call.purpose} by {visible(call.model)}")
        click.echo("\n".join(call_lines(call)))


def _chosen(ledger: Ledger, names: tuple[str, ...], query: str) -> list[str]:
    """The ids of the documents that are meant; none for all."""
    chosen = [ledger.find(name).id for name in names]
    if query:
        from tasks.search import find_documents

        found = [one.document.id for one in find_documents(ledger, query, _SEARCHED)]
        if not found:
            raise NotFoundError(f"The search {query!r} finds no document.")
        chosen += found
    return list(dict.fromkeys(chosen))


def _answer(settings: Settings, question: str, documents: "Sequence[str]", printing: "_Printing") -> "Answer":
    from tasks.asking.answers import Answer
    from tasks.question_asking import prepare

    if settings.engine != "offline":
        _start(settings)
    with Ledger.open(settings) as ledger:
        home, asked = ledger.home, prepare(ledger, settings, question, documents)
    if isinstance(asked, Answer):
        return asked
    return _asked(settings, home, asked, printing)


def _start(settings: Settings) -> None:
    """Start what is not running, and let workers that were just started say which models they reach."""
    from app import services
    from tasks.question_asking import route_of

    if services.up(settings).already_up:
        return
    give_up = time.monotonic() + _MODELS_SECONDS
    with Ledger.open(settings) as ledger:
        while isinstance(route_of(ledger, settings), str) and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)


def _asked(settings: Settings, home: str, asked: "Asked", printing: "_Printing") -> "Answer":
    """Hand the question to a worker, and print what comes."""
    from tasks.broker_url import redis_url
    from tasks.errors import ServiceError
    from tasks.exchange import connect
    from tasks.question_asking import hand_over
    from tasks.question_following import follow
    from tasks.question_road import QuestionRoad

    redis = connect(redis_url(settings))
    try:
        road = QuestionRoad(redis, home, uuid.uuid4().hex)
        with closing(follow(road, lambda: False)) as entries:
            hand_over(road, asked, settings)
            printing.begin(asked)
            for entry in entries:
                if entry.answer is not None:
                    return entry.answer
                if entry.sentence is not None:
                    printing.sentence(entry.sentence)
    finally:
        redis.close()
    raise ServiceError("The answer ended before it was whole.", "Ask again.")


class _Printing:
    """Prints sentences as they come, and their sources at the end. Never what is not supported."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._printed: list[Sentence] = []
        self._numbers: dict[Source, int] = {}

    def begin(self, asked: "Asked") -> None:
        """Say who is asked."""
        count = len({passage.document for passage in asked.payload.passages})
        noun = "document" if count == 1 else "documents"
        if not self._quiet:
            click.echo(f"Asking {visible(asked.payload.model)} about {count} {noun} ...", err=True)

    def sentence(self, sentence: "Sentence") -> None:
        """A sentence is there."""
        # A model that begins anew may write a sentence twice.
        if self._quiet or sentence.problem or sentence in self._printed:
            return
        self._printed.append(sentence)
        numbers = [self._numbers.setdefault(source, len(self._numbers) + 1) for source in sentence.sources]
        click.echo(f"{visible(sentence.text)} {''.join(f'[{number}]' for number in numbers)}")

    def end(self, answer: "Answer") -> None:
        """What is left to say when the answer is whole."""
        from tasks.asking.answers import NOT_SAID

        for sentence in answer.supported:
            self.sentence(sentence)
        if answer.passages:
            click.echo("No language model: these passages say most about it.")
        elif not answer.supported:
            click.echo(NOT_SAID)
        sources = self._numbers or {source: at for at, source in enumerate(answer.passages, start=1)}
        for source, number in sources.items():
            click.echo(f"{'' if number > 1 else chr(10)}[{number}] {_place(source)}")
            click.echo("\n".join(f"    {line}" for line in _lines(source.quote)))
        if answer.note:
            click.echo(visible_lines(answer.note), err=True)
        if count := len(answer.unsupported):
            noun = "sentence is" if count == 1 else "sentences are"
            click.echo(f"{count} {noun} left out: what was cited was not found there.", err=True)


def _place(source: "Source") -> str:
    return f"{visible(source.name)}, page {source.page} ({source.document})"


def _lines(quote: str) -> list[str]:
    return [line for line in visible_lines(quote.strip()).split("\n") if line.strip()]


COMMANDS = (ask,)
