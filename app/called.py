"""How the program was started: by run.sh in a checkout, or as the command that pip installed."""

import re
import sys
from collections.abc import Collection
from pathlib import Path

INSTALLED = "shoebox"
"""The command that pip installs; see [project.scripts]."""
CHECKOUT = "./run.sh"


def own_name() -> str:
    """What the user types to start this program."""
    return INSTALLED if Path(sys.argv[0]).stem == INSTALLED else CHECKOUT


def as_called(words: str, commands: Collection[str]) -> str:
    """Words of ours that name commands of ours, as the user has to type them here."""
    if own_name() == CHECKOUT:
        return words
    names = "|".join(map(re.escape, commands))
    return re.sub(rf"(?<![\w/.])\./run\.sh(?= (?:{names})\b)", own_name(), words)
