"""The Machines screen: who works, on what, how fast, and what is wrong."""

from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget

from app.machines import Services, collect_services
from app.requests import StartServices
from app.tui import machine_lines
from app.tui.background import in_background
from app.tui.screens.base import ShoeboxScreen
from app.tui.widgets.section import Section
from app.tui.widgets.status_line import StatusLine

_SERVICES_SECONDS = 5.0
_LOG_LINES = 8
_SECTIONS = ("Link", "Work", "Queues", "Workers", "GPUs", "Models", "Services of this machine")


class MachinesScreen(ShoeboxScreen):
    """Workers, queues, models and services."""

    NAME = "Machines"
    HELP = """\
Workers do the reading. Each serves a queue: home reads files and records results, cpu asks small language
models, gpu does OCR and asks large ones. A unit is a piece of a document: a few pages, or one question.

Another machine helps with: ./run.sh worker --redis ADDRESS. Whatever is lost on the way is done again."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f5",
            "start",
            "Start",
            id="machines.start",
            tooltip="Start Redis and the workers of this machine that do not run.",
        ),
        Binding(
            "f6",
            "logs",
            "Logs",
            id="machines.logs",
            tooltip="Show or hide the last lines of each program's log.",
        ),
        Binding("escape", "app.pop_screen", "Back", id="machines.back", tooltip="Back to where you were."),
    ]
    DEFAULT_CSS = """
    MachinesScreen VerticalScroll { padding: 1 2 0 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._services: Services | None = None
        self._with_logs = False
        self._looking = False

    def body(self) -> Iterable[Widget]:
        """The sections, which scroll together."""
        with VerticalScroll(id="machines"):
            for title in _SECTIONS:
                yield Section(title)

    def on_mount(self) -> None:
        """The arrow keys scroll."""
        self.query_one("#machines").focus()
        self.machines_seen()
        self._look_at_services()
        self.set_interval(_SERVICES_SECONDS, self._look_at_services)

    def on_screen_resume(self) -> None:
        """Another screen was in front meanwhile."""
        self.machines_seen()

    def machines_seen(self) -> None:
        """Show the machines as they are now."""
        self.query_one(StatusLine).refresh_line()
        machines, link = self.shell.machines, self.shell.link
        link_section, *sections, services = self.query(Section)
        link_section.show(machine_lines.link_lines(link, machines, self._services))
        services.show(machine_lines.service_lines(self._services))
        if machines is None:
            for section in sections:
                section.show([Content("Looking ...")])
            return
        contents = (
            machine_lines.work_lines(machines, link),
            machine_lines.queue_lines(machines, link),
            machine_lines.worker_lines(machines, link),
            machine_lines.gpu_lines(machines, link),
            machine_lines.model_lines(machines),
        )
        for section, lines in zip(sections, contents, strict=True):
            section.show(lines)

    @work(group="services", exit_on_error=False)
    async def _look_at_services(self) -> None:
        """Look at the services while they are shown; never twice at a time, because it may take seconds."""
        if self._looking or self.shell.front is not self:
            return
        self._looking = True
        settings, log_lines = self.shell.settings, _LOG_LINES if self._with_logs else 0
        try:
            self._services = await in_background(lambda: collect_services(settings, log_lines))
        finally:
            self._looking = False
        self.machines_seen()

    def action_start(self) -> None:
        """Start what does not run."""
        self.shell.say("Starting what does not run ...")
        self.shell.ask(StartServices())

    def action_logs(self) -> None:
        """Show or hide the logs."""
        self._with_logs = not self._with_logs
        self._look_at_services()
