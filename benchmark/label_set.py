"""The labels that a benchmark tells apart: all of one level, with the centre and the radius of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from collector.errors import UsageError
from collector.geo import distances_km
from collector.records import SPLITS, Label, Photo

if TYPE_CHECKING:
    from collector.labels import LabelTree
    from collector.manifest.manifest import Manifest

_AT_ONCE = 1 << 22  # distances in memory


@dataclass(frozen=True, slots=True)
class LabelNames:
    """What a label is called.

    Attributes:
        name: as its inhabitants write it.
        names: in other languages, by BCP 47 language tag.
        city: of a district, the label of the city that it lies in; else None.
        country: ISO 3166-1 alpha-2 code of its country, or the id of the tree's own label in capitals; empty where unknown.
        country_names: of that label, by language tag, with `""` for its own name; empty where the tree has none.
    """

    name: str
    names: Mapping[str, str]
    city: "LabelNames | None" = None
    country: str = ""
    country_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelSet:
    """C labels of one level, in the order of a method's probabilities.

    Attributes:
        level: such as `city`.
        ids: of the labels.
        centres: (C, 2), latitude and longitude, degrees WGS84.
        radii_km: (C,), a label holds the places at most so far from its centre.
        names: of each label what it is called, its own name and those by language; empty where nobody said.
        tree: the labels of every level that the manifest has, these among them; empty where nothing is known but these.
    """

    level: str
    ids: tuple[str, ...]
    centres: NDArray[np.float64]
    radii_km: NDArray[np.float64]
    names: "tuple[LabelNames, ...]" = ()
    tree: tuple[Label, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def circles(self) -> list[tuple[float, float, float]]:
        """Latitude and longitude of the centre of each, and its radius in km."""
        return [(*at, radius) for at, radius in zip(self.centres.tolist(), self.radii_km.tolist(), strict=True)]

    def holding(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the position of the label that holds each of the places (N, 2); -1 where a place is NaN.

        Of several that hold it, that with the nearest centre; where none does, the nearest centre decides.
        """
        blocks = [
            self._holding(places[at : at + max(1, _AT_ONCE // len(self))])
            for at in range(0, len(places), max(1, _AT_ONCE // len(self)))
        ]
        return np.concatenate([np.empty(0, np.int64), *blocks])

    def _holding(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        known = ~np.isnan(places).any(axis=1)
        centres = self.centres.T[:, None]
        km = distances_km(places[known, :1], places[known, 1:], centres[0], centres[1])
        held = km <= self.radii_km
        candidates = np.where(held.any(axis=1, keepdims=True) & ~held, np.inf, km)
        positions = np.full(len(places), -1, np.int64)
        positions[known] = candidates.argmin(axis=1)
        return positions


def label_set(manifest: "Manifest", level: str = "city") -> LabelSet:
    """Return the labels of a manifest at a level, in its order.

    Raises:
        UsageError: it has no labels of that level.
    """
    labels = manifest.labels.at(level)
    if not labels:
        header, levels = manifest.header, ", ".join(manifest.labels.levels)
        raise UsageError(
            f"{header.name} {header.version}: has no labels of level {level[:40]!r}; its levels are {levels}"
        )
    countries = {city.slug: city.country for city in manifest.header.cities}
    names = tuple(_named(manifest.labels, label, countries) for label in labels)
    return replace(labels_of(labels, level, manifest.labels.labels), names=names)


def _named(tree: "LabelTree", label: Label, countries: Mapping[str, str]) -> LabelNames:
    city, above = (tree.parent_at(label, level) for level in ("city", "country"))
    code = above.id if above else countries.get(city.id, "") if city else ""
    called = {"": above.name, **above.names} if above else {}
    lies_in = _named(tree, city, countries) if city and city is not label else None
    return LabelNames(label.name, label.names, lies_in, code.upper(), called)


def labels_of(labels: Sequence[Label], level: str = "city", tree: tuple[Label, ...] = ()) -> LabelSet:
    """Return labels of one level, of a tree, as a set."""
    return LabelSet(
        level,
        tuple(label.id for label in labels),
        np.array([(label.latitude, label.longitude) for label in labels], np.float64).reshape(-1, 2),
        np.array([label.radius_km for label in labels], np.float64),
        tree=tree,
    )


def positions(manifest: "Manifest", photos: Sequence[Photo], level: str = "city") -> NDArray[np.int64]:
    """Return the position of each photo's label among those of a level, (N,); -1 where it has none of that level."""
    tree = manifest.labels
    number = {label.id: position for position, label in enumerate(tree.at(level))}
    labels = (tree.parent_at(tree.by_id[photo.label or photo.city], level) for photo in photos)
    return np.array([number[label.id] if label else -1 for label in labels], np.int64)


def photos_at(manifest: "Manifest", side: str, level: str = "city") -> list[Photo]:
    """Return the photos of one side that have a label of a level, sorted by photo_id: what is learnt and judged there.

    Every photo has a city; a photo whose place is unknown, or in none of its city's districts, has no district.
    """
    photos = manifest.photos(side)
    if level == "city":
        return photos
    labelled = positions(manifest, photos, level) >= 0
    return [photo for photo, has_label in zip(photos, labelled.tolist(), strict=True) if has_label]


def left_out(manifest: "Manifest", level: str = "city") -> dict[str, int]:
    """Return how many photos of each side have no label of a level."""
    return {side: len(manifest.photos(side)) - len(photos_at(manifest, side, level)) for side in SPLITS}


def left_out_note(counts: Mapping[str, int], level: str) -> str:
    """Return in a sentence how many photos (see `left_out`) have no label of a level; empty where each has one."""
    sides = ", ".join(f"{count} of {side}" for side, count in counts.items() if count)
    return f"Photos without a {level} are left out on every side: {sides}." if sides else ""
