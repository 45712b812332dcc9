"""Arrays by photo digest, on disk: append-only, mapped into memory, safe against crashes and parallel writers.

A store is a folder with `arrays.bin`, one array behind the other; `index.bin`, a record for each in the same order; and
`key.json`, which says what the arrays are. The index is written after the arrays: what it names is whole.
"""

import fcntl
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.workspace import write_atomically

# sha256 of the photo, where its array begins (bytes), and its shape; unused dimensions are 0.
_RECORD = np.dtype([("digest", "V32"), ("start", "<u8"), ("shape", "<u4", (3,))])
_FLUSH_BYTES = 64 << 20  # arrays are entered in the index after so many bytes: bounds what a crash loses


@dataclass
class ArrayStore:
    """The store for one kind of array, all of one dtype and of one to three dimensions.

    Attributes:
        root: the folder of all stores.
        key: everything that the arrays depend on beside the photo; another key is another store.
        dtype: of the values.
    """

    root: Path
    key: Mapping[str, Any]
    dtype: np.dtype[Any]
    _places: dict[bytes, tuple[int, tuple[int, ...]]] = field(default_factory=dict, repr=False)
    _read: int = field(default=0, repr=False)

    @property
    def folder(self) -> Path:
        """Where this store lies: named by the hash of its key and dtype."""
        canonical = json.dumps([dict(self.key), self.dtype.str], sort_keys=True)
        return self.root / hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Return the positions of the digests that have no array here; of equal digests the first."""
        self._refresh()
        first = {digest: position for position, digest in reversed(list(enumerate(digests)))}
        return sorted(position for digest, position in first.items() if bytes.fromhex(digest) not in self._places)

    def add(self, arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
        """Append arrays by digest; digests that are there already are passed over.

        Raises:
            OSError: the disk is full; what was entered before stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "key.json", json.dumps([dict(self.key), self.dtype.str], indent=1).encode())
        with self._locked():
            self._refresh()
            with (self.folder / "arrays.bin").open("ab") as data, (self.folder / "index.bin").open("ab") as index:
                # Bytes beyond the last record are what a killed writer left.
                end = max((start + self._bytes(shape) for start, shape in self._places.values()), default=0)
                data.truncate(end)
                index.truncate(self._read * _RECORD.itemsize)
                records: list[tuple[bytes, int, tuple[int, ...]]] = []
                entered = end
                for digest, array in arrays:
                    raw = bytes.fromhex(digest)
                    if raw in self._places:
                        continue
                    data.write(np.ascontiguousarray(array, dtype=self.dtype).data)
                    records.append((raw, end, array.shape))
                    self._places[raw] = (end, array.shape)
                    end += array.nbytes
                    if end - entered >= _FLUSH_BYTES:
                        data.flush()
                        self._enter(index, records)
                        entered = end
                data.flush()
                self._enter(index, records)

    def stacked(self, digests: Sequence[str]) -> NDArray[Any]:
        """Return the arrays of these photos, all of one shape, as (N, *shape): a view where they lie in this order.

        Raises:
            KeyError: one is not here.
        """
        places = self._found(digests)
        starts = np.array([start for start, _ in places], dtype=np.int64)
        shape = places[0][1]
        step = self._bytes(shape)
        flat = self._mapped()
        if (np.diff(starts) == step).all():
            begin = int(starts[0]) // self.dtype.itemsize
            return flat[begin : begin + len(places) * math.prod(shape)].reshape(len(places), *shape)
        gathered = np.empty((len(places), *shape), dtype=self.dtype)
        for row, array in enumerate(self._arrays(flat, places)):
            gathered[row] = array
        return gathered

    def each(self, digests: Sequence[str]) -> list[NDArray[Any]]:
        """Return the arrays of these photos, each a view of its own shape.

        Raises:
            KeyError: one is not here.
        """
        return list(self._arrays(self._mapped(), self._found(digests)))

    def _found(self, digests: Sequence[str]) -> list[tuple[int, tuple[int, ...]]]:
        return [self._places[bytes.fromhex(digest)] for digest in digests]

    def _arrays(self, flat: NDArray[Any], places: Iterable[tuple[int, tuple[int, ...]]]) -> Iterator[NDArray[Any]]:
        for start, shape in places:
            begin = start // self.dtype.itemsize
            yield flat[begin : begin + math.prod(shape)].reshape(shape)

    def _mapped(self) -> NDArray[Any]:
        return np.memmap(self.folder / "arrays.bin", dtype=self.dtype, mode="r")

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * self.dtype.itemsize

    def _enter(self, index: Any, records: list[tuple[bytes, int, tuple[int, ...]]]) -> None:
        padded = [(raw, start, (*shape, 0, 0)[:3]) for raw, start, shape in records]
        index.write(np.array(padded, dtype=_RECORD).tobytes())
        index.flush()
        self._read += len(records)
        records.clear()

    def _refresh(self) -> None:
        """Read the records that were written since the last look; a record that a crash cut off is not one."""
        try:
            with (self.folder / "index.bin").open("rb") as index:
                index.seek(self._read * _RECORD.itemsize)
                raw = index.read()
            size = (self.folder / "arrays.bin").stat().st_size
        except FileNotFoundError:
            return
        records = np.frombuffer(raw[: len(raw) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
        for record in records:
            shape = tuple(int(length) for length in record["shape"] if length)
            start = int(record["start"])
            if start + self._bytes(shape) > size:  # a power cut kept the index and lost the array
                break
            self._places[record["digest"].tobytes()] = (start, shape)
            self._read += 1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
