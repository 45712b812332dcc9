"""The server's addresses: the page, the API, and its description."""

import json
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from benchmark.serving.app_state import Desk
from benchmark.serving.host_check import Guard
from benchmark.serving.limits import STATUS, RefusedError
from benchmark.serving.schemas import ModelFacts, Predictions, Problem
from benchmark.serving.uploads import FIELD, receive_photo
from collector.images.decode import FORMATS
from collector.web.templates import environment

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
            digest=desk.answerer.digest,
            cities=[city.name for city in about.cities],
            limits=desk.limits,
            accept=",".join(f"image/{name.lower()}" for name in FORMATS),
            formats=", ".join(FORMATS),
            port=port,
            version=version("t15"),
            settings=json.dumps({"threshold": about.certainty.threshold, "largest": desk.limits.body}),
        )
    )
