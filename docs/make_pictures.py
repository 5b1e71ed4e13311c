"""Make the pictures of the README from the running program: `python -m docs.make_pictures`.

Drives the terminal UI by keys in a private home, with real services reading sample documents, and writes what
it shows as SVG. The SVG names no web font, so looking at it asks nobody for anything.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from app import services
from app.tui.app import ShoeboxApp
from app.tui.clerk import ClerkClient
from app.tui.store import Filter
from tasks.documents import Stage
from tasks.settings import Settings
from tests import samples

PICTURES = Path(__file__).resolve().parent / "pictures"
SIZE = (132, 34)
"""Columns and rows."""
SHOWN = (
    "invoice-de.pdf",
    "invoice-en.pdf",
    "scanned-invoice.pdf",
    "mail-with-invoice.eml",
    "letter.pdf",
    "contract.pdf",
    "receipt.pdf",
    "scanned-long.pdf",
    "fax.tiff",
    "encrypted.pdf",
)


def main() -> None:
    """Have the samples read, and write the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="shoebox-pictures-") as folder:
        home = Path(folder)
        settings = Settings(data_dir=home / "data")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOEBOX_")}
        papers = home / "Papers"
        papers.mkdir()
        for name in SHOWN:
            samples.make(name, papers)
        try:
            asyncio.run(_draw_ui(settings, {**environment, "XDG_CONFIG_HOME": str(home)}, papers))
        finally:
            services.down(settings)


async def _draw_ui(settings: Settings, environment: dict[str, str], papers: Path) -> None:
    """Drop the papers on the UI, watch them being read, and look at one and at the machines."""
    app = ShoeboxApp(settings, ClerkClient(settings, environment))
    async with app.run_test(size=SIZE) as pilot:
        await _until(pilot, lambda: app.link.up)
        app.take_text("\n".join(str(path) for path in sorted(papers.iterdir())))
        await _until(pilot, lambda: _is_in_the_middle(app))
        for _ in range(3):
            await pilot.press("down")
        await _shoot(app, pilot, "intray")
        await pilot.press("f3")
        await _until(
            pilot, lambda: app.machines is not None and any(one.works for one in app.machines.workers)
        )
        await _shoot(app, pilot, "machines")
        await pilot.press("escape")
        await _until(pilot, lambda: len(app.store) == len(SHOWN) and not app.store.count(Filter.READING))
        shown = next(one for one in app.store.view if _name(app, one) == "scanned-invoice.pdf")
        app.open_document(shown)
        await pilot.pause()
        for _ in range(4):
            await pilot.press("down")
        await _shoot(app, pilot, "document")


def _name(app: ShoeboxApp, document: str) -> str:
    row = app.store.get(document)
    return row.name if row else ""


def _is_in_the_middle(app: ShoeboxApp) -> bool:
    """Some have been read, and one is being read that takes long enough to look at."""
    rows = [row for one in app.store.view if (row := app.store.get(one))]
    reads = any(row.stage is Stage.OCR and row.progress and row.progress.done for row in rows)
    return app.store.count(Filter.DONE) > 3 and reads


async def _until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    async with asyncio.timeout(240):
        while not condition():
            await pilot.pause(0.05)


async def _shoot(app: ShoeboxApp, pilot: Pilot[None], name: str) -> None:
    app.clear_notifications()
    await pilot.pause(0.3)
    _write(name, app.export_screenshot(title="Shoebox"))


def _write(name: str, svg: str) -> None:
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    # Some programs drop spaces at the beginning of a text unless they are told to keep them.
    svg = svg.replace("<text ", '<text xml:space="preserve" ')
    # The folder of this run's sockets is not the reader's.
    svg = re.sub(r"/\w+/shoebox-\d+-[0-9a-f]+", "/run/user/1000/shoebox", svg)
    (PICTURES / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
