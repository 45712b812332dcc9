"""Who may ask the review server anything: the person who was given the link, from its own pages, and nobody else.

A server on 127.0.0.1 is within reach of every web page that this person has open and of every user of the machine. The
link's token is good for one use and is exchanged for a cookie that scripts cannot read and other sites do not send. The
Host is checked, since a foreign name can be made to resolve to 127.0.0.1 (DNS rebinding). What changes anything also needs
this server's Origin and a header that no form can set.

Cookies are not kept apart by port: another server on this machine that the person opens as 127.0.0.1 is sent it too.
"""

import hmac
import secrets
import threading

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-T15-Review"
"""Has to be sent, as `1`, with whatever changes anything."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ASK_AGAIN = "Stop `t15 review` and start it again: it prints a new link.\n"


class Guard:
    """Lets through what is allowed to pass, and gives every answer the headers that browsers protect with.

    Attributes:
        token: what the link carries; None once it was used.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.token: str | None = token
        self._app = app
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie = f"t15-review-{port}"
        self._session = secrets.token_urlsafe(32)
        self._spending = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on (ASGI)."""
        if scope["type"] != "http":  # there is no route for anything else
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (self._answer(Request(scope)) or self._app)(scope, receive, guarded)

    def _answer(self, request: Request) -> Response | None:
        """Return how a request is refused, or its token taken; None where it may pass."""
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return _refused("This server answers to 127.0.0.1 and localhost alone.\n")
        known = _equal(request.cookies.get(self._cookie, ""), self._session)
        if request.method == "GET" and request.url.path == "/" and "token" in request.query_params:
            return self._exchange(request.query_params["token"], known=known)
        if not known:
            return _refused(f"This browser was not given the link. {_ASK_AGAIN}")
        if request.method not in ("GET", "HEAD") and not _is_own(request, host):
            return _refused("This request did not come from a page of t15.\n")
        return None

    def _exchange(self, token: str, *, known: bool) -> Response:
        with self._spending:
            fits = self.token is not None and _equal(token, self.token)
            if fits:
                self.token = None
        if not fits and not known:
            return _refused(f"This link was used already, or is none of this server's. {_ASK_AGAIN}")
        answer = RedirectResponse("/", status_code=303)
        if fits:
            answer.set_cookie(self._cookie, self._session, path="/", httponly=True, samesite="strict")
        return answer


def _is_own(request: Request, host: str) -> bool:
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    return origin == f"http://{host}" and site == "same-origin" and request.headers.get(HEADER) == "1"


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused(text: str) -> Response:
    return PlainTextResponse(text, status_code=403)
