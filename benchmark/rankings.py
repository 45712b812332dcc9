"""Rankings of a gallery that were made elsewhere: a table, or the files that a harness of place recognition writes.

A table (CSV, TSV, JSON Lines, Parquet) has a row for each ranked photo: `query`, `photo`, and `rank` (from 1) or `score`
(larger is likelier), perhaps `inliers`. A folder holds texts as VPR-methods-evaluation saves them (`preds/000.txt`): the line
`Query path:`, a path, `Predictions paths:`, paths. Photos are named by photo_id, by sha256, or by a file's name that holds
the sha256, as `t15 export --vpr` writes them. Queries without a row are withheld.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.label_set import photos_at
from benchmark.predictions import Ranking
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest
from collector.manifest.read_table import open_table
from collector.records import Photo
from collector.text_table import printable

KEPT = 100
"""Ranked photos that are kept of a query."""

QUERY, PHOTO = ("query", "query_id"), ("photo", "photo_id", "prediction", "database")

_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LARGEST = 1 << 20  # bytes of a text of one query


@dataclass(frozen=True, slots=True)
class _Ranked:
    """One row: who asks, who is ranked, how; `place` for messages."""

    query: str
    photo: str
    key: float  # smaller comes first
    score: float
    inliers: int | None
    place: str


def read_rankings(path: Path, manifest: Manifest, level: str = "city") -> Ranking:
    """Return the ranking of the gallery for each test photo with a label of the level, in the manifest's order.

    Raises:
        UsageError: there is no such file or folder.
        DataError: it holds no ranking, names a photo that is not there, or one twice for a query.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    texts = sorted(path.rglob("*.txt")) if path.is_dir() else None
    rows = _of_table(path) if texts is None else [row for text in texts for row in _of_text(text)]
    if not rows:
        raise DataError(f"{path}: holds no ranking")
    queries = _by_name(photos_at(manifest, "test", level))
    gallery = _by_name(photos_at(manifest, "train", level))
    of_query: dict[int, list[_Ranked]] = {}
    for row in rows:
        of_query.setdefault(_photo_number(row.query, queries, row.place, "test photo"), []).append(row)
    count = len(photos_at(manifest, "test", level))
    width = min(KEPT, max(len(of) for of in of_query.values()))
    positions = np.full((count, width), -1, np.int64)
    scores = np.full((count, width), np.nan, np.float32)
    inliers = np.zeros((count, width), np.int32)
    for query, ranked in of_query.items():
        ordered = sorted(ranked, key=lambda row: row.key)
        mine = [_photo_number(row.photo, gallery, row.place, "photo of the gallery") for row in ordered]
        if len(set(mine)) < len(mine):
            raise DataError(
                f"{ordered[0].place}: query {_short(ordered[0].query)} has a photo twice; nothing was scored"
            )
        kept = range(min(width, len(mine)))
        positions[query, : len(kept)] = mine[: len(kept)]
        scores[query, : len(kept)] = [ordered[row].score for row in kept]
        inliers[query, : len(kept)] = [ordered[row].inliers or 0 for row in kept]
    verified = any(row.inliers is not None for row in rows)
    return Ranking(positions, scores, inliers if verified else None)


def _of_text(file: Path) -> list[_Ranked]:
    if file.stat().st_size > _LARGEST:
        raise DataError(f"{file}: larger than 1 MiB; it is no ranking of one query")
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        if text.endswith(" path:") or text.endswith(" paths:"):
            current = parts.setdefault(text.split()[0].casefold(), [])
        elif text:
            current.append(text)
    asked, predicted = parts.get("query", []), parts.get("predictions", [])
    if len(asked) != 1 or not predicted:
        return []
    return [
        _Ranked(asked[0], photo, rank, 1 / (rank + 1), None, f"{file}: prediction {rank + 1}")
        for rank, photo in enumerate(predicted)
    ]


def _of_table(path: Path) -> list[_Ranked]:
    source = open_table(path)
    names = {name.casefold(): name for name in source.names}
    query, photo = (next((names[one] for one in of if one in names), None) for of in (QUERY, PHOTO))
    rank, score, inliers = (names.get(of) for of in ("rank", "score", "inliers"))
    if query is None or photo is None or (rank is None and score is None):
        raise DataError(
            f"{path}: needs the columns query, photo, and rank or score; it has {', '.join(source.names)[:200]}"
        )
    table = source.read([name for name in (query, photo, rank, score, inliers) if name is not None]).to_pydict()
    rows = []
    for number, (asked, answered) in enumerate(zip(table[query], table[photo], strict=True)):
        place = f"{path}: {source.place(number)}"
        if not asked or not answered:
            raise DataError(f"{place}: query or photo is missing; nothing was scored")
        order = _number(table[rank][number], place, "rank") if rank else None
        value = _number(table[score][number], place, "score") if score else 1 / (order or 1.0)
        found = int(_number(table[inliers][number] or 0, place, "inliers")) if inliers else None
        rows.append(_Ranked(str(asked), str(answered), -value if order is None else order, value, found, place))
    return rows


def _number(value: object, place: str, name: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not np.isfinite(number) or (name == "rank" and number < 1) or (name == "inliers" and not 0 <= number < 2**31):
        raise DataError(f"{place}: {name} {_short(str(value))} is no such number; nothing was scored")
    return number


def _by_name(photos: Sequence[Photo]) -> dict[str, int]:
    return {key: row for row, photo in enumerate(photos) for key in _keys(photo)}


def _keys(photo: Photo) -> Iterable[str]:
    return (photo.photo_id, photo.sha256) if photo.sha256 else (photo.photo_id,)


def _photo_number(name: str, photos: dict[str, int], place: str, kind: str) -> int:
    if name in photos:
        return photos[name]
    for digest in _SHA256.findall(name.casefold()):
        if digest in photos:
            return photos[digest]
    raise DataError(f"{place}: {_short(name)} is no {kind} of this manifest; nothing was scored")


def _short(text: str) -> str:
    return repr(printable(text)[:100])
