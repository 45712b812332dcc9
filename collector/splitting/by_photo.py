"""Texts by photo_id, in a few bytes each: a number for each photo, and a text for each number."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096  # photo_ids that are held as texts


class Positions(Mapping[str, int]):
    """The positions of sorted photo_ids: what a dict of them takes 150 bytes a photo for, in none beside the ids.

    Whoever asks in their order, or nearly so, is answered at once, others by bisection.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        """Take the photo_ids."""
        self._ids = ids
        self._start, self._block = 0, list[str]()

    def __getitem__(self, photo_id: str) -> int:
        """Return the position of a photo_id.

        Raises:
            KeyError: it is not among them.
        """
        if not self._block or not self._block[0] <= photo_id <= self._block[-1]:
            at = self._start + len(self._block)
            following = list(self._ids[at : at + _BLOCK])
            if not following or not following[0] <= photo_id <= following[-1]:
                at = bisect_left(self._ids, photo_id)
                if at < len(self._ids) and self._ids[at] == photo_id:
                    return at
                raise KeyError(photo_id)
            self._start, self._block = at, following
        at = bisect_left(self._block, photo_id)
        if self._block[at] != photo_id:
            raise KeyError(photo_id)
        return self._start + at

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class ByPhoto(Mapping[str, str]):
    """What groups and sides of millions of photos are kept in: reads like a dict of photo_id -> text.

    Attributes:
        index: photo_id -> position, of all photos, in their order; shared by all that is said of the same photos.
        number: (N,) which of `names` each photo has, -1 for none.
        names: the texts.
    """

    def __init__(self, index: Mapping[str, int], number: NDArray[np.integer[Any]], names: Sequence[str]) -> None:
        self.index, self.number, self.names = index, number, names

    def __getitem__(self, photo_id: str) -> str:
        """Return the text of a photo.

        Raises:
            KeyError: it has none.
        """
        number = int(self.number[self.index[photo_id]])
        if number < 0:
            raise KeyError(photo_id)
        return self.names[number]

    def __iter__(self) -> Iterator[str]:
        return (photo_id for photo_id, number in zip(self.index, self.number.tolist(), strict=True) if number >= 0)

    def __len__(self) -> int:
        return int((self.number >= 0).sum())

    def __repr__(self) -> str:
        return repr(dict(self))


class FirstOf(Sequence[str]):
    """The names of groups, made as they are asked for: a prefix and the photo_id of the first photo of each."""

    def __init__(self, prefix: str, photo_ids: Sequence[str], first: NDArray[np.int64]) -> None:
        self._prefix, self._ids, self._first = prefix, photo_ids, first

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, number: Any) -> Any:
        """Return the name of a group, or those of a slice."""
        if isinstance(number, slice):
            return [self._prefix + self._ids[at] for at in self._first[number].tolist()]
        return self._prefix + self._ids[int(self._first[number])]
