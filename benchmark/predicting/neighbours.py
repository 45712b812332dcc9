"""Which training photos a photo resembles: a model file brings their embeddings and credits along, and no picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.records import Photo, ProviderTraits

_SAMPLE = 500  # training photos whose distances from each other say what is far
_BLOCK = 1024  # embeddings compared at a time


@dataclass(frozen=True, slots=True)
class Credit:
    """What is known of a training photo. Title and author's name are hostile text; places are degrees, None where unknown.

    `kept` is whether its service lets its pixels be kept; a page shows them only then.
    """

    photo_id: str
    city: str
    sha256: str
    license: str
    author_name: str | None = None
    title: str | None = None
    page_url: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training photo near to another one; at `distance` 0 they look the same to the predictor, at 1 as two at random do.

    `distance` is None where the predictor compares no vectors; `vote` is the share of the answer that it decided, None where
    photos do not vote.
    """

    credit: Credit
    distance: float | None
    vote: float | None = None


@dataclass(frozen=True)
class Training:
    """The training photos: embeddings (N, D) float16, less their mean (D,), in units of the usual distance between two; and a
    credit for each. D is 0 where the predictor has none; `rows` (N,) are their positions among all that it learnt from.
    """

    embeddings: NDArray[np.float16]
    mean: NDArray[np.float32]
    scale: float
    credits: tuple[Credit, ...]
    rows: NDArray[np.int64] | None = None

    def of_rows(self, rows: NDArray[np.int64]) -> list[Credit]:
        """Return the credits of the photos at these positions; those that are not here are left out."""
        known = {} if self.rows is None else {int(row): number for number, row in enumerate(self.rows)}
        return [self.credits[known[int(row)]] for row in rows if int(row) in known]

    def nearest(self, embedding: NDArray[np.float32], count: int = 6) -> list[Neighbour]:
        """Return the photos nearest by Euclidean distance to an embedding (D,), nearest first."""
        if not self.embeddings.shape[1]:
            return []
        wanted = _reduced(embedding, self.mean, self.scale).astype(np.float32)
        blocks = (self.embeddings[at : at + _BLOCK] for at in range(0, len(self.embeddings), _BLOCK))
        distances = np.concatenate([np.linalg.norm(block.astype(np.float32) - wanted, axis=1) for block in blocks])
        order = np.argsort(distances, kind="stable")[:count]
        return [Neighbour(self.credits[int(row)], float(distances[row])) for row in order]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name: credits are JSON in UTF-8, since a file's header has little room."""
        credits = json.dumps([asdict(credit) for credit in self.credits], separators=(",", ":")).encode("ascii")
        return {
            "embeddings": self.embeddings,
            "mean": self.mean,
            "scale": np.array([self.scale]),
            "credits": np.frombuffer(credits, np.uint8),
            **({} if self.rows is None else {"rows": self.rows}),
        }


def training_photos(
    embeddings: NDArray[np.float32],
    photos: Sequence[Photo],
    rows: Sequence[int] | None = None,
    traits: Mapping[str, ProviderTraits] = MappingProxyType({}),
) -> Training:
    """Return the training photos with their embeddings (N, D) and their positions among all; `traits` are of services."""
    mean, scale = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32), _usual_distance(embeddings)
    names = [of.name for of in fields(Credit) if of.name != "kept"]
    credits = tuple(
        Credit(**{name: getattr(photo, name) for name in names}, kept=may_be_kept(photo.photo_id, traits))
        for photo in photos
    )
    at = None if rows is None else np.array(rows, np.int64)
    return Training(_reduced(embeddings, mean, scale), mean, scale, credits, at)


def may_be_kept(photo_id: str, traits: Mapping[str, ProviderTraits]) -> bool:
    """Return whether a photo's service, by the first part of its id, lets its pixels be kept."""
    of = traits.get(photo_id.partition(":")[0])
    return of is None or of.pixels_may_be_kept


def training_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Training | None:
    """Return what `Training.to_arrays` gave, None where there is nothing of it.

    Raises:
        ValueError, KeyError, TypeError: it is damaged.
    """
    if "embeddings" not in arrays:
        return None
    credits = tuple(Credit(**one) for one in json.loads(arrays["credits"].tobytes()))
    embeddings, mean, scale = arrays["embeddings"], arrays["mean"], float(arrays["scale"].reshape(()))
    texts = (value for credit in credits for value in asdict(credit).values())
    if not all(value is None or isinstance(value, str | float | int) for value in texts):
        raise ValueError("a training photo's credit is damaged")
    if embeddings.ndim != 2 or len(embeddings) != len(credits) or embeddings.dtype != np.float16:
        raise ValueError(f"{embeddings.shape} embeddings of {embeddings.dtype} for {len(credits)} training photos")
    if not 0 < scale < np.inf or not np.isfinite(embeddings).all() or mean.shape != embeddings.shape[1:]:
        raise ValueError("an embedding is not finite, or their mean does not fit")
    rows = arrays.get("rows")
    if rows is not None and (rows.shape != (len(credits),) or rows.dtype.kind != "i"):
        raise ValueError(f"positions of shape {rows.shape} for {len(credits)} training photos")
    return Training(embeddings, mean, scale, credits, rows)


def _reduced(embeddings: NDArray[np.float32], mean: NDArray[np.float32], scale: float) -> NDArray[np.float16]:
    # Without the mean, and in units of what matters, half precision is precise enough and does not overflow.
    largest = float(np.finfo(np.float16).max)
    reduced: NDArray[np.float16] = np.clip((embeddings - mean) / np.float32(scale), -largest, largest).astype(
        np.float16
    )
    return reduced


def _usual_distance(embeddings: NDArray[np.float32]) -> float:
    """Return the median distance between neighbours in a random order; 1 where all are alike."""
    random = np.random.default_rng(0)
    chosen = embeddings[random.permutation(len(embeddings))[:_SAMPLE]].astype(np.float64)
    distances = np.linalg.norm(chosen[1:] - chosen[:-1], axis=1)
    usual = float(np.median(distances)) if len(distances) else 0.0
    return usual if usual > 0 else 1.0
