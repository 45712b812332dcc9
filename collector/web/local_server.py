"""A server on 127.0.0.1 for one user of this machine: what it checks of a request, bound, served beside the work, stopped.

Such a server is within reach of every web page that the user has open. The Host is checked with its port, since a foreign
name can be made to resolve to 127.0.0.1 (DNS rebinding): Starlette's TrustedHostMiddleware leaves the port out.
"""

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.errors import UsageError
from collector.web.browser import open_page

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


@contextmanager
def bound(port: int, command: str) -> Iterator[socket.socket]:
    """Give a listening socket on 127.0.0.1, so that its number is known before anything is made for it.

    Args:
        port: 0 for any that is free.
        command: whose option `--port` it is.

    Raises:
        UsageError: the port is taken or forbidden.
    """
    # The protocol is named, since asyncio turns Nagle's algorithm off for sockets alone that say they are TCP; with it, each
    # answer on a connection that is kept waits 40 ms for an acknowledgement (seen with 60 thumbnails).
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "is no port"
            raise UsageError(f"{command}: port {port}: {reason}; choose another with --port, or 0 for any") from error
        yield listening


@contextmanager
def served(app: ASGIApp, listening: socket.socket, backlog: int = 100) -> Iterator[None]:
    """Serve an application until the context ends; `backlog` connections may wait to be accepted."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,  # would write tokens down
        server_header=False,
        proxy_headers=False,  # uvicorn else believes X-Forwarded-For of anybody on this machine
        timeout_graceful_shutdown=2,
        backlog=backlog,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="local server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def wait(url: str, *, open_browser: bool, say: Callable[[str], None], stop: threading.Event | None) -> None:
    """Wait for Ctrl-C, or for `stop`; with `open_browser` the user's browser is shown the page first."""
    if open_browser:
        open_page(url, say)
    try:
        (stop or threading.Event()).wait()
    except KeyboardInterrupt:
        say("")
