"""Search by meaning on a running system: real workers, a real Redis, the double of Ollama."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.tui.clerk import ClerkClient
from app.tui.meaning import join_meaning
from tasks.broker_url import redis_url
from tasks.exchange import connect
from tasks.meaning.standing import standing_line
from tasks.search import Found
from tests.ollama import ModelSpec, OllamaDouble
from tests.system import System, running

pytestmark = pytest.mark.timeout(300)

EMBEDDER = ModelSpec(
    name="nomic-embed-text", parameter_size="137M", capabilities=("embedding",), scripted=True
)
PAPERS = {
    "one.txt": "The automobile was repaired in the garage. New brakes were fitted.",
    "two.txt": "The physician prescribed tablets against the cough.",
    "three.txt": "Ein Brief an den Vermieter wegen der Heizung.",
}


@pytest.fixture(scope="module")
def double() -> Iterator[OllamaDouble]:
    with OllamaDouble((EMBEDDER,)) as started:
        yield started


@pytest.fixture(scope="module")
def system(double: OllamaDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("system"), OLLAMA_HOST=double.url) as started:
        yield started


def add(system: System, folder: Path, papers: dict[str, str]) -> None:
    for name, text in papers.items():
        (folder / name).write_text(text)
    system.run("add", *(folder / name for name in papers), "--wait", check=False)


def await_indexed(system: System, pages: int) -> None:
    wanted = f"{pages} of {pages} pages indexed."
    system.await_true(lambda: wanted in standing_line(system.settings), what=f"{pages} pages have vectors")


def found(system: System, *words: str) -> dict[str, list[str]]:
    """What a search finds, and by what. A busy machine may not make the query's vector in time at once."""

    def searched() -> Any:
        done = system.run("search", "--json", "--", *words)
        return None if "by words only" in done.stderr else done

    hits = json.loads(system.await_true(searched, what=f"{words} was looked for by meaning").stdout)
    return {hit["name"]: hit["found_by"] for hit in hits}


def joined_in_ui(system: System, text: str) -> list[Found] | None:
    """What the terminal UI shows, through the real clerk; None where the vector did not come in time."""

    async def join() -> list[Found] | None:
        clerk = ClerkClient(system.settings, system.environment)
        try:
            return await join_meaning(system.settings, clerk.ask, text, [], 10)
        finally:
            await clerk.close()

    return asyncio.run(join())


def test_pages_are_found_by_what_they_mean_whatever_happens_meanwhile(
    system: System, double: OllamaDouble, tmp_path: Path
) -> None:
    add(system, tmp_path, PAPERS)
    await_indexed(system, 3)
    assert found(system, "vehicle") == {"one.txt": ["meaning"]}
    assert found(system, "landlord", "heizung") == {"three.txt": ["meaning"]}
    assert found(system, "brakes") == {"one.txt": ["words", "meaning"]}
    assert system.json("search", "vehicle", "--words") == []
    assert found(system, "vehicle", "-brakes") == {}
    assert found(system, "vehicle", "date:1999") == {}
    system.await_true(
        lambda: "(by meaning)" in system.run("search", "doctor").stdout, what="it is said what found it"
    )
    joined = system.await_true(lambda: joined_in_ui(system, "vehicle"), what="the clerk has the vector made")
    assert [(one.document.name, one.by) for one in joined] == [("one.txt", ("meaning",))]
    sent = [call.json for call in double.calls("/api/embed")]
    assert all(one["options"]["num_gpu"] == 0 for one in sent)
    prefixes = {text.partition(" ")[0] for one in sent for text in one["input"]}
    assert prefixes == {"search_document:", "search_query:"}

    # Redis loses all that it holds, and later the model server is away for a while.
    redis = connect(redis_url(system.settings))
    add(system, tmp_path, {"four.txt": "Urlaub an der See."})
    redis.flushall()
    redis.close()
    await_indexed(system, 4)
    double.kill()
    add(system, tmp_path, {"five.txt": "A vacation in the mountains."})
    searched = system.run("search", "urlaub")
    assert "four.txt" in searched.stdout
    assert "Found by words only" in searched.stderr
    double.start()
    await_indexed(system, 5)
    assert set(found(system, "holiday")) == {"four.txt", "five.txt"}

    # Vectors made anew, and a document that is gone.
    before = len(double.calls("/api/embed"))
    system.run("search", "--reindex")
    await_indexed(system, 5)
    assert len(double.calls("/api/embed")) > before
    five = next(document.id for document in system.documents() if document.name == "five.txt")
    system.run("rm", five, "--yes")
    assert set(found(system, "holiday")) == {"four.txt"}
    assert "pages indexed" in system.json("status")["search_by_meaning"]
    doctor = system.run("doctor", check=False).stdout
    assert "search by meaning: nomic-embed-text:latest" in doctor
