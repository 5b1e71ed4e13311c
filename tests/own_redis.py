"""A Redis of the user's own, and a line to it that can be made bad."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from redis import Redis

from app.services import find_server
from tasks.settings import Settings
from tests.proxy import Proxy, Streams, free_port

PASSWORD = "a+b/c"
URL_PASSWORD = "a%2Bb%2Fc"


class OwnRedis:
    """A server on a port of 127.0.0.1, with a password. Use it as a context manager.

    Args:
        folder: its data; must be there.
        options: lines of redis.conf.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._binary = find_server(Settings(data_dir=folder)).binary

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"redis://:{URL_PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self, *more: str, wait: bool = True) -> None:
        """Start it, with what its folder holds; `more` are further lines of redis.conf."""
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f'requirepass "{PASSWORD}"',
            "appendonly yes",
            'save ""',
            f'dir "{self.folder}"',
            *self._options,
            *more,
        ]
        self._process = subprocess.Popen(
            [self._binary, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        self._process.stdin.write("\n".join([*lines, ""]).encode())
        self._process.stdin.close()
        if wait:
            with self.client() as client:
                client.ping()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Remove its data; it must not run."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)

    def client(self, password: str = PASSWORD) -> Redis:
        """A client that waits until the server answers."""
        from tests.conftest import patient

        return Redis(port=self.port, password=password, retry=patient(), protocol=2)


class BadLine(Proxy):
    """Passes bytes between two ports of 127.0.0.1, as badly as told."""

    def __init__(self, server_port: int) -> None:
        super().__init__()
        self.delay = 0.0
        """Seconds that each piece takes, either way."""
        self.bytes_per_second = 0.0
        """0: as many as come."""
        self.holds = False
        """Connections are taken and stay, and nothing comes through: a half-open line."""
        self.version = ""
        """What the server says its version is; empty for the truth."""
        self._server_port = server_port
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The server's address through this line, with the password."""
        return f"redis://:{URL_PASSWORD}@127.0.0.1:{self.port}/0"

    def heal(self) -> None:
        """Be a good line from now on. What was held back is lost: its connections are cut."""
        was_holding = self.holds
        self.delay = self.bytes_per_second = 0.0
        self.holds, self.version = False, ""
        if was_holding:
            self.cut()

    def cut(self) -> None:
        """End all connections."""

        def close() -> None:
            for writer in self._writers:
                writer.close()

        self.loop.call_soon_threadsafe(close)

    async def connect(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self._server_port)

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass(reader, writer, lambda data: data)

    async def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass(reader, writer, self._told)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError):
                while data := await reader.read(4096):
                    while self.holds:
                        await asyncio.sleep(0.05)
                    await self._slowly(len(data))
                    writer.write(change(data))
                    await writer.drain()
        finally:
            self._writers.discard(writer)

    def _slowly(self, size: int) -> Awaitable[None]:
        rate = size / self.bytes_per_second if self.bytes_per_second else 0.0
        return asyncio.sleep(self.delay + rate)

    def _told(self, data: bytes) -> bytes:
        """With another version of the same length, as the length of the whole has been told before."""
        if not self.version:
            return data

        def other(found: re.Match[bytes]) -> bytes:
            return found[1] + self.version.encode().ljust(len(found[2]), b"0")

        return re.sub(rb"((?:redis|valkey)_version:)([0-9.]+)", other, data)
