"""The UI in a browser: who is let in, what a page is given, and that a UI ends with its page.

The client here speaks the protocol of textual-serve's page. No browser takes part.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner
from textual.binding import Binding

from app.commands.web import web as command
from app.listening import bound_socket
from app.tui.app import ShoeboxApp
from app.tui.browser import KEYS
from app.tui.screens.document import DocumentScreen
from app.tui.screens.intray import InTray
from app.tui.screens.picker import Picker
from app.web import server, session
from app.web.access import COOKIE, Access
from tasks.documents import State
from tasks.errors import ServiceError
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.system import System

CONTENT = b"%PDF-1.7 " + bytes(range(256)) * 1000
NAME = 'my "invoice"\r\n.pdf'
UI = (
    sys.executable,
    "-c",
    "from app.tui.app import ShoeboxApp\n"
    "from tasks.settings import get_settings\n"
    "from tests.tui import RecordingClerk\n"
    "ShoeboxApp(get_settings(), RecordingClerk()).run()",
)
"""The real UI; nobody starts services for it."""


@dataclass
class View:
    """A served UI, and a browser for it."""

    base: str
    access: Access
    links: list[str]
    browser: aiohttp.ClientSession

    async def enter(self) -> str:
        """Open the link; returns the address of the page."""
        async with self.browser.get(self.access.link) as answer:
            assert answer.status == 200
        return self.base + self.access.place

    def socket(self, **headers: str) -> Any:
        """What a page does first."""
        address = f"{self.base.replace('http', 'ws')}{self.access.place}ws?width=100&height=30"
        return self.browser.ws_connect(address, headers={"Origin": self.base, **headers})


@asynccontextmanager
async def served(settings: Settings, ui: tuple[str, ...]) -> AsyncIterator[View]:
    """The view on a port of its own. The browser is closed last."""
    listener = bound_socket("127.0.0.1", 0)
    access = Access(*listener.getsockname())
    links: list[str] = []
    view = server.WebView(settings, access, lambda: links.append(access.link), ui)
    runner = web.AppRunner(view.application(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        try:
            yield View(access.link.partition("/?")[0], access, links, browser)
        finally:
            await runner.cleanup()


def run(settings: Settings, scenario: Callable[[View], Awaitable[None]], ui: tuple[str, ...] = UI) -> None:
    """Serve for as long as the scenario takes."""

    async def main() -> None:
        async with asyncio.timeout(45), served(settings, ui) as view:
            await scenario(view)

    asyncio.run(main())


async def shown(page: aiohttp.ClientWebSocketResponse, words: str) -> bytes:
    """Read what the page is sent until these words are there."""
    seen = b""
    while words.encode() not in seen:
        message = await page.receive()
        assert message.type is aiohttp.WSMsgType.BINARY, message
        seen += message.data
    return seen


async def told(page: aiohttp.ClientWebSocketResponse) -> Any:
    """The next thing that is not for the terminal."""
    while (message := await page.receive()).type is aiohttp.WSMsgType.BINARY:
        pass
    return json.loads(message.data)


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and ") Z " not in stat.read_text():
        await asyncio.sleep(0.02)


def child(parent: int, word: str) -> int:
    """The process below `parent` that has this on its command line."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True, check=True
    ).stdout
    return next(int(line.split()[0]) for line in listed.splitlines() if word in line)


# Who is let in


def test_a_link_opens_one_browser_and_then_there_is_another(settings: Settings) -> None:
    async def scenario(view: View) -> None:
        first = view.access.link
        async with view.browser.get(first) as answer:
            cookie = answer.cookies[COOKIE]
            assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")
            assert cookie["path"] == view.access.place and len(view.access.place) > 20
            assert cookie["max-age"] == cookie["domain"] == "" and cookie.value not in first
            assert f"url={view.access.place}" in await answer.text()
        async with view.browser.get(first) as answer:
            assert (answer.status, COOKIE in answer.cookies) == (401, False)
            assert "./run.sh web" in await answer.text()
        assert view.links == [view.access.link] and view.links != [first]
        async with view.browser.get(view.base + view.access.place) as answer:
            assert answer.status == 200

    run(settings, scenario)


def test_nothing_is_answered_without_the_cookie(settings: Settings) -> None:
    async def scenario(view: View) -> None:
        for path in ("", "?token=", "?token=guessed", "static/js/textual.js"):
            async with view.browser.get(f"{view.base}/{path}") as answer:
                assert answer.status == 401
        for cookie in ("", "guessed", "ü"):
            for path in ("", "page.js", "download/1"):
                async with view.browser.get(
                    view.base + view.access.place + path, headers={"Cookie": f"{COOKIE}={cookie}"}
                ) as answer:
                    assert (answer.status, answer.headers["Referrer-Policy"]) == (401, "no-referrer")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await view.socket()
        host, _, port = view.base.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        request = f"GET {view.access.place} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {COOKIE}="
        writer.write(request.encode() + b"\xff\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()

    run(settings, scenario)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}, 421),
    ],
)
def test_no_other_site_opens_a_websocket_even_with_the_cookie(
    settings: Settings, headers: dict[str, str], status: int
) -> None:
    async def scenario(view: View) -> None:
        await view.enter()
        port = view.base.rpartition(":")[2]
        asked = {name: value.format(port=port) for name, value in headers.items()}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await view.socket(**asked)
        assert refused.value.status == status

    run(settings, scenario)


def test_a_program_that_names_no_origin_opens_no_websocket(settings: Settings) -> None:
    async def scenario(view: View) -> None:
        address = (await view.enter()).replace("http", "ws") + "ws"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await view.browser.ws_connect(address)

    run(settings, scenario)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "shoebox.example"])
def test_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(ServiceError, match="on this machine only"):
        CliRunner().invoke(command, ["--host", host], catch_exceptions=False)


def test_links_for_other_addresses() -> None:
    assert Access("::1", 8766).link.startswith("http://[::1]:8766/?token=")
    assert Access("127.0.0.1", 80).link.startswith("http://127.0.0.1/?token=")


# What a page is given


def test_the_page_loads_nothing_from_elsewhere(settings: Settings) -> None:
    async def scenario(view: View) -> None:
        address = await view.enter()
        async with view.browser.get(address) as answer:
            text = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")
        assert rules["connect-src"] == f"'self' {view.base.replace('http', 'ws')}"
        assert rules["frame-ancestors"] == "'none'"
        named = re.findall(r'(?:href|src)="([^"]*)"', text)
        assert len(named) == 5 and not re.search(r"https?:|<script>|style=|\son\w+=", text)
        for name in named:
            if name == "data:,":
                continue
            async with view.browser.get(address + name) as answer:
                assert (answer.status, answer.headers["X-Content-Type-Options"]) == (200, "nosniff")
                if name.endswith(".css"):
                    assert not re.search(r"@import|url\(", await answer.text())
        for name in ("app_index.html", "..%2fserver.py", "nothing"):
            async with view.browser.get(address + name) as answer:
                assert answer.status == 404

    run(settings, scenario)


@pytest.fixture
def document(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    """A document in the ledger, with its original."""
    original = tmp_path / "original.pdf"
    original.write_bytes(CONTENT)
    row = ledger.insert_document("a" * 64, NAME, original, original.stat(), "builtin", urgent=False)
    ledger.update_document(row.id, state=State.DONE)


@pytest.mark.usefixtures("document")
def test_a_page_shows_the_ui_takes_keys_delivers_what_is_asked_for_and_ends_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_PAGES", 1)

    async def scenario(view: View) -> None:
        address = await view.enter()
        async with view.socket() as page:
            await shown(page, "invoice")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await view.socket()
            for rubbish in ("", "[]", "{", '["stdin"]', '["resize", {"width": "x"}]', '["stdin", "\\ud800"]'):
                await page.send_str(rubbish)
            await page.send_str('["ping", "17"]')
            assert await told(page) == ["pong", "17"]
            await page.send_str('["resize", {"width": 90, "height": 21}]')
            await shown(page, "\x1b[21;1H")
            await page.send_str('["stdin", "\\u001bOP"]')  # F1
            await shown(page, "In-tray")
            await page.send_str('["stdin", "\\u001b[27u"]')  # Escape
            await page.send_str('["stdin", "\\u000f"]')  # Ctrl+O
            word, key = await told(page)
            assert word == "deliver_file_start"
            async with view.browser.get(f"{address}download/{key}") as answer:
                assert await answer.read() == CONTENT
                assert answer.headers["Content-Disposition"].startswith("attachment; ")
                assert answer.headers["Content-Type"] == "application/octet-stream"
            async with view.browser.get(f"{address}download/{key}") as answer:
                assert answer.status == 404
            pid = child(os.getpid(), "ShoeboxApp")
        await gone(pid)

    run(settings, scenario)


def test_keys_that_browsers_keep_are_those_of_actions() -> None:
    ids = {
        binding.id
        for node in (ShoeboxApp, InTray, DocumentScreen, Picker)
        for binding in node.BINDINGS
        if isinstance(binding, Binding)
    }
    assert KEYS.keys() <= ids
    kept = {"ctrl+n", "ctrl+t", "ctrl+q", "ctrl+w"}
    for node in (ShoeboxApp, InTray, DocumentScreen, Picker):
        for binding in node.BINDINGS:
            if isinstance(binding, Binding) and kept & set(binding.key.split(",")):
                assert binding.id in KEYS


# Processes that do not do as the UI does

PACKETS = """import json, os, struct, sys
def packet(kind, payload): os.write(1, struct.pack('>cI', kind, len(payload)) + payload)
os.write(1, b'__GANGLION__\\n')
packet(b'D', b'here')
"""


def doing(code: str) -> tuple[str, ...]:
    """A UI that says that it is here, and then does this."""
    return (sys.executable, "-c", PACKETS + code)


async def open_and_close(view: View) -> None:
    """A page that is closed as soon as its UI is there; its process has to end."""
    await view.enter()
    async with view.socket() as page:
        await shown(page, "here")
        pid = child(os.getpid(), "import json, os")
    await gone(pid)


def test_a_ui_that_does_not_end_is_killed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "END_SECONDS", 0.1)

    run(settings, open_and_close, doing("import signal\nwhile True: signal.pause()"))


def test_a_ui_that_still_writes_is_read_until_it_ends(settings: Settings) -> None:
    run(settings, open_and_close, doing("for _ in range(400): packet(b'D', b'x' * 65_536)"))


@pytest.mark.parametrize(
    "ui",
    [
        (sys.executable, "-c", "raise SystemExit"),
        doing("raise SystemExit"),
        doing("packet(b'M', b'{\"type\": \"exit\"}')"),
    ],
)
def test_a_page_ends_with_its_ui(settings: Settings, ui: tuple[str, ...]) -> None:
    async def scenario(view: View) -> None:
        await view.enter()
        async with view.socket() as page:
            while (message := await page.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
            assert message.type is aiohttp.WSMsgType.CLOSE

    run(settings, scenario, ui)


def test_a_file_whose_ui_ends_meanwhile_is_seen_to_be_broken(settings: Settings) -> None:
    code = (
        "from textual._binary_encode import dump\n"
        "packet(b'M', json.dumps({'type': 'deliver_file_start', 'key': 'k1', 'path': '/x/a.pdf'}).encode())\n"
        "os.read(0, 4096)\n"
        "packet(b'P', dump(('deliver_chunk', 'k1', b'the first half')))\n"
        "os.read(0, 4096)\n"
    )

    async def scenario(view: View) -> None:
        address = await view.enter()
        async with view.socket() as page:
            assert await told(page) == ["deliver_file_start", "k1"]
            with pytest.raises(aiohttp.ClientPayloadError):
                async with view.browser.get(f"{address}download/k1") as answer:
                    await answer.read()

    run(settings, scenario, doing(code))


def test_every_page_is_told_when_the_server_ends(settings: Settings) -> None:
    async def main() -> None:
        async with asyncio.timeout(45):
            async with served(settings, doing("os.read(0, 4096)")) as view:
                await view.enter()
                page = await view.socket()
                await shown(page, "here")
                pid = child(os.getpid(), "import json, os")
                reading = asyncio.create_task(page.receive())
            assert (await reading).data == aiohttp.WSCloseCode.GOING_AWAY
            await gone(pid)

    asyncio.run(main())


# The command


def test_the_command_serves_the_ui_which_ends_though_the_server_is_killed(tmp_path: Path) -> None:
    system = System(tmp_path)
    system.settings.data_dir.mkdir()
    (system.settings.data_dir / "redis").write_text("in the way, so that no services are started")
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "web", "--port", "0"],
        env=system.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None

    async def look(link: str) -> None:
        base = link.partition("/?")[0]
        async with (
            asyncio.timeout(45),
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        ):
            async with browser.get(link) as answer:
                place = re.search(r"url=(/[\w-]+/)", await answer.text())
            assert place is not None
            address = f"{base}{place[1]}ws?width=100&height=30".replace("http", "ws")
            async with browser.ws_connect(address, headers={"Origin": base}) as page:
                await shown(page, "Drop files")
                pid = child(process.pid, "_ui")
                os.kill(process.pid, signal.SIGKILL)
            await gone(pid)

    try:
        asyncio.run(look(process.stderr.readline().split()[-1]))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        system.stop()
