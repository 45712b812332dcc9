"""The two addresses that change something: a decision, and taking one back."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from collector.review import decisions, listing
from collector.review.cards import cards
from collector.review.pages import history_lines, verdict_words
from collector.review.view import View, viewing

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
    card = next(iter(cards(view.db, [photo_id])), None)
    if card is None:  # withdrawn since: the decision went with it
        raise HTTPException(404, "This photo is not in the workspace any more.")
    city = str(card.photo["city"])
    return {
        "photo_id": photo_id,
        "verdict": card.verdict,
        "words": verdict_words(card.verdict, card.right_city, view.names),
        "reviewer": card.reviewer,
        "history": history_lines(card.history, view.names),
        "counts": listing.counts(view.db, city),
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
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The request is no JSON.") from error
    if not isinstance(found, dict):
        raise HTTPException(400, "The request is no JSON object.")
    return found


def _is_text(text: str) -> bool:
    """Return whether a text can be stored: JSON may hold halves of surrogate pairs."""
    return all(not 0xD800 <= ord(c) < 0xE000 for c in text)
