"""What is loaded on each GPU and how often that changes, as `status` and the Machines screen tell it."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands.services import status
from app.gpu_use import GpuUse, gpu_facts, gpu_lines, loaded_on_gpus, swap_words
from app.machines import Machines, collect
from app.plain_text import visible
from app.tui import machine_lines
from app.tui.feed import Link
from tasks.documents import Stage, State
from tasks.engines.llm.base import ModelInfo
from tasks.exchange import Exchange
from tasks.gpu import Gpu
from tasks.ledger import Ledger
from tasks.orders import Presence, Swap
from tasks.settings import Settings
from tasks.swaps import Swaps, midnight, swaps_since
from tasks.units import UnitPlan, mark_ended, mark_queued, plan_units
from tests.tui import HOSTILE

GIB = 2**30
LARGE = ModelInfo(name="large:latest", parameters=8_000_000_000, loaded=True, vram=6 * GIB)
ON_CPU = ModelInfo(name="small:latest", parameters=1_000_000_000, loaded=True, vram=0)


def card(index: int) -> Gpu:
    return Gpu(index=index, name="Card", memory_total=24 * GIB, memory_used=8 * GIB)


def presence(name: str, *gpus: Gpu, ocr: str = "", host: str = "box") -> Presence:
    return Presence(
        worker=f"{name}@{host}",
        queues=("gpu",),
        slots=1,
        pid=1,
        host=host,
        models=(LARGE, ON_CPU),
        gpus=gpus,
        ocr_device=ocr,
    )


def test_one_gpu_has_what_its_machine_has_loaded() -> None:
    assert loaded_on_gpus([presence("gpu", card(0), ocr="gpu:0")]) == {
        ("box", 0): ("OCR", "large:latest (6.0 GiB)")
    }
    assert loaded_on_gpus([presence("gpu", card(0), ocr="cpu")]) == {("box", 0): ("large:latest (6.0 GiB)",)}


def test_of_several_gpus_nobody_knows_which_has_the_model() -> None:
    pinned = [presence("a", card(0)), presence("b", card(1), ocr="gpu:0")]
    assert loaded_on_gpus(pinned) == {("box", 1): ("OCR",)}
    assert loaded_on_gpus([presence("a", card(0), card(1), ocr="gpu:1")]) == {("box", 1): ("OCR",)}
    assert loaded_on_gpus([presence("a", card(0), card(1), ocr="gpu:2")]) == {}


def enter_swaps(ledger: Ledger, queue: str, *swaps: Swap) -> int:
    """A unit that was done just now."""
    name = f"{queue}{len(swaps)}{time.monotonic_ns()}"
    row = ledger.insert_document(
        name.ljust(64, "0"), name, Path("/p") / name, Path(__file__).stat(), "builtin", urgent=False
    )
    with ledger.transaction():
        [unit] = plan_units(ledger, row, [UnitPlan(Stage.OCR, queue, "paddleocr", {}, "key")])
        mark_queued(ledger, unit.id)
        mark_ended(ledger, unit.id, State.DONE, swaps=swaps)
    return unit.id


def test_loads_of_the_gpu_queue_are_counted_from_a_time_on(ledger: Ledger) -> None:
    now = time.time()
    enter_swaps(ledger, "gpu", Swap(loaded="paddleocr", seconds=2.0), Swap(loaded="large", seconds=7.0))
    enter_swaps(ledger, "gpu")
    enter_swaps(ledger, "cpu", Swap(loaded="small", seconds=1.0))
    old = enter_swaps(ledger, "gpu", Swap(loaded="large", seconds=5.0))
    with ledger.transaction():
        ledger.db.execute("UPDATE units SET seen_at = ? WHERE id = ?", (now - 3600, old))

    found = swaps_since(ledger, now - 60)
    assert (found.count, found.seconds, found.mean_seconds) == (2, 9.0, 4.5)
    assert swaps_since(ledger, now - 7200).count == 3
    assert swaps_since(ledger, now + 60) == Swaps(0, 0.0)
    assert Swaps().mean_seconds == 0.0


def test_the_day_begins_at_midnight_of_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")  # two hours east, as POSIX writes it
    time.tzset()
    try:
        assert (
            midnight(1_800_000_000.0) == 1_799_964_000.0
        )  # 08:00 UTC -> 10:00 there; 22:00 UTC the day before
    finally:
        monkeypatch.undo()
        time.tzset()


def test_loads_are_said_in_words() -> None:
    assert swap_words(Swaps()) == ""
    assert swap_words(Swaps(1, 3.25)) == "today 1 model load on the gpu queue, 3.2 s each, 3 s together"
    assert swap_words(Swaps(1200, 3600)).startswith("today 1,200 model loads on the gpu queue, 3.0 s each")


def test_status_says_what_gpus_hold(settings: Settings, ledger: Ledger) -> None:
    enter_swaps(ledger, "gpu", Swap(loaded="large", seconds=5.0))
    blind = Gpu(index=1, name="GB10", memory_total=0, memory_used=0)
    facts = gpu_facts(settings, [presence("gpu", card(0), ocr="gpu:0"), presence("b", blind, host="other")])

    assert json.loads(json.dumps(facts)) == facts
    assert facts["swaps"] == {"count": 1, "seconds": 5.0, "mean_seconds": 5.0}
    assert [gpu["memory_free"] for gpu in facts["gpus"]] == [16 * GIB, 0]
    assert list(gpu_lines(facts)) == [
        "GPU 0 of box: Card, 16.0 of 24.0 GiB free, loaded: OCR, large:latest (6.0 GiB)",
        "GPU 1 of other: GB10, memory not known, loaded: large:latest (6.0 GiB)",
        "Today 1 model load on the gpu queue, 5.0 s each, 5 s together",
    ]


def test_status_of_a_machine_without_a_gpu_has_no_line_of_it() -> None:
    shown = CliRunner().invoke(status, ["--json"])
    facts = json.loads(shown.stdout)
    assert facts["gpus"] == []
    assert facts["swaps"] == {"count": 0, "seconds": 0.0, "mean_seconds": 0.0}
    assert "GPU" not in CliRunner().invoke(status).stdout


def test_the_machines_screen_gets_it_from_the_workers(
    settings: Settings, ledger: Ledger, exchange: Exchange
) -> None:
    exchange.announce_presence(presence("gpu", card(0), ocr="gpu:0"), 60)
    enter_swaps(ledger, "gpu", Swap(loaded="large", seconds=5.0))
    machines = collect(settings, ledger, exchange.redis)
    assert machines.gpu_use == GpuUse({("box", 0): ("OCR", "large:latest (6.0 GiB)")}, Swaps(1, 5.0))
    lines = [line.plain for line in machine_lines.gpu_lines(machines, Link(up=True))]
    assert lines[1:] == [
        "    loaded: OCR, large:latest (6.0 GiB)",
        "today 1 model load on the gpu queue, 5.0 s each, 5 s together",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_models_name_is_only_text(settings: Settings, ledger: Ledger, name: str) -> None:
    machines: Machines = collect(settings, ledger, None)
    loud = presence("gpu", card(0)).model_copy(update={"models": (LARGE.model_copy(update={"name": name}),)})
    use = GpuUse(loaded_on_gpus([loud]), Swaps())
    [line] = list(machine_lines._gpu_with_use("box", card(0), use))[1:]
    assert visible(line.plain) == line.plain
    assert [span.style for span in line.spans] == ["dim"]
    assert not machines.gpu_use.loaded
