"""Who may open the UI in a browser: whoever had the link, and no other page, user or machine.

Three things could otherwise read everything. A web page in the same browser can open a websocket to any
address of this machine, because browsers send those across sites without asking (cross-site websocket
hijacking), and textual-serve's own server looks at no Origin. A name that was made to point here makes such a
page one of the same site (DNS rebinding). And every other user of the machine reaches 127.0.0.1.
"""

import secrets

from aiohttp import web

from app.listening import is_secret
from app.web.page import notice

COOKIE = "shoebox_web"
_HERE = frozenset({"none", "same-origin"})
_NO_LINK = (
    "This needs a link.",
    "Open the link that `./run.sh web` printed last, whole. Each link is good for one browser.",
)


class Access:
    """Knows the link that opens the next browser, and the cookie that each opened browser has.

    Everything lies below `place`, a path that nobody can guess: cookies are sent to every port of an address
    (RFC 6265, 8.5), but not to other paths, so that no other user's server here is ever sent ours.
    """

    def __init__(self, host: str, port: int) -> None:
        self.place = f"/{secrets.token_urlsafe(16)}/"
        """The path of everything that is served, but for the page that takes the link."""
        self._secret = secrets.token_urlsafe(32)
        self._link = secrets.token_urlsafe(32)
        suffix = "" if port == 80 else f":{port}"
        literal = f"[{host}]" if ":" in host else host
        self._names = frozenset({f"{literal}{suffix}", f"localhost{suffix}"})
        self._base = f"http://{literal}{suffix}"

    @property
    def link(self) -> str:
        """What the user opens next: good for one browser."""
        return f"{self._base}/?token={self._link}"

    def name_of(self, request: web.Request) -> str:
        """The name under which we are called, if it is one of ours, else one of ours."""
        name = request.headers.get("Host", "").lower()
        return name if name in self._names else next(iter(self._names))

    def check(self, request: web.Request) -> None:
        """Let a request in, or not.

        Raises:
            web.HTTPException: 421 under a name that is not this machine's, 401 without the cookie, 403 from
                another site.
        """
        if request.headers.get("Host", "").lower() not in self._names:
            raise notice(
                web.HTTPMisdirectedRequest,
                "The UI is not known under that name.",
                "Open the link as it was printed; through a tunnel, with the same port at both ends."
                f" It begins with {self._base}/",
            )
        if request.path == "/":  # where the link is taken; it may be clicked anywhere
            return
        if not is_secret(request.cookies.get(COOKIE, ""), self._secret):
            raise notice(web.HTTPUnauthorized, *_NO_LINK)
        if request.headers.get("Sec-Fetch-Site", "none") not in _HERE or not _is_own(request):
            raise notice(web.HTTPForbidden, "Another site may not do this.", "Open the printed link.")

    def admit(self, request: web.Request) -> web.Response:
        """Take the link: the browser is given the cookie and sent to the UI, and the link is used up.

        Raises:
            web.HTTPException: 401: it is none, or was used before.
        """
        if not is_secret(request.query.get("token", ""), self._link):
            raise notice(web.HTTPUnauthorized, *_NO_LINK)
        self._link = secrets.token_urlsafe(32)
        # A page that leads on, not a redirect: after a link that was clicked in another site's page a
        # browser sends a strict cookie only with a request that this site began.
        answer = web.Response(
            text="<!DOCTYPE html><title>Shoebox</title>"
            f'<meta http-equiv="refresh" content="0; url={self.place}">',
            content_type="text/html",
            charset="utf-8",
        )
        answer.set_cookie(COOKIE, self._secret, path=self.place, httponly=True, samesite="Strict")
        return answer


def _is_own(request: web.Request) -> bool:
    """Whether a page of ours asks. For a websocket a browser always says whose page it is."""
    origin = request.headers.get("Origin")
    if origin is None:
        return "Upgrade" not in request.headers
    return origin.lower() == f"http://{request.headers['Host'].lower()}"
