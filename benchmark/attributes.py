"""What photos' places are like, as questions with classes: of the tables that `t15 geodata add` writes beside a manifest.

S. Lee, H. Zhang, D. Crandall, "Predicting geo-informative attributes in large-scale image collections using convolutional
neural networks", WACV 2015, ask whether an attribute is in the high or in the low tail of its distribution; the middle is
not asked about. The shares of the tails (30 and 70 %) and the fifths are parameters of ours. Thresholds come from
training photos.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.errors import DataError, one_line

if TYPE_CHECKING:
    from collector.manifest.manifest import Manifest

TAILS = (0.3, 0.7)
FIFTHS = (0.2, 0.4, 0.6, 0.8)
FEWEST = 5
"""Training photos that a class has at least; a class with fewer is not asked about."""

FILE = "attributes.parquet"
"""What a run keeps of its answers."""

_ABOUT = b"t15.attributes"

Values = Mapping[str, NDArray[Any]]
"""By layer: numbers with NaN, or names with None, a row each."""


@dataclass(frozen=True)
class Surroundings:
    """What is known of the places of a manifest.

    Attributes:
        photo_ids: of all its rows.
        values: by layer, a row for each photo.
        places: (M, 2) of the map, places all over its region; latitude and longitude.
        map_values: by layer, a row for each place of the map.
        digest: of all of it.
    """

    photo_ids: tuple[str, ...]
    values: Values
    places: NDArray[np.float64]
    map_values: Values
    digest: str

    def of(self, photo_ids: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the values of some of its photos, in their order."""
        row_of = {photo_id: row for row, photo_id in enumerate(self.photo_ids)}
        rows = [row_of[photo_id] for photo_id in photo_ids]
        return {layer: column[rows] for layer, column in self.values.items()}


def surroundings(manifest: "Manifest") -> Surroundings | None:
    """Return what is known of a manifest's places; None where `t15 geodata add` wrote nothing beside it.

    Raises:
        DataError: the table is damaged, or another manifest's.
    """
    if manifest.folder is None:
        return None
    from collector.geodata.table import MAP, NAME, read, read_map

    attributes = read(manifest, manifest.folder / NAME)
    if attributes is None:
        return None
    region = read_map(manifest, manifest.folder / MAP)
    places, map_values = (np.empty((0, 2)), {}) if region is None else (region.places, region.columns)
    digest = hashlib.sha256()
    for columns in (attributes.columns, {"places": places}, map_values):
        for name, column in columns.items():
            plain = json.dumps(column.tolist()).encode() if column.dtype == object else column.tobytes()
            digest.update(f"{name}:{len(plain)}:".encode() + plain)
    ids = tuple(manifest.table["photo_id"].to_pylist())
    return Surroundings(ids, attributes.columns, places, map_values, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be told of a photo's place, with its answers.

    Attributes:
        layer: whose values it is about.
        kind: `tails` (low or high, the middle is not asked), `fifths` (of five equal parts) or `classes` (names).
        classes: the answers, at least two.
        edges: of numbers, the thresholds between them.
    """

    layer: str
    kind: Literal["tails", "fifths", "classes"]
    classes: tuple[str, ...]
    edges: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """The layer and the kind, such as `elevation, tails`."""
        return f"{self.layer}, {self.kind}"

    def codes(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the position of the right answer for each value, (N,); -1 where it is not asked, or unknown."""
        if self.kind == "classes":
            number = {name: position for position, name in enumerate(self.classes)}
            return np.array([number.get(value, -1) for value in values.tolist()], np.int64)
        numbers = np.asarray(values, np.float64)
        known = np.isfinite(numbers)
        if self.kind == "fifths":
            return np.where(known, np.searchsorted(self.edges, numbers, side="right"), -1).astype(np.int64)
        low, high = self.edges
        with np.errstate(invalid="ignore"):
            return np.where(known & (numbers <= low), 0, np.where(known & (numbers >= high), 1, -1)).astype(np.int64)


def questions(training: Values) -> list[Question]:
    """Return what can be asked, with thresholds and classes of the training photos' values.

    A layer that is the same for nearly all of them, or known of few, is not asked about.
    """
    result = []
    for layer, values in training.items():
        if values.dtype == object:
            names = [value for value in values.tolist() if value is not None]
            kept = tuple(name for name in sorted(set(names)) if names.count(name) >= FEWEST)
            result += [Question(layer, "classes", kept)] if len(kept) > 1 else []
            continue
        numbers = values[np.isfinite(values)]
        if len(numbers) < FEWEST * len(FIFTHS):
            continue
        low, high = np.quantile(numbers, TAILS).tolist()
        if low < high:
            result.append(Question(layer, "tails", ("low", "high"), (low, high)))
        edges = tuple(np.quantile(numbers, FIFTHS).tolist())
        if (np.diff(edges) > 0).all() and numbers.min() < edges[0]:
            result.append(Question(layer, "fifths", tuple(f"fifth {n}" for n in range(1, 6)), edges))
    return result


@dataclass(frozen=True)
class AttributeAnswers:
    """What a method answers for N photos.

    Attributes:
        photo_ids: N of them.
        questions: Q of them.
        probabilities: of each question (N, K), rows summing to 1.
        via_city: the same of a baseline: name the city from the same vectors, and answer with the city's own mix.
        majority: of each question, the position of the commonest class in training.
    """

    photo_ids: tuple[str, ...]
    questions: tuple[Question, ...]
    probabilities: tuple[NDArray[np.float32], ...]
    via_city: tuple[NDArray[np.float32], ...]
    majority: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return them as a Parquet file."""
        columns: dict[str, Any] = {"photo_id": pa.array(self.photo_ids, pa.string())}
        for number, (own, via) in enumerate(zip(self.probabilities, self.via_city, strict=True)):
            for kind, of in (("own", own), ("city", via)):
                flat = pa.array(np.ascontiguousarray(of, np.float32).reshape(-1))
                columns[f"{kind}-{number}"] = pa.FixedSizeListArray.from_arrays(flat, of.shape[1])
        about = {"questions": [asdict(question) for question in self.questions], "majority": list(self.majority)}
        table = pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(about, ensure_ascii=False).encode()})
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        return file.getvalue()

    @classmethod
    def of_bytes(cls, content: bytes, name: str) -> "AttributeAnswers":
        """Return what `to_bytes` wrote to the file of this name.

        Raises:
            DataError: it is damaged.
        """
        try:
            table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
            about = json.loads((table.schema.metadata or {})[_ABOUT])
            question_set = tuple(question_of(of) for of in about["questions"])
            own, via = (
                tuple(_matrix(table[f"{kind}-{number}"], len(of.classes)) for number, of in enumerate(question_set))
                for kind in ("own", "city")
            )
            majority = tuple(map(int, about["majority"]))
            for of, at in zip(question_set, majority, strict=True):
                of.classes[at]  # each is one of its question's answers
            return cls(tuple(table["photo_id"].to_pylist()), question_set, own, via, majority)
        except (OSError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
            raise DataError(
                f"{name}: cannot be read ({one_line(error)}); delete its folder and run `t15 bench` again"
            ) from error


def question_of(stated: Mapping[str, Any]) -> Question:
    """Return a question that was written as plain JSON.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    kind, classes, edges = stated["kind"], tuple(map(str, stated["classes"])), tuple(map(float, stated["edges"]))
    thresholds = {"classes": 0, "tails": 2, "fifths": len(FIFTHS)}
    if thresholds[kind] != len(edges) or len(classes) < 2:
        raise ValueError(f"a question of kind {kind!r} with {len(classes)} classes and {len(edges)} thresholds")
    return Question(str(stated["layer"]), kind, classes, edges)


def _matrix(column: pa.ChunkedArray, classes: int) -> NDArray[np.float32]:
    lists = column.combine_chunks()
    if lists.type.list_size != classes:
        raise ValueError(f"{lists.type.list_size} answers for {classes} classes")
    values: NDArray[np.float32] = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, classes)
    return values
