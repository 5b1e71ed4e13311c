"""Replacing what names people, places and files by placeholders that stay the same within a support file.

What gets in is chosen by form: numbers, the program's own words, ids. Searching for names comes on top, for
what stands where nobody expects it.
"""

import getpass
import os
import re
import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from tasks.logs.secrets import masked

_SHORTEST = 3
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://[^\s\"'<>)]+")
_PATH = re.compile(r"(?<![\w<./-])(?:~|\.{0,2})/(?!/)[^\s:;,\"'<>()]+")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


class Redactor:
    """Placeholders such as `<file-1>`, by kind and in the order in which things are met."""

    def __init__(self) -> None:
        self._placeholders: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}
        self._known: list[tuple[str, str]] = []
        self.clean = lru_cache(maxsize=20_000)(self._clean)

    def placeholder(self, kind: str, text: str) -> str:
        """The placeholder of a text; always the same one."""
        found = self._placeholders.get((kind, text))
        if found is None:
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            found = self._placeholders[kind, text] = f"<{kind}-{number}>"
        return found

    def know(self, kind: str, texts: Iterable[str]) -> None:
        """Replace these texts wherever they stand. Very short ones would be found in every word."""
        shortest = 1 if kind == "host" else _SHORTEST
        new = {(text, kind) for text in texts if len(text) >= shortest and text not in _LOOPBACK}
        self._known = sorted({*self._known, *new}, key=lambda pair: (-len(pair[0]), pair))
        self.clean.cache_clear()

    def know_machine(self, data_dir: Path) -> None:
        """Replace the names of this machine and its user, and their folders."""
        host = socket.gethostname()
        self.know("host", (host, host.partition(".")[0]))
        users = {os.environ.get("USER", ""), os.environ.get("LOGNAME", ""), _user_name()} - {"root"}
        self.know("user", users)
        self.know("folder", [str(data_dir), str(Path.home())])

    def _clean(self, text: str) -> str:
        """A text of the program's with everything replaced that is found."""
        text = masked(text)
        text = _URL.sub(lambda found: f"{found[1]}://{self.placeholder('address', found[0])}", text)
        for known, kind in self._known:
            if known in text:
                text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", self.placeholder(kind, known), text)
        text = _EMAIL.sub(lambda found: self.placeholder("email", found[0]), text)
        text = _PATH.sub(self._path, text)
        for form in (_IPV4, _IPV6):
            text = form.sub(lambda found: self._address(found[0]), text)
        return text

    def _path(self, found: re.Match[str]) -> str:
        return found[0] if found[0] == "./run.sh" else self.placeholder("path", found[0])

    def _address(self, text: str) -> str:
        try:
            address = ip_address(text)
        except ValueError:
            return text
        return text if address.is_loopback or address.is_unspecified else self.placeholder("ip", text)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for the number
        return ""
