"""What every server of t15 on 127.0.0.1 checks of a request, and says to browsers with every answer.

Such a server is within reach of every web page that the user has open. The Host is checked with its port, since a foreign
name can be made to resolve to 127.0.0.1 (DNS rebinding): Starlette's TrustedHostMiddleware leaves the port out.
"""

from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class HostCheck:
    """Lets through what `refusal` allows, and gives every answer the headers that browsers protect with (ASGI)."""

    policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    """The Content-Security-Policy."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":  # there is no route for anything else
            await self._app(scope, receive, send)
        else:
            await self.answer(scope, receive, send)

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Answer an HTTP request, or pass it on; `before` is awaited when an answer begins."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS | {"Content-Security-Policy": self.policy})
                headers.setdefault("Cache-Control", "no-store")
                if before:
                    await before()
            await send(message)

        await (self.refusal(Request(scope)) or self._app)(scope, receive, guarded)

    def is_own_host(self, request: Request) -> bool:
        """Return whether the request names this server."""
        return request.headers.get("host", "") in self._hosts

    def refusal(self, request: Request) -> Response | None:
        """Return how a request is refused; None where it may pass."""
        raise NotImplementedError


def is_cross_site(request: Request, *, silent: bool) -> bool:
    """Return whether a page of another site sent this; `silent` lets pass who does not say, as programs do not.

    Browsers say it with every POST to another site.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    own = f"http://{request.headers.get('host', '')}"
    return site != "same-origin" or not (origin == own or (silent and origin is None))
