"""Who may call the HTTP API: the token, names and origins, and what a stranger's connection may cost."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner

from app.api import serving
from app.api.access import load_token, token_path
from app.api.application import create_app
from app.commands.serving import api as command
from app.listening import bound_socket, is_loopback
from tasks.errors import ServiceError
from tasks.settings import Settings, get_settings
from tests.api import BEARER, ELSEWHERE, TOKEN, api_client
from tests.system import ROOT


def test_the_token_is_made_once_and_is_private(settings: Settings) -> None:
    token = load_token(settings)
    assert load_token(settings) == token and len(token) >= 43
    assert token_path(settings).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["api.token"]
    token_path(settings).chmod(0o644)
    with pytest.raises(ServiceError, match="can be read by others"):
        load_token(settings)
    token_path(settings).chmod(0o600)
    token_path(settings).write_text("short\n")
    with pytest.raises(ServiceError, match="holds no token"):
        load_token(settings)


def test_the_command_shows_the_token() -> None:
    shown = CliRunner().invoke(command, ["--show-token"], catch_exceptions=False)
    assert shown.output.strip() == load_token(get_settings())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_which_addresses_are_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_on_this_machine_names_and_origins_are_looked_at(settings: Settings) -> None:
    named = settings.model_copy(update={"api_hosts": ("Shoebox.Home",)})
    with api_client(named) as api:
        for host in ("127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "shoebox.home:80"):
            assert api.get("/documents", headers={"Host": host}).status_code == 200, host
        for host in ("evil.example:8765", "127.0.0.1.evil.example", "evil.example#localhost", "", "[::2]"):
            answer = api.get("/documents", headers={"Host": host})
            assert answer.status_code == 421, host
            assert answer.headers["content-type"] == "application/problem+json"
        assert api.get("/health", headers={"Host": "evil.example"}).status_code == 421
        assert api.get("/documents", headers={"Host": "evil.example"} | BEARER).status_code == 200


def test_no_page_of_another_site_changes_anything(settings: Settings) -> None:
    with api_client(settings) as api:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:9999"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            refused = api.post("/documents?name=a.txt", content=b"x", headers=headers)
            assert refused.status_code == 403, headers
            assert api.get("/documents", headers=headers).status_code == 200
        own = {"Origin": "http://127.0.0.1:8765", "Sec-Fetch-Site": "same-origin"}
        assert api.post("/documents?name=a.txt", content=b"x", headers=own).status_code == 202
        assert "access-control-allow-origin" not in api.get("/documents", headers=own).headers


def test_the_token_is_needed_off_this_machine_and_where_it_is_demanded(settings: Settings) -> None:
    with api_client(settings, client=ELSEWHERE) as api:
        assert api.get("/documents").status_code == 401
        assert api.get("/openapi.json").status_code == 401
        assert api.get("/health").status_code == 200
        assert api.get("/ready").status_code == 503
        assert api.get("/documents", headers=BEARER).status_code == 200
    with api_client(settings, needs_token=True) as api:
        refused = api.get("/documents")
        assert refused.status_code == 401 and "Bearer" in refused.headers["WWW-Authenticate"]
        for wrong in (
            "Bearer x",
            "Basic dDp0",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Token {TOKEN}",
            "Bearer \xff",
        ):
            assert (
                api.get("/documents", headers={"Authorization": wrong.encode("latin-1")}).status_code == 401
            )
        assert api.get("/documents", headers=BEARER).status_code == 200


def test_a_client_behind_a_proxy_here_is_not_taken_for_this_machine(settings: Settings) -> None:
    with api_client(settings) as api:
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            headers = {name: "127.0.0.1"}
            assert api.get("/documents", headers=headers).status_code == 401, name
            answer = api.post("/documents", json={"path": "/etc/hostname"}, headers=headers | BEARER)
            assert answer.status_code == 403, name


def test_neither_the_token_nor_what_is_looked_for_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with api_client(settings) as api:
        api.get("/search?q=my+illness", headers=BEARER)
        api.get("/documents", headers={"Authorization": "Bearer wrong-secret"})
        api.get("/nothing%1b[31m")
    # The client in this process logs what it asks, too.
    text = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith("httpx"))
    assert "GET /search 200" in text and "GET /nothing\\x1b[31m 404" in text
    assert not any(word in text for word in ("illness", TOKEN, "wrong-secret", "\x1b"))


def test_requests_beyond_a_number_are_turned_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.gate.MAX_REQUESTS", 0)
    with api_client(settings) as api:
        answer = api.get("/health")
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "2"


def test_followers_beyond_a_number_are_turned_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.sse.MAX_FOLLOWING", 0)
    with api_client(settings) as api:
        assert api.get("/events").status_code == 503
        assert api.post("/classify", json={"text": "x"}, headers={"Prefer": "wait=9"}).status_code == 503
        assert api.post("/classify", json={"text": "x"}).status_code == 202


def test_no_other_command_loads_the_web_framework() -> None:
    code = (
        "import sys, app.cli\n"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'python_multipart'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_an_address_that_cannot_be_used_is_said() -> None:
    taken = bound_socket("127.0.0.1", 0)
    try:
        with pytest.raises(ServiceError, match="is taken by another program"):
            bound_socket("127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()
    with pytest.raises(ServiceError, match="is no address of this machine"):
        bound_socket("192.0.2.1", 8765)
    with pytest.raises(ServiceError, match="is no address"):
        bound_socket("no such host.invalid", 8765)


def test_a_data_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(ServiceError, match="in the way"):
        load_token(Settings(data_dir=in_the_way / "data"))


@pytest.fixture
def served(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A real server in a thread; its address."""
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.2)
    listener = bound_socket("127.0.0.1", 0)
    app = create_app(settings, TOKEN, needs_token=False)
    config = uvicorn.Config(
        app, http=serving.ImpatientProtocol, log_config=None, h11_max_incomplete_event_size=8_192
    )
    server = serving.DrainingServer(config, app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()


def _answer(address: tuple[str, int], request: bytes) -> bytes:
    """What a server says to these bytes, until it closes the connection."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def test_a_client_that_never_asks_is_not_waited_for(served: tuple[str, int]) -> None:
    assert _answer(served, b"") == b""
    assert _answer(served, b"GET /health HTTP/1.1\r\nHost: 127.0") == b""
    whole = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert _answer(served, whole).startswith(b"HTTP/1.1 200 OK")
    assert _answer(served, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000).startswith(b"HTTP/1.1 400")
    assert _answer(served, b"\x16\x03\x01 no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_nor_is_one_that_asks_once_and_then_dawdles(served: tuple[str, int]) -> None:
    with socket.create_connection(served, timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while b"alive" not in answer:
            answer += connection.recv(65_536)
        connection.sendall(b"GET /docu")
        assert connection.recv(65_536) == b""
