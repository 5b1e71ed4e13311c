"""Who may look at Flower, and that nobody does more.

Flower's own checks leave out two of its pages, and its way to be used without a password lets every web page
read it (`Access-Control-Allow-Origin: *`). So each request is judged here, before Flower sees it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from app.listening import LOCAL_NAMES, is_from_here, is_secret, name_of_host

USER = "shoebox"
"""With the API's token as the password."""
_LOOKING = frozenset({"GET", "HEAD"})
_TABLE = "/tasks/datatable"
"""The table of tasks asks for its rows by POST, which changes nothing either."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request is not let in."""

    status: HTTPStatus
    words: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides whether a request is let in."""

    token: str
    needs_token: bool
    """Also from programs on this machine."""

    def denial(self, method: str, path: str, headers: Mapping[str, str], client: str) -> Denial | None:
        """None for a request that is let in. `headers` finds names in any case."""
        is_local = is_from_here(client, headers)
        has_token = self._has_token(headers.get("Authorization", ""))
        if not has_token and (self.needs_token or not is_local):
            return Denial(
                HTTPStatus.UNAUTHORIZED,
                f"This needs the user {USER} with the token that `./run.sh api --show-token` shows.",
            )
        if not has_token and name_of_host(headers.get("Host", "")) not in LOCAL_NAMES:
            # A web page whose name was made to point here (DNS rebinding) would otherwise read everything.
            return Denial(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Flower is not known under that name. Call it as 127.0.0.1 or localhost, or send the token.",
            )
        if method not in _LOOKING and (method, path) != ("POST", _TABLE):
            return Denial(
                HTTPStatus.FORBIDDEN,
                "Flower only shows here: it sends and revokes no tasks, and workers take no orders from it.",
            )
        return None

    def _has_token(self, given: str) -> bool:
        scheme, _, rest = given.partition(" ")
        if scheme.lower() == "bearer":
            return is_secret(rest.strip(), self.token)
        if scheme.lower() != "basic":
            return False
        try:
            said = base64.b64decode(rest.strip(), validate=True).decode()
        except ValueError:
            return False
        return is_secret(said, f"{USER}:{self.token}")
