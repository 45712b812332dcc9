"""The sandbox as a provider: its photos are not fetched but drawn, again and again the same, from their ids.

It stands in the entry-point group `t15.providers`, as the provider of another package would.
"""

import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from collector.providers.answers import clean
from collector.providers.base import ImageRequest, Query
from collector.providers.registry import Settings
from collector.records import City, Photo, Unusable
from collector.sandbox.scenes import CITIES, Scene, encode, scenes_of

_ID = re.compile(r"sandbox:([0-9]{1,6})-([a-z]+)-([0-9]{1,5})")
_PHOTOS = 150  # of a city, unless more are asked for
_AT_ONCE = 500  # scenes of a city that are planned together, some milliseconds
_NUMBER = {city.slug: number for number, city in enumerate(CITIES)}


@dataclass
class SandboxProvider:
    """Draws photos of the imaginary cities; cities of other regions have none.

    A photo's id is `sandbox:<seed>-<city>-<index>`, and its bytes follow from that (and from the version of Pillow).
    """

    name: str = "sandbox"
    remark: str = "These photos are drawn, not photographed: results on them say nothing about real places."
    _folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="t15-drawn-")), repr=False)
    _scenes: dict[tuple[int, int], list[Scene]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def search(self, city: City, query: Query) -> Iterator[Photo | Unusable]:
        """Yield the first photos of a city: `limit`, or enough for the target, or 150."""
        if city.slug not in _NUMBER:
            return
        wanted = query.limit or max(_PHOTOS, query.target or 0)
        for scene in self._first(query.seed, _NUMBER[city.slug], wanted):
            yield Photo(
                photo_id=f"sandbox:{query.seed}-{city.slug}-{scene.index}",
                city=city.slug,
                latitude=scene.latitude,
                longitude=scene.longitude,
                taken_at=scene.taken_at,
                author_id=scene.author_id,
                author_name=clean(scene.author_name),
                license="CC0-1.0",
                title=clean(scene.title),
            )

    def image_request(self, photo: Photo) -> ImageRequest:
        """Draw the photo into a temporary file and return its address.

        Raises:
            LookupError: no photo of the sandbox has this id.
        """
        match = _ID.fullmatch(photo.photo_id)
        if not match or match[2] not in _NUMBER:
            raise LookupError(photo.photo_id)
        seed, index = int(match[1]), int(match[3])
        scene = self._first(seed, _NUMBER[match[2]], index + 1)[index]
        path = self._folder / f"{seed}-{match[2]}-{index}.jpg"
        path.write_bytes(encode(scene))
        return ImageRequest(path.as_uri())

    def _first(self, seed: int, city: int, count: int) -> list[Scene]:
        scenes = self._scenes.get((seed, city), [])
        if len(scenes) < count:
            scenes = list(islice(scenes_of(seed, city), -(-count // _AT_ONCE) * _AT_ONCE))
            self._scenes[seed, city] = scenes
        return scenes[:count]


def make(settings: Settings) -> SandboxProvider:  # noqa: ARG001 (what every provider is made from)
    """Return the provider, as the registry asks for it."""
    return SandboxProvider()
