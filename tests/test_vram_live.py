"""The lease as the stages use it: a model server's double, and an nvidia-smi that sees what it has loaded."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tasks.documents import DocumentText, Page, PageText, Stage, TextSource
from tasks.exchange import Exchange
from tasks.orders import LlmParams, OcrParams, Order, ReadParams, Swap
from tasks.recipes import load_recipe
from tasks.running import UnitResult, run_unit
from tasks.settings import Settings
from tasks.stages import ocr as ocr_stage
from tasks.stages.ocr import read_pages
from tasks.stages.reading import ReadPayload, make_client, read
from tasks.vram import server_of
from tests.ollama.handle import OllamaDouble
from tests.ollama.models import ModelSpec

GB = 10**9
MODEL = "reader:8b"
READER = ModelSpec(
    MODEL,
    parameter_size="8.2B",
    context_length=32768,
    num_ctx=4096,
    scripted=True,
    size_vram=20 * GB,
    file_bytes=16 * GB,
)
OCR_BYTES = 1_400_000_000

NVIDIA_SMI = """
import http.client, json, sys
from pathlib import Path
folder = Path({folder!r})
with (folder / "asked").open("a") as log:
    log.write("x")
state = json.loads((folder / "state.json").read_text())
connection = http.client.HTTPConnection("127.0.0.1", state["port"])
connection.request("GET", "/_double/runners")
loaded = [runner["model"] for runner in json.loads(connection.getresponse().read())]
used = state["others"] + state["ocr"] + sum(state["models"][name] for name in loaded)
figures = {{
    "index": 0, "uuid": "GPU-1", "name": "Card", "utilization.gpu": 1, "memory.total": state["total"] >> 20,
    "memory.used": min(used, state["total"]) >> 20, "memory.free": max(0, state["total"] - used) >> 20,
}}
names = next(word for word in sys.argv if word.startswith("--query-gpu=")).partition("=")[2].split(",")
print(", ".join(str(figures[name]) for name in names))
"""


@dataclass
class Machine:
    """A GPU box without a GPU: its driver's words, its model server, its OCR engine."""

    folder: Path
    double: OllamaDouble
    settings: Settings
    device: str = "gpu:0"
    is_loaded: bool = False
    name: str = "PaddleOCR"
    version: str = "1"

    def set(self, **bytes_: int) -> None:
        """Change what the driver will say."""
        path = self.folder / "state.json"
        state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        new = path.with_name("new")
        new.write_text(json.dumps(state | bytes_))
        new.replace(path)

    @property
    def asked(self) -> int:
        """How often the driver was asked."""
        path = self.folder / "asked"
        return len(path.read_text()) if path.exists() else 0

    @property
    def models(self) -> list[str]:
        """What the model server has loaded."""
        return [runner["model"] for runner in self.double.runners()]

    # An OCR engine

    def release(self) -> None:
        """Leave the GPU."""
        self.is_loaded = False
        self.set(ocr=0)

    def read(self, image: NDArray[np.uint8], number: int) -> Page:
        """Load if need be, and read."""
        self.is_loaded = True
        self.set(ocr=OCR_BYTES)
        return Page(number=number, text="a page", source=TextSource.OCR, score=1.0)

    # Units

    def ocr(self) -> tuple[Swap, ...]:
        """A unit of OCR."""
        params = OcrParams(sha256="0" * 64, mime="image/png", pages=(1,))
        order = Order(
            home="h", unit=1, issue=1, document="d", stage=Stage.OCR, params=params.model_dump(mode="json")
        )
        return read_pages(order, [PNG], self.settings).swaps

    def classify(self) -> tuple[Swap, ...]:
        """A unit of the large model."""
        llm = LlmParams(model=MODEL, num_ctx=4096, on_cpu=False)
        params = ReadParams(engine="ollama", llm=llm)
        order = Order(
            home="h",
            unit=2,
            issue=1,
            document="d",
            stage=Stage.CLASSIFY,
            params=params.model_dump(mode="json"),
        )
        payload = ReadPayload(
            recipe=load_recipe("builtin", self.settings.recipes_path),
            document=DocumentText(name="a.txt", pages=(PageText(number=1, text="Invoice 12, total 40 EUR"),)),
            fence_key="00" * 32,
        )
        found = read(
            order, [payload.model_dump_json().encode()], self.settings, lambda _: None, lambda: False
        )
        assert found.calls
        return found.swaps


def _png() -> bytes:
    buffer = BytesIO()
    Image.new("L", (20, 20), 255).save(buffer, "PNG")
    return buffer.getvalue()


PNG = _png()


@pytest.fixture(scope="module")
def double() -> Iterator[OllamaDouble]:
    """Ollama's double with one large model."""
    with OllamaDouble([READER]) as running:
        yield running


@pytest.fixture
def machine(
    double: OllamaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> Iterator[Machine]:
    """A machine on which OCR and the model do not fit together."""
    settings = settings.model_copy(update={"ollama_host": double.url, "engine": "ollama"})
    made = Machine(tmp_path, double, settings)
    made.set(total=21 * GB, others=0, ocr=0, port=double.port)
    made.set(models={MODEL: 20 * GB})  # type: ignore[arg-type]  # the only one that is no number
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    words = program.with_suffix(".py")
    words.write_text(NVIDIA_SMI.format(folder=str(tmp_path)))
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{words}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(
        "tasks.vram.card._SECONDS", 60.0
    )  # a busy machine's driver is not to be given up here
    monkeypatch.setattr(ocr_stage, "_engine", lambda *_, **__: made)
    yield made
    double.control("PUT", "models", [])  # so that the next test begins with nothing loaded
    double.offer([READER])


def test_ocr_and_a_large_model_take_turns_on_one_gpu(machine: Machine) -> None:
    [first] = machine.ocr()
    assert (first.loaded, first.unloaded) == ("paddleocr", ())
    assert (machine.ocr(), machine.asked) == ((), 2)  # before the load and after it

    [second] = machine.classify()
    assert (second.loaded, second.unloaded) == (MODEL, ("paddleocr",))
    assert second.seconds > 0
    assert not machine.is_loaded
    assert machine.models == [MODEL]
    asked = machine.asked
    assert (machine.classify(), machine.asked) == ((), asked)

    [third] = machine.ocr()
    assert (third.loaded, third.unloaded) == ("paddleocr", (MODEL,))
    assert machine.models == []
    needs = json.loads((machine.settings.data_dir / "vram.json").read_text())
    assert sorted(round(size / GB, 1) for size in needs.values()) == [1.4, 20.0]


def test_where_both_fit_they_stay(machine: Machine) -> None:
    machine.set(total=40 * GB)
    swaps = [swap for _ in range(2) for swap in (*machine.ocr(), *machine.classify())]
    assert [swap.loaded for swap in swaps] == ["paddleocr", MODEL]
    assert all(not swap.unloaded for swap in swaps)
    assert machine.is_loaded and machine.models == [MODEL]
    assert machine.asked == 4  # two for each load


def test_what_another_program_holds_is_done_without(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.set(others=20 * GB)
    machine.ocr()
    [swap] = machine.classify()
    assert swap.unloaded == ("paddleocr",)
    assert "a part of it will run on the processor" in caplog.text


def test_a_driver_that_vanishes_between_units_stops_nothing(machine: Machine) -> None:
    machine.ocr()
    (machine.folder / "bin" / "nvidia-smi").unlink()
    [swap] = machine.classify()
    assert (swap.loaded, swap.unloaded) == (MODEL, ())
    machine.release()
    [swap] = machine.ocr()
    assert (swap.loaded, swap.unloaded) == ("paddleocr", ())


def test_without_a_model_server_ocr_takes_what_is_free(machine: Machine) -> None:
    machine.set(others=20 * GB)
    for changes in ({"engine": "offline"}, {"engine": "openai", "openai_url": None}, {"ollama_host": "a b"}):
        machine.settings = machine.settings.model_copy(update=changes)
        [swap] = machine.ocr()
        assert swap.unloaded == ()
        machine.release()


def test_a_context_beyond_the_trained_one_is_no_other_context(machine: Machine) -> None:
    machine.classify()
    with closing(make_client(machine.settings)) as client:
        server = server_of(client)
        assert server is not None and server.is_local
        [model] = server.loaded()
        assert (model.name, model.num_ctx, model.vram, model.is_split) == (MODEL, 4096, 20 * GB, False)
        assert 800 < model.seconds_left < 901
        small, large = server.footprint(MODEL, 4096), server.footprint(MODEL, 10**6)
        assert (small.num_ctx, large.num_ctx) == (4096, 32768)
        # Two layers, four heads of 16 numbers each for keys and for values, two bytes a number.
        assert small.bytes == round(16 * GB * 1.2) + 4096 * 2 * 4 * 32 * 2
        assert large.bytes - small.bytes == (32768 - 4096) * 2 * 4 * 32 * 2
        assert server.footprint("nothing", 4096).bytes == 0
        server.unload(MODEL)
        assert not server.loaded()


def test_the_loads_of_a_unit_travel_with_its_outcome(exchange: Exchange) -> None:
    order = Order(home="h", unit=1, issue=1, document="d", stage=Stage.OCR)
    swaps = (Swap(loaded="paddleocr", unloaded=(MODEL,), seconds=4.5),)
    work: Callable[[list[bytes]], UnitResult] = lambda _: UnitResult({}, swaps=swaps)  # noqa: E731
    assert run_unit(exchange, order, 10.0, "w@h", work, needs_payload=False)
    outcome = exchange.outcome("h", 1)
    assert outcome is not None
    assert outcome.swaps == swaps
