"""Who may ask: the token, and what keeps web pages in a browser on this machine from asking in its name."""

import hmac
import os
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.api.problems import ApiError
from app.listening import LOCAL_NAMES, is_from_here, name_of_host
from app.services.folders import clear_refusals
from tasks.errors import ServiceError
from tasks.settings import Settings

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Answered without a token: probes have none. They say nothing of documents."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def token_path(settings: Settings) -> Path:
    """Where the token is kept."""
    return settings.data_dir / "api.token"


def load_token(settings: Settings) -> str:
    """The token, made when first asked for.

    Raises:
        ServiceError: its file cannot be written or read, is open to others, or holds no token.
    """
    path = token_path(settings)
    with clear_refusals(settings.data_dir):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_token(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor) as file:
            is_private = os.fstat(descriptor).st_mode & 0o077 == 0
            token = file.read(1024).strip()
    if not is_private:
        raise ServiceError(f"{path} can be read by others.", f"Remove it; a new token is made: rm {path}")
    if len(token) < 32 or not token.isascii() or not token.isprintable():
        raise ServiceError(f"{path} holds no token.", f"Remove it; a new token is made: rm {path}")
    return token


def _make_token(path: Path) -> None:
    """Make the file if there is none. Of two that begin at once, one wins; never half a token is read."""
    if path.exists():
        return
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links: of two that begin at once, the last one wins
            new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    is_local: bool
    """A program on this machine, not one elsewhere behind a proxy here."""
    has_token: bool


class Access:
    """Decides whether a request is let in."""

    def __init__(self, settings: Settings, token: str, *, needs_token: bool) -> None:
        self._token = token.encode()
        self._needs_token = needs_token
        self._names = LOCAL_NAMES | {name.lower() for name in settings.api_hosts}

    def admit(self, method: str, path: str, headers: Headers, client: str) -> Caller:
        """Let a request in.

        Raises:
            ApiError: 401 without the token where it is needed, 403 from a foreign web page, 421 under a
                name that is not this machine's.
        """
        is_local = is_from_here(client, headers)
        has_token = self._has_token(headers)
        if not has_token and path not in OPEN_PATHS and (self._needs_token or not is_local):
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "This needs the token of the API.",
                "Send it as `Authorization: Bearer ...`; `./run.sh api --show-token` shows it.",
                {"WWW-Authenticate": 'Bearer realm="shoebox"'},
            )
        host = headers.get("host", "")
        if not has_token and is_local and name_of_host(host) not in self._names:
            # A web page whose name was made to point here (DNS rebinding) would otherwise read everything.
            raise ApiError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The API is not known under that name.",
                "Call it as 127.0.0.1 or localhost, name it in SHOEBOX_API_HOSTS, or send the token.",
            )
        if method not in _SAFE_METHODS:
            self._check_origin(headers, host)
        return Caller(is_local=is_local, has_token=has_token)

    def _has_token(self, headers: Headers) -> bool:
        """Whether the token was sent.

        Raises:
            ApiError: 401: another one was.
        """
        given = headers.get("authorization")
        if given is None:
            return False
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token):
            return True
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "This is not the token of the API.",
            "`./run.sh api --show-token` shows it.",
            {"WWW-Authenticate": 'Bearer realm="shoebox", error="invalid_token"'},
        )

    def _check_origin(self, headers: Headers, host: str) -> None:
        """Refuse what a page of another site has a browser send (cross-site request forgery)."""
        origin = headers.get("origin")
        is_foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if is_foreign or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise ApiError(
                HTTPStatus.FORBIDDEN,
                "A web page of another site may not change anything here.",
                "Call the API from a program, or from a page of the same address.",
            )
