"""How the program was started: by run.sh in a checkout, or as the command that pip installed."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from tasks.errors import ServiceError

INSTALLED = "shoebox"
"""The command that pip installs; see [project.scripts]."""
CHECKOUT = "./run.sh"
_NAMED = re.compile(r"(?<![\w/.])\./run\.sh(?= [a-z])(?! (?:again|bench|install|test)\b)")
"""`./run.sh up` and the like, but not what only a checkout can do."""


def own_name() -> str:
    """What the user types to start this program."""
    return INSTALLED if Path(sys.argv[0]).stem == INSTALLED else CHECKOUT


def as_called(words: str) -> str:
    """Words of ours that name commands of ours, as the user has to type them here."""
    return words if own_name() == CHECKOUT else _NAMED.sub(own_name(), words)


def need_extra(extra: str, module: str) -> None:
    """Make sure that an extra is there; run.sh installs those that this is asked for.

    Raises:
        ServiceError: pip installed Shoebox without it.
    """
    if find_spec(module) is None:
        raise ServiceError(
            f"This needs the extra {extra}, which is not installed.",
            f"In the folder of Shoebox: pip install '.[{extra}]'; see docs/install.md.",
        )
