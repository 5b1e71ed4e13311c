"""Write every sample document into a folder: `python -m tests.samples OUTDIR`."""

import sys
from pathlib import Path

from tests.samples import make_all

if len(sys.argv) != 2:
    sys.exit("Usage: python -m tests.samples OUTDIR")
print(f"{len(make_all(Path(sys.argv[1])))} samples in {sys.argv[1]}")
