"""`python -m tests.closed`: the whole pipeline in a closed place, and what was tried there.

Exits with 1 if anything but loopback was.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.closed.pipeline import measure, try_to_reach_others
from tests.closed.place import ClosedPlace, cannot, print_result, run_inside


def main() -> int:
    """See the module. The options are what it says to itself, inside."""
    match sys.argv[1:]:
        case ["--probe"]:
            with tempfile.TemporaryDirectory() as folder, ClosedPlace(Path(folder)) as place:
                place.look()
        case ["--control"]:
            try_to_reach_others()
        case ["--inside", folder]:
            print_result(measure(Path(folder)))
        case []:
            if reason := cannot():
                print(reason)
                return 0
            with tempfile.TemporaryDirectory(prefix="shoebox-closed-") as folder:
                found = run_inside("--inside", folder, timeout=1800)
            print(json.dumps(found, indent=1))
            return 1 if found["packets"] or found["notes"] or found["listens_elsewhere"] else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
