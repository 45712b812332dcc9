"""Labels as a tree: what a method can answer with, level by level, from countries down to districts.

A city is a label of level `city`. Most data sets have no other: then the tree is the list of their cities. A region file
may give districts (`[[city.district]]`), which a manifest keeps in its header.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from collector.geo import distance_km
from collector.records import City, Label

__all__ = ["LEVELS", "PLURALS", "Label", "LabelTree", "label_of"]

LEVELS = ("country", "region", "city", "district")
"""The levels, the widest first."""

PLURALS = {"country": "countries", "region": "regions", "city": "cities", "district": "districts"}
"""What several labels of a level are called."""


class Labelled(Protocol):
    """What has cities and other labels: a manifest's header, a region."""

    @property
    def cities(self) -> tuple[City, ...]:
        """The cities, in the order of the classes."""
        ...

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels beside the cities."""
        ...


def label_of(city: City, parent: str | None = None) -> Label:
    """Return a city as a label."""
    place = (city.latitude, city.longitude, city.radius_km)
    return Label(city.slug, city.name, city.names, "city", parent, *place)


@dataclass(frozen=True)
class LabelTree:
    """Labels of all levels; within a level they keep their order, which is that of a method's columns.

    Attributes:
        labels: of all levels, in any order; ids are unique, and a parent is among them.
    """

    labels: tuple[Label, ...]

    @classmethod
    def of_cities(cls, cities: Iterable[City], labels: Sequence[Label] = ()) -> "LabelTree":
        """Return the tree of cities and of `labels` beside them.

        A label of level `country` whose id is a city's country code (in small letters) is the city's parent.
        """
        countries = {label.id for label in labels if label.level == "country"}
        parents = ((city, city.country.lower()) for city in cities)
        return cls((*(label_of(city, code if code in countries else None) for city, code in parents), *labels))

    @classmethod
    def of(cls, labelled: Labelled) -> "LabelTree":
        """Return the tree of a manifest's header, or of a region."""
        return cls.of_cities(labelled.cities, labelled.labels)

    @cached_property
    def by_id(self) -> dict[str, Label]:
        """Every label by its id."""
        return {label.id: label for label in self.labels}

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that have labels, the widest first."""
        present = {label.level for label in self.labels}
        return tuple(level for level in LEVELS if level in present)

    def at(self, level: str) -> tuple[Label, ...]:
        """Return the labels of a level in their order; none where the tree does not have the level."""
        return tuple(label for label in self.labels if label.level == level)

    def parent_at(self, label: Label, level: str) -> Label | None:
        """Return the label of `level` that `label` is or lies in; None where there is none."""
        ancestor: Label | None = label
        for _ in LEVELS:  # bounds the way up, whatever a foreign header says
            if ancestor is None or ancestor.level == level:
                return ancestor
            ancestor = self.by_id.get(ancestor.parent) if ancestor.parent else None
        return None

    def columns(self, level: str, above: str) -> tuple[int, ...]:
        """Return, for each label of `level`, the position of its ancestor among those of `above`; -1 where it has none.

        Probabilities of `level` summed by these positions are probabilities of `above`.
        """
        position = {label.id: index for index, label in enumerate(self.at(above))}
        ancestors = (self.parent_at(label, above) for label in self.at(level))
        return tuple(position[label.id] if label else -1 for label in ancestors)

    def beside(self, cities: Collection[str]) -> tuple[Label, ...]:
        """Return the labels beside the cities that lie in one of `cities` (slugs), or that one of them lies in."""
        above = {self.parent_at(self.by_id[slug], level) for slug in cities for level in LEVELS[: LEVELS.index("city")]}
        return tuple(
            label
            for label in self.labels
            if label.level != "city"
            and (((city := self.parent_at(label, "city")) and city.id in cities) or label in above)
        )

    @cached_property
    def _districts(self) -> dict[str, list[Label]]:
        districts: dict[str, list[Label]] = {}
        for label in self.at("district"):
            if city := self.parent_at(label, "city"):
                districts.setdefault(city.id, []).append(label)
        return districts

    def finest(self, city: str, latitude: float | None, longitude: float | None) -> Label:
        """Return the finest label of a photo: the nearest district of its city whose radius holds it, else the city.

        Args:
            city: slug of the photo's city, which is in the tree.
            latitude: where the photo was taken, degrees WGS84; None when unknown.
            longitude: of the same place.

        Raises:
            KeyError: the tree has no such city.
        """
        if latitude is not None and longitude is not None:
            distances = [
                (distance_km(latitude, longitude, label.latitude, label.longitude), label)
                for label in self._districts.get(city, ())
            ]
            within = [(km, label) for km, label in distances if km <= label.radius_km]
            if within:
                return min(within, key=lambda pair: pair[0])[1]
        return self.by_id[city]
