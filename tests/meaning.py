"""Help for tests of search by meaning: documents, a worker in this process, and a broker made of lists."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.circuit import load_circuit, save_circuit
from tasks.engines.llm.base import ModelInfo
from tasks.exchange import Exchange
from tasks.ledger import Ledger
from tasks.meaning.batches import EmbedPayload, EmbedResult, pack, task_id
from tasks.meaning.keeper import Keeper
from tasks.meaning.store import VectorStore
from tasks.orders import Order, Outcome, Presence
from tasks.planning import CPU_QUEUE
from tasks.queues import broker_lists
from tasks.routing import KnownModels
from tasks.running import UnitResult, run_unit
from tasks.settings import Settings
from tests.ollama.word_vectors import word_vector
from tests.test_search import put


def embedding_info(name: str = "words:latest", **values: object) -> ModelInfo:
    """A small embedding model."""
    return ModelInfo.model_validate(
        {"name": name, "parameters": 137_000_000, "capabilities": ("embedding",), **values}
    )


def announce(ledger: Ledger, *models: ModelInfo) -> None:
    """Let the workers of the cpu queue have these models."""
    problem = "" if models else "Ollama is away."
    known = KnownModels(by_queue={CPU_QUEUE: models} if models else {}, problem=problem)
    save_circuit(ledger, load_circuit(ledger).model_copy(update={"known": known}))


def read(ledger: Ledger, name: str, *texts: str, **columns: object) -> str:
    """A document that was read to its end."""
    document = put(ledger, name, *texts, **columns)
    ledger.update_document(document, finished_at=1000.0)
    return document


@dataclass
class Broker:
    """Puts a message where kombu puts it, and is the worker that takes it."""

    exchange: Exchange
    ledger: Ledger
    settings: Settings
    waiting: list[Order] = field(default_factory=list)
    batches: list[EmbedPayload] = field(default_factory=list)
    """All that was worked on."""

    def publish(self, order: Order, settings: Settings) -> None:
        """As `publish_batch`."""
        message = json.dumps({"headers": {"id": task_id(order)}})
        self.exchange.redis.lpush(broker_lists(CPU_QUEUE)[-1], message)
        self.waiting.append(order)

    def keeper(self) -> Keeper:
        return Keeper(self.ledger, self.settings, self.exchange, self.publish)

    def take(self) -> Order:
        """A worker takes the message."""
        self.exchange.redis.rpop(broker_lists(CPU_QUEUE)[-1])
        return self.waiting.pop(0)

    def work(self, vector: Callable[[str], list[float]] = word_vector) -> None:
        """Do all that waits."""
        while self.waiting:
            self.answer(self.take(), vector)

    def answer(self, order: Order, vector: Callable[[str], list[float]] = word_vector) -> None:
        """Do one batch."""

        def embed(payload: list[bytes]) -> UnitResult:
            given = EmbedPayload.model_validate_json(payload[0])
            self.batches.append(given)
            vectors = tuple(pack(vector(given.prefix + text)) for text in given.texts)
            return UnitResult(EmbedResult(chunks=given.chunks, vectors=vectors).model_dump(mode="json"))

        assert run_unit(self.exchange, order, 10, "cpu@test", embed, needs_payload=True)

    def fail(self, order: Order, problem: str, *, is_servers: bool) -> None:
        """Answer that it could not be done."""
        result = EmbedResult(problem=problem, is_servers=is_servers)
        self.exchange.put_outcome(order, Outcome(issue=1, result=result.model_dump(mode="json")))

    def index_all(self) -> None:
        """Tick and work until nothing is left to do."""
        self.look_again()
        self.keeper().tick()
        while self.waiting:
            self.work()
            self.keeper().tick()
        self.look_again()
        self.keeper().tick()

    def look_again(self) -> None:
        """As if the time for it had come."""
        if self.settings.vectors_path.exists():
            with VectorStore.open(self.settings) as store, store.transaction():
                store.db.execute("DELETE FROM notes WHERE key LIKE 'looked at %'")
                store.db.execute("DELETE FROM notes WHERE key = 'trouble'")
                store.db.execute("UPDATE chunks SET due_at = 0")

    def texts(self) -> list[str]:
        """All texts that a worker was given, in order."""
        return [text for batch in self.batches for text in batch.texts]


def serve_cpu(exchange: Exchange, *hosts: str) -> None:
    """Say that workers of the cpu queue are up."""
    for host in hosts:
        presence = Presence(worker=f"cpu@{host}", queues=(CPU_QUEUE,), slots=2, pid=1, host=host)
        exchange.announce_presence(presence, 60)
