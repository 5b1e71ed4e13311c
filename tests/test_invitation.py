"""What `invite` tells somebody to type on another machine."""

import shlex
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.invitation import TUNNEL_PORT, invitation
from tasks.broker_url import redis_config_path, redis_socket
from tasks.errors import ServiceError
from tasks.settings import Settings

SECRET = "0123456789abcdef" * 4


def own(tmp_path: Path, port: int = 0) -> Settings:
    """Settings of a home whose embedded Redis is up."""
    settings = Settings(data_dir=tmp_path / "data", redis_port=port)
    redis_config_path(settings).parent.mkdir(parents=True)
    redis_config_path(settings).write_text(f'requirepass "{SECRET}"\n')
    redis_socket(settings).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings


def commands(text: str) -> list[list[str]]:
    """The lines that are to be typed, as a shell takes them apart."""
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


@pytest.fixture(autouse=True)
def _sockets_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_the_embedded_redis_is_reached_through_a_tunnel(tmp_path: Path) -> None:
    settings = own(tmp_path)

    here, there, start = commands(invitation(settings))

    way = f"127.0.0.1:{TUNNEL_PORT}:{redis_socket(settings)}"
    assert here[-3:] == ["-R", way, "USER@OTHER-MACHINE"]
    assert there[-3:] == ["-L", way, "USER@THIS-MACHINE"]
    assert start == [f"SHOEBOX_REDIS_URL=redis://:PASSWORD@127.0.0.1:{TUNNEL_PORT}/0", "./run.sh", "worker"]


def test_a_port_of_the_embedded_redis_is_used(tmp_path: Path) -> None:
    here, *_ = commands(invitation(own(tmp_path, port=7777)))

    assert here[-2] == f"127.0.0.1:{TUNNEL_PORT}:127.0.0.1:7777"


def test_the_password_is_printed_only_when_asked_for(tmp_path: Path) -> None:
    settings = own(tmp_path)

    assert SECRET not in invitation(settings)
    assert "--show-password" in invitation(settings)
    *_, start = commands(invitation(settings, show_password=True))
    assert start[0] == f"SHOEBOX_REDIS_URL=redis://:{SECRET}@127.0.0.1:{TUNNEL_PORT}/0"


def test_a_home_that_is_not_up_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"\./run\.sh up"):
        invitation(Settings(data_dir=tmp_path / "none"))


@pytest.mark.parametrize(
    ("url", "address", "tunnel", "note"),
    [
        ("redis://:s3cret@nas:6379/1", "redis://:PASSWORD@nas:6379/1", "", "unencrypted"),
        (
            "rediss://me:s3cret@nas:6380/0?ssl_ca_certs=/ca.pem",
            "rediss://me:PASSWORD@nas:6380/0?ssl_ca_certs=/ca.pem",
            "",
            "files that the address names",
        ),
        ("redis://nas", "redis://nas", "", "asks for no password"),
        (
            "redis://:s3cret@localhost/3",
            f"redis://:PASSWORD@127.0.0.1:{TUNNEL_PORT}/3",
            "127.0.0.1:6379",
            "",
        ),
        ("redis://:s3cret@[::1]:7/3", f"redis://:PASSWORD@127.0.0.1:{TUNNEL_PORT}/3", "[::1]:7", ""),
        (
            "unix://:s3cret@/run/my%20redis?db=2",
            f"redis://:PASSWORD@127.0.0.1:{TUNNEL_PORT}/2",
            "/run/my redis",
            "",
        ),
    ],
)
def test_a_redis_of_ones_own(tmp_path: Path, url: str, address: str, tunnel: str, note: str) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=SecretStr(url))

    text = invitation(settings)

    *forwards, start = commands(text)
    assert start[0] == f"SHOEBOX_REDIS_URL={address}"
    assert [line[-2] for line in forwards] == ([f"127.0.0.1:{TUNNEL_PORT}:{tunnel}"] * 2 if tunnel else [])
    assert note in text
    assert "s3cret" not in text
