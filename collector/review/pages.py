"""The review's pages: what they say of photos, alone and in groups, and templates in which every value is text."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse

from collector.catalogue.files import Files
from collector.curating.text_leaks import from_evidence
from collector.records import City
from collector.regions import fold
from collector.review import decisions, listing
from collector.review.decisions import STAGE, Entry, history
from collector.review.listing import FLAG_STAGES
from collector.web.markdown import environment
from collector.workspace import Workspace

VERDICT_WORDS = {"keep": "Kept", "reject": "Rejected", "wrong-city": "Wrong city"}
_LONGEST = 300  # characters of a title or a name that are shown; there are longer ones


def render(template: str, **values: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(**values)


def stylesheet() -> str:
    """Return the style of all pages."""
    return (files("collector.review") / "static" / "review.css").read_text(encoding="utf-8")


def history_lines(entries: Sequence[Entry], names: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a photo's history for reading, the newest first: who, what, when."""
    by_number = {entry.entry: entry for entry in entries}
    lines = []
    for entry in reversed(entries):
        undone = by_number.get(entry.undoes or 0)
        what = _words(entry, names) if undone is None else f"Took back: {_words(undone, names)}"
        lines.append({"reviewer": entry.reviewer, "what": what, "at": moment(entry.at)})
    return lines


def _words(entry: Entry, names: Mapping[str, str]) -> str:
    return verdict_words(entry.verdict, entry.right_city, names)


def verdict_words(verdict: str | None, right_city: str | None, names: Mapping[str, str]) -> str:
    """Return a verdict as it is shown: `Wrong city: Bursa`."""
    words = VERDICT_WORDS.get(verdict or "", verdict or "")
    return f"{words}: {names.get(right_city, right_city)}" if right_city else words


def moment(at: str | None) -> str:
    """Return an ISO 8601 time of UTC as it is shown: `2026-03-01 14:05 UTC`; empty for none."""
    return f"{at[:16].replace('T', ' ')} UTC" if at else ""


@cache
def _environment() -> Environment:
    pages = environment("collector.review")
    pages.filters.update(short=_short, query=_query, moment=moment, thousands=_thousands)
    pages.globals.update(history_lines=history_lines, verdict_words=verdict_words)
    return pages


def _short(text: str | None) -> str:
    text = (text or "").strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _query(values: Mapping[str, object]) -> str:
    """Return values as the query of an address; empty ones are left out."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")}, errors="replace")


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


GROUP_KINDS = {"duplicates": "duplicate", "conflicts": "conflict"}
"""Kinds of groups, as addresses name them, and the verdict of `dedup` that makes them."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every request needs: the workspace, who reviews, and the clock (UTC)."""

    workspace: Workspace
    reviewer: str
    now: Callable[[], datetime]


@dataclass
class View:
    """The catalogue during one request; what is asked of it is read once."""

    db: sqlite3.Connection
    desk: Desk

    @cached_property
    def cities(self) -> dict[str, City]:
        """The cities that photos were collected for, by slug."""
        return listing.known_cities(self.db)

    @cached_property
    def rows(self) -> list[listing.CityRow]:
        """The cities that there are photos of."""
        return listing.cities(self.db)

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of the cities by slug; a photo may be of a city that no region knows any more."""
        return {row.city: row.city for row in self.rows} | self.known_names

    @cached_property
    def known_names(self) -> dict[str, str]:
        """Names of the regions' cities by slug."""
        return {slug: city.name for slug, city in self.cities.items()}

    def page(self, template: str, city: str, **values: Any) -> HTMLResponse:
        """Return a page about a city, or about all of them where `city` is empty."""
        mine = [row for row in self.rows if city in ("", row.city)]
        counts = {kind: len(listing.group_keys(self.db, stages, city or None)) for kind, stages in GROUP_KINDS.items()}
        text = render(
            template,
            city=city,
            rows=self.rows,
            names=self.names,
            cities=sorted(self.known_names.items(), key=lambda item: fold(item[1])),
            reviewer=self.desk.reviewer,
            note=listing.note(self.db),
            decided=sum(row.decided for row in mine),
            total=sum(row.photos for row in mine),
            group_counts=counts,
            next_city=listing.next_with_work(self.rows, city),
            **values,
        )
        return HTMLResponse(text)


@contextmanager
def viewing(request: Request) -> Iterator[View]:
    """Open the catalogue for a request.

    Raises:
        T15Error: as `decisions.connected` does.
    """
    desk: Desk = request.app.state.desk
    with decisions.connected(desk.workspace.catalogue) as db:
        yield View(db, desk)


LARGEST_GROUP = 48
"""Members of a group that are shown; a folder may hold a thousand copies of one file."""

_SHOWN = (
    *("photo_id", "city", "latitude", "longitude", "taken_at", "author_name", "license", "page_url", "title", "width"),
    *("height", "sha256"),
)


@dataclass(frozen=True, slots=True)
class Box:
    """A line of text that was read in a picture, and where: shares of its width and height. The text is hostile."""

    text: str
    left: float
    top: float
    width: float
    height: float
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of one photo. Titles, names, ids and addresses are hostile text.

    Attributes:
        photo: the columns of its row that are in `_SHOWN`.
        verdict, right_city, reviewer: the decision that stands; None where nobody decided.
        objections: stage and verdict of the stages that left it out.
        flags: name and score, the highest first.
        history: every decision, the oldest first.
        distances: how far it is from the kept photo of its group; empty outside of groups.
        path: of its file, below the folder that it was collected from; None for photos of services.
        boxes: of the text that was read in it.
        reasons: flag and what it was concluded from, in words.
        suggestion: slug of the city that its pixels rather speak for; None where none was suggested.
        language: of the text that was read in it, ISO 639-1; None where there is too little of it.
    """

    photo: Mapping[str, Any]
    verdict: str | None
    right_city: str | None
    reviewer: str | None
    objections: tuple[tuple[str, str], ...]
    flags: tuple[tuple[str, float], ...]
    history: tuple[Entry, ...]
    distances: str = ""
    path: str | None = None
    boxes: tuple[Box, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    suggestion: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Photos that show the same picture, the kept one first; `more` are not shown."""

    group_id: str
    cards: tuple[Card, ...]
    more: int


def cards_of(db: sqlite3.Connection, ids: Sequence[str], distances: Mapping[str, str] | None = None) -> list[Card]:
    """Return what is to be shown of photos, in the order of `ids`; those that are not there (any more) are left out."""
    marks = ", ".join("?" * len(ids))
    query = f"SELECT {', '.join(_SHOWN)} FROM photos WHERE state = 'downloaded' AND photo_id IN ({marks})"  # noqa: S608
    photos = {row[0]: dict(zip(_SHOWN, row, strict=True)) for row in db.execute(query, tuple(ids))}
    facts_of = {photo_id: _Facts() for photo_id in photos}
    query = f"SELECT photo_id, stage, verdict, evidence FROM decisions WHERE photo_id IN ({marks}) ORDER BY stage"  # noqa: S608
    for photo_id, stage, verdict, evidence in db.execute(query, tuple(ids)):
        if photo_id in facts_of:
            facts_of[photo_id].take(stage, verdict, _object(evidence))
    entries = history(db, photos)
    return [
        Card(
            photo=photos[photo_id],
            verdict=facts.verdict,
            right_city=facts.evidence.get("right_city"),
            reviewer=facts.evidence.get("reviewer"),
            objections=tuple(facts.objections),
            flags=tuple(sorted(facts.flags.items(), key=lambda item: (-item[1], item[0]))),
            history=tuple(entries[photo_id]),
            distances=(distances or {}).get(photo_id, ""),
            path=Files(db).path_of(photo_id),
            boxes=tuple(facts.boxes),
            reasons=tuple(facts.reasons),
            suggestion=facts.suggestion,
            language=facts.language,
        )
        for photo_id in dict.fromkeys(ids)
        if (facts := facts_of.get(photo_id))
    ]


@dataclass
class _Facts:
    verdict: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    objections: list[tuple[str, str]] = field(default_factory=list)
    flags: dict[str, float] = field(default_factory=dict)
    boxes: list[Box] = field(default_factory=list)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    suggestion: str | None = None
    language: str | None = None

    def take(self, stage: str, verdict: str, evidence: Mapping[str, Any]) -> None:
        if stage == STAGE:
            self.verdict, self.evidence = verdict, evidence
            return
        if verdict != "keep":
            self.objections.append((stage, verdict))
        if stage in FLAG_STAGES:
            for name, score in evidence.items():
                if type(score) in (int, float) and 0 < score <= 1:
                    self.flags[name] = max(score, self.flags.get(name, 0.0))
            self.boxes += _boxes(evidence)
            self.reasons += _reasons(evidence)
            thinks = evidence.get("thinks")
            self.suggestion = thinks if isinstance(thinks, str) else self.suggestion
            language = evidence.get("language")
            self.language = language if isinstance(language, str) else self.language


def _boxes(evidence: Mapping[str, Any]) -> Iterator[Box]:
    """Yield the lines of text that were read in a picture, those with a flag marked; the catalogue may be anybody's."""
    why = evidence.get("why")
    flagged = {
        position
        for of in (why.values() if isinstance(why, dict) else ())
        if isinstance(of, dict) and isinstance(of.get("lines"), list)
        for position in of["lines"]
        if isinstance(position, int)
    }
    for position, line in enumerate(from_evidence(evidence.get("lines"))):
        left, top, right, bottom = (min(max(share, 0.0), 1.0) for share in line.box)
        yield Box(line.text, left, top, max(right - left, 0.0), max(bottom - top, 0.0), position in flagged)


def _reasons(evidence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield flag and what it was concluded from, of what stages keep below `why`."""
    why = evidence.get("why")
    for flag, of in (why if isinstance(why, dict) else {}).items():
        if not isinstance(of, dict):
            continue
        found = of.get("found")
        named = map(str, found) if isinstance(found, list) else (f"{name}: {value}" for name, value in of.items())
        yield str(flag), "; ".join(named)


def groups_of(db: sqlite3.Connection, ids: Sequence[str]) -> list[Group]:
    """Return groups of `dedup` with their photos and distances: the kept photo first, then the nearest."""
    query = (
        "SELECT found.group_id, found.photo_id, found.evidence FROM decisions found "  # noqa: S608 (marks)
        "JOIN photos ON photos.photo_id = found.photo_id WHERE found.stage = 'dedup' AND photos.state = 'downloaded' "
        f"AND found.group_id IN ({', '.join('?' * len(ids))})"
    )
    members: dict[str, dict[str, dict[str, Any]]] = {group_id: {} for group_id in ids}
    for group_id, photo_id, evidence in db.execute(query, tuple(ids)):
        members[group_id][photo_id] = _object(evidence)
    return [_group(db, group_id, members[group_id]) for group_id in ids]


def _group(db: sqlite3.Connection, group_id: str, members: Mapping[str, Mapping[str, Any]]) -> Group:
    order = sorted(_nearness(group_id, photo_id, evidence) for photo_id, evidence in members.items())
    distances = {photo_id: distances_text(evidence) for photo_id, evidence in members.items() if photo_id != group_id}
    shown = cards_of(db, [photo_id for *_, photo_id in order[:LARGEST_GROUP]], distances)
    return Group(group_id, tuple(shown), len(order) - len(shown))


def _nearness(group_id: str, photo_id: str, evidence: Mapping[str, Any]) -> tuple[bool, bool, int, int, str]:
    phash, dhash = (evidence.get(name) for name in ("phash_distance", "dhash_distance"))
    far = 65  # more than the 64 bits there are
    return (
        photo_id != group_id,
        not evidence.get("same_bytes"),
        phash if isinstance(phash, int) else far,
        dhash if isinstance(dhash, int) else far,
        photo_id,
    )


def distances_text(evidence: Mapping[str, Any]) -> str:
    """Return what a member of a group of copies differs by, as stored evidence says it; what is damaged is left out."""
    if evidence.get("same_bytes"):
        return "same bytes"
    named = (("pHash", "phash_distance"), ("dHash", "dhash_distance"))
    parts = [f"{title} {evidence[name]}" for title, name in named if isinstance(evidence.get(name), int)]
    closer = evidence.get("closer_look")
    if isinstance(closer, dict) and isinstance(closer.get("share"), float):
        parts.append(f"{closer['share']:.0%} alike")
    return ", ".join([*parts, *["mirrored"] * bool(evidence.get("mirrored")), *_deep_words(evidence.get("deep"))])


def _deep_words(deep: object) -> Iterator[str]:
    """Yield what vectors and pixels say of a copy that hashes miss; the catalogue may be anybody's."""
    if not isinstance(deep, dict):
        return
    if isinstance(deep.get("cosine"), float):
        yield f"vectors {deep['cosine']:.2f}"
    if isinstance(turns := deep.get("quarter_turns"), int) and turns % 4:
        yield f"turned by {90 * (turns % 4)}°"
    aligned = deep.get("aligned")
    if isinstance(aligned, dict) and isinstance(aligned.get("inliers"), int):
        yield f"{aligned['inliers']} features laid over each other"


def _object(text: str) -> dict[str, Any]:
    """Return evidence, or nothing where it is not what the catalogue writes."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
