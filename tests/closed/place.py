"""Making the closed place, and watching its only way out."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.system import ROOT

_HOOK = Path(__file__).parent / "hook" / "sitecustomize.py"
_PROGRAM = ("app", "tasks", "ollama", "pyproject.toml", ".requirements")
HOST, GATEWAY = "192.0.2.2", "192.0.2.1"
"""Of the interface that leads nowhere, and the router and name server behind it (RFC 5737)."""
_HOST6, _GATEWAY6 = "2001:db8::2", "2001:db8::1"
PROXY = f"http://{GATEWAY}:3128"
_ETH_P_ALL = 3
_IP, _IP6 = 0x0800, 0x86DD
_ICMP6 = 58
# Router and neighbour solicitations, group reports (RFC 4861, 2710, 3810): the kernel's own upkeep of a link.
_UPKEEP = {131, 132, 133, 135, 143}
_RESULT = "result: "


def cannot() -> str:
    """Why such a place cannot be made here, in words; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "Network namespaces are Linux's."
    for tool in ("unshare", "ip", "mount", "hostname"):
        if shutil.which(tool) is None:
            return f"There is no {tool} here: install util-linux, iproute2 and hostname."
    tried = subprocess.run(
        [*_unshare(), sys.executable, "-m", "tests.closed", "--probe"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    words = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return "" if tried.returncode == 0 else f"No closed network namespace can be made here ({words})."


def _unshare() -> list[str]:
    own = ["unshare", "--net", "--mount", "--uts"]
    return own if os.getuid() == 0 and _may_mount() else [*own, "--user", "--map-root-user"]


def _may_mount() -> bool:
    return _succeeds("unshare", "--net", "--mount", "true")


def run_inside(*arguments: str, timeout: float) -> dict[str, Any]:
    """Run `python -m tests.closed ARGUMENTS` in a closed place; returns the result that it printed.

    Raises:
        AssertionError: it failed; with what it printed.
    """
    command = [*_unshare(), sys.executable, "-m", "tests.closed", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(_RESULT)]
    if done.returncode != 0 or not lines:
        raise AssertionError(f"It ended with {done.returncode}.\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(_RESULT))
    return found


def print_result(found: Mapping[str, Any]) -> None:
    """What `run_inside` gives to its caller."""
    print(_RESULT + json.dumps(found), flush=True)


@dataclass
class Seen:
    """What was tried since the place was made, or since the last look."""

    packets: list[str] = field(default_factory=list)
    """Each packet that was to leave, in words."""
    notes: list[dict[str, Any]] = field(default_factory=list)
    """What Python processes tried, see hook/sitecustomize.py."""
    loaded: list[str] = field(default_factory=list)
    """The arguments of the Python processes that were watched so."""

    @property
    def targets(self) -> set[str]:
        """Whom the notes name."""
        return {note["target"] for note in self.notes}


class ClosedPlace:
    """The namespace that this process is in, once it has loopback and a link that leads nowhere.

    A link with a default route, a name server behind it and a machine's name that no file knows: so every
    attempt goes out as a packet, which is caught, instead of failing before it can be seen. Use it as a
    context manager.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checkout = folder / "checkout"
        self._notes = self._checkout / "notes.jsonl"
        self._packets: list[str] = []
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._copy_program()
        _do("ip", "link", "set", "lo", "up")
        _do("hostname", "a-name-that-no-file-knows")
        _cover(
            self._folder / "resolv.conf",
            f"nameserver {GATEWAY}\noptions timeout:1 attempts:1\n",
            "/etc/resolv.conf",
        )
        _cover(self._folder / "nsswitch.conf", "hosts: files dns\n", "/etc/nsswitch.conf")
        _cover(self._folder / "hosts", "127.0.0.1 localhost\n::1 localhost\n", "/etc/hosts")
        _link("out0")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.bind(("out0", _ETH_P_ALL))
        self._socket.settimeout(0.1)
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watching.join()
        self._socket.close()

    @property
    def environment(self) -> dict[str, str]:
        """For the processes in it: the hook, and proxies that nobody may use for what is on this machine."""
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), PROXY)
        return {
            **proxies,
            **{name.upper(): value for name, value in proxies.items()},
            "no_proxy": "",
            "NO_PROXY": "",
            "PYTHONPATH": f"{self._checkout}{os.pathsep}{ROOT}",
        }

    def look(self) -> Seen:
        """What was tried since the last look.

        A packet of our own is sent behind them, and waited for: what was sent before has been caught then.
        """
        mark = f"{len(self._packets)}".encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(mark, (GATEWAY, 9))
            sender = last.getsockname()[1]
        words = f"UDP to {GATEWAY} port 9 from port {sender}"
        while words not in self._packets:
            self._ended.wait(0.02)
        end = self._packets.index(words)
        packets, self._packets[: end + 1] = self._packets[:end], []
        lines = self._notes.read_bytes().splitlines() if self._notes.exists() else []
        self._notes.unlink(missing_ok=True)
        notes = [json.loads(line) for line in lines]
        loaded = {" ".join(note["loaded"][1:]) for note in notes if "loaded" in note}
        return Seen(packets, [note for note in notes if "event" in note], sorted(loaded))

    def _copy_program(self) -> None:
        """A copy of the program, the hook beside it: services take PYTHONPATH from where the program is."""
        self._checkout.mkdir()
        for name in _PROGRAM:
            source, target = ROOT / name, self._checkout / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, target)  # with its times, so that what is compiled stays valid
        shutil.copy2(_HOOK, self._checkout)

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                data, (_, kind, *_) = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            if words := _in_words(kind, data):
                self._packets.append(words)


def listeners() -> list[str]:
    """Addresses other than loopback that anything in this namespace listens on, as the kernel writes them."""
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A" and not local.startswith(("0100007F:", "00000000000000000000000001000000:")):
                found.append(f"{name} {local}")
    return found


def _in_words(kind: int, data: bytes) -> str:
    """A packet in words; empty for the kernel's own upkeep."""
    if kind == _IP and len(data) >= 20:
        start, protocol, target = (data[0] & 15) * 4, data[9], socket.inet_ntop(socket.AF_INET, data[16:20])
    elif kind == _IP6 and len(data) >= 40:
        start, protocol, target = 40, data[6], socket.inet_ntop(socket.AF_INET6, data[24:40])
        if protocol == 0 and len(data) > 48:  # hop-by-hop options, which group reports begin with
            start, protocol = 40 + 8 + data[41] * 8, data[40]
        if protocol == _ICMP6 and data[start] in _UPKEEP and target.startswith("ff02:"):
            return ""
    else:
        return f"a packet of kind {kind:#06x}"
    name = {6: "TCP", 17: "UDP"}.get(protocol)
    if name is None:
        return f"protocol {protocol} to {target}"
    sender, port = struct.unpack("!HH", data[start : start + 4])
    return f"{name} to {target} port {port} from port {sender}"


def _link(name: str) -> None:
    """An interface with addresses and default routes that leads nowhere.

    Raises:
        RuntimeError: the kernel has neither kind.
    """
    kinds = (("dummy",), ("veth", "peer", "name", "nowhere"))
    if not any(_succeeds("ip", "link", "add", name, "type", *kind) for kind in kinds):
        raise RuntimeError("the kernel makes neither dummy nor veth interfaces")
    if _succeeds("ip", "link", "show", "nowhere"):
        _do("ip", "link", "set", "nowhere", "up")
    _do("ip", "link", "set", name, "arp", "off", "multicast", "off")
    _do("ip", "addr", "add", f"{HOST}/24", "dev", name)
    _do("ip", "link", "set", name, "up")
    _do("ip", "route", "add", "default", "via", GATEWAY, "dev", name)
    if Path("/proc/sys/net/ipv6").exists():
        _do("ip", "-6", "addr", "add", f"{_HOST6}/64", "dev", name, "nodad")
        _do("ip", "-6", "route", "add", "default", "via", _GATEWAY6, "dev", name)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _cover(file: Path, text: str, target: str) -> None:
    """Let this namespace see our own file in the place of one of the system's."""
    file.write_text(text)
    _do("mount", "--bind", str(file), target)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
