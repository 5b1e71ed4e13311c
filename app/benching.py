"""`./run.sh bench`: measures, in a checkout, with what the tests need as well."""

import os
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> NoReturn:
    """Become `tests.bench`, without the user's own settings; in the same folder, which paths count from."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")}
    command = [sys.executable, "-m", "tests.bench", *arguments]
    environment["PYTHONPATH"] = str(ROOT)
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
