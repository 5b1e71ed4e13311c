"""The command palette and the help, both made from the bindings, so that no action is missing in either."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen


@dataclass(frozen=True, slots=True)
class Command:
    """Something a person can do on a screen, with its key."""

    key: str
    """For people, as in `Ctrl+O`."""
    name: str
    help: str
    action: str
    node: DOMNode


def commands_of(screen: Screen[Any]) -> Iterator[Command]:
    """All commands that a screen offers, its own first. Bindings without an id are no commands."""
    seen: set[str] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.id is None or binding.id in seen or not active.enabled:
            continue
        seen.add(binding.id)
        yield Command(
            key=screen.app.get_key_display(binding),
            name=binding.description,
            help=active.tooltip,
            action=binding.action,
            node=active.node,
        )


async def run_command(app: App[Any], command: Command) -> None:
    """Do what its key would do."""
    await app.run_action(command.action, command.node)


class Commands(Provider):
    """Every action of the screen, found by its name or by what it does."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for command in commands_of(self.screen):
            yield DiscoveryHit(
                f"{command.name}  ({command.key})", partial(run_command, self.app, command), help=command.help
            )

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for command in commands_of(self.screen):
            score = max(matcher.match(command.name), matcher.match(command.help) * 0.8)
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(f"{command.name}  ({command.key})"),
                    partial(run_command, self.app, command),
                    help=command.help,
                )
