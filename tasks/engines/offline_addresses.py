"""Address blocks: a name above a street and a town, and whether its owner sends or receives the document."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from tasks.engines.offline_names import (
    SALUTATION,
    TITLED,
    has_legal_form,
    is_address_line,
    is_contact,
    is_name,
    is_street,
    is_town,
    sender_line,
)
from tasks.engines.offline_text import TextLine

_NAME_LINES = 3
"""Lines of a name at most: a company, its department, a person."""
_LETTERHEAD_LINES = 8
_NEAR, _FAR = 3, 12
"""How far below an address contact details are surely, or possibly, its owner's."""


class Role(Enum):
    """What an address is for."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    """It says so: a title, a salutation or the small sender line stands above it."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Address:
    """Index of the line that holds the name, and what the address is for."""

    name: int
    role: Role


@dataclass(frozen=True)
class _Block:
    first: int
    """The uppermost line of the name."""
    name: int
    last: int
    """The line with the town."""


def addresses(lines: list[TextLine], top: int) -> list[Address]:
    """Every address in its order. The letterhead is looked for from the line `top` on."""
    blocks = list(_blocks(lines))
    roles = [_told_role(lines, block) for block in blocks]
    # Only the first address can be the letterhead, and only where no other shows how to reach its owner.
    at_top = bool(blocks) and 0 <= blocks[0].first - top < _LETTERHEAD_LINES
    if at_top and roles[0] is Role.UNKNOWN and Role.SENDER not in roles:
        roles[0] = Role.SENDER
    for place, block in enumerate(blocks[1:], start=1):
        if roles[place] is Role.UNKNOWN and _contacts(lines, block.first, block.first + _FAR) >= 2:
            roles[place] = Role.SENDER
    return [Address(block.name, role) for block, role in zip(blocks, roles, strict=True)]


def _told_role(lines: list[TextLine], block: _Block) -> Role:
    """What the lines at the address itself say about it."""
    above = lines[block.first - 1].text if block.first else ""
    if (
        SALUTATION.fullmatch(above.strip(" .,"))
        or sender_line(above) is not None
        or TITLED.match(lines[block.first].text)
    ):
        return Role.RECIPIENT
    near = _contacts(lines, block.last, block.last + _NEAR)
    return Role.SENDER if near else Role.UNKNOWN


def _contacts(lines: list[TextLine], first: int, end: int) -> int:
    return sum(is_contact(line.text) for line in lines[first:end])


def _blocks(lines: list[TextLine]) -> Iterator[_Block]:
    taken = 0
    for index, line in enumerate(lines):
        one_line = is_address_line(line.text)
        street = index if one_line else index - 1
        if street < 1 or not (one_line or (is_town(line.text) and is_street(lines[street].text))):
            continue
        bottom = street - 1
        if not is_name(lines[bottom].text) and bottom > taken and _may_stand_between(lines[bottom].text):
            bottom -= 1
        if bottom < taken or not is_name(lines[bottom].text):
            continue
        first = bottom
        while first > taken and bottom - first < _NAME_LINES - 1 and is_name(lines[first - 1].text):
            first -= 1
        named = (place for place in range(first, bottom + 1) if has_legal_form(lines[place].text))
        yield _Block(first, next(named, first), index)
        taken = index + 1


def _may_stand_between(text: str) -> bool:
    """An owner, a trade or a floor between name and street; no label, sum or date."""
    return len(text) < 80 and not text.endswith(":") and not any(character.isdigit() for character in text)
