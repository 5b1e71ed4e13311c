"""How quickly the HTTP API answers many clients while a batch is read: `python -m tests.bench_api`.

Clients poll as programs do, with entity tags: how a document stands, lists, results, the batch, searches.
First on an idle system, then while the batch is read by the real workers with the offline engine. They are
coroutines of one process, on aiohttp, because a client's own work takes processor time from what is measured.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from tests.proxy import free_port
from tests.system import System, running
from tests.test_api_system import await_ready, serve

POLLED = ("document", "list", "progress", "result", "batch", "search", "health")
WEIGHTS = (8, 2, 3, 2, 1, 1, 1)


@dataclass
class Seen:
    """What clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    took: float = 0.0


def letter(number: int) -> str:
    """A text that is worth reading."""
    return (
        f"Rechnung Nr. {number}\nDatum: 03.02.2026\nNordlicht Energie GmbH\nRechnungsbetrag {number},00 EUR\n"
        + " ".join(
            random.Random(number).choices(
                ["Strom", "Gas", "Wasser", "Miete", "Zahlung", "Konto", "Frist"], k=400
            )
        )
    )


def place(kind: str, ids: list[str], batch: str, chance: random.Random) -> str:
    """What a client asks for."""
    document = chance.choice(ids)
    return {
        "document": f"/documents/{document}",
        "list": "/documents?limit=50&newest_first=true",
        "progress": f"/documents/{document}/progress",
        "result": f"/documents/{document}/result",
        "batch": f"/batches/{batch}",
        "search": "/search?q=rechnung&limit=10",
        "health": "/health",
    }[kind]


async def poll(
    api: aiohttp.ClientSession,
    seen: Seen,
    until: asyncio.Event,
    number: int,
    ids: list[str],
    batch: str,
    pause: float,
) -> None:
    """One client: it asks, waits a moment and asks again, until told to end."""
    chance, tags = random.Random(number), dict[str, str]()
    await asyncio.sleep(chance.random() * pause)
    while not until.is_set():
        kind = chance.choices(POLLED, WEIGHTS)[0]
        path = place(kind, ids, batch, chance)
        begun = time.perf_counter()
        try:
            known = {"If-None-Match": tags[path]} if path in tags else {}
            async with api.get(path, headers=known) as answer:
                await answer.read()
            seen.seconds[kind].append(time.perf_counter() - begun)
            seen.statuses[str(answer.status)] += 1
            if answer.status >= 400:
                seen.errors[f"{kind}: {answer.status}"] += 1
            tags[path] = answer.headers.get("ETag", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.errors[f"{kind}: {type(error).__name__}"] += 1
        await asyncio.sleep(pause * (0.5 + chance.random()))


async def crowd(base: str, clients: int, pause: float, ids: list[str], batch: str, has_ended: Any) -> Seen:
    """Many clients at once, until something has ended."""
    seen, until = Seen(), asyncio.Event()
    crowded = aiohttp.ClientSession(
        base, connector=aiohttp.TCPConnector(limit=clients), timeout=aiohttp.ClientTimeout(60)
    )
    async with crowded as api, httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) as waiting:
        begun = time.perf_counter()
        polling = [
            asyncio.create_task(poll(api, seen, until, number, ids, batch, pause))
            for number in range(clients)
        ]
        await has_ended(waiting)
        until.set()
        await asyncio.gather(*polling)
        seen.took = time.perf_counter() - begun
    return seen


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def show(name: str, seen: Seen) -> None:
    """A table."""
    count = sum(map(len, seen.seconds.values()))
    errors = sum(seen.errors.values())
    print(f"\n{name}: {count:,} requests in {seen.took:.1f} s, {errors} errors {dict(seen.errors) or ''}")
    print(f"statuses: {dict(sorted(seen.statuses.items()))}")
    print(f"{'endpoint':10} {'requests':>9} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for kind in POLLED:
        if values := seen.seconds[kind]:
            print(
                f"{kind:10} {len(values):9,} {statistics.median(values) * 1000:8.1f}"
                f" {percentile(values, 0.99):8.1f} {max(values) * 1000:8.1f}"
            )


def compare(idle: Seen, busy: Seen) -> None:
    """How many times as long it takes while a batch is read."""
    print("\nbusy over idle:")
    for kind in POLLED:
        if idle.seconds[kind] and busy.seconds[kind]:
            p50 = statistics.median(busy.seconds[kind]) / statistics.median(idle.seconds[kind])
            p99 = percentile(busy.seconds[kind], 0.99) / percentile(idle.seconds[kind], 0.99)
            print(f"{kind:10} p50 {p50:5.2f}  p99 {p99:5.2f}")


async def measure(base: str, arguments: argparse.Namespace) -> int:
    """Idle first, then while a batch is read. Returns the number of errors."""
    limits = {"timeout": 600, "trust_env": False}
    async with httpx.AsyncClient(base_url=base, **limits) as api:  # type: ignore[arg-type]
        first = await send_batch(api, range(20))
        await batch_ended(api, first["id"])
        ids = [item["document"]["id"] for item in first["items"]]

        async def some_time(_: httpx.AsyncClient) -> None:
            await asyncio.sleep(arguments.seconds)

        idle = await crowd(base, arguments.clients, arguments.pause, ids, first["id"], some_time)
        show("idle", idle)
        second = await send_batch(api, range(1_000, 1_000 + arguments.documents))
        ids = [item["document"]["id"] for item in second["items"]]

        async def batch_is_read(_: httpx.AsyncClient) -> None:
            await batch_ended(api, second["id"])

        busy = await crowd(base, arguments.clients, arguments.pause, ids, second["id"], batch_is_read)
    show(f"while {arguments.documents} documents are read", busy)
    compare(idle, busy)
    return sum(idle.errors.values()) + sum(busy.errors.values())


async def send_batch(api: httpx.AsyncClient, numbers: range) -> Any:
    """Hand in texts; the batch."""
    texts = [{"name": f"{number}", "text": letter(number)} for number in numbers]
    answer = await api.post("/batches", json={"texts": texts})
    answer.raise_for_status()
    return answer.json()


async def batch_ended(api: httpx.AsyncClient, batch: str) -> None:
    """Wait for a batch."""
    while (await api.get(f"/batches/{batch}")).json()["aggregate"] is None:
        await asyncio.sleep(0.5)


def bench(system: System, folder: Path, arguments: argparse.Namespace) -> int:
    """Measure a system that runs."""
    port, log = free_port(), folder / "api.log"
    process = serve(system, port, log, "--no-services")
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as api:
            await_ready(system, api)
        return asyncio.run(measure(base, arguments))
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """See the module. Ends with 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two requests of a client")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long the idle system is asked")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder / "home", SHOEBOX_ENGINE="offline") as system:
            errors = bench(system, folder, arguments)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
