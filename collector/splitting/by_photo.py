"""Texts by photo_id, in a few bytes each: a number for each photo, and a text for each number."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        return (photo_id for photo_id, at in self.index.items() if self.number[at] >= 0)

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
