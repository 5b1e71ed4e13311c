"""Make the pictures of the README from the running program: `python -m docs.make_pictures`.

Reads sample documents in a private home, runs the real commands on a terminal of their own, and writes what
they print as SVG. The SVG names no web font, so looking at it asks nobody for anything.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests import samples

PICTURES = Path(__file__).resolve().parent / "pictures"
ROOT = Path(__file__).resolve().parent.parent
WIDTH = 118
SHOWN = (
    "invoice-de.pdf",
    "invoice-en.pdf",
    "scanned-invoice.pdf",
    "mail-with-invoice.eml",
    "letter.pdf",
    "contract.pdf",
    "receipt.pdf",
    "fax.tiff",
    "encrypted.pdf",
)


def main() -> None:
    """Read the samples and write a picture of each command."""
    with tempfile.TemporaryDirectory(prefix="shoebox-pictures-") as folder:
        home = Path(folder)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")},
            "SHOEBOX_DATA_DIR": str(home / "data"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "COLUMNS": str(WIDTH),
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
        }
        papers = home / "Papers"
        papers.mkdir()
        for name in SHOWN:
            samples.make(name, papers)
        try:
            _printed(environment, home, "add", "Papers", "--wait")
            _draw("ls", _printed(environment, home, "ls"))
            _draw("show", _printed(environment, home, "show", "scanned-invoice.pdf"))
        finally:
            _printed(environment, home, "down")


def _printed(environment: dict[str, str], cwd: Path, *arguments: str) -> str:
    """What a command prints on a terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], stdout=child, stderr=child, env=environment, cwd=cwd
    )
    os.close(child)
    output = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # Linux says EIO when the last writer has gone
            break
        if not piece:
            break
        output += piece
    os.close(parent)
    process.wait()
    return f"$ ./run.sh {' '.join(arguments)}\n" + output.decode().replace("\r\n", "\n")


def _draw(name: str, printed: str) -> None:
    # The private home is not the reader's.
    text = Text.from_ansi(re.sub(r"/\S*/Papers/", "/home/you/Papers/", printed))
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(text)
    svg = console.export_svg(title="Shoebox")
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
