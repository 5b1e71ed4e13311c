"""A round that hangs: everything that stands still, so that the find can be understood."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from redis.exceptions import RedisError

from tasks.broker_url import redis_url
from tasks.circuit import load_circuit
from tasks.documents import FINAL_STATES
from tasks.errors import ShoeboxError
from tasks.exchange import Exchange, connect
from tasks.ledger import Ledger
from tasks.units import units_of
from tests.chaos.striking import Struck
from tests.chaos.world import World


def standstill(world: World, struck: Iterable[Struck], hashes: Mapping[str, Path]) -> str:
    """What there is of documents, units, traces, workers, processes and logs, in words."""
    lines = ["It hangs.", *(f"struck: {one}" for one in struck)]
    with Ledger.open(world.settings) as ledger:
        rows = [row for row in ledger.documents() if row.sha256 in hashes]
        lines += [
            f"missing: {path}" for sha, path in hashes.items() if sha not in {row.sha256 for row in rows}
        ]
        circuit = load_circuit(ledger)
        lines.append(f"circuit: {circuit.model_copy(update={'known': circuit.known.problem})}")
        lines.append(f"checked at: {ledger.meta('checked at')}, shift of the clock {world.clock.shift}")
        open_units = []
        for row in rows:
            if row.state not in FINAL_STATES:
                lines.append(
                    f"{row.id} {row.name}: {row.state} {row.stage} provisional={row.provisional}"
                    f" {row.message}"
                )
                open_units += [unit for unit in units_of(ledger, row.id) if unit.state not in FINAL_STATES]
        home = ledger.home
    lines += [
        f"unit {u.id} of {u.document}: {u.stage} {u.state} {u.model} queue={u.queue} target={u.target}"
        f" issue={u.issue} attempts={u.attempts} seen at {u.seen_at} {u.message}"
        for u in open_units
    ]
    try:
        with closing(connect(redis_url(world.settings))) as redis:
            exchange = Exchange(redis)
            traces = exchange.traces(home, [unit.id for unit in open_units])
            lines += [f"trace of {number}: {trace}"[:300] for number, trace in traces.items()]
            lines += [f"present: {p.worker} pid={p.pid} {p.llm_problem}" for p in exchange.presence()]
            for key in redis.scan_iter("*", count=1000):
                if redis.type(key) == b"list" and not key.startswith(b"shoebox"):
                    lines.append(f"queue {key!r}: {redis.llen(key)}")
    except (RedisError, ShoeboxError, OSError) as error:
        lines.append(f"Redis: {error}")
    lines += [f"process {pid}: {words}" for pid, words in sorted(world.members().items())]
    return "\n".join([*lines, world.log_tails()])
