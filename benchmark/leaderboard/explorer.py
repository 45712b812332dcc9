"""One page of a manifest's test photos and what each run said of them: it loads nothing, and opens from a folder.

Pictures are shown small, and only where the photo's licence and its service's terms allow to pass them on; Street View's
never are. What strangers wrote (titles, names) is data in the page, and is put into it as text.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from benchmark import results
from benchmark.derivations import places_from_labels, places_from_ranking
from benchmark.leaderboard.pooled import require_folds, whole_of
from benchmark.leaderboard.rows import UNRANKED
from benchmark.leaderboard.table import aligned, group_of, line_of, no_runs, section_of, title_of
from benchmark.predictions import Predictions
from benchmark.results import Run
from benchmark.scoring.answers import answers_of
from benchmark.scoring.metrics import CONVENTION
from benchmark.scoring.truth import Truth
from collector.errors import UsageError
from collector.images.decode import decode, quiet_decoders
from collector.licences import licence
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.records import UNKNOWN_LICENCE, Photo, provider_of
from collector.web.maps import SOURCE, View, view_of
from collector.web.markdown import environment, link_address, plain
from collector.workspace import Workspace

SIDE = 96
"""Pixels of the longer side of a picture."""

MOST_RUNS = 30
_ANYWAY = "`t15 explore --private` shows them, on a page to keep to yourself"
_MAP = 960.0  # units from west to east


@dataclass(frozen=True)
class Explorer:
    """A page, and what was left out of it.

    Attributes:
        html: the page.
        photos, runs: how many are on it.
        pictures: photos that are shown as such.
        unshown: photos whose picture is not shown, by reason.
        left_out: titles of runs that did not find room, or lack a fold.
    """

    html: str
    photos: int
    runs: int
    pictures: int
    unshown: dict[str, int]
    left_out: list[str]


@dataclass(frozen=True)
class _Column:
    """What a run said of all photos."""

    run: Run
    labels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    km: NDArray[np.float64]
    places: NDArray[np.float64]


def explorer(
    manifests: Sequence[Manifest],
    workspace: Workspace,
    level: str = "city",
    side: int = SIDE,
    track: Track = silent,
    *,
    private: bool = False,
) -> Explorer:
    """Return the page of a manifest's test photos, or of all photos of the folds of a cross-validation, with each run.

    Of runs that differ by their seed alone the first seed is shown.

    Args:
        manifests: one, or all folds of one data set.
        workspace: where the runs lie, and the photos.
        level: of the labels.
        side: pixels of the longer side of a picture; 0 shows none.
        track: shows progress.
        private: pictures of any licence are shown, for a page kept to oneself; none that its service lets nobody keep.

    Raises:
        UsageError: there is no run, or several manifests are no folds of one.
        DataError: a run does not fit its manifest.
    """
    if len(manifests) > 1:
        require_folds(manifests, manifests[0].header.name)
    truths = [Truth.of(manifest, level=level) for manifest in manifests]
    photos = _photos(manifests, truths)
    columns, left_out = _columns(manifests, truths, workspace.runs, level)
    if not columns:
        raise UsageError(no_runs(workspace.runs, manifests, level, ["t15", "bench", "--all"]))
    pictures, unshown = _pictures(photos, manifests[0], workspace, side, track, private=private)
    placed = any(photo.latitude is not None and photo.longitude is not None for photo in photos)
    html = _html(
        *(manifests, truths, photos, pictures, columns),
        unshown=unshown,
        left_out=left_out,
        placed=placed,
        private=private,
    )
    return Explorer(html, len(photos), len(columns), sum(map(bool, pictures)), unshown, left_out)


def _html(
    manifests: Sequence[Manifest],
    truths: Sequence[Truth],
    photos: Sequence[Photo],
    pictures: Sequence[str],
    columns: Sequence[_Column],
    **more: Any,
) -> str:
    header, label_set = whole_of(manifests), truths[0].label_set
    labels = np.concatenate([truth.labels for truth in truths])
    view = _view(np.concatenate([truth.places for truth in truths]), label_set.centres)
    data = {
        "labels": [line_of(label.name) for label in manifests[0].labels.at(label_set.level)],
        "centres": [_degrees(centre) for centre in label_set.centres.tolist()],
        "view": {"west": view.west, "north": view.north, "scale": view.scale, "stretch": view.stretch},
        "runs": [_run_json(column, labels) for column in columns],
        "photos": [_photo_json(*of) for of in zip(photos, labels.tolist(), pictures, strict=True)],
    }
    script = (resources.files("benchmark.leaderboard") / "templates/explorer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment("benchmark.leaderboard")
        .get_template("explorer.html.jinja")
        .render(
            name=f"{title_of(header)} {header.version}",
            note=line_of(header.note),
            policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
            script=Markup(script),  # noqa: S704 (our own)
            # No `<` may end the block of data.
            data=Markup(json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")),  # noqa: S704
            land=Markup(view.land()),  # noqa: S704 (numbers alone)
            height=view.height,
            width=_MAP,
            convention=CONVENTION,
            source=SOURCE,
            folds=len(manifests),
            level=label_set.level,
            **more,
        )
    )


def _photos(manifests: Sequence[Manifest], truths: Sequence[Truth]) -> list[Photo]:
    photos = []
    for manifest, truth in zip(manifests, truths, strict=True):
        by_id = {photo.photo_id: photo for photo in manifest.photos("test")}
        photos += [by_id[photo_id] for photo_id in truth.photo_ids]
    return photos


def _columns(
    manifests: Sequence[Manifest], truths: Sequence[Truth], runs_dir: Path, level: str
) -> tuple[list[_Column], list[str]]:
    """Return what the runs said that every manifest has, the most often right first and oracles last, and the titles of the
    others.
    """
    folds: list[dict[tuple[str, ...], Run]] = []
    for manifest in manifests:
        groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
        for run in results.finished_runs(runs_dir, manifest.digest):
            if run.inputs.level == level and not run.inputs.shots:
                groups[group_of(run)].append(run)
        folds.append({key: min(runs, key=lambda run: run.inputs.seed) for key, runs in groups.items()})
    keys = list(dict.fromkeys(key for fold in folds for key in fold))
    whole = [key for key in keys if all(key in fold for fold in folds)]
    columns = [_column([fold[key] for fold in folds], truths, runs_dir) for key in whole]
    labels = np.concatenate([truth.labels for truth in truths])
    columns.sort(
        key=lambda column: (
            section_of(column.run) == UNRANKED,
            -float((column.labels == labels).mean()),
            column.run.inputs.method,
        )
    )
    lacking = [next(fold[key] for fold in folds if key in fold).title for key in keys if key not in whole]
    return columns[:MOST_RUNS], [
        line_of(title) for title in [*lacking, *(one.run.title for one in columns[MOST_RUNS:])]
    ]


def _column(runs: Sequence[Run], truths: Sequence[Truth], runs_dir: Path) -> _Column:
    parts = []
    for run, truth in zip(runs, truths, strict=True):
        predictions = aligned(truth, runs_dir, run)
        answers = answers_of(predictions, truth)
        parts.append((answers.labels, answers.confidence, answers.km, _places(predictions, truth)))
    labels, confidence, km, places = (np.concatenate(of) for of in zip(*parts, strict=True))
    return _Column(runs[0], labels, confidence, km, places)


def _places(predictions: Predictions, truth: Truth) -> NDArray[np.float64]:
    places = predictions.places
    if places is None and predictions.ranking is not None:
        places = places_from_ranking(predictions.ranking, truth.gallery.places)
    if places is None and predictions.probabilities is not None:
        places = places_from_labels(predictions.probabilities, truth.label_set)
    if places is None:
        return np.full((len(truth), 2), np.nan)
    return np.stack([places.latitude, places.longitude], axis=1)


def _view(places: NDArray[np.float64], centres: NDArray[np.float64]) -> View:
    known = places[~np.isnan(places).any(axis=1)]
    corners = np.concatenate([known, centres])
    return view_of([(float(a), float(b)) for a, b in corners.tolist()], _MAP, shape=(0.3, 0.5), narrowest=0.02)


def _run_json(column: _Column, labels: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "title": line_of(column.run.title),
        "method": line_of(column.run.inputs.method),
        "right": round(float((column.labels == labels).mean()), 4),
        "labels": column.labels.tolist(),
        "confidence": _rounded(column.confidence, 3),
        "km": _rounded(column.km, 3),
        "places": [_degrees(place) for place in column.places.tolist()],
    }


def _rounded(values: NDArray[np.float64], digits: int) -> list[float | None]:
    return [round(value, digits) if np.isfinite(value) else None for value in values.tolist()]


def _degrees(place: Sequence[float]) -> list[float] | None:
    return None if np.isnan(place).any() else [round(float(one), 4) for one in place]


def _photo_json(photo: Photo, label: int, picture: str) -> list[Any]:
    known = photo.latitude is not None and photo.longitude is not None
    return [
        photo.photo_id,
        label,
        _degrees([float(photo.latitude or 0.0), float(photo.longitude or 0.0)]) if known else None,
        plain(photo.title or ""),
        plain(photo.author_name or ""),
        plain(photo.license),
        link_address(photo.page_url),
        picture,
    ]


def _pictures(
    photos: Sequence[Photo], manifest: Manifest, workspace: Workspace, side: int, track: Track, *, private: bool
) -> tuple[list[str], dict[str, int]]:
    """Return each photo as a small JPEG in base64, empty where it is not shown, and how many are not, by reason."""
    pictures: list[str] = []
    reasons: dict[str, int] = defaultdict(int)
    with quiet_decoders():
        for photo in _tracked(photos, track):
            reason = "not asked for" if not side else why_not_shown(photo, manifest, private=private)
            picture = "" if reason else _thumbnail(photo, workspace, side)
            pictures.append(picture)
            if not picture:
                reasons[reason or "not in the workspace"] += 1
    return pictures, dict(reasons)


def _tracked(photos: Sequence[Photo], track: Track) -> Iterable[Photo]:
    return track(photos, "pictures", len(photos)) if len(photos) > 200 else photos


def why_not_shown(photo: Photo, manifest: Manifest, *, private: bool = False) -> str:
    """Return why a page may not show a photo; empty where it may.

    Its service has to allow that pictures are kept, and, on a page that is not `private`, its licence that altered copies are
    passed on.
    """
    traits = manifest.header.provider_traits.get(provider_of(photo.photo_id))
    try:
        known = licence((traits.licence if traits else "") or photo.license)
    except UsageError:
        known = licence(UNKNOWN_LICENCE)
    if known.ids_only_of or (traits is not None and not traits.pixels_may_be_kept):
        return "their service does not allow it"
    if private:
        return ""
    if known.id == UNKNOWN_LICENCE:
        return f"their licence is unknown ({_ANYWAY})"
    allowed = known.redistributable and not known.no_derivatives
    return "" if allowed else f"their licence does not allow it ({_ANYWAY})"


def _thumbnail(photo: Photo, workspace: Workspace, side: int) -> str:
    try:
        image = decode(workspace.photo(str(photo.sha256)), side)
        image.thumbnail((side, side))
        bare, file = Image.new("RGB", image.size), BytesIO()
        bare.paste(image)
        bare.save(file, "JPEG", quality=60, optimize=True)
    except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything; the photo is shown without)
        return ""
    return base64.b64encode(file.getvalue()).decode("ascii")
