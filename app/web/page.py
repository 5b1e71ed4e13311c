"""What a browser is given: a page, its script and style, textual-serve's terminal, nothing from elsewhere.

textual-serve's own page takes a font from another host; this one names no address but ours, and its headers
forbid the browser any other.
"""

from html import escape
from pathlib import Path
from typing import TypeVar

import textual_serve
from aiohttp import web

from app.called import as_called

_Refusal = TypeVar("_Refusal", bound=web.HTTPException)

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Shoebox</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="xterm.css">
<link rel="stylesheet" href="page.css">
<script src="page.js"></script>
<script src="textual.js"></script>
</head>
<body>
<div id="start"></div>
<div class="ended"><p>This view has ended. The work goes on.</p>
<p><button id="again" type="button">Open it again</button></p></div>
<div id="drop" role="alert">A browser does not tell where a dropped file lies. Type its path in the line at
the bottom, put it into a watched folder, or hand it in by the HTTP API: docs/web.md.</div>
<div id="terminal" class="textual-terminal" data-session-websocket-url="ws://{host}{place}ws"
 data-font-size="16"></div>
</body>
</html>
"""

STYLE = """body { margin: 0; background: #121212; color: #e0e0e0; font-family: sans-serif; overflow: hidden; }
.ended, #drop { display: none; position: absolute; z-index: 10; left: 0; right: 0; padding: 2em;
  text-align: center; background: #1e1e1e; }
.ended { top: 35%; }
#drop { top: 0; }
body.-closed .ended, #drop.shown { display: block; }
"""

# Before textual.js, which opens what the UI delivers in a new tab at a path of its own, and makes links of
# whatever looks like an address in a document's text: those lead nowhere.
SCRIPT = """"use strict";
window.open = (address) => {
  const key = /\\/download\\/([0-9A-Za-z-]+)$/.exec(address || "");
  if (key) {
    const link = document.createElement("a");
    link.href = "download/" + key[1];
    link.download = "";
    link.click();
  }
  return null;
};
window.addEventListener("DOMContentLoaded", () => {
  const drop = document.getElementById("drop");
  document.getElementById("again").addEventListener("click", () => window.location.reload());
  drop.addEventListener("click", () => drop.classList.remove("shown"));
});
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  const drop = document.getElementById("drop");
  drop.classList.add("shown");
  setTimeout(() => drop.classList.remove("shown"), 12000);
});
"""

_TERMINAL = {"textual.js": "js/textual.js", "xterm.css": "css/xterm.css"}
TYPES = {".js": "text/javascript", ".css": "text/css"}
"""Media types, by the ending of what `asset` gives."""


def page(host: str, place: str) -> str:
    """The page of the UI; `host` is a name that was checked, `place` our own path."""
    return PAGE.format(host=escape(host), place=place)


def asset(name: str) -> str | None:
    """A script or style by the name that the page gives it."""
    if name in _TERMINAL:
        static = Path(textual_serve.__file__).parent / "static"
        return (static / _TERMINAL[name]).read_text(encoding="utf-8")
    return {"page.js": SCRIPT, "page.css": STYLE}.get(name)


def headers(host: str) -> dict[str, str]:
    """What every answer says to the browser: nothing from elsewhere, in nobody's frame, kept nowhere."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "  # xterm.js makes styles
        f"img-src 'self' data:; font-src 'self'; connect-src 'self' ws://{host}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "clipboard-read=(), camera=(), microphone=(), geolocation=(), usb=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def notice(kind: type[_Refusal], message: str, remedy: str) -> _Refusal:
    """An answer that says why there is none."""
    return kind(text=f"{message}\n{as_called(remedy)}\n", content_type="text/plain")
