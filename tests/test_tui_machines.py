"""The Machines screen and the status line on the real application."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll
from textual.pilot import Pilot

from app.machines import LanguageModel, Machines, Model, Queue, Services, Work, Worker
from app.plain_text import visible
from app.requests import StartServices
from app.services import ProgramStatus, RedisStatus, ServicesStatus
from app.tui.app import ShoeboxApp
from app.tui.feed import Link
from app.tui.screens.intray import InTray
from app.tui.screens.machines import MachinesScreen
from app.tui.widgets.status_line import StatusLine, duration
from tasks.alerts import DepthAlert
from tasks.documents import Stage, State
from tasks.durations import rough_duration
from tasks.gpu import Gpu
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.test_tui_store import enter
from tests.tui import HOSTILE, drive, screen_text, until

Driver = Pilot[Any]
GIB = 2**30

WORK = Work("d", "contract.pdf", Stage.OCR, "gpu", "pages 5-8 of 12", seconds=14)
HOME = Worker("home@box", "box", ("home",), 2, (), (), "0.1.0", "")
CARD = Gpu(index=0, name="NVIDIA RTX A6000", memory_total=48 * GIB, memory_used=12 * GIB, utilisation=37)
GPU = Worker("gpu@box", "box", ("gpu",), 1, (WORK,), (CARD,), "0.1.0", "")
LARGE = Model(
    name="shoebox-large:latest",
    host="box",
    parameters=8_200_000_000,
    loaded=True,
    vram=6 * GIB,
    queue="gpu",
    reason="8.2 billion parameters, more than 4",
    used_for=(Stage.ANALYSE,),
)
MACHINES = Machines(
    workers=(GPU, HOME),
    queues=(
        Queue("home", workers=1, slots=2, busy=0, depth=0),
        Queue("cpu", workers=0, slots=0, busy=0, depth=3, problem="3 units wait for the cpu queue."),
        Queue("gpu", workers=1, slots=1, busy=1, depth=33),
    ),
    models=(LARGE,),
    unfinished=12,
    documents_per_minute=14.2,
    pages_per_minute=42,
    eta_seconds=240,
    llm=LanguageModel("analyse by shoebox-large", ok=True, model="shoebox-large", queue="gpu"),
    link=True,
    taken_at=0,
)
REDIS = RedisStatus("Redis at box:6379", embedded=False, up=True)
SERVICES = Services(
    ServicesStatus(
        running=True,
        redis=REDIS,
        programs=(ProgramStatus("gpu", "BACKOFF", 0, 0, 7, 1, Path("/l"), "gpu ended"),),
        problems=("gpu ended with status 1. Its last words: no such [red]device[/red]",),
    )
)


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nobody looks at real machines; notes how many lines of the logs were asked for."""
    asked: list[int] = []

    def collect_services(settings: Settings, log_lines: int = 0) -> Services:
        asked.append(log_lines)
        return dataclasses.replace(SERVICES, logs=(("gpu", "a line of the log"),) if log_lines else ())

    async def follow(*_: object) -> None:
        """No events."""

    monkeypatch.setattr("app.tui.app.look_at_machines", lambda app: None)
    monkeypatch.setattr("app.tui.app.follow", follow)
    monkeypatch.setattr("app.tui.screens.machines.collect_services", collect_services)
    return asked


async def show(app: ShoeboxApp, pilot: Driver, machines: Machines | None, link: Link | None = None) -> str:
    """Let the application see these machines; returns what is on the screen."""
    app.link = link or Link(up=True)
    app.show_machines(machines)
    for line in app.screen.query(StatusLine):
        line.refresh_line()
    await pilot.pause()
    return screen_text(app)


async def open_machines(app: ShoeboxApp, pilot: Driver) -> None:
    await pilot.press("f3")
    await until(pilot, lambda: isinstance(app.screen, MachinesScreen))
    await pilot.pause()


def status_of(text: str) -> str:
    """The status line: above the footer."""
    return text.split("\n")[-2]


# The status line


def test_the_status_line_says_it_all_where_there_is_room(settings: Settings, ledger: Ledger) -> None:
    for number in range(12):
        enter(ledger, f"{number}.pdf", state=State.RUNNING)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        line = status_of(await show(app, pilot, MACHINES))
        for words in (
            "Redis ok",
            "home 0/2",
            "no cpu worker",
            "gpu 1/1",
            "12 to read",
            "14 docs/min",
            "about 4 min left",
            "shoebox-large on gpu",
        ):
            assert words in line

    drive(settings, scenario, size=(140, 24))


def test_a_queue_with_too_much_to_do_is_said_in_the_line_and_on_the_screen(settings: Settings) -> None:
    alert = DepthAlert(queue="gpu", depth=1200, limit=1000, workers=1, slots=1, seconds_left=7200, since=0)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await app.push_screen(MachinesScreen())
        screen = await show(app, pilot, dataclasses.replace(MACHINES, alerts=(alert,)))
        assert "gpu queue: 1,200 units" in status_of(screen)
        assert "1 worker serves it, 1 at a time. The rest will take about 2 h." in screen

    drive(settings, scenario, size=(140, 40))


@pytest.mark.parametrize(
    ("width", "kept", "left_out"),
    [
        (80, ("no cpu worker", "12 to read", "about 4 min left", "gpu 1/1"), ("Redis ok", "docs/min")),
        (50, ("no cpu worker", "12 to read", "about 4 min left"), ("gpu 1/1", "home 0/2")),
        (20, ("no cpu worker",), ("12 to read",)),
    ],
)
def test_the_status_line_leaves_out_the_less_important(
    settings: Settings, ledger: Ledger, width: int, kept: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    for number in range(12):
        enter(ledger, f"{number}.pdf", state=State.RUNNING)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        line = status_of(await show(app, pilot, MACHINES))
        assert all(words in line for words in kept)
        assert not any(words in line for words in left_out)

    drive(settings, scenario, size=(width, 24))


def test_a_lost_link_is_said_and_goes_by_itself(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        lost = Link(up=False, problem="Redis does not answer.", since=time.time() - 72)
        line = status_of(await show(app, pilot, MACHINES, lost))
        assert "Redis is away since 1:1" in line
        assert "trying again" in line
        assert "gpu 1/1" not in line  # nobody knows

        line = status_of(await show(app, pilot, MACHINES))
        assert "Redis ok" in line
        assert "gpu 1/1" in line

    drive(settings, scenario)


def test_the_time_without_a_link_goes_on_though_nothing_happens(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        app.machines, app.link = MACHINES, Link(up=False, since=time.time() - 30)
        await until(pilot, lambda: "away since 0:31" in status_of(screen_text(app)))
        await until(pilot, lambda: "away since 0:32" in status_of(screen_text(app)))

    drive(settings, scenario)


def test_the_offline_engine_and_missing_workers_are_said(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        offline = LanguageModel("The offline engine reads.", ok=False)
        none = dataclasses.replace(MACHINES, workers=(), models=(), llm=offline)
        line = status_of(await show(app, pilot, none))
        assert "no workers" in line
        assert "offline engine" in line
        assert "to read" not in line  # there is nothing

    drive(settings, scenario)


def test_before_anything_is_known_the_line_looks_for_redis(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        assert "Looking for Redis" in status_of(await show(app, pilot, None, Link(up=False)))

    drive(settings, scenario)


def test_a_models_name_acts_on_nothing(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        for name in HOSTILE:
            llm = LanguageModel(name, ok=True, model=name, queue="gpu")
            line = status_of(await show(app, pilot, dataclasses.replace(MACHINES, llm=llm)))
            assert "Redis ok" in line, name
            assert "shoebox-large" not in line, name

    drive(settings, scenario, size=(200, 24))


@pytest.mark.parametrize(
    ("seconds", "exact", "rough"),
    [
        (0, "0:00", "1 s"),
        (59.6, "0:59", "60 s"),
        (89, "1:29", "89 s"),
        (91, "1:31", "2 min"),
        (7_199, "1:59:59", "120 min"),
        (7_200, "2:00:00", "2 h"),
        (200_000, "55:33:20", "2 days"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, exact: str, rough: str) -> None:
    assert (duration(seconds), rough_duration(seconds)) == (exact, rough)


# The Machines screen


def test_every_section_has_its_facts(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await open_machines(app, pilot)
        await show(app, pilot, MACHINES, Link(up=True, since=time.time() - 130))
        await until(pilot, lambda: "restarts" in screen_text(app))
        text = screen_text(app)
        for words in (
            "Redis at box:6379: ok for 2:1",
            "Language model: analyse by shoebox-large",
            "12 documents to read, about 4 min left",
            "lately 14.2 documents and 42.0 pages a minute",
            "! 3 units wait for the cpu queue.",
            "gpu@box   gpu queue, busy 1 of 1",
            "ocr pages 5-8 of 12 of contract.pdf, for 0:14",
            "home@box  home queue, idle, 2 at a time",
            "box 0: NVIDIA RTX A6000  █████░░░░░░░░░░░░░░░ 12.0 of 48.0 GiB, working 37 %",
            "shoebox-large:latest  8.2 B  gpu queue  loaded, 6.0 GiB of GPU memory",
            "for analyse on box; gpu queue: 8.2 billion parameters, more than 4",
            "! gpu ended with status 1. Its last words: no such [red]device[/red]",
        ):
            assert words in text, words
        rows = [line.split() for line in text.splitlines()]
        assert ["cpu", "none", "3"] in rows
        assert ["gpu", "backoff", "7"] in rows

    drive(settings, scenario, size=(110, 60))


def test_with_redis_away_it_says_what_it_knows_and_why(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await open_machines(app, pilot)
        lost = Link(up=False, problem="Connection [bold]refused[/bold]", since=time.time() - 12)
        text = await show(app, pilot, MACHINES, lost)
        assert "away since 0:1" in text
        assert "Connection [bold]refused[/bold]" in text
        assert "3 units wait" not in text
        assert "gpu@box" not in text
        assert text.count("Not known while Redis is away.") == 2

        text = await show(app, pilot, MACHINES)
        assert "gpu@box" in text
        assert "away" not in text

    drive(settings, scenario, size=(110, 60))


def test_what_the_server_does_not_say_is_not_made_up(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await open_machines(app, pilot)
        silent = dataclasses.replace(LARGE, parameters=0, loaded=None, vram=None, used_for=())
        card = Gpu(index=0, name="GB10", memory_total=0, memory_used=0)
        worker = dataclasses.replace(
            GPU,
            gpus=(card,),
            version="9.9",
            software=(("python", "3.12.1"), ("torch", "2.9")),
            version_problem="Homes differ",
            image_classifiers=("letters", "stamps"),
        )
        machines = dataclasses.replace(
            MACHINES, models=(silent,), workers=(worker,), eta_seconds=None, documents_per_minute=0
        )
        text = await show(app, pilot, machines)
        assert "size unknown" in text
        assert "not used on box" in text
        assert "loaded" not in text
        assert "box 0: GB10  memory not known" in text
        assert "how long it will take is not known yet" in text
        assert "a minute" not in text
        assert "Shoebox 9.9; this is" in text
        assert "on python 3.12.1, torch 2.9" in text
        assert "looks with letters, stamps" in text
        assert "! Homes differ" in text

    drive(settings, scenario, size=(110, 60))


def test_what_others_say_acts_on_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [""]

    def services(*_: object) -> Services:
        status = ServicesStatus(running=True, redis=RedisStatus(said[0], False, True), problems=(said[0],))
        return Services(status, logs=((said[0], said[0]),))

    monkeypatch.setattr("app.tui.screens.machines.collect_services", services)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        for said[0] in HOSTILE:
            await look_at(app, pilot, said[0])
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, MachinesScreen))

    async def look_at(app: ShoeboxApp, pilot: Driver, name: str) -> None:
        await open_machines(app, pilot)
        await show(app, pilot, machines_that_say(name), Link(up=True, problem=name))
        await until(pilot, lambda: "The last lines of" in _whole(app))
        text = _whole(app)
        for unsafe in ("\x1b", "\x07", "\x9b", "\u202e", "\x00", "\u200b", "\udcff"):
            assert unsafe not in text
        if name == visible(name) and len(name) < 40:
            assert text.count(name) > 8

    drive(settings, scenario, size=(120, 40))


def machines_that_say(name: str) -> Machines:
    """What is free for others to choose is this name."""
    work = dataclasses.replace(WORK, name=name)
    card = CARD.model_copy(update={"name": name})
    worker = Worker(name, name, (name,), 1, (work,), (card,), name, name, ((name, name),), name)
    return dataclasses.replace(
        MACHINES,
        workers=(worker,),
        queues=(dataclasses.replace(MACHINES.queues[0], problem=name),),
        models=(dataclasses.replace(LARGE, name=name, host=name, reason=name),),
        llm=LanguageModel(name, ok=False),
    )


def _whole(app: ShoeboxApp) -> str:
    """All sections, also what is scrolled out."""
    return "\n".join(str(section.visual) for section in app.screen.query("Section").results())


def test_it_scrolls_at_80_by_24_and_stays_where_it_was_scrolled_to(settings: Settings) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await open_machines(app, pilot)
        await show(app, pilot, MACHINES)
        await pilot.press("pagedown")
        scroll = app.screen.query_one("#machines", VerticalScroll)
        await until(pilot, lambda: scroll.scroll_y > 0 and scroll.scroll_y == scroll.scroll_target_y)
        where = scroll.scroll_y
        more = dataclasses.replace(MACHINES, unfinished=11, workers=(HOME, GPU, HOME))
        await show(app, pilot, more)
        assert scroll.scroll_y == where
        await pilot.press("end")
        await until(pilot, lambda: "no such [red]device[/red]" in " ".join(screen_text(app).split()))

    drive(settings, scenario, size=(80, 24))


def test_f5_starts_f6_shows_logs_and_escape_goes_back(settings: Settings, services: list[int]) -> None:
    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        tray = app.screen
        await open_machines(app, pilot)
        await show(app, pilot, MACHINES)
        await until(pilot, lambda: services)
        await pilot.press("f6")
        await until(pilot, lambda: "a line of the log" in _whole(app))
        assert services[0] == 0
        assert services[-1] > 0
        await pilot.press("f5")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is tray)

    clerk = drive(settings, scenario)
    assert clerk.requests == [StartServices(), StartServices()]  # the first when the application began


def test_services_are_not_looked_at_from_another_screen(
    settings: Settings, services: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tui.screens.machines._SERVICES_SECONDS", 0.05)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await open_machines(app, pilot)
        await until(pilot, lambda: len(services) > 2)
        await app.push_screen(InTray())
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "services"])
        before = len(services)
        await pilot.pause(0.3)
        assert len(services) == before

    drive(settings, scenario)


def test_machines_seen_reach_the_screen_by_the_real_way(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger says arrives without Redis."""
    from app.tui.watching import look_at_machines

    looks: list[Callable[[], None]] = []
    monkeypatch.setattr(
        "app.tui.app.look_at_machines", lambda app: looks.append(lambda: look_at_machines(app))
    )
    enter(ledger, "a.pdf", state=State.RUNNING)

    async def scenario(app: ShoeboxApp, pilot: Driver) -> None:
        await open_machines(app, pilot)
        await until(pilot, lambda: looks)
        looks[0]()
        await until(pilot, lambda: "1 document to read" in screen_text(app))

    drive(settings, scenario, size=(110, 50))
