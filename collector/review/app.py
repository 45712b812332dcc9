"""`t15 review`: its server on 127.0.0.1, the addresses, and who may ask them: the person who was given the link, alone.

A server on 127.0.0.1 is within reach of every user of the machine, too. The link's token is good for one use and is
exchanged for a cookie that scripts cannot read and other sites do not send. What changes anything also needs this server's
Origin and a header that no form can set.

Cookies are not kept apart by port: another server on this machine that the person opens as 127.0.0.1 is sent it too.
"""

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from collector.errors import T15Error
from collector.images.decode import quiet_decoders
from collector.images.derivatives import LARGE, THUMBNAIL, CannotShowError, placeholder, rendition
from collector.review import decisions, listing
from collector.review.pages import (
    GROUP_KINDS,
    Desk,
    View,
    cards_of,
    groups_of,
    history_lines,
    render,
    verdict_words,
    viewing,
)
from collector.review.places import MOST_ZOOM, Placed, plot
from collector.web.local_server import HostCheck, bound, is_cross_site, served, wait
from collector.workspace import Workspace

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
            return _refused(f"This link was already used, or belongs to another session. {_ASK_AGAIN}")
        answer = RedirectResponse("/", status_code=303)
        if fits:
            answer.set_cookie(self._cookie, self._session, path="/", httponly=True, samesite="strict")
        return answer


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused(text: str) -> Response:
    return PlainTextResponse(text, status_code=403)


_STATUS: dict[type[Exception], int] = {decisions.UnknownPhotoError: 404, decisions.SameCityError: 400}
_PAGES = ("/", "/photos", "/groups", "/map")
_STATIC = {"review.css": "text/css", "review.js": "text/javascript", "icon.svg": "image/svg+xml"}


def make_app(desk: Desk, port: int, token: str) -> Starlette:
    """Return the server's application (ASGI); `port` and `token` are what the guard checks."""
    app = Starlette(
        routes=[
            Route("/", _overview),
            Route("/photos", _photos),
            Route("/groups", _groups),
            Route("/map", _map),
            Route("/thumbnail", _thumbnail),
            Route("/picture", _picture),
            Route("/static/{name}", _static),
            Route("/decide", decide, methods=["POST"]),
            Route("/undo", undo, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, port=port, token=token)],
        exception_handlers={HTTPException: _explain, T15Error: _explain},
    )
    app.state.desk = desk
    return app


def _explain(request: Request, error: Exception) -> Response:
    """Answer with an error's one line."""
    if isinstance(error, HTTPException):
        status, text = error.status_code, str(error.detail)
    else:
        status, text = _STATUS.get(type(error), 503), str(error)
    if request.method == "POST":
        return JSONResponse({"error": text}, status)
    if request.url.path in _PAGES:
        return HTMLResponse(render("error.html", text=text), status)
    return PlainTextResponse(text, status)


def _city(request: Request, view: View, *, required: bool = True) -> str:
    city = request.query_params.get("city", "")
    if (city or required) and city not in {row.city for row in view.rows}:
        raise HTTPException(404, f"There is no photo of a city {city[:100]!r} in this workspace.")
    return city


def _list_place(request: Request) -> listing.Place:
    asked = request.query_params
    at = asked.get("at", "0")
    position = int(at) if at.isascii() and at.isdigit() and len(at) < 10 else 0
    return listing.Place(asked.get("after", ""), asked.get("before", ""), position)


def _overview(request: Request) -> Response:
    with viewing(request) as view:
        return view.page("overview.html", "", here="")


def _photos(request: Request) -> Response:
    with viewing(request) as view:
        city = _city(request, view, required=False)
        chosen = request.query_params.get("filter", "all")
        offered = listing.choices(view.db, city)
        if chosen not in {choice.name for choice in offered} and not chosen.startswith("flag:"):
            raise HTTPException(404, f"There is no filter {chosen[:100]!r}.")
        page = listing.page_of(listing.keys(view.db, city, chosen), _list_place(request))
        cards = cards_of(view.db, page.ids)
        return view.page("photos.html", city, here="photos", chosen=chosen, choices=offered, page=page, cards=cards)


def _groups(request: Request) -> Response:
    with viewing(request) as view:
        city = _city(request, view, required=False)
        kind = request.query_params.get("kind", "duplicates")
        if kind not in GROUP_KINDS:
            raise HTTPException(404, f"There are no groups of the kind {kind[:100]!r}.")
        keys = listing.group_keys(view.db, GROUP_KINDS[kind], city or None)
        page = listing.page_of(keys, _list_place(request), listing.GROUPS_PAGE)
        return view.page("groups.html", city, here=kind, kind=kind, page=page, groups=groups_of(view.db, page.ids))


def _map(request: Request) -> Response:
    with viewing(request) as view:
        city = _city(request, view)
        query = (
            "SELECT photos.photo_id, latitude, longitude, said.verdict FROM photos LEFT JOIN decisions said ON "
            "said.stage = 'review' AND said.photo_id = photos.photo_id WHERE state = 'downloaded' AND city = ?"
        )
        asked = request.query_params.get("zoom", "0")
        zoom = min(MOST_ZOOM, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 3 else 0
        drawn = plot([Placed(*row) for row in view.db.execute(query, (city,))], view.cities.get(city), zoom)
        name = request.query_params.get("spot", "")
        ids = next((spot.photo_ids for spot in drawn.spots if spot.name == name), ())
        if name == "beyond":
            ids = drawn.beyond
        cards = cards_of(view.db, ids[: listing.PAGE])
        return view.page(
            "map.html",
            city,
            here="map",
            plot=drawn,
            spot=name,
            cards=cards,
            more=len(ids) - len(cards),
            zoom=zoom,
            most_zoom=MOST_ZOOM,
        )


def _thumbnail(request: Request) -> Response:
    return _rendition(request, THUMBNAIL)


def _picture(request: Request) -> Response:
    return _rendition(request, LARGE)


def _rendition(request: Request, side: int) -> Response:
    desk: Desk = request.app.state.desk
    with decisions.connected(desk.workspace.catalogue) as db:
        query = "SELECT sha256 FROM photos WHERE photo_id = ? AND state = 'downloaded'"
        row = db.execute(query, (request.query_params.get("id", ""),)).fetchone()
    if row is None:
        raise HTTPException(404, "There is no such photo.")
    # Asked for again each time, since a photo may be withdrawn; what the browser still has is not sent again.
    tag = f'"{row[0]}-{side}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        return Response(rendition(desk.workspace, str(row[0]), side), media_type="image/jpeg", headers=headers)
    except CannotShowError as error:
        return Response(placeholder(str(error)), media_type="image/svg+xml")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404, "There is no such file.")
    content = (files("collector.review") / "static" / name).read_bytes()
    return Response(content, media_type=_STATIC[name])


_LONGEST_BODY = 64 << 10  # bytes


async def decide(request: Request) -> Response:
    """Save what the reviewer says of a photo, and answer with what is known of it now."""
    body = await _body(request)
    return await run_in_threadpool(_save, request, body)


def _save(request: Request, body: Mapping[str, Any]) -> Response:
    photo_id, verdict, right_city = (body.get(name) for name in ("photo_id", "verdict", "right_city"))
    if not isinstance(photo_id, str) or not _is_text(photo_id) or verdict not in decisions.VERDICTS:
        raise HTTPException(400, f"A decision has a photo_id, and one of the verdicts {', '.join(decisions.VERDICTS)}.")
    with viewing(request) as view:
        if right_city is not None and not (
            isinstance(right_city, str) and verdict == "wrong-city" and right_city in view.cities
        ):
            raise HTTPException(
                400, "The right city goes with the verdict wrong-city, and is one of the cities known here."
            )
        before = decisions.decide(view.db, photo_id, verdict, view.desk.reviewer, view.desk.now(), right_city)
        replaced = None
        if before and before.reviewer != view.desk.reviewer:
            words = verdict_words(before.verdict, before.right_city, view.names)
            replaced = {"reviewer": before.reviewer, "what": words}
        return JSONResponse({"photo": _state(view, photo_id), "replaced": replaced})


async def undo(request: Request) -> Response:
    """Take the reviewer's newest decision back, and answer with the photo that it was about."""
    await _body(request)
    return await run_in_threadpool(_take_back, request)


def _take_back(request: Request) -> Response:
    with viewing(request) as view:
        undone = decisions.undo(view.db, view.desk.reviewer, view.desk.now())
        if undone is None:
            return JSONResponse({"photo": None, "undone": None})
        words = verdict_words(undone.verdict, undone.right_city, view.names)
        return JSONResponse({"photo": _state(view, undone.photo_id), "undone": words})


def _state(view: View, photo_id: str) -> dict[str, Any]:
    """Return what a page has to show anew of a photo after a decision."""
    card = next(iter(cards_of(view.db, [photo_id])), None)
    if card is None:  # withdrawn since: the decision went with it
        raise HTTPException(404, "This photo is not in the workspace any more.")
    city = str(card.photo["city"])
    return {
        "photo_id": photo_id,
        "verdict": card.verdict,
        "words": verdict_words(card.verdict, card.right_city, view.names),
        "reviewer": card.reviewer,
        "history": history_lines(card.history, view.names),
        "counts": {of: listing.counts(view.db, of) for of in (city, "")},
        "progress": {city: decisions.progress(view.db, city), "": decisions.progress(view.db)},
    }


async def _body(request: Request) -> Mapping[str, Any]:
    """Return the JSON object that a request carries.

    Raises:
        HTTPException: it carries something else, or more than any page of t15 sends.
    """
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _LONGEST_BODY:
            raise HTTPException(413, "The request is too long.")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The request is no JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "The request is no JSON object.")
    return value


def _is_text(text: str) -> bool:
    """Return whether a text can be stored: JSON may hold halves of surrogate pairs."""
    return all(not 0xD800 <= ord(c) < 0xE000 for c in text)


def review(
    workspace: Workspace,
    reviewer: str | None = None,
    port: int = 0,
    *,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve the review until Ctrl-C, after saying where.

    Args:
        workspace, port: as for `serving`.
        reviewer: in whose name decisions are made; the login name when None.
        open_browser: open the link in the user's browser, on whose command line other users of the machine may read it.
        say: prints a text.
        stop: ends it too.

    Raises:
        T15Error: as `serving` does.
    """
    reviewer = decisions.reviewer_name(reviewer)
    with serving(workspace, reviewer, port) as url:
        say(f"Reviewing as {reviewer}: {url}\nThe link is good for one use, in one browser. Ctrl-C ends the review.")
        wait(url, open_browser=open_browser, say=say, stop=stop)


@contextmanager
def serving(
    workspace: Workspace,
    reviewer: str,
    port: int = 0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[str]:
    """Serve the review of a workspace until the context ends, and yield the link, whose token is good for one use.

    Args:
        workspace: with a catalogue.
        reviewer: in whose name decisions are made.
        port: 0 for any that is free.
        now: the time, UTC.

    Raises:
        UsageError: there is no catalogue, the name is none, or the port is taken or forbidden.
        DataError: the catalogue is damaged, or of a newer t15.
        IncompleteError: another process changes the catalogue for longer than ten seconds.
    """
    desk = Desk(workspace, decisions.reviewer_name(reviewer), now)
    # Held open all the time: SQLite removes the write-ahead log when the last connection closes, and a request that opens
    # the file at that moment would fail.
    with decisions.opened(workspace), bound(port, "review") as listening, quiet_decoders():
        token, port = secrets.token_urlsafe(32), listening.getsockname()[1]
        with served(make_app(desk, port, token), listening):
            yield f"http://127.0.0.1:{port}/?token={token}"
