"""The line at the bottom of each screen: the link, the workers, how much is left, who reads."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from app.machines import Machines
from app.plain_text import shortened
from tasks.documents import State
from tasks.durations import rough_duration

if TYPE_CHECKING:
    from app.tui.app import ShoeboxApp

_GAP = "   "
_MODEL_CELLS = 30
_START_SECONDS = 3.0
"""Redis may not have been started yet."""
_WARNING = "$text-warning bold"


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that the line says."""

    text: str
    rank: int
    """The larger, the sooner it is left out."""
    style: str = ""


class StatusLine(Widget):
    """One line of words. What does not fit is left out, the least important first."""

    DEFAULT_CSS = "StatusLine { height: 1; background: $panel; color: $foreground; padding: 0 1; }"

    @property
    def shell(self) -> "ShoeboxApp":
        """The application, with its type."""
        return cast("ShoeboxApp", self.app)

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""

    def on_mount(self) -> None:
        """While the link is down its time goes on; and nothing stays wrong for more than a second."""
        self.set_interval(1.0, self._look)

    def _look(self) -> None:
        if self.shell.front is self.screen and self._content().plain != self._shown:
            self.refresh()

    def refresh_line(self) -> None:
        """Something that the line shows may have changed."""
        self.refresh()

    def render(self) -> Content:
        """As much as fits, in a fixed order."""
        content = self._content()
        self._shown = content.plain
        return content

    def _content(self) -> Content:
        return _fitted(list(self._parts()), self.size.width)

    def _parts(self) -> Iterator[_Part]:
        machines, link = self.shell.machines, self.shell.link
        counts = self.shell.store.counts
        unfinished = sum(counts.get(state, 0) for state in (State.WAITING, State.RUNNING))
        yield self._link()
        if machines is not None and machines.link and link.up:
            yield from _queues(machines)
        if machines is not None:
            yield from _alerts(machines)
        if unfinished:
            yield _Part(f"{unfinished:,} to read", rank=2)
            if machines is not None and link.up:
                yield from _speed(machines)
        if machines is not None:
            yield _reader(machines)

    def _link(self) -> _Part:
        link = self.shell.link
        if link.up:
            return _Part("Redis ok", rank=6)
        seconds = max(0.0, time.time() - link.since)
        if self.shell.machines is None and seconds < _START_SECONDS:
            return _Part("Looking for Redis", rank=0)
        return _Part(f"Redis is away since {duration(seconds)}, trying again", rank=0, style=_WARNING)


def _queues(machines: Machines) -> Iterator[_Part]:
    """Busy and all slots of each queue; those that nobody serves are said in words."""
    if not machines.workers:
        yield _Part("no workers: F3", rank=1, style=_WARNING)
        return
    for queue in machines.queues:
        if queue.workers:
            yield _Part(f"{queue.name} {queue.busy}/{queue.slots}", rank=4)
        else:
            yield _Part(f"no {queue.name} worker", rank=1, style=_WARNING)


def _alerts(machines: Machines) -> Iterator[_Part]:
    """Queues that have more to do than the setting `alert_depth`; the Machines screen has the whole words."""
    for alert in machines.alerts:
        yield _Part(f"{alert.queue} queue: {alert.depth:,} units", rank=2, style=_WARNING)


def _speed(machines: Machines) -> Iterator[_Part]:
    rate = machines.documents_per_minute
    if rate:
        yield _Part(f"{rate:.0f} docs/min" if rate >= 10 else f"{rate:.1f} docs/min", rank=5)
    if machines.eta_seconds:
        yield _Part(f"about {rough_duration(machines.eta_seconds)} left", rank=3)


def _reader(machines: Machines) -> _Part:
    llm = machines.llm
    if llm.model:
        return _Part(f"{shortened(llm.model, _MODEL_CELLS)} on {llm.queue}", rank=5)
    return _Part("offline engine", rank=4, style="" if llm.ok else _WARNING)


def _fitted(parts: list[_Part], width: int) -> Content:
    while len(parts) > 1 and cell_len(_GAP.join(part.text for part in parts)) > width:
        parts.remove(max(reversed(parts), key=lambda part: part.rank))
    return Content(_GAP).join(Content.styled(part.text, part.style) for part in parts)


def duration(seconds: float) -> str:
    """`0:12`, `4:05`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
