"""`t15 serve` on 127.0.0.1: who may ask, how much work is taken on at a time, the page, the API and their description.

A browser's POST has to come from the server's own page. Programs on this machine need no token: what they can ask for is an
answer about a photo that they have.
"""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, closing, contextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from benchmark.predicting.answer import Answerer, Result
from benchmark.predicting.drawing import data_uri
from benchmark.predicting.formats import doubts, model_facts, record
from benchmark.predicting.heatmap import METHODS
from benchmark.predicting.page import density_svg, heat_layer, map_credit, map_svg, neighbour_record
from benchmark.predicting.read_image import Source
from benchmark.serving.decoding import Decoder
from benchmark.serving.limits import STATUS, Limits, Rate, RefusedError
from benchmark.serving.schemas import ModelFacts, Predictions, Problem
from benchmark.serving.uploads import FIELD, Upload, receive_photo
from collector.images.decode import FORMATS, quiet_decoders
from collector.web.local_server import HostCheck, bound, is_cross_site, served, wait
from collector.web.markdown import environment
from collector.workspace import Workspace

_HEAT = 480  # pixels of the longer side; browsers make it as large as the photo
_SOON = {"Retry-After": "1"}


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
            return _refusal("foreign-host", "this server answers to 127.0.0.1 and localhost alone")
        if request.method not in ("GET", "HEAD") and is_cross_site(request, silent=True):
            return _refusal("foreign-origin", "a page of another site may not ask this server")
        return None


def _refusal(code: str, reason: str) -> Response:
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


class Desk:
    """Answers about photos, a bounded number at a time.

    Attributes:
        answerer: the model.
        facts: what goes with its answers.
        workspace: where training photos lie, for their thumbnails.
        limits: of the server.
    """

    def __init__(self, answerer: Answerer, workspace: Workspace, limits: Limits) -> None:
        self.answerer = answerer
        self.facts = model_facts(answerer.about, answerer.digest)
        self.workspace = workspace
        self.limits = limits
        self._rate = Rate(limits.per_second, limits.burst)
        self._taken_in = 0
        self._decoders = [Decoder(limits) for _ in range(limits.decoders)]
        self._free = list(self._decoders)
        self._slots = asyncio.Semaphore(limits.decoders)
        self._asking = asyncio.Lock()

    def close(self) -> None:
        """End the decoders."""
        for decoder in self._decoders:
            decoder.close()

    @asynccontextmanager
    async def admitted(self, client: str) -> AsyncIterator[None]:
        """Hold a place for a photo of this client.

        Raises:
            RefusedError: there is none free, or the client sent too many lately; Retry-After says when to come again.
        """
        if self._taken_in >= self.limits.at_once:
            raise RefusedError("busy", f"{self._taken_in} photos are being answered already; try again soon", _SOON)
        if wait := self._rate.wait(client):
            reason = f"more than {self.limits.per_second:g} photos a second; try again in {wait} s"
            raise RefusedError("too-many-requests", reason, {"Retry-After": str(wait)})
        self._taken_in += 1
        try:
            yield
        finally:
            self._taken_in -= 1

    async def told(self, upload: Upload, *, explain: bool) -> dict[str, Any]:
        """Return what `t15 predict --json` would say of a photo; with `explain` also why.

        Raises:
            RefusedError: it cannot be decoded.
        """
        # A slot is kept until the answer is there, so that few decoded photos wait for the model.
        async with self._slots:
            decoder = self._free.pop()
            try:
                image = await asyncio.to_thread(decoder.decode, upload.data, self.answerer.side)
            finally:
                self._free.append(decoder)
            known = await asyncio.to_thread(self.answerer.training_photo, Source(upload.name, data=bytes(upload.data)))
            upload.data.clear()
            async with self._asking:
                answer = self._explained if explain else self._answered
                answered = await asyncio.to_thread(answer, upload.name, image, known)
        return {"model": self.facts, "photos": [answered]}

    def _answered(self, name: str, image: Image.Image, known: str | None) -> dict[str, Any]:
        return record(Result(Source(name), self.answerer.answer([image])[0]), training_photo=known)

    def _explained(self, name: str, image: Image.Image, known: str | None) -> dict[str, Any]:
        explanation = self.answerer.explain(image)
        names = {city.slug: city.name for city in self.answerer.about.cities}
        scale = _HEAT / max(image.size)
        size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
        heat = {
            "image": data_uri(heat_layer(explanation.heat, size), "PNG"),
            "method": METHODS[explanation.heat_method],
            "strength": explanation.strength,
        }
        near = [neighbour_record(one, names, self.workspace) for one in explanation.neighbours]
        on_map = {
            "svg": map_svg(explanation.answer),
            "credit": map_credit(explanation.answer),
            "density": density_svg(explanation.answer, explanation.neighbours),
        }
        return record(Result(Source(name), explanation.answer), training_photo=known) | {
            "explanation": {"heat": heat, "map": on_map, "neighbours": near}
        }


DRAINED, DRAINING = 32 << 20, 10.0  # bytes and seconds


_STATIC = {"serve.css": "text/css", "serve.js": "text/javascript", "icon.svg": "image/svg+xml"}
_OF_STATUS = {404: ("not-found", "there is no such address"), 405: ("method-not-allowed", "this address takes {}")}
_PREDICTS = (400, 403, 408, 413, 415, 422, 429, 500, 503)
_PHOTO = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _PHOTO}}},
        "application/octet-stream": {"schema": _PHOTO},
        "image/*": {"schema": _PHOTO},
    },
}


def make_app(desk: Desk, port: int) -> FastAPI:
    """Return the server's application (ASGI) for this port of 127.0.0.1."""
    app = FastAPI(
        title="t15",
        summary="In which city was this photograph taken?",
        version=version("t15"),
        docs_url=None,  # these two pages load their scripts from a CDN
        redoc_url=None,
        middleware=[Middleware(Guard, port=port)],
        exception_handlers={
            RefusedError: _refused,
            HTTPException: _other,
            RequestValidationError: _malformed,
            Exception: _failed,
        },
    )
    hidden: dict[str, Any] = {"methods": ["GET"], "include_in_schema": False}
    app.add_api_route("/", _page(desk, port), **hidden)
    app.add_api_route("/static/{name}", _static, **hidden)
    app.add_api_route(
        "/api/v1/model", _model(desk), methods=["GET"], response_model=ModelFacts, responses=_problems(403, 500)
    )
    app.add_api_route(
        "/api/v1/predict",
        _predict(desk),
        methods=["POST"],
        response_model=Predictions,
        responses=_problems(*_PREDICTS),
        openapi_extra={"requestBody": _BODY},
    )
    return app


def _page(desk: Desk, port: int) -> Callable[..., Any]:
    text = _page_of(desk, port)

    async def page() -> HTMLResponse:
        return HTMLResponse(text)

    return page


async def _static(name: str) -> Response:
    if name not in _STATIC:
        raise HTTPException(404)
    content = (files("benchmark.serving") / "static" / name).read_bytes()
    return Response(content, media_type=_STATIC[name])


def _model(desk: Desk) -> Callable[..., Any]:
    async def model() -> Response:
        """Say which model answers, what it learnt from, and what it may be used for."""
        return JSONResponse(desk.facts)

    return model


def _predict(desk: Desk) -> Callable[..., Any]:
    async def predict(
        request: Request,
        explain: Annotated[bool, Query(description="Say also why: heat map, map, similar training photos.")] = False,
    ) -> Response:
        """Say in which city a photo was taken. It is kept nowhere, and what its file says of itself is not looked at."""
        client = request.client.host if request.client else ""
        async with desk.admitted(client):
            upload = await receive_photo(request, desk.limits)
            return JSONResponse(await desk.told(upload, explain=explain))

    return predict


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {
            "model": Problem,
            "description": " or ".join(code for code, of in STATUS.items() if of == status),
            **({"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def _answer(error: RefusedError) -> Response:
    return JSONResponse(error.body, error.status, headers=error.headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 (that is what it is registered for)
    return _answer(error)


async def _other(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses: unknown addresses, wrong methods."""
    status, headers = getattr(error, "status_code", 500), dict(getattr(error, "headers", None) or {})
    code, reason = _OF_STATUS.get(status, ("bad-request" if status < 500 else "failed", "the request is malformed"))
    return _answer(
        RefusedError(code, reason.format(headers.get("allow") or headers.get("Allow", "another method")), headers)
    )


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (that is what it is registered for)
    first = error.errors()[0]
    return _answer(RefusedError("bad-request", f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))


async def _failed(_: Request, __: Exception) -> Response:
    """Answer after a defect, whose traceback the server prints."""
    return _answer(RefusedError("failed", "t15 failed on this photo; its terminal says how"))


def _page_of(desk: Desk, port: int) -> str:
    """Return the page that photos are dropped on; what a model file says of itself is text in it, whatever it holds."""
    about = desk.answerer.about
    return (
        environment("benchmark.serving")
        .get_template("serve.html.jinja")
        .render(
            about=about,
            doubt=doubts(desk.facts),
            digest=desk.answerer.digest,
            cities=[city.name for city in about.cities],
            limits=desk.limits,
            accept=",".join(f"image/{name.lower()}" for name in (*FORMATS, "HEIC", "HEIF")),
            formats=", ".join(FORMATS),
            port=port,
            version=version("t15"),
            settings=json.dumps({"threshold": about.certainty.threshold, "largest": desk.limits.body}),
        )
    )


_BACKLOG = 1024  # connections that wait to be accepted; where more come at once, some are reset
_FILES = 4096  # open at a time, connections among them; shells often give 1024, too few for a thousand uploads at once


def serve(
    answerer: Answerer,
    workspace: Workspace,
    port: int = 0,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    *,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve a model until Ctrl-C, after saying where.

    Args:
        answerer, workspace, port, limits: as for `serving`.
        open_browser: open the page in the user's browser.
        say: prints a text.
        stop: ends it too.

    Raises:
        UsageError: as `serving` does.
    """
    _allow_files()
    with serving(answerer, workspace, port, limits) as url:
        say(f"{answerer.about.title} answers on {url}\nPhotos are kept nowhere. Ctrl-C ends it.")
        wait(url, open_browser=open_browser, say=say, stop=stop)


@contextmanager
def serving(
    answerer: Answerer,
    workspace: Workspace,
    port: int = 0,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[str]:
    """Serve a model until the context ends, and yield the page's address.

    Args:
        answerer: the model.
        workspace: where training photos lie, for their thumbnails; it need not exist.
        port: 0 for any that is free.
        limits: of photos and of work.

    Raises:
        UsageError: the port is taken or forbidden.
    """
    with bound(port, "serve") as listening, closing(Desk(answerer, workspace, limits)) as desk, quiet_decoders():
        port = listening.getsockname()[1]
        with served(make_app(desk, port), listening, _BACKLOG):
            yield f"http://127.0.0.1:{port}/"


def _allow_files() -> None:
    if sys.platform == "win32":
        return  # it sets no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (hard, resource.RLIM_INFINITY) and soft < _FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (_FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES), hard)
        )
