"""Tables of answers: what a file of other people's predictions has to hold, and what it says of each test photo.

A CSV, TSV, JSON Lines or Parquet file with a row for each test photo, which is named by its `photo_id`, its
sha256 or its file's name. It answers with a column for each city with its probability; or a column `city`, and perhaps a
`confidence`; at another level, such as `district`, with columns for its labels, or one of its name; or columns `latitude`
and `longitude`; or labels and places both. An answer may be missing: it is withheld, and counts as wrong.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmark.label_set import photos_at
from benchmark.predictions import Places, Ranking
from collector.errors import DataError, did_you_mean, first_few, one_line
from collector.labels import PLURALS
from collector.manifest.manifest import Manifest
from collector.manifest.read_table import Source, open_table
from collector.records import SPLITS, Photo
from collector.regions import city_names, fold
from collector.text_table import printable

PHOTO, CONFIDENCE = "photo_id", "confidence"
PHOTO_COLUMNS = (PHOTO, "sha256", "file", "filename", "file_name", "path", "image", "id")
"""What the column that names the photo may be called; each may hold a photo_id, a sha256 or a file's name."""
LATITUDE, LONGITUDE = ("latitude", "lat"), ("longitude", "lon", "lng")
"""What the columns of an answered place may be called."""

_NAMED = 5  # of what is wrong; the rest is counted
_TOLERANCE = 1e-3  # of a photo's sum, as of saved predictions (`derivations.are_probabilities`)
_NOTHING = ("nan", "none", "null", "na", "n/a", "-")  # how an answer that is missing is spelled in a CSV
_MOST_ANYWAY, _MOST_A_CELL = 16 << 20, 64  # bytes that a file may have, and that a cell of it adds


@dataclass(frozen=True, slots=True)
class Answers:
    """What a file says of every test photo.

    Attributes:
        photo_ids: the manifest's test photos, in its order.
        kinds: what it answers with: `probabilities`, or `labels` and `places`, one or both.
        probabilities: (N, C) float32, classes in the manifest's order; of a label 1, and 0 elsewhere; NaN where withheld.
            None where only places are answered.
        places: of every photo, NaN where withheld; None without.
        confidence: (N,) as stated for the labels, NaN where not; None where the probabilities say it.
        ranking: of the gallery; None without. Then nothing else is answered.
    """

    photo_ids: list[str]
    kinds: tuple[str, ...]
    probabilities: NDArray[np.float32] | None
    places: Places | None
    confidence: NDArray[np.float64] | None
    ranking: Ranking | None = None


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with the rows where `rows` (N,) is true; `message` says it of one of them."""

    rows: NDArray[np.bool_]
    message: Callable[[int], str]


@dataclass(frozen=True)
class _Labels:
    """What can be answered: the labels of a level, by id in the manifest's order, each with the names it is found by."""

    level: str
    names: Mapping[str, Sequence[str]]

    @cached_property
    def by_name(self) -> dict[str, str]:
        """The labels' ids by every folded spelling of their names that is of one label alone."""
        meant: dict[str, set[str]] = {}
        for label, names in self.names.items():
            for name in names:
                meant.setdefault(fold(name), set()).add(label)
        return {name: next(iter(of)) for name, of in meant.items() if len(of) == 1} | {
            fold(id_): id_ for id_ in self.names
        }


def _labels_of(manifest: Manifest, level: str) -> _Labels:
    """Return the labels of a level; a district is found by its own name where no other city has one of that name."""
    if level == "city":
        return _Labels(level, {city.slug: [name for _, name in city_names(city)] for city in manifest.header.cities})
    return _Labels(
        level,
        {
            label.id: [label.id, label.id.rpartition("/")[2], label.name, *label.names.values()]
            for label in manifest.labels.at(level)
        },
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column of a file holds what; None where it has none."""

    photo: str
    label: str | None
    labels: dict[str, str]  # by id, in the manifest's order
    latitude: str | None
    longitude: str | None
    confidence: str | None

    @property
    def read(self) -> list[str]:
        """All of them."""
        others = (self.label, *self.labels.values(), self.latitude, self.longitude, self.confidence)
        return [self.photo, *(name for name in others if name is not None)]


def read_answers(path: Path, manifest: Manifest, level: str = "city") -> Answers:
    """Return a file's answers with the labels of a level, one for every test photo that has one.

    Raises:
        UsageError: there is no such file.
        DataError: as for `submissions.read_submission`.
    """
    labels, test = _labels_of(manifest, level), photos_at(manifest, "test", level)
    _require_moderate(path, len(test), labels)
    source = open_table(path)
    columns = _columns(source, labels)
    table = source.read(columns.read)
    if not table.num_rows:
        raise DataError(f"{path}: has no rows")
    names = _text(source, table, columns.photo)
    faults: list[_Fault] = []
    probabilities, places, confidence = None, None, None
    if columns.labels:
        probabilities, column_faults = _probabilities(source, table, columns.labels)
        faults += column_faults
    elif columns.label:
        probabilities, column_faults = _one_hot(_text(source, table, columns.label), labels)
        confidence, stated = _confidence(source, table, columns.confidence)
        faults += [*column_faults, *stated]
    if columns.latitude and columns.longitude:
        places, column_faults = _places(source, table, columns.latitude, columns.longitude)
        faults += column_faults
    ids, unknown = _photo_ids(source, names, columns.photo, manifest)
    missing = {photo.photo_id for photo in test}.difference(photo_id for photo_id in ids if photo_id is not None)
    like = next((name for name, photo_id in zip(names, ids, strict=True) if name and photo_id), "")
    _refuse(
        source, names, [*unknown, *faults], [_named_like(like, photo) for photo in test if photo.photo_id in missing]
    )
    row = {photo_id: index for index, photo_id in enumerate(ids)}
    rows = [row[photo.photo_id] for photo in test]
    kinds = ["probabilities"] if columns.labels else ["labels"] if columns.label else []
    return Answers(
        photo_ids=[photo.photo_id for photo in test],
        kinds=(*kinds, *(["places"] if places is not None else [])),
        probabilities=None if probabilities is None else probabilities[rows].astype(np.float32),
        places=None if places is None else Places(places[rows, 0], places[rows, 1]),
        confidence=None if confidence is None else confidence[rows],
    )


def _require_moderate(path: Path, photos: int, labels: _Labels) -> None:
    """Refuse a file that is far larger than predictions can be, before it is read.

    Raises:
        DataError: it is.
    """
    most = _MOST_ANYWAY + _MOST_A_CELL * photos * (len(labels.names) + 8)
    if path.is_file() and path.stat().st_size > most:
        raise DataError(
            f"{path}: has {path.stat().st_size} bytes; predictions of {photos} photos and {len(labels.names)} "
            f"{PLURALS[labels.level]} need {most} at most: leave out other columns and other photos"
        )


def _columns(source: Source, labels: _Labels) -> _Columns:
    """Return which columns hold the answers.

    Raises:
        DataError: one is missing, there twice, or unknown.
    """
    names = source.names
    for name in names:
        if (times := names.count(name)) > 1:
            raise DataError(f"{source.path}: column {_shown(name)!r} is there {times} times; once is meant")
    by_fold = {name.strip().casefold(): name for name in reversed(names)}
    photo = next((by_fold[name] for name in PHOTO_COLUMNS if name in by_fold), None)
    if photo is None:
        raise DataError(
            f"{source.path}: has no column {PHOTO}{did_you_mean(PHOTO, names)}; it has {_few_names(list(names))}"
        )
    given = [name for name in names if name != photo]
    of_label: dict[str, str] = {}
    for name in given:
        if label := labels.by_name.get(fold(name)):
            if label in of_label:
                raise DataError(
                    f"{source.path}: columns {_shown(of_label[label])!r} and {_shown(name)!r} are of one {labels.level}, "
                    f"{label}"
                )
            of_label[label] = name
    roles = {
        "label": (labels.level, "label"),
        "latitude": LATITUDE,
        "longitude": LONGITUDE,
        "confidence": (CONFIDENCE,),
    }
    chosen = {
        role: next((by_fold[name] for name in spellings if name in by_fold and by_fold[name] in given), None)
        for role, spellings in roles.items()
    }
    chosen = {role: None if name in of_label.values() else name for role, name in chosen.items()}
    _require_sense(source, given, of_label, chosen, labels)
    ordered = {label: of_label[label] for label in labels.names if label in of_label}
    return _Columns(photo, chosen["label"], ordered, chosen["latitude"], chosen["longitude"], chosen["confidence"])


def _require_sense(
    source: Source,
    given: list[str],
    of_label: Mapping[str, str],
    chosen: Mapping[str, str | None],
    labels: _Labels,
) -> None:
    path, level = source.path, labels.level
    known = {*of_label.values(), *chosen.values()}
    answered = chosen["label"] or chosen["latitude"]
    if of_label and chosen["label"]:
        raise DataError(
            f"{path}: give the column {level} or a column for each {level}, not both: it has {_few_names(given)}"
        )
    for name in given:
        if name not in known:
            wanted = (
                "" if of_label or answered else f"; a table of answers has a column `{level}`, or one for each {level}"
            )
            raise DataError(
                f"{path}: column {_shown(name)!r} is no {level} of the manifest"
                f"{did_you_mean(name, [*labels.names, level, CONFIDENCE])}{wanted}"
            )
    if (chosen["latitude"] is None) != (chosen["longitude"] is None):
        there, missing = ("latitude", "longitude") if chosen["latitude"] else ("longitude", "latitude")
        raise DataError(f"{path}: has a column {_shown(str(chosen[there]))} and none for the {missing}")
    absent = [label for label in labels.names if label not in of_label]
    if absent and (of_label or not answered):
        raise DataError(
            f"{path}: has no column for {_few_names(absent)}; give each {level}'s probability, 0 where there is none, "
            f"or the answer alone in a column {level}, or in columns latitude and longitude"
        )
    if chosen["confidence"] and not chosen["label"]:
        raise DataError(
            f"{path}: column {_shown(str(chosen['confidence']))} goes with a column {level}: it says how sure that answer is"
        )


def _text(source: Source, table: pa.Table, name: str) -> list[str | None]:
    kind = table[name].type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_null(value)):
        raise DataError(f"{source.path}: column {_shown(name)} holds {kind}, not text")
    texts: list[str | None] = table[name].to_pylist()
    return texts


def _one_hot(answers: list[str | None], labels: _Labels) -> tuple[NDArray[np.float64], list[_Fault]]:
    by_name, index = labels.by_name, {label: number for number, label in enumerate(labels.names)}
    withheld = np.array([answer is None or answer.casefold() in _NOTHING for answer in answers])
    known = np.array([index.get(by_name.get(fold(answer or ""), ""), -1) for answer in answers])

    def message(row: int) -> str:
        answer, level = str(answers[row]), labels.level
        return f"column {level}: {answer[:60]!r} is no {level} of the manifest{did_you_mean(answer, list(index))}"

    shares = np.eye(len(index))[known]
    shares[withheld] = np.nan
    return shares, [_Fault((known < 0) & ~withheld, message)]


def _confidence(source: Source, table: pa.Table, name: str | None) -> tuple[NDArray[np.float64], list[_Fault]]:
    if name is None:
        return np.full(table.num_rows, np.nan), []
    values, missing = _numbers(source, table[name], name)
    wrong = ~missing & np.logical_not((values >= 0) & (values <= 1))
    return values, [
        _Fault(wrong, lambda row: f"column {_shown(name)}: {_quoted(table, name, row)} is no confidence from 0 to 1")
    ]


def _places(source: Source, table: pa.Table, latitude: str, longitude: str) -> tuple[NDArray[np.float64], list[_Fault]]:
    """Return the answered places, (rows, 2): NaN for no answer, which is what 0, 0 is too."""
    pairs = [_numbers(source, table[name], name) for name in (latitude, longitude)]
    values, missing = np.stack([pair[0] for pair in pairs], 1), np.stack([pair[1] for pair in pairs], 1)
    faults = [
        _beyond(table, name, most, values[:, column], missing[:, column])
        for column, (name, most) in enumerate(((latitude, 90), (longitude, 180)))
    ]
    half = missing[:, 0] != missing[:, 1]
    faults.append(
        _Fault(half, lambda _: f"columns {_shown(latitude)} and {_shown(longitude)}: one is missing, the other is not")
    )
    withheld = missing.any(axis=1) | (values == 0).all(axis=1)
    return np.where(withheld[:, None], np.nan, values), faults


def _beyond(table: pa.Table, name: str, most: int, values: NDArray[np.float64], missing: NDArray[np.bool_]) -> _Fault:
    wrong = ~missing & np.logical_not(np.abs(values) <= most)
    return _Fault(
        wrong,
        lambda row: f"column {_shown(name)}: {_quoted(table, name, row)} is no angle from -{most} to {most} degrees",
    )


def _probabilities(
    source: Source, table: pa.Table, columns: Mapping[str, str]
) -> tuple[NDArray[np.float64], list[_Fault]]:
    names = list(columns.values())
    values = np.empty((table.num_rows, len(names)))
    blank = np.ones(table.num_rows, bool)
    for column, name in enumerate(names):
        values[:, column], missing = _numbers(source, table[name], name)
        blank &= missing
    with np.errstate(invalid="ignore"):  # inf - inf
        sums = values.sum(axis=1)
        whole = np.abs(sums - 1) <= _TOLERANCE
    wrong = np.logical_not((values >= 0) & (values <= 1 + _TOLERANCE))

    def first(row: int) -> str:
        name = names[int(wrong[row].argmax())]
        missing = table[name][row].as_py() is None
        return f"column {_shown(name)}: " + (
            "is missing" if missing else f"{_quoted(table, name, row)} is no probability from 0 to 1"
        )

    return values, [
        _Fault(wrong.any(axis=1) & ~blank, first),
        _Fault(~whole & ~blank, lambda row: f"its probabilities sum to {sums[row]:.6g}, not to 1"),
    ]


def _quoted(table: pa.Table, name: str, row: int) -> str:
    return repr(str(table[name][row].as_py())[:40])


def _numbers(source: Source, column: pa.ChunkedArray, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a column as float64, NaN for what is no number, and which cells are missing: empty, NaN or a word for that."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan), np.ones(len(column), bool)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = source.with_points(pc.utf8_trim_whitespace(column))
        missing = pc.or_(pc.is_null(trimmed), pc.is_in(pc.utf8_lower(trimmed), pa.array(_NOTHING, kind)))
        # What Arrow's cast would refuse for the whole column; it takes any spelling of NaN and infinity.
        number = pc.match_substring_regex(trimmed, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$")
        column = pc.if_else(number, pc.utf8_ltrim(trimmed, "+"), None)
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise DataError(f"{source.path}: column {_shown(name)} holds {kind}, not numbers")
    else:
        missing = pc.is_null(column, nan_is_null=True)
    values = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    return values, np.asarray(missing.to_numpy(), bool)


def _photo_ids(
    source: Source, names: list[str | None], column: str, manifest: Manifest
) -> tuple[list[str | None], list[_Fault]]:
    """Return the test photo that each row names, None where it names none, and what is wrong with the rows."""
    side = {photo.photo_id: of for of in SPLITS for photo in manifest.photos(of)}
    called = _names_of(manifest)
    meant = [_photos_named(name, called) for name in names]
    ids = [next(iter(of)) if len(of) == 1 else None for of in meant]
    first: dict[str, int] = {}
    for row, photo_id in enumerate(ids):
        if photo_id is not None:
            first.setdefault(photo_id, row)
    foreign = np.array([photo_id is None or side[photo_id] != "test" for photo_id in ids])
    repeated = np.array([photo_id is not None and first[photo_id] != row for row, photo_id in enumerate(ids)])

    def message(row: int) -> str:
        photo_id = ids[row]
        if names[row] is None:
            return f"column {_shown(column)}: is missing"
        if photo_id is not None:
            return f"is a {side[photo_id]} photo, not a test photo"
        return (
            f"names {len(meant[row])} photos of the manifest; give its photo_id"
            if meant[row]
            else "is no photo of the manifest"
        )

    def again(row: int) -> str:
        return f"is there already in {source.place(first[str(ids[row])])}"

    return ids, [_Fault(foreign, message), _Fault(repeated, again)]


def _names_of(manifest: Manifest) -> list[dict[str, set[str]]]:
    """Return which photos each name may stand for, the surest kind first: photo_id, sha256, folder and file, file's name.

    Of a photo of the publisher's own disk the title is the file's name, unless a table gave one; its folder is looked for
    under every name of its city, since that is how `t15 collect` reads folders.
    """
    spellings = {city.slug: {fold(name) for _, name in city_names(city)} for city in manifest.header.cities}
    kinds: list[dict[str, set[str]]] = [{}, {}, {}, {}]
    for photo in (photo for of in SPLITS for photo in manifest.photos(of)):
        provider, _, number = photo.photo_id.partition(":")
        files, below = {number, _file_name(number)}, set()
        if photo.image_url:
            files.add(_file_name(unquote(urlsplit(photo.image_url).path)))
        if provider == "folder" and photo.title:
            own = {photo.title, _stem(photo.title)}
            files |= own
            below = {f"{folder}/{name}" for folder in spellings.get(photo.city, ()) for name in own}
        for kind, keys in zip(kinds, ({photo.photo_id}, {photo.sha256 or ""}, below, files), strict=True):
            for key in keys - {""}:
                kind.setdefault(_normal(key), set()).add(photo.photo_id)
    return kinds


def _photos_named(name: str | None, called: list[dict[str, set[str]]]) -> set[str]:
    """Return the photos that a name may stand for, by its surest kind: as it is, a sha256, in its folder, a file's name."""
    if name is None:
        return set()
    ids, digests, folders, files = called
    key, file = _normal(name), _file_name(_normal(name))
    stem, folder = _stem(file), fold(_file_name(str(PurePosixPath(key.replace("\\", "/")).parent)))
    lookups = ((ids, key), (digests, key.lower()), (digests, stem.lower()), (folders, f"{folder}/{file}"), (files, key),
               (files, file), (files, stem))  # fmt: skip
    return next((kind[text] for kind, text in lookups if text in kind), set())


def _named_like(example: str, photo: Photo) -> str:
    """Return what a file that has `example` for a photo calls another one: its id, its sha256, or its file, with its city."""
    key = _normal(example)
    if re.fullmatch(r"[0-9a-fA-F]{64}", _stem(_file_name(key))):
        return photo.sha256 or photo.photo_id
    if ":" in key or "." not in key or not photo.title or not photo.photo_id.startswith("folder:"):
        return photo.photo_id
    return f"{photo.city}/{photo.title}" if "/" in key else photo.title


def _stem(file: str) -> str:
    return file.rpartition(".")[0] or file


def _file_name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _refuse(source: Source, names: list[str | None], faults: list[_Fault], missing: list[str]) -> None:
    """Say what is wrong: of each row the first fault, the first five of them in full, and the test photos without a row.

    Raises:
        DataError: something is.
    """
    rows = np.flatnonzero(np.any([fault.rows for fault in faults], axis=0)).tolist()
    parts = []
    for row in rows[:_NAMED]:
        fault = next(fault for fault in faults if fault.rows[row])
        name = names[row]
        shown = "" if name is None else f" (photo {name[:80]!r})"
        parts.append(f"{source.place(row)}{shown}: {fault.message(row)}")
    if len(rows) > _NAMED:
        parts.append(f"and {len(rows) - _NAMED} more wrong rows")
    if missing:
        parts.append(f"test photos without a row, {len(missing)}: {_few_names([repr(name) for name in missing])}")
    if parts:
        raise DataError(f"{source.path}: {'; '.join(parts)}; nothing was scored")


def _few_names(names: list[str]) -> str:
    return first_few([_shown(name) for name in names])


def _shown(name: str) -> str:
    """Return a name from a file as part of a line: files of others hold anything."""
    return printable(one_line(name, None))[:80]
