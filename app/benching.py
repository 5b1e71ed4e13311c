"""`./run.sh bench`: measures, in a checkout, with what the tests need as well."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Hand over to `tests.bench`, without the user's own settings.

    A relative path among the arguments is one below the folder it was called in.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")}
    command = [sys.executable, "-m", "tests.bench", *arguments]
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
