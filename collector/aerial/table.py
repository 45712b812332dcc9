"""A manifest's region from above: a table beside the manifest, never part of its digest, of places and their pictures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.aerial.fetch import Entry
from collector.aerial.grid import centres_of
from collector.aerial.services import Service
from collector.errors import DataError, one_line
from collector.manifest.manifest import Manifest
from collector.workspace import replacing

NAME = "aerial.parquet"
"""Of the table, in the manifest's folder."""

_ABOUT = b"t15.aerial"
_AGAIN = "`t15 aerial add` makes it anew"


@dataclass(frozen=True)
class AerialMap:
    """M places all over a region, and what they look like from above.

    Attributes:
        tiles: `z/x/y` of each.
        places: (M, 2) latitude and longitude of their centres.
        digests: sha256 of each picture's bytes, which lie in the workspace (`aerial.fetch.aerial`).
        about: whose pictures they are: service, licence, attribution, terms.
    """

    tiles: tuple[str, ...]
    places: NDArray[np.float64]
    digests: tuple[str, ...]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.tiles)


def write(manifest: Manifest, service: Service, entries: Sequence[Entry], path: Path) -> None:
    """Write the table as Parquet, with whose pictures they are and the manifest's digest in its metadata.

    Raises:
        OSError: it cannot be written.
    """
    places = centres_of(entry.tile for entry in entries)
    table = pa.table(
        {
            "tile": pa.array(["/".join(map(str, entry.tile)) for entry in entries], pa.string()),
            "latitude": pa.array(places[:, 0]),
            "longitude": pa.array(places[:, 1]),
            "sha256": pa.array([entry.sha256 for entry in entries], pa.string()),
        }
    )
    of = {name: getattr(service, name) for name in ("name", "title", "licence", "attribution", "terms")}
    about = {"manifest": manifest.digest, "service": of}
    table = table.replace_schema_metadata({_ABOUT: json.dumps(about, ensure_ascii=False).encode()})
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(manifest: Manifest, path: Path) -> AerialMap | None:
    """Return what `write` wrote for this manifest; None where there is no table.

    Raises:
        DataError: the table is damaged, or another manifest's.
    """
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[_ABOUT])
        digest, service = about["manifest"], dict(about["service"])
        places = np.stack([table[name].to_numpy() for name in ("latitude", "longitude")], axis=1).astype(np.float64)
        tiles, digests = (tuple(map(str, table[name].to_pylist())) for name in ("tile", "sha256"))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path}: is damaged ({one_line(error)}); {_AGAIN}") from error
    if digest != manifest.digest:
        raise DataError(f"{path}: is of another version of the manifest; {_AGAIN}")
    if not np.isfinite(places).all() or (np.abs(places) > (90, 180)).any():
        raise DataError(f"{path}: is damaged (a place out of range); {_AGAIN}")
    return AerialMap(tiles, places, digests, service)
