"""A region from above, as methods see it, and what they say of its places: of the table that `t15 aerial add` writes.

The map is M places with a picture each. A method scores all of them for each photo; the true one is the nearest to where the
photo was taken, for photos that were taken on the map.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from collector.errors import DataError, one_line
from collector.geo import EARTH_RADIUS_KM, chord, unit_vectors

if TYPE_CHECKING:
    from collector.aerial.table import AerialMap
    from collector.manifest.manifest import Manifest

FILE = "map.parquet"
"""What a run keeps of its scores."""

_ABOUT = b"t15.map"
_DIAGONAL = 0.75  # of a tile's width: a bit more than half its diagonal


def aerial_map(manifest: "Manifest") -> "AerialMap | None":
    """Return what a manifest's region looks like from above; None where `t15 aerial add` wrote nothing beside it.

    Raises:
        DataError: the table is damaged, or another manifest's.
    """
    if manifest.folder is None:
        return None
    from collector.aerial.table import NAME, read

    return read(manifest, manifest.folder / NAME)


def digest_of(found: "AerialMap") -> str:
    """Return a digest of the places and their pictures."""
    plain = json.dumps([found.tiles, found.digests])
    return hashlib.sha256(plain.encode()).hexdigest()


def reach_km(places: NDArray[np.float64]) -> float:
    """Return how far from the nearest of the places (M, 2) a photo is still on the map: by how far neighbours are apart."""
    if len(places) < 2:
        return 0.0
    vectors = unit_vectors(*places.T)
    chords = cKDTree(vectors).query(vectors, k=2)[0][:, 1]
    return float(np.median(chords)) * EARTH_RADIUS_KM * _DIAGONAL


def own_cells(photos: NDArray[np.float64], places: NDArray[np.float64], within_km: float) -> NDArray[np.int64]:
    """Return which of the places (M, 2) is nearest to each photo (N, 2), (N,); -1 where it is farther, or unknown."""
    found = np.full(len(photos), -1, np.int64)
    known = np.isfinite(photos).all(axis=1)
    if known.any() and len(places):
        chords, nearest = cKDTree(unit_vectors(*places.T)).query(unit_vectors(*photos[known].T))
        found[known] = np.where(chords <= chord(within_km), nearest, -1)
    return found


@dataclass(frozen=True)
class MapAnswers:
    """What a method says of a map for N photos.

    Attributes:
        photo_ids: N of them.
        places: (M, 2) of the map.
        scores: (N, M), higher is likelier; of use by their order alone.
    """

    photo_ids: tuple[str, ...]
    places: NDArray[np.float64]
    scores: NDArray[np.float32]

    def ranks(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rank of a cell for each photo, from 1, ties in the middle; NaN where the cell is -1."""
        rows = np.flatnonzero(cells >= 0)
        found = np.full(len(cells), np.nan)
        own = self.scores[rows, cells[rows]][:, None]
        better, equal = (self.scores[rows] > own).sum(axis=1), (self.scores[rows] == own).sum(axis=1)
        found[rows] = 1 + better + (equal - 1) / 2
        return found

    def to_bytes(self) -> bytes:
        """Return them as a Parquet file."""
        flat = pa.array(np.ascontiguousarray(self.scores, np.float32).reshape(-1))
        columns = {
            "photo_id": pa.array(self.photo_ids, pa.string()),
            "scores": pa.FixedSizeListArray.from_arrays(flat, max(1, self.scores.shape[1])),
        }
        about = json.dumps({"places": self.places.tolist()}).encode()
        file = io.BytesIO()
        table = pa.table(columns).replace_schema_metadata({_ABOUT: about})
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        return file.getvalue()

    @classmethod
    def of_bytes(cls, content: bytes, name: str) -> "MapAnswers":
        """Return what `to_bytes` wrote to the file of this name.

        Raises:
            DataError: it is damaged.
        """
        try:
            table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
            places = np.array(json.loads((table.schema.metadata or {})[_ABOUT])["places"], np.float64).reshape(-1, 2)
            lists = table["scores"].combine_chunks()
            scores = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), len(places))
            return cls(tuple(table["photo_id"].to_pylist()), places, scores.astype(np.float32))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            raise DataError(
                f"{name}: cannot be read ({one_line(error)}); delete its folder and run `t15 bench` again"
            ) from error
