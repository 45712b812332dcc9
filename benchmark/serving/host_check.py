"""Who may ask the server: a browser's POST has to come from the server's own page.

Programs on this machine need no token: what they can ask for is an answer about a photo that they have.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from benchmark.serving.limits import RefusedError
from collector.web.host_check import HostCheck, is_cross_site

DRAINED, DRAINING = 32 << 20, 10.0  # bytes and seconds


class Guard(HostCheck):
    """Lets through what may pass, and reads what is refused to its end."""

    policy = (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Answer an HTTP request, or pass it on."""
        del before
        body = _Body(scope, receive)
        await super().answer(scope, body.receive, send, body.drain)

    def refusal(self, request: Request) -> Response | None:
        """Return how a request is refused; None where it may pass."""
        if not self.is_own_host(request):
            return _refused("foreign-host", "this server answers to 127.0.0.1 and localhost alone")
        if request.method not in ("GET", "HEAD") and is_cross_site(request, silent=True):
            return _refused("foreign-origin", "a page of another site may not ask this server")
        return None


def _refused(code: str, reason: str) -> Response:
    refused = RefusedError(code, reason)
    return JSONResponse(refused.body, refused.status)


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
        left = DRAINED
        try:
            async with asyncio.timeout(DRAINING):
                while self._more and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return
