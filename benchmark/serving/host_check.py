"""Who may ask the server, and what every answer says to browsers.

A server on 127.0.0.1 is within reach of every web page that the user has open. The Host is checked, since a foreign name can
be made to resolve to 127.0.0.1 (DNS rebinding); a browser's POST has to come from the server's own page. Programs on this
machine need no token: what they can ask for is an answer about a photo that they have.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmark.serving.refusals import RefusedError

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_DRAINED, _DRAINING = 32 << 20, 10.0  # bytes and seconds


class Guard:
    """Lets through what may pass, and gives every answer the headers that browsers protect with (ASGI)."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":  # there is no route for anything else
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                await body.drain()
            await send(message)

        refused = self._refusal(Request(scope))
        answer = JSONResponse(refused.body, refused.status) if refused else self._app
        await answer(scope, body.receive, guarded)

    def _refusal(self, request: Request) -> RefusedError | None:
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return RefusedError("foreign-host", "this server answers to 127.0.0.1 and localhost alone")
        if request.method in ("GET", "HEAD"):
            return None
        # Browsers send both with every POST to another site; programs send neither.
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
        if origin not in (None, f"http://{host}") or site != "same-origin":
            return RefusedError("foreign-origin", "a page of another site may not ask this server")
        return None


class _Body:
    """A request's body, of which the rest is thrown away before an answer is given.

    A connection that is closed while bytes come in is reset, and the client may never read why it was refused (RFC 9112,
    section 9.6). uvicorn reads on by itself only where the connection is to be kept.
    """

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive) -> None:
        self._receive = receive
        self._begun = False
        headers = Request(scope).headers
        self._more = "content-length" in headers or "transfer-encoding" in headers
        self._asks_first = headers.get("expect", "").lower() == "100-continue"

    async def receive(self) -> Message:
        """Return the next message of the request."""
        self._begun = True
        message = await self._receive()
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read on to the end, within bounds; not where the client waits for a go-ahead before it sends anything."""
        if self._asks_first and not self._begun:
            return
        left = _DRAINED
        try:
            async with asyncio.timeout(_DRAINING):
                while self._more and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return
