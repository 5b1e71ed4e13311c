"""Adds to /api/chat what the `ollama` package has no arguments for.

Imports httpx: import this module inside the functions that use it.
"""

import json

import httpx

FIELDS = {"truncate": False, "shift": False}
"""Seen on a real server, absent from its published schema.

By default Ollama cuts a prompt that is longer than the context: the system prompt and the document's
beginning are lost, with HTTP 200 and `done: true`. With `truncate` false that is an error with the numbers of
tokens. A reply that grows past the end of the context makes it forget the prompt's beginning; with `shift`
false the reply ends there, with `done_reason` length.
"""


class UntruncatedTransport(httpx.BaseTransport):
    """Amends the body of chat requests on their way; everything else passes as it is.

    The package hands its keyword arguments on to httpx, and a transport is httpx's own place for such things:
    nothing of the package is patched or copied.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass the request on."""
        if request.url.path.endswith("/api/chat"):
            body = json.loads(request.read()) | FIELDS
            headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"content-length"]
            request = httpx.Request(
                request.method, request.url, headers=headers, json=body, extensions=request.extensions
            )
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close the transport within."""
        self._inner.close()
