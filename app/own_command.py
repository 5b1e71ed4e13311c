"""How this very Shoebox is started, for what others start: units, desktop entries."""

import os
import sys
from pathlib import Path


def own_command() -> tuple[str, ...]:
    """run.sh of the checkout that this is, else this interpreter with the installed package."""
    script = Path(__file__).resolve().parent.parent / "run.sh"
    if os.access(script, os.X_OK):
        return (str(script),)
    return (sys.executable, "-m", "app")
