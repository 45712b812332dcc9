"""A page that explains an answer: one HTML file that loads nothing; what is seen where, a map, and what it resembles."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from benchmark.local.verification import PairVerifier
from benchmark.photos import Photos, WorkspacePhotos, given_photos
from benchmark.predicting.answer import Answer, Answerer, Candidate, Density, Explanation, Result
from benchmark.predicting.drawing import data_uri, matched
from benchmark.predicting.formats import ONLY_CITY, SHOWN, doubts, model_facts, place_text, record
from benchmark.predicting.heatmap import METHODS
from benchmark.predicting.neighbours import Credit, Neighbour
from benchmark.predicting.read_image import Source, read_photo, shown
from benchmark.retrieval.mixture import Mixture
from collector.errors import DataError, UsageError
from collector.geo import KM_PER_DEGREE
from collector.images.decode import decode
from collector.text_table import counted
from collector.web.maps import SOURCE, View, view_of
from collector.web.markdown import environment, link_address, plain
from collector.workspace import Workspace, storage_errors, write_atomically

_PHOTO, _THUMBNAIL = 720, 200  # pixels of the longer side
_PAIRS = 5  # photos of a gallery that a page draws beside the one asked about
_HOT = (214, 40, 20)
_DENSEST = 190  # of 255: the photo stays visible
_SAFE = re.compile(r"[^A-Za-z0-9_-]+")


def explained(
    answerer: Answerer, results: Iterable[Result], folder: Path, workspace: Workspace
) -> Iterator[dict[str, Any]]:
    """Yield each result as plain JSON; a page on each answered photo is written into the folder first.

    Raises:
        UsageError: the folder cannot be written to.
        IncompleteError: the disk is full.
    """
    _make(folder)
    pages: list[tuple[str, Source, Answer]] = []
    for number, result in enumerate(results, start=1):
        known = answerer.training_photo(result.source) if result.answer else None
        if result.answer is None:
            yield record(result)
            continue
        path = folder / page_name(number, result.source)
        explanation = answerer.explain(read_photo(result.source, answerer.side))
        with storage_errors(folder):
            write_atomically(path, as_html(answerer, result.source, explanation, workspace).encode())
        pages.append((path.name, result.source, result.answer))
        yield record(result, shown(str(path)), known)
    if pages:
        with storage_errors(folder):
            write_atomically(folder / "index.html", index_html(answerer, pages).encode())


def file_name(source: Source) -> str:
    """Return what a page calls a photo: its file's name, and nothing of where it lies on somebody's disk."""
    return source.name if source.path is None else shown(source.path.name)


def index_html(answerer: Answerer, pages: Sequence[tuple[str, Source, Answer]]) -> str:
    """Return the page that leads to the explanations: file name, answer and how sure it is, in the order of the photos."""
    rows = [
        {"page": page, "name": file_name(source), "best": answer.candidates[0], "none": answer.none_of_these}
        for page, source, answer in pages
    ]
    doubt = doubts(model_facts(answerer.about, answerer.digest))
    return (
        environment("benchmark.predicting")
        .get_template("explanations.html.jinja")
        .render(rows=rows, about=answerer.about, doubt=doubt, percent=_percent, counted=counted, only_city=ONLY_CITY)
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _make(folder: Path) -> None:
    with storage_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UsageError(f"{folder}: is a file; pages need a folder, choose another with --explain") from error


def page_name(number: int, source: Source) -> str:
    """Return a file name of small ASCII letters and digits, unique by its number."""
    stem = _SAFE.sub("-", Path(source.name).stem).strip("-")[:60]
    return f"{number:04d}-{stem or 'photo'}.html"


def as_html(answerer: Answerer, source: Source, explanation: Explanation, workspace: Workspace) -> str:
    """Return the page; names, titles and authors in it are text, whatever they hold."""
    photo = _smaller(read_photo(source, _PHOTO), _PHOTO)
    names = {city.slug: city.name for city in answerer.about.cities}
    near = [neighbour_record(one, names, workspace) for one in explanation.neighbours]
    verifier = getattr(answerer.predictor, "verifier", None)
    if isinstance(verifier, PairVerifier):
        asked, near = read_photo(source, answerer.side), near[:_PAIRS]
        found = zip(near, explanation.neighbours, strict=False)
        near = [{**shown_of, **_pair(asked, one.credit, verifier, workspace)} for shown_of, one in found]
    return (
        environment("benchmark.predicting")
        .get_template("explanation.html.jinja")
        .render(
            name=file_name(source),
            training_photo=plain(answerer.training_photo(source) or ""),
            answer=explanation.answer,
            best=explanation.answer.candidates[0],
            place=place_text(explanation.answer),
            about=answerer.about,
            doubt=doubts(model_facts(answerer.about, answerer.digest)),
            shown=SHOWN,
            percent=_percent,
            only_city=ONLY_CITY,
            photo=data_uri(photo, "JPEG", quality=85),
            heat=data_uri(heat_layer(explanation.heat, photo.size), "PNG"),
            heat_method=METHODS[explanation.heat_method],
            strength=explanation.strength,
            square=explanation.heat_method == "grad-cam",
            map=Markup(map_svg(explanation.answer)),  # noqa: S704 (its texts are escaped there)
            map_credit=map_credit(explanation.answer),
            density=Markup(density_svg(explanation.answer, explanation.neighbours)),  # noqa: S704
            voted=any(one.vote is not None for one in explanation.neighbours),
            near=near,
            paired=isinstance(verifier, PairVerifier),
        )
    )


def neighbour_record(neighbour: Neighbour, names: dict[str, str], workspace: Workspace) -> dict[str, Any]:
    """Return what a page says of a training photo; its texts are one line each, and hostile all the same: escape them.

    `names` are the cities' by slug; `url` is http or https, `thumbnail` a data URI, each empty where there is none.
    """
    credit = neighbour.credit
    return {
        "city": names.get(credit.city, plain(credit.city)),
        "distance": neighbour.distance,
        "vote": neighbour.vote,
        "title": plain(credit.title or ""),
        "author": plain(credit.author_name or ""),
        "licence": plain(credit.license),
        "photo_id": plain(credit.photo_id),
        "url": link_address(credit.page_url),
        "thumbnail": _thumbnail(credit, workspace),
    }


def _pair(asked: Image.Image, credit: Credit, verifier: PairVerifier, workspace: Workspace) -> dict[str, Any]:
    """Return a picture of a photo beside one of the gallery with what matches drawn, as a data URI, and how much matches.

    The picture is empty where the gallery's photo is not here, or where its service does not let its pixels be kept.
    """
    nothing = {"pair": "", "inliers": None}
    if not credit.kept or not re.fullmatch("[0-9a-f]{64}", credit.sha256):
        return nothing
    there = Photos((credit.photo_id,), (credit.sha256,), WorkspacePhotos(workspace))
    try:
        # No cache of pairs: nothing of a photo that somebody asks about stays.
        picture, inliers = matched([given_photos([asked]), there], replace(verifier, cache=None))
    except DataError:
        return nothing
    return {"pair": data_uri(picture, "JPEG", quality=80), "inliers": inliers}


def _thumbnail(credit: Credit, workspace: Workspace) -> str:
    """Return a training photo small, as a data URI; empty where the workspace does not hold it, or pixels may not be kept."""
    if not credit.kept or not re.fullmatch("[0-9a-f]{64}", credit.sha256):
        return ""
    try:
        return data_uri(_smaller(decode(workspace.photo(credit.sha256), _THUMBNAIL), _THUMBNAIL), "JPEG", quality=80)
    except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything; the credit is shown without it)
        return ""


def _smaller(image: Image.Image, side: int) -> Image.Image:
    image = image.copy()
    image.thumbnail((side, side))
    return image


def heat_layer(heat: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """Return heat (H, W) from 0 to 1 as one colour of varying density, RGBA, as large as the photo (width, height)."""
    density = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    layer = Image.new("RGBA", size, (*_HOT, 0))
    layer.putalpha(Image.fromarray((np.asarray(density).clip(0, 1) * _DENSEST).astype(np.uint8)))
    return layer


_WIDTH = 640.0
_NAMED = 5
_LETTER = 14.0  # units that a letter of a name takes on a phone, where the map is small and its letters large


def map_svg(answer: Answer) -> str:
    """Return the map as markup that is safe in a page; the five likeliest cities are named.

    An only city is in no question: its map is of the answered place, and names the city's centre.
    """
    view = _view(answer)
    only = _is_place_in_only_city(answer)
    # The likeliest are drawn last, on top.
    dots = "".join(_dot(one, view, 0.0 if only else one.probability) for one in reversed(answer.candidates))
    if only and answer.latitude is not None and answer.longitude is not None:
        x, y = view.at(answer.latitude, answer.longitude)
        dots += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6"><title>the answer</title></circle>'
    names = _names(answer.candidates[:_NAMED], view, shares=not only)
    circle = ""
    if answer.radius50_km is not None and answer.latitude is not None and answer.longitude is not None:
        circle = view.circle(answer.latitude, answer.longitude, answer.radius50_km, 'class="radius"')
    told = ", ".join(f"{one.name} {100 * one.probability:.1f} %" for one in answer.candidates[:_NAMED])
    told = f"the answered place in {answer.candidates[0].name}" if only else told
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {view.height:.0f}" role="img" aria-label="{escape(f"Map: {told}")}">'
        f'<g class="land">{view.land()}</g>{circle}<g class="dots">{dots}</g><g class="names">{names}</g></svg>'
    )


def map_credit(answer: Answer) -> str:
    """Return a sentence that says whose borders are on the map; empty where it shows none, as on the open sea."""
    return f"Borders: {SOURCE}." if _view(answer).has_borders() else ""


def _is_place_in_only_city(answer: Answer) -> bool:
    return len(answer.candidates) == 1 and answer.decimals is not None


def _view(answer: Answer) -> View:
    if _is_place_in_only_city(answer) and answer.latitude is not None and answer.longitude is not None:
        (city,) = answer.candidates
        around = 3 * (answer.radius_km or answer.radius50_km or 1.0) / KM_PER_DEGREE
        both = [(city.latitude, city.longitude), (answer.latitude, answer.longitude)]
        return view_of(both, _WIDTH, shape=(0.42, 0.875), narrowest=around)
    return view_of([(city.latitude, city.longitude) for city in answer.candidates], _WIDTH, shape=(0.42, 0.875))


def _dot(city: Candidate, view: View, share: float) -> str:
    x, y = view.at(city.latitude, city.longitude)
    radius = 2.5 + 26 * math.sqrt(share)
    said = escape(f"{city.name}: {100 * share:.1f} %" if share else f"the centre of {city.name}")
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{said}</title></circle>'


def _names(cities: Sequence[Candidate], view: View, *, shares: bool = True) -> str:
    """Return the names beside their dots, the likeliest first: at the side, above or below where there is room, else none."""
    placed: list[tuple[float, float, float, float]] = []
    names = []
    for city in cities:
        x, y = view.at(city.latitude, city.longitude)
        text = f"{city.name} {100 * city.probability:.0f} %" if shares else city.name
        width = _LETTER * len(text)
        for side in (1, -1) if x < 0.7 * _WIDTH else (-1, 1):
            for baseline in (y - 5, y + 20, y + 40):
                left = x + 6 if side > 0 else x - 6 - width
                box = (left, baseline - 20, left + width, baseline + 5)
                inside = left >= 0 and box[2] <= _WIDTH and box[1] >= 0 and box[3] <= view.height
                if inside and not any(_meet(box, other) for other in placed):
                    break
            else:
                continue
            placed.append(box)
            anchor = "start" if side > 0 else "end"
            names.append(
                f'<text x="{x + 6 * side:.1f}" y="{baseline:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
            )
            break
    return "".join(names)


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


_PIXELS = 160  # of the density's picture from west to east
_REGIONS = ((214, 40, 20, 150), (214, 40, 20, 70))  # inside the 50 % and the 90 % region


def density_svg(answer: Answer, neighbours: Sequence[Neighbour] = ()) -> str:
    """Return a map of the regions that hold the photo with a chance of 50 and 90 %, and of the photos that voted.

    It is empty where no density is stated.
    """
    density = answer.density
    if density is None:
        return ""
    places, spreads = density.places, density.places.spread_km
    if places.candidates is None or places.weights is None or spreads is None:
        return ""
    heavy = places.weights[0] >= 0.02 * places.weights[0].max()
    reach = 2.5 * spreads[0][heavy] / KM_PER_DEGREE
    centres = places.candidates[0][heavy]
    corners = [
        (float(np.clip(latitude + way * far, -90, 90)), float(longitude + way * far))
        for (latitude, longitude), far in zip(centres, reach, strict=True)
        for way in (-1, 1)
    ]
    view = view_of(corners, _WIDTH, shape=(0.42, 0.875), narrowest=0.02)
    picture = data_uri(_regions(density, view), "PNG")
    where = [(one.credit.latitude, one.credit.longitude) for one in neighbours]
    points = [
        view.at(latitude, longitude) for latitude, longitude in where if latitude is not None and longitude is not None
    ]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points if x <= _WIDTH and 0 <= y <= view.height
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {view.height:.0f}" role="img" aria-label="Where the photo may have been taken">'
        f'<g class="land">{view.land()}</g><image href="{picture}" width="{_WIDTH:.0f}" height="{view.height:.1f}" '
        f'preserveAspectRatio="none"/><g class="dots">{dots}</g>{_scale(view)}</svg>'
    )


def _regions(density: Density, view: View) -> Image.Image:
    """Return the two regions as a picture of a view, RGBA. A kernel narrower than a pixel is drawn as wide as one."""
    rows = max(1, round(_PIXELS * view.height / view.width))
    pixel_km = (view.north - view.south) / rows * KM_PER_DEGREE
    spreads = np.asarray(density.places.spread_km, np.float64)
    stated = Mixture.of(replace(density.places, spread_km=np.maximum(spreads, pixel_km)))
    layer = np.zeros((rows, _PIXELS, 4), np.uint8)
    if stated is not None:
        from_north = view.north - (np.arange(rows) + 0.5) / rows * (view.north - view.south)
        from_west = view.west + (np.arange(_PIXELS) + 0.5) / _PIXELS * (view.east - view.west)
        grid = np.stack(np.meshgrid(from_north, from_west, indexing="ij"), axis=-1).reshape(1, -1, 2)
        logs, draws = stated.log_density(grid)[0].reshape(rows, _PIXELS), stated.drawn(1024)
        for level, colour in ((density.level90, _REGIONS[1]), (density.level50, _REGIONS[0])):
            if level is not None:
                layer[logs >= draws.threshold(level)[0]] = colour
    return Image.fromarray(layer)


def _scale(view: View) -> str:
    """Return a bar of a round number of kilometres with its length beside it."""
    km, length = view.bar()
    y = view.height - 14
    return (
        f'<path class="scale" d="M14 {y - 4:.1f}V{y:.1f}H{14 + length:.1f}V{y - 4:.1f}" fill="none" '
        f'stroke="currentColor"/><text x="18" y="{y - 6:.1f}">{km:g} km</text>'
    )
