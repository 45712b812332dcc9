"""Arrays by photo digest, on disk: append-only, mapped into memory, safe against crashes and parallel writers.

A store is a folder with `arrays.bin`, one array behind the other; `index.bin`, a record for each in the same order; and
`key.json`, which says what the arrays are. The index is written after the arrays: what it names is whole.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.workspace import take_lock, write_atomically

# sha256 of the photo, where its array begins (bytes), and its shape; unused dimensions are 0.
_RECORD = np.dtype([("digest", "V32"), ("start", "<u8"), ("shape", "<u4", (3,))])
MOST_IN_MEMORY = 512 << 20  # of arrays that do not lie in the order asked for
FLUSH_BYTES, FLUSH_SECONDS = 64 << 20, 10.0
"""Arrays are entered in the index after so many bytes, or with the first that comes after so long: bounds what a crash loses,
of large arrays and of those that take long to compute."""


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
    _stamp: bytes = field(default=b"", repr=False)

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
            NoLocksError: the file system has no locks.
            ValueError: an array has not one to three dimensions, or holds nothing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "key.json", json.dumps([dict(self.key), self.dtype.str], indent=1).encode())
        with self._locked():
            if not all((self.folder / name).exists() for name in ("stamp", "arrays.bin", "index.bin")):
                write_atomically(self.folder / "stamp", os.urandom(16))  # an open store notices that this is another
                (self.folder / "index.bin").write_bytes(b"")
                (self.folder / "arrays.bin").write_bytes(b"")
            self._refresh()
            with (self.folder / "arrays.bin").open("ab") as data, (self.folder / "index.bin").open("ab") as index:
                # Bytes beyond the last record are what a killed writer left.
                end = max((start + self._bytes(shape) for start, shape in self._places.values()), default=0)
                data.truncate(end)
                index.truncate(self._read * _RECORD.itemsize)
                records: list[tuple[bytes, int, tuple[int, ...]]] = []
                waiting: set[bytes] = set()
                entered, entered_at = end, time.monotonic()
                try:
                    for digest, array in arrays:
                        raw = bytes.fromhex(digest)
                        if raw in self._places or raw in waiting:
                            continue
                        if not 1 <= array.ndim <= 3 or not array.size:
                            raise ValueError(f"{digest}: expected one to three dimensions, got {array.shape}")
                        data.write(np.ascontiguousarray(array, dtype=self.dtype).data)
                        records.append((raw, end, array.shape))
                        waiting.add(raw)
                        end += self._bytes(array.shape)
                        if end - entered >= FLUSH_BYTES or time.monotonic() - entered_at >= FLUSH_SECONDS:
                            self._enter(data, index, records)
                            waiting.clear()
                            entered, entered_at = end, time.monotonic()
                finally:
                    self._enter(data, index, records)

    def stacked(self, digests: Sequence[str]) -> NDArray[Any]:
        """Return the arrays of these photos, all of one shape, as (N, *shape): a view where they lie in this order.

        Raises:
            KeyError: one is not here.
        """
        places = self._locations(digests)
        starts = np.array([start for start, _ in places], dtype=np.int64)
        shape = places[0][1]
        step = self._bytes(shape)
        flat = self._mapped(places)
        if (np.diff(starts) == step).all():
            begin = int(starts[0]) // self.dtype.itemsize
            return flat[begin : begin + len(places) * math.prod(shape)].reshape(len(places), *shape)
        gathered = self._room(len(places) * step, (len(places), *shape))
        for row, array in enumerate(self._arrays(flat, places)):
            gathered[row] = array
        return gathered

    def each(self, digests: Sequence[str]) -> list[NDArray[Any]]:
        """Return the arrays of these photos, each a view of its own shape.

        Raises:
            KeyError: one is not here.
        """
        places = self._locations(digests)
        return list(self._arrays(self._mapped(places), places)) if places else []

    def _room(self, size: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an empty array in memory, or, when it would take much of that, mapped to a file that goes with it."""
        if size <= MOST_IN_MEMORY:
            return np.empty(shape, dtype=self.dtype)
        with TemporaryFile(dir=self.folder) as file:
            return np.memmap(file, dtype=self.dtype, mode="w+", shape=shape)

    def _locations(self, digests: Sequence[str]) -> list[tuple[int, tuple[int, ...]]]:
        self._refresh()
        return [self._places[bytes.fromhex(digest)] for digest in digests]

    def _arrays(self, flat: NDArray[Any], places: Iterable[tuple[int, tuple[int, ...]]]) -> Iterator[NDArray[Any]]:
        for start, shape in places:
            begin = start // self.dtype.itemsize
            yield flat[begin : begin + math.prod(shape)].reshape(shape)

    def _mapped(self, places: Sequence[tuple[int, tuple[int, ...]]]) -> NDArray[Any]:
        end = max(start + self._bytes(shape) for start, shape in places)
        # Only whole values: what a writer, or a killed one, is at may end anywhere.
        return np.memmap(self.folder / "arrays.bin", dtype=self.dtype, mode="r", shape=end // self.dtype.itemsize)

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * self.dtype.itemsize

    def _enter(self, data: Any, index: Any, records: list[tuple[bytes, int, tuple[int, ...]]]) -> None:
        data.flush()
        os.fsync(data.fileno())  # so that no power cut leaves a record without its array
        padded = [(raw, start, (*shape, 0, 0)[:3]) for raw, start, shape in records]
        index.write(np.array(padded, dtype=_RECORD).tobytes())
        index.flush()
        self._places.update((raw, (start, shape)) for raw, start, shape in records)
        self._read += len(records)
        records.clear()

    def _refresh(self) -> None:
        """Read the records that were written since the last look; a record that a crash cut off is not one."""
        try:
            with (self.folder / "index.bin").open("rb") as index:
                stamp = (self.folder / "stamp").read_bytes()
                if stamp != self._stamp:
                    self._forget(stamp)
                index.seek(self._read * _RECORD.itemsize)
                raw = index.read()
            size = (self.folder / "arrays.bin").stat().st_size
        except FileNotFoundError:
            self._forget(b"")
            return
        records = np.frombuffer(raw[: len(raw) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
        for record in records:
            shape = tuple(int(length) for length in record["shape"] if length)
            start = int(record["start"])
            if start + self._bytes(shape) > size:  # a power cut kept the index and lost the array
                break
            self._places[record["digest"].tobytes()] = (start, shape)
            self._read += 1

    def _forget(self, stamp: bytes) -> None:
        self._places.clear()
        self._read, self._stamp = 0, stamp

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            take_lock(lock)
            yield
