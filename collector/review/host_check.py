"""Who may ask the review server anything: the person who was given the link, from its own pages, and nobody else.

A server on 127.0.0.1 is within reach of every user of the machine, too. The link's token is good for one use and is
exchanged for a cookie that scripts cannot read and other sites do not send. What changes anything also needs this server's
Origin and a header that no form can set.

Cookies are not kept apart by port: another server on this machine that the person opens as 127.0.0.1 is sent it too.
"""

import hmac
import secrets
import threading

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from collector.web.host_check import HostCheck, is_cross_site

HEADER = "X-T15-Review"
"""Has to be sent, as `1`, with whatever changes anything."""

_ASK_AGAIN = "Stop `t15 review` and start it again: it prints a new link.\n"


class Guard(HostCheck):
    """Lets through the reviewer alone.

    Attributes:
        token: what the link carries; None once it was used.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        super().__init__(app, port)
        self.token: str | None = token
        self._cookie = f"t15-review-{port}"
        self._session = secrets.token_urlsafe(32)
        self._spending = threading.Lock()

    def refusal(self, request: Request) -> Response | None:
        """Return how a request is refused, or its token taken; None where it may pass."""
        if not self.is_own_host(request):
            return _refused("This server answers to 127.0.0.1 and localhost alone.\n")
        known = _equal(request.cookies.get(self._cookie, ""), self._session)
        if request.method == "GET" and request.url.path == "/" and "token" in request.query_params:
            return self._exchange(request.query_params["token"], known=known)
        if not known:
            return _refused(f"This browser was not given the link. {_ASK_AGAIN}")
        changes = request.method not in ("GET", "HEAD")
        if changes and (is_cross_site(request, silent=False) or request.headers.get(HEADER) != "1"):
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


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused(text: str) -> Response:
    return PlainTextResponse(text, status_code=403)
