"""The UI's end of the clerk: starts its process, sends requests, hands out notes and replies."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import app
from app.requests import Note, Reply, Request, clerk_log, parse_answer, request_line
from tasks.settings import Settings

_SENDS = 3
"""How often a request is sent before it is given up: a clerk may be killed, and a request may kill it."""
_CLOSE_SECONDS = 10.0
"""To hand over what was asked last. The clerk reads at once, so only one that is just starting takes any."""


class ClerkClient:
    """Has things done by the clerk, a process that goes on when the UI has gone.

    It is started by the first request. `environment` is the clerk's, by default this process's own.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._environment = os.environ if environment is None else environment
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self._process: _Process | None = None
        self._starting = asyncio.Lock()
        self._restart: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The clerk's process, while there is one."""
        return self._process.pid if self._process else None

    async def ask(self, request: Request, on_note: Callable[[Note], None] | None = None) -> Reply:
        """Have something done; returns how it went. Notes say meanwhile how far it has come.

        A request that a dying clerk left unanswered is sent again. Never raises for what goes wrong with
        the clerk: that is a reply as well.
        """
        self._number += 1
        number = self._number
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        asked = _Asked(request_line(number, request).encode("ascii"), on_note, reply)
        self._asked[number] = asked
        try:
            await self._send([asked])
            return await reply
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """Ask for nothing more. What was asked is finished by the clerk, which then ends by itself."""
        self._closed = True
        if self._restart is not None:
            await self._restart
        for asked in self._asked.values():
            asked.give_up("It is being done; nobody waits for the answer.")
        if self._process is not None:
            await self._process.leave()
            self._process = None

    async def _send(self, requests: Iterable["_Asked"]) -> None:
        async with self._starting:
            if self._process is None:
                try:
                    self._process = await _start(self._settings, self._environment, self._take, self._ended)
                except OSError as error:
                    for asked in requests:
                        asked.give_up(f"The clerk cannot be started: {error.strerror or error}.")
                    return
        for asked in requests:
            asked.sends += 1
            self._process.write(asked.line)
        if self._process.reading.ended.is_set():  # it ended before it was known here
            self._ended()

    def _take(self, line: bytes) -> None:
        answer = parse_answer(line.decode("ascii"))
        asked = self._asked.get(answer.number)
        if asked is None:
            return  # nobody waits for it any more
        if isinstance(answer, Reply):
            if not asked.reply.done():
                asked.reply.set_result(answer)
        elif asked.on_note is not None:
            asked.on_note(answer)

    def _ended(self) -> None:
        """The clerk has ended. It ends by itself only when it was left, so something has killed it."""
        if self._process is not None:
            self._process.drop()
            self._process = None
        if self._closed:
            return
        left = [asked for asked in self._asked.values() if asked.sends and not asked.reply.done()]
        for asked in left:
            if asked.sends >= _SENDS:
                asked.give_up(
                    "The clerk, who carries out what you ask for, ended again and again.",
                    f"Its last words are in {clerk_log(self._settings)}; `./run.sh doctor` checks the rest.",
                )
        again = [asked for asked in left if not asked.reply.done()]
        if again:
            self._restart = asyncio.get_running_loop().create_task(self._send(again))


@dataclass
class _Asked:
    """A request that has no reply yet."""

    line: bytes
    on_note: Callable[[Note], None] | None
    reply: asyncio.Future[Reply]
    sends: int = 0

    def give_up(self, message: str, remedy: str = "") -> None:
        if not self.reply.done():
            self.reply.set_result(Reply(number=0, ok=False, message=message, remedy=remedy))


@dataclass
class _Process:
    """A clerk that runs, and the pipes to it."""

    pid: int
    input: asyncio.WriteTransport
    output: asyncio.ReadTransport
    sending: "_Sending"
    reading: "_Reading"

    def write(self, line: bytes) -> None:
        if not self.input.is_closing():
            self.input.write(line)

    async def leave(self) -> None:
        """Close the pipes once everything is sent; the process goes on."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.sending.sent.wait()
                self.input.close()
                self.output.close()
                await self.sending.ended.wait()
                await self.reading.ended.wait()
        except TimeoutError:
            self.drop()

    def drop(self) -> None:
        """Close the pipes at once."""
        # Never abort a pipe that is closing: asyncio would let go of whichever pipe has its number next.
        if not self.input.is_closing():
            self.input.abort()
        self.output.close()


async def _start(
    settings: Settings,
    environment: Mapping[str, str],
    on_line: Callable[[bytes], None],
    on_end: Callable[[], None],
) -> _Process:
    """Start the clerk in a session of its own, out of the reach of the terminal's signals.

    Not by asyncio's own subprocesses: those kill the process when they are closed.

    Raises:
        OSError: it cannot be started, or its log cannot be written.
    """
    log_path = clerk_log(settings)
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app", "_clerk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_child_environment(settings, environment),
            start_new_session=True,
        )
    # It may end at any time, or outlive this process: somebody waits for it, and nobody is held up.
    threading.Thread(target=process.wait, name="clerk", daemon=True).start()
    loop = asyncio.get_running_loop()
    sending, reading = _Sending(), _Reading(on_line, on_end)
    input_pipe, _ = await loop.connect_write_pipe(lambda: sending, process.stdin)
    output_pipe, _ = await loop.connect_read_pipe(lambda: reading, process.stdout)
    return _Process(process.pid, input_pipe, output_pipe, sending, reading)


def _child_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    return {
        **environment,
        "SHOEBOX_DATA_DIR": str(settings.data_dir.absolute()),
        "PYTHONPATH": str(Path(app.__file__).resolve().parent.parent),
    }


class _Sending(asyncio.Protocol):
    """Knows whether everything written has gone into the pipe."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()
        self.sent.set()
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - for the type checker
        transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        self.sent.clear()

    def resume_writing(self) -> None:
        self.sent.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.sent.set()
        self.ended.set()


class _Reading(asyncio.Protocol):
    """Cuts what the clerk says into lines, however long they are."""

    def __init__(self, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_line = on_line
        self._on_end = on_end
        self._rest = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_line(line)

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()
        self._on_end()
