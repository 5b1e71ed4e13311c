"""The lease on a GPU's memory between OCR and language models, on a GPU made of numbers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.engines.llm.base import CallTrace
from tasks.vram import card as card_module
from tasks.vram.card import Card
from tasks.vram.loads import loads
from tasks.vram.needs import Needs
from tests.gpubox import CTX, GB, Box

LARGE = "large:latest"
OCR = "paddleocr"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """24 GB; OCR takes 1.4 of them, the large model 20."""
    return Box(tmp_path)


# Two that do not fit together


@pytest.fixture
def tight(box: Box) -> Box:
    """The large model needs all but one gigabyte."""
    box.total = 21 * GB
    return box


def test_each_makes_the_other_leave(tight: Box) -> None:
    [first] = tight.read()
    assert (first.loaded, first.unloaded, first.seconds) == (OCR, (), 2.0)

    [second] = tight.ask()
    assert (second.loaded, second.unloaded) == ("large", (OCR,))
    assert second.seconds == 10.0
    assert not tight.engine.is_loaded

    [third] = tight.read()
    assert (third.loaded, third.unloaded) == (OCR, (LARGE,))
    assert tight.models == {}
    [fourth] = tight.ask()
    assert fourth.unloaded == (OCR,)
    assert tight.trouble == []


def test_what_is_loaded_is_neither_measured_nor_asked_about_again(tight: Box) -> None:
    tight.read()
    asked = tight.asked
    for _ in range(5):
        assert tight.read() == ()
    assert tight.asked == asked

    tight.ask()
    asked, looks = tight.asked, tight.looks
    for _ in range(5):
        assert tight.ask() == ()
    assert tight.asked == asked
    assert tight.looks == looks + 5  # those of Ollama itself


def test_waiting_for_the_driver_counts_as_swap_time(tight: Box) -> None:
    tight.ask()
    tight.lag = 3.0
    [swap] = tight.read()  # OCR was not seen before: nothing was measured for the model
    assert swap.unloaded == (LARGE,)
    assert swap.seconds == pytest.approx(2.0 + 3.0, abs=0.3)


def test_memory_that_does_not_come_back_in_time_stops_nothing(tight: Box) -> None:
    tight.read()
    tight.ask()
    tight.lag = 1000.0
    [swap] = tight.read()
    assert tight.engine.is_loaded
    assert tight.waited <= 10.5
    assert swap.unloaded == (LARGE,)


# Two that fit


def test_where_both_fit_nothing_leaves(box: Box) -> None:
    loaded = [swap.loaded for _ in range(5) for swap in (*box.read(), *box.ask())]
    assert loaded == [OCR, "large"]
    assert box.engine.is_loaded and LARGE in box.models
    assert box.trouble == []


def test_what_is_there_first_stays_where_both_fit(box: Box) -> None:
    box.ask()
    [swap] = box.read()
    assert swap.unloaded == ()
    assert (box.ask(), box.read()) == ((), ())


def test_where_both_fit_the_driver_is_asked_at_loads_only(box: Box) -> None:
    box.read()
    box.ask()
    asked = box.asked
    for _ in range(20):
        box.read()
        box.ask()
    assert box.asked == asked


def test_a_model_is_asked_about_again_after_a_while(box: Box) -> None:
    box.read()
    box.ask()
    looks = box.looks
    box.now += 60
    box.ask()
    assert box.looks == looks + 2
    box.ask()
    assert box.looks == looks + 3


def test_what_a_model_really_takes_is_remembered_by_the_next_child(tight: Box) -> None:
    tight.estimates[LARGE] = GB
    tight.read()
    tight.ask()
    assert tight.trouble == ["large:latest is split though OCR could leave"]  # as its file let expect
    tight.trouble.clear()
    tight.models.clear()

    tight.lease = tight.child()
    tight.engine.release()
    tight.read()
    [swap] = tight.ask()
    assert swap.unloaded == (OCR,)
    assert tight.trouble == []


def test_what_ocr_really_takes_is_remembered(box: Box) -> None:
    box.ocr_size = 3 * GB
    box.read()
    assert json.loads((box.folder / "vram.json").read_text()) == {"paddleocr 1 gpu:0": 3 * GB}


# Room that nobody can make


def test_memory_of_another_program_is_measured_and_said(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.others = 23 * GB
    for _ in range(3):
        box.read()
        box.ask()
        box.models.clear()
        box.engine.release()
        box.lease._share.distrust(LARGE)
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 2  # once each
    assert "OCR needs about 1.5 GB of the GPU, and 1.0 GB are free" in said[0]
    assert "a part of it will run on the processor" in said[1]


def test_a_model_that_writes_for_somebody_else_is_not_waited_for_long(box: Box) -> None:
    box.total = 33 * GB
    box.sizes["other:latest"] = 12 * GB
    box.ask()
    box.ask("other")
    box.at_work = {LARGE}
    [swap] = box.read()
    assert swap.unloaded == ("other:latest",)  # though it is the smaller one
    assert LARGE in box.models


def test_only_as_many_leave_as_are_needed(box: Box) -> None:
    box.sizes = {"a:latest": 9 * GB, "b:latest": 8 * GB, "c:latest": 6 * GB}
    for name in "abc":
        box.ask(name)
    [swap] = box.read()
    assert swap.unloaded == ("a:latest",)
    assert set(box.models) == {"b:latest", "c:latest"}


def test_ollama_makes_its_own_models_leave_so_ocr_may_stay(box: Box) -> None:
    box.sizes["other:latest"] = 19 * GB
    box.read()
    box.ask()
    [swap] = box.ask("other")
    assert swap.unloaded == (LARGE,)
    assert box.engine.is_loaded
    assert box.trouble == []


# Several GPUs


def test_a_model_that_fits_on_another_gpu_needs_no_room_on_ours(tight: Box) -> None:
    tight.second = 24 * GB
    tight.read()
    [swap] = tight.ask()
    assert swap.unloaded == ()
    assert tight.engine.is_loaded
    assert tight.on_second == {LARGE}


def test_a_model_on_another_gpu_is_left_alone(tight: Box) -> None:
    tight.second = 24 * GB
    tight.read()
    tight.ask()
    tight.engine.release()
    tight.others = 20 * GB
    [swap] = tight.read()
    assert swap.unloaded == ()
    assert tight.models and tight.waited == 0


def test_a_model_that_left_another_gpu_in_vain_is_not_made_to_leave_again(tight: Box) -> None:
    tight.second = 24 * GB
    tight.ask()  # before there was any OCR: where it went was not looked at
    tight.others = 20 * GB
    [swap] = tight.read()
    assert swap.unloaded == (LARGE,)
    tight.ask()
    tight.engine.release()
    assert tight.read()[0].unloaded == ()
    tight.engine.release()
    tight.now += 800
    tight.last_used[LARGE] = tight.now
    assert tight.read()[0].unloaded == (LARGE,)  # by now it may be anywhere


# Hysteresis


def test_what_has_just_come_is_not_thrown_out_for_the_margin_alone(tmp_path: Path) -> None:
    box = Box(tmp_path, total=23 * GB, others=0)  # OCR leaves 21.6: enough for 20, not for 20 and a tenth
    box.read()
    [swap] = box.ask()
    assert swap.unloaded == ()  # loaded two seconds before, which took two seconds
    box.models.clear()
    box.now += 100
    [swap] = box.ask()
    assert swap.unloaded == (OCR,)
    assert box.trouble == []


def test_a_fresh_model_stays_if_ocr_just_fits(tmp_path: Path) -> None:
    box = Box(tmp_path, total=21_450_000_000)  # the model leaves 1.45: enough for 1.4, not for a tenth more
    box.read()
    box.ask()
    box.engine.release()
    [swap] = box.read()
    assert swap.unloaded == ()
    box.engine.release()
    box.now += 100
    [swap] = box.read()
    assert swap.unloaded == (LARGE,)


# What cannot be known


def test_a_driver_that_vanishes_stops_nothing(tight: Box) -> None:
    tight.read()
    tight.driver_down = True
    [swap] = tight.ask()
    assert (swap.loaded, swap.unloaded) == ("large", ())
    tight.engine.release()
    [swap] = tight.read()
    assert (swap.loaded, swap.unloaded) == (OCR, ())


def test_a_model_server_that_is_away_stops_no_ocr(tight: Box) -> None:
    tight.read()
    tight.ask()
    tight.is_away = True
    [swap] = tight.read()
    assert (swap.loaded, swap.unloaded) == (OCR, ())


def test_a_server_of_another_machine_is_left_alone(tight: Box) -> None:
    tight.is_local = False
    tight.read()
    tight.ask()
    tight.engine.release()
    [swap] = tight.read()
    assert swap.unloaded == ()
    assert LARGE in tight.models


def test_ocr_on_the_processor_shares_nothing(tight: Box) -> None:
    tight.engine.device = "cpu"
    [first] = tight.read()
    [second] = tight.ask()
    assert (first.loaded, second.loaded) == (OCR, "large")  # a load that takes long is one all the same
    assert tight.engine.is_loaded
    assert tight.asked == 0
    assert tight.looks == 1  # Ollama's own


def test_a_model_that_somebody_else_made_leave_is_seen_to_load(box: Box) -> None:
    box.read()
    box.ask()
    box.models.clear()
    [swap] = box.ask()
    assert swap.loaded == "large"
    looks = box.looks
    box.ask()
    assert box.looks == looks + 2  # it is not taken to be there any more without asking


def test_a_model_that_is_loaded_under_another_name_is_no_load(tight: Box) -> None:
    tight.read()
    tight.ask()
    tight.sizes["alias:latest"] = tight.sizes[LARGE]
    call = CallTrace(
        engine="ollama", model="alias", purpose="", prompt_sha256="", prompt="", load_seconds=0.004
    )
    with tight.lease.model(tight, "alias", CTX, [call]) as swaps:
        assert not tight.engine.is_loaded
    assert swaps == []
    asked, looks = tight.asked, tight.looks
    with tight.lease.model(tight, "alias", CTX, [call]):
        pass
    assert (tight.asked, tight.looks) == (asked, looks)


def test_a_unit_that_failed_leaves_nothing_believed(box: Box) -> None:
    box.read()
    calls: list[CallTrace] = []
    with pytest.raises(RuntimeError), box.lease.model(box, "large", CTX, calls):
        calls.append(
            CallTrace(
                engine="ollama", model="large", purpose="", prompt_sha256="", prompt="", error="went away"
            )
        )
        raise RuntimeError
    [swap] = box.ask()
    assert swap.loaded == "large"


def test_an_engine_that_cannot_be_loaded_is_no_load(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(box.engine, "read", read, raising=False)
    with pytest.raises(MemoryError):
        box.read()
    with box.lease.ocr(box.engine, box._open) as swaps:
        assert swaps == []


# Any sequence of units


@dataclass(frozen=True)
class Scene:
    """Sizes in units of 100 MB, and what happens: a model's number, -1 for OCR, or a pause of minutes."""

    total: int
    others: int
    ocr: int
    models: tuple[int, ...]
    units: tuple[int, ...]

    def box(self, folder: Path) -> Box:
        part = GB // 10
        sizes = {f"{name}:latest": size * part for name, size in zip("abc", self.models, strict=False)}
        return Box(
            folder,
            total=self.total * part,
            others=self.others * part,
            ocr_size=self.ocr * part,
            sizes=sizes,
        )


SIZES = st.tuples(*[st.integers(10, 400)] * 3)
SCENES = st.builds(
    Scene,
    total=st.integers(80, 480),
    others=st.integers(0, 100),
    ocr=st.integers(5, 14),
    models=SIZES,
    units=st.lists(st.integers(-1, 3), max_size=30).map(tuple),
)


@settings(max_examples=60)
@given(SCENES)
def test_any_sequence_ends_well(scene: Scene) -> None:
    with TemporaryDirectory() as folder:
        box = scene.box(Path(folder))
        before, changes, loaded = None, 0, 0
        for unit in scene.units:
            if unit == 3:
                box.now += 16 * 60  # every model has been unloaded by then
                before = None
                continue
            changes += unit != before
            swaps = box.read() if unit < 0 else box.ask("abc"[unit])
            assert unit != before or not swaps  # what has just run is still there
            loaded += len(swaps)
            before = unit
        assert loaded <= changes
        assert box.trouble == []
        assert box.waited == 0  # memory comes back at once here, so there is nothing to wait for


@settings(max_examples=60)
@given(SCENES, st.lists(st.integers(-1, 2), max_size=30))
def test_where_all_fit_each_is_loaded_once_in_any_order(scene: Scene, units: list[int]) -> None:
    with TemporaryDirectory() as folder:
        room = scene.others + sum(scene.models) + 16 + max(scene.models) // 10  # OCR is taken for 15 at first
        box = replace(scene, total=room).box(Path(folder))
        loaded = [swap for unit in units for swap in (box.read() if unit < 0 else box.ask("abc"[unit]))]
        assert len(loaded) == len(set(units))
        assert all(not swap.unloaded for swap in loaded)
        assert box.trouble == []


# The pieces


def test_loads_are_told_from_models_that_were_there() -> None:
    def call(seconds: float, model: str = "large") -> CallTrace:
        return CallTrace(
            engine="ollama", model=model, purpose="", prompt_sha256="", prompt="", load_seconds=seconds
        )

    assert loads([call(0.006), call(0.05)], "large") == ()
    assert loads([call(9.0, "small")], "large") == ()
    [late] = loads([call(0.006), call(9.0)], "large")
    assert late.seconds == 9.0
    [quick] = loads([call(0.0), call(0.1), call(0.1)], "large", cold=True, unloaded=(OCR,), seconds=1.0)
    assert (quick.seconds, quick.unloaded) == (1.1, (OCR,))


def test_needs_survive_damage_and_stay_small(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vram.json"
    for number in range(70):
        Needs(path).remember(f"model {number}", number + 1)
    needs = Needs(path)
    assert (needs.of("model 5"), needs.of("model 6"), needs.of("model 69")) == (0, 7, 70)
    for damage in ("", "[1]", '{"model 69": "large"}', '{"model 69": -1}'):
        path.write_text(damage)
        assert needs.of("model 69") == 0
    needs.remember("model", 5)
    assert needs.of("model") == 5


def test_needs_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    needs = Needs(tmp_path / "file" / "vram.json")
    needs.remember("model", 5)
    assert needs.of("model") == 0


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in the place of nvidia-smi; $1 is the query."""

    def put(script: str) -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return put


TWO = "echo '0, GPU-aaaa-1, 90'; echo '1, GPU-abbb-2, 30'; echo '2, GPU-cccc-3, [N/A]'"


@pytest.mark.parametrize(
    ("visible", "device", "index"),
    [
        (None, "gpu:0", 0),
        (None, "gpu:1", 1),
        ("1", "gpu:0", 1),
        ("1,0", "gpu:1", 0),
        ("GPU-abbb-2", "gpu:0", 1),
        ("GPU-ab", "gpu", 1),
        ("GPU-a", "gpu:0", None),
        ("GPU-cccc", "gpu:0", None),
        ("GPU-dddd", "gpu:0", None),
        ("MIG-aaaa", "gpu:0", None),
        ("0", "gpu:1", None),
        ("7", "gpu:0", 7),
        ("", "gpu:0", None),
    ],
)
def test_our_gpu_is_the_visible_one(
    driver: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    visible: str | None,
    device: str,
    index: int | None,
) -> None:
    driver(TWO)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    card = Card(device)
    free = card.free()
    assert card.index == index
    assert free == ({0: 90 * 2**20, 1: 30 * 2**20} if index in {0, 1} else None)


def test_a_silent_driver_is_left_alone_for_a_while(driver: Callable[[str], None], tmp_path: Path) -> None:
    driver(f"echo asked >> {tmp_path}/asked")
    now = [0.0]
    card = Card("gpu:0", lambda: now[0])
    for _ in range(3):
        assert card.free() is None
    now[0] = 61
    assert card.free() is None
    assert (tmp_path / "asked").read_text().split() == ["asked"] * 2


def test_a_driver_that_hangs_is_given_up(
    driver: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_module, "_SECONDS", 0.2)
    driver("exec sleep 1000")
    assert Card("gpu:0").free() is None


@pytest.mark.parametrize(
    "words", ["Failed to initialize NVML: Driver/library version mismatch", "0, G", "\\377"]
)
def test_a_driver_in_trouble_says_nothing(driver: Callable[[str], None], words: str) -> None:
    driver(f"printf '{words}\\n'; exit 9")
    assert Card("gpu:0").free() is None


def test_without_a_driver_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    card = Card("gpu:0")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho '0, GPU-1, 10'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert card.free() is None


def test_the_main_process_knows_what_its_child_has_loaded() -> None:
    # Forking is what the pool does; a process of its own, because this one has threads.
    script = """
import os, signal
from tasks.vram.told import tell, told
ready, done = os.pipe(), os.pipe()
child = os.fork()
if not child:
    tell("gpu:1")
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    tell("")
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    tell("cpu")
    os.write(ready[1], b"x")
    os.read(done[0], 1)
os.read(ready[0], 1)
print(told())
os.write(done[1], b"x")
os.read(ready[0], 1)
print(told() or "nothing")
os.write(done[1], b"x")
os.read(ready[0], 1)
print(told())
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print(told() or "nobody")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["gpu:1", "nothing", "cpu", "nobody"]


def test_a_lease_costs_no_heavy_import() -> None:
    script = "import sys, tasks.vram; print({'numpy', 'httpx', 'ollama', 'psutil'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
