"""What predictions are held against: where a manifest's photos were taken, and what is known of them beside that."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.attributes import surroundings
from benchmark.label_set import LabelSet, label_set, photos_at, positions
from benchmark.scoring.metrics import worth
from collector.errors import DataError
from collector.geo import chord, distances_km, unit_vectors
from collector.labels import LEVELS
from collector.manifest.manifest import Manifest
from collector.records import ALL_KNOWN, DHASH_SLACK, FLAGS_COLUMN, PHASH_RADIUS, Photo, UnknownOwners, where_named

NEAR_KM = 1.0
"""A photo that is taken closer than this to a training photo may show the same place."""

SAME_PLACE_KM = 0.025
"""A photo of the gallery that is taken at most this far away shows the very place: the 25 m of visual place recognition (A.
Torii et al., "24/7 place recognition by view synthesis", CVPR 2015)."""

_BLOCK = 1 << 22  # pairs of hashes in memory at once


@dataclass(frozen=True)
class Gallery:
    """The training photos, which a ranking is of: `labels` (G,), `places` (G, 2), NaN where unknown."""

    labels: NDArray[np.int64]
    places: NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """N photos of one side, sorted by photo_id.

    Attributes:
        photo_ids: N of them.
        labels: (N,) positions in `label_set`.
        label_set: the C labels of the level that methods answer at.
        ancestors: by each level above it, which of that level's labels each of the C is in, (C,).
        places: (N, 2) where the photos were taken, NaN where unknown.
        headings: (N,) degrees clockwise from north, NaN where unknown.
        authors: who took each, a service's id with its service; None where unknown.
        gallery: the training photos.
        parts: the name of each photo's part, by what it is a part of.
        groups: (N,) equal for photos that belong together, such as those of one author, where intervals and tests are to draw
            them together; None where each photo stands alone.
        protocol: `city`, or `place` where the question is which photo of the gallery shows the very place.
        near_duplicates: of how many of the photos training has a near-duplicate, as `t15 audit` counts them.
        unknown_owners: of how many of the photos, and of the gallery's, the author is unknown.
    """

    photo_ids: list[str]
    labels: NDArray[np.int64]
    label_set: LabelSet
    ancestors: Mapping[str, NDArray[np.int64]]
    places: NDArray[np.float64]
    headings: NDArray[np.float64]
    authors: list[tuple[str, str] | None]
    gallery: Gallery
    parts: Mapping[str, list[str | None]]
    protocol: str = "city"
    groups: NDArray[np.int64] | None = None
    near_duplicates: int = 0
    unknown_owners: UnknownOwners = ALL_KNOWN

    def __len__(self) -> int:
        return len(self.photo_ids)

    @property
    def classes(self) -> tuple[str, ...]:
        """The ids of the labels, in the order of the probabilities."""
        return self.label_set.ids

    @property
    def located(self) -> int:
        """How many of the photos have a place."""
        return int((~np.isnan(self.places).any(axis=1)).sum())

    @property
    def units(self) -> NDArray[np.int64] | None:
        """What stands or falls together, (N,): by protocol `place` the place, else the group; None: each photo is alone."""
        return self.queried if self.protocol == "place" else self.groups

    def worth(self, values: NDArray[Any], of: NDArray[Any]) -> float:
        """Return how many trials a share of some photos rests on: every interval of a share is Wilson's at this number.

        By protocol `place` as many as there are places: queries of one stand or fall together. Of groups `metrics.worth`.

        Args:
            values: (M,), such as 1 for a right answer and 0 for a wrong one; of several seeds the mean.
            of: which of the N photos these are, (M,) positions or (N,) booleans.
        """
        units = None if self.units is None else self.units[of]
        if units is not None and self.protocol == "place":
            return float(len(np.unique(units)))
        return worth(values, units)

    @cached_property
    def queried(self) -> NDArray[np.int64]:
        """Which place each photo was taken at, (N,), -1 where unknown; all within 25 m of its southernmost photo."""
        of = np.full(len(self), -1, np.int64)
        order = np.lexsort((self.places[:, 1], self.places[:, 0]))
        known = [row for row in order.tolist() if not np.isnan(self.places[row]).any()]
        if not known:
            return of
        tree = _tree(self.places[known])
        for number, row in enumerate(known):
            if of[row] < 0:
                near = tree.query_ball_point(unit_vectors(*self.places[[row]].T)[0], chord(SAME_PLACE_KM))
                of[[known[other] for other in near if of[known[other]] < 0]] = number
        return of

    def within(self, km: float) -> tuple[float, float]:
        """Return the share of the photos that a photo of the gallery was taken within `km` of, and what chance would find:
        the share of the gallery within it, mean over the photos.
        """
        known, where = _known_places(self.gallery.places), _known_places(self.places)
        if not len(known) or not len(where):
            return 0.0, 0.0
        tree = _tree(known)
        hits = tree.query_ball_point(unit_vectors(*where.T), chord(km), return_length=True)
        return float(np.mean(hits > 0)), float(np.mean(hits)) / len(self.gallery.places)

    @cached_property
    def chances(self) -> tuple[float, float]:
        """What guessing evenly, and always giving the commonest answer, get right.

        By labels: 1 / C, and the share of the label with the most photos. By protocol `place`: the share of the gallery that
        shows a photo's place, mean over the photos; the same twice.
        """
        if self.protocol != "place":
            return 1 / len(self.classes), float(np.bincount(self.labels).max() / len(self.labels))
        share = self.within(SAME_PLACE_KM)[1]
        return share, share

    @classmethod
    def of(cls, manifest: Manifest, side: str = "test", level: str = "city") -> "Truth":
        """Return the photos of one side of `manifest`, `train`, `val` or `test`, that have a label of `level`.

        Photos without one are left out, of the gallery too: see `label_set.photos_at`.

        Raises:
            UsageError: the manifest has no labels of that level.
            DataError: no photo is left.
        """
        labels, header = label_set(manifest, level), manifest.header
        photos, train = (photos_at(manifest, one, level) for one in (side, "train"))
        if not photos:
            having = "" if level == "city" else f" with a {level}"
            raise DataError(
                f"manifest {header.name} {header.version}: has no {side} photos{having} to judge a method by"
            )
        parts = parts_of(photos, train, _named(manifest))
        return cls(
            photo_ids=[photo.photo_id for photo in photos],
            labels=positions(manifest, photos, level),
            label_set=labels,
            ancestors=_ancestors(manifest, level),
            places=places_of(photos),
            headings=np.array([photo.heading for photo in photos], np.float64),
            authors=[_author(photo) for photo in photos],
            gallery=Gallery(positions(manifest, train, level), places_of(train)),
            parts={
                **parts,
                **_surrounded(manifest, photos),
                **_trained(positions(manifest, photos, level), positions(manifest, train, level), level),
            },
            protocol=header.protocol,
            near_duplicates=_near_duplicates(photos, train, parts.get(LIKEST, [])),
            unknown_owners=UnknownOwners(
                photos=len(photos),
                author=sum(not photo.author_id for photo in photos),
                sequence=sum(not (photo.author_id or photo.sequence_id) for photo in photos),
                gallery=len(train),
                gallery_author=sum(not photo.author_id for photo in train),
            ),
        )


def pooled(folds: Sequence[tuple[Manifest, Truth]]) -> Truth:
    """Return the truths of the folds of a cross-validation as one, in their order: each photo is in the test side of one.

    Photos that the folds keep together (`group_id`) are of one group; where a manifest names none, those of one author.

    Raises:
        DataError: the labels differ, or a photo is tested twice.
    """
    first, truths = folds[0][1], [truth for _, truth in folds]
    photo_ids = [photo_id for truth in truths for photo_id in truth.photo_ids]
    of = f"{folds[0][0].header.name} and its like"
    if any(truth.classes != first.classes or truth.protocol != first.protocol for truth in truths):
        raise DataError(
            f"{of}: their {first.label_set.level} labels or protocols differ; these are no folds of one data set"
        )
    if len(set(photo_ids)) < len(photo_ids):
        raise DataError(f"{of}: a photo is tested twice; these are no folds of one data set")
    numbers: dict[object, int] = {}
    groups = []
    for manifest, truth in folds:
        together = {photo.photo_id: photo.group_id or _author(photo) for photo in manifest.photos("test")}
        groups += [numbers.setdefault(together[one] or one, len(numbers)) for one in truth.photo_ids]
    kinds = [kind for kind in first.parts if all(kind in truth.parts for truth in truths)]
    return Truth(
        photo_ids=photo_ids,
        labels=np.concatenate([truth.labels for truth in truths]),
        label_set=first.label_set,
        ancestors=first.ancestors,
        places=np.concatenate([truth.places for truth in truths]),
        headings=np.concatenate([truth.headings for truth in truths]),
        authors=[author for truth in truths for author in truth.authors],
        gallery=first.gallery,
        parts={kind: [part for truth in truths for part in truth.parts[kind]] for kind in kinds},
        protocol=first.protocol,
        groups=np.array(groups, np.int64),
        near_duplicates=sum(truth.near_duplicates for truth in truths),
        unknown_owners=UnknownOwners(
            *(sum(of) for of in zip(*(astuple(truth.unknown_owners) for truth in truths), strict=True))
        ),
    )


def _ancestors(manifest: Manifest, level: str) -> dict[str, NDArray[np.int64]]:
    """Return, by level above, which of its labels each is in; levels that a label lacks, or that all share, are left out."""
    tree = manifest.labels
    ancestors = {above: np.array(tree.columns(level, above), np.int64) for above in LEVELS[: LEVELS.index(level)]}
    if level == "city" and not tree.at("country"):
        codes = [city.country for city in manifest.header.cities]
        if all(codes):
            ancestors["country"] = np.unique(np.array(codes), return_inverse=True)[1].astype(np.int64)
    return {above: of for above, of in ancestors.items() if (of >= 0).all() and len(set(of.tolist())) > 1}


def places_of(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """Return where photos were taken, (N, 2), NaN where unknown."""
    nowhere = (np.nan, np.nan)
    places = [nowhere if None in (p.latitude, p.longitude) else (p.latitude, p.longitude) for p in photos]
    return np.array(places, np.float64).reshape(-1, 2)


SURROUNDINGS = ("country", "climate", "urbanisation", "elevation_90m", "elevation")
"""Layers that photos are told apart by; of two elevations the finer."""

_THIRDS = (1 / 3, 2 / 3)


def _surrounded(manifest: Manifest, photos: Sequence[Photo]) -> dict[str, list[str | None]]:
    """Return what the place of each photo is like, by layer; empty where `t15 geodata add` wrote nothing beside the manifest.

    Numbers are thirds of all the manifest's photos.
    """
    known = surroundings(manifest)
    if known is None:
        return {}
    parts: dict[str, list[str | None]] = {}
    mine = known.of([photo.photo_id for photo in photos])
    chosen = [layer for layer in SURROUNDINGS if layer in mine]
    for layer in chosen[:-1] if {"elevation_90m", "elevation"} <= set(chosen) else chosen:
        values = mine[layer]
        if values.dtype == object:
            parts[layer.capitalize()] = values.tolist()
            continue
        everywhere = known.values[layer]
        if not np.isfinite(everywhere).any():
            continue
        low, high = np.nanquantile(everywhere, _THIRDS)
        names = np.array([f"lowest third, below {low:,.0f} m", f"middle third, {low:,.0f} to {high:,.0f} m",
                          f"highest third, {high:,.0f} m or more"], dtype=object)  # fmt: skip
        thirds = names[np.searchsorted((low, high), values, side="right").clip(0, 2)]
        parts["Elevation"] = [name if of else None for name, of in zip(thirds, np.isfinite(values), strict=True)]
    return {kind: names for kind, names in parts.items() if len(set(names) - {None}) > 1}


def _trained(tested: NDArray[np.int64], trained: NDArray[np.int64], level: str) -> dict[str, list[str | None]]:
    """Return whether training has the label of each photo, as a kind of part; empty where it has all of them."""
    known = np.isin(tested, trained)
    if known.all() or not len(trained):
        return {}
    return {f"{level} in training": ["trained" if of else "held out" for of in known.tolist()]}


NAMES_ANSWER = "names its answer"
"""The kind of part that tells photos in which, or beside which, the answer can be read (`t15 quality --text`)."""


def _named(manifest: Manifest) -> dict[str, str | None]:
    """Return by photo_id where each photo names its answer; empty where nobody looked."""
    flags = manifest.beside(FLAGS_COLUMN)
    ids = manifest.table["photo_id"].to_pylist() if flags else []
    return {photo_id: where_named(of) for photo_id, of in zip(ids, flags or [], strict=True)}


LIKEST = "likest training picture"
"""The kind of part that tells how alike the likest picture of training is."""

NEAR_DUPLICATE = f"near-duplicate (pHash within {PHASH_RADIUS} bits)"
"""The part of photos of which training has the same picture, as good as surely."""


def parts_of(
    photos: Sequence[Photo], train: Sequence[Photo], named: Mapping[str, str | None] | None = None
) -> dict[str, list[str | None]]:
    """Return the name of each photo's part, None where it is unknown, by what it is a part of.

    That is the provider, the licence, whether a training photo was taken less than NEAR_KM away, how alike the likest picture
    in training is by its pHash, whether a training photo is by the same author, where the photo names its answer
    (`named`, by photo_id), and how far the training photo within 25 m that looks the same way most is turned away. Kinds of
    which no photo has a part are left out; that of the city is in `Scores.per_class`.
    """
    authors = {_author(photo) for photo in train}
    parts: dict[str, list[str | None]] = {
        "provider": [photo.photo_id.partition(":")[0] for photo in photos],
        "licence": [photo.license for photo in photos],
        "distance to the nearest training photo": _nearness(places_of(photos), places_of(train)),
        LIKEST: _likeness(photos, train),
        "author": [_author_slice(_author(photo), authors) for photo in photos],
        NAMES_ANSWER: [(named or {}).get(photo.photo_id) for photo in photos],
        HEADING: _turned(photos, train),
    }
    return {kind: names for kind, names in parts.items() if any(name is not None for name in names)}


HEADING = "how far the best view of the place in the gallery is turned away"


def _turned(photos: Sequence[Photo], train: Sequence[Photo]) -> list[str | None]:
    """Return by how much the photo within 25 m that is turned alike most is turned away; None where that is not known."""
    views = [photo for photo in train if photo.heading is not None and photo.latitude is not None]
    names: list[str | None] = [None] * len(photos)
    asked = [row for row, photo in enumerate(photos) if photo.heading is not None and photo.latitude is not None]
    if not views or not asked:
        return names
    tree = _tree(places_of(views))
    headings = np.array([photo.heading for photo in views], np.float64)
    near = tree.query_ball_point(unit_vectors(*places_of([photos[row] for row in asked]).T), chord(SAME_PLACE_KM))
    for row, rows in zip(asked, near, strict=True):
        if rows:
            turned = np.abs((headings[rows] - float(photos[row].heading or 0) + 180) % 360 - 180).min()
            names[row] = "below 45°" if turned < 45 else "45 to 135°" if turned <= 135 else "above 135°"
    return names


def _tree(places: NDArray[np.float64]) -> Any:
    """Return a tree of places, (N, 2) degrees, as points of the unit sphere."""
    from scipy.spatial import cKDTree  # takes half a second, and boards of cities need none

    return cKDTree(unit_vectors(*places.T))


def nearest_km(places: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the nearest of `others` (M, 2) is from each of `places` (N, 2): km, NaN where either has no place."""
    known = _known_places(others)
    if not len(known):
        return np.full(len(places), np.nan)
    # The nearest point of the sphere is the nearest in space, which a tree finds without comparing all pairs.
    _, nearest = _tree(known).query(unit_vectors(*np.nan_to_num(places).T))
    return distances_km(places[:, 0], places[:, 1], known[nearest, 0], known[nearest, 1])


def _nearness(photos: NDArray[np.float64], train: NDArray[np.float64]) -> list[str | None]:
    near, far = f"below {NEAR_KM:g} km", f"{NEAR_KM:g} km or more"
    return [None if np.isnan(km) else near if km < NEAR_KM else far for km in nearest_km(photos, train)]


def _likeness(photos: Sequence[Photo], train: Sequence[Photo]) -> list[str | None]:
    near, far = NEAR_DUPLICATE, f"alike ({PHASH_RADIUS + 1} to {2 * PHASH_RADIUS} bits)"
    bits = nearest_bits([photo.phash for photo in photos], [photo.phash for photo in train])
    names = (
        None if of < 0 else near if of <= PHASH_RADIUS else far if of <= 2 * PHASH_RADIUS else "unlike" for of in bits
    )
    return list(names)


def _near_duplicates(photos: Sequence[Photo], train: Sequence[Photo], likest: Sequence[str | None]) -> int:
    """Return of how many photos training has one of a near pHash and a like dHash; without dHashes by pHash alone."""
    near = [photo for photo, part in zip(photos, likest, strict=False) if part == NEAR_DUPLICATE]
    both = any(photo.dhash for photo in train)
    if not near or not both:
        return len(near)
    known = [photo for photo in train if photo.phash and photo.dhash]
    phash, dhash = (
        np.array([int(getattr(photo, name), 16) for photo in known], np.uint64) for name in ("phash", "dhash")
    )

    def repeated(photo: Photo) -> bool:
        alike = np.bitwise_count(phash ^ np.uint64(int(photo.phash or "0", 16))) <= PHASH_RADIUS
        like = np.bitwise_count(dhash ^ np.uint64(int(photo.dhash or "0", 16))) <= PHASH_RADIUS + DHASH_SLACK
        return bool((alike & like).any())

    return sum(photo.dhash is not None and repeated(photo) for photo in near)


def nearest_bits(hashes: Sequence[str | None], others: Sequence[str | None]) -> list[int]:
    """Return in how many of 64 bits each hash of 16 hex digits differs from the nearest of others; -1 where none is known."""
    known = np.array([int(of, 16) for of in others if of], np.uint64)
    mine = np.array([int(of or "0", 16) for of in hashes], np.uint64)
    if not len(known):
        return [-1] * len(hashes)
    step = max(1, _BLOCK // len(known))
    blocks = (mine[at : at + step, None] ^ known for at in range(0, len(mine), step))
    least = np.concatenate([np.empty(0, np.int64), *(np.bitwise_count(block).min(axis=1) for block in blocks)])
    return [int(bits) if of else -1 for of, bits in zip(hashes, least, strict=True)]


def _known_places(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return places[~np.isnan(places).any(axis=1)]


def _author(photo: Photo) -> tuple[str, str] | None:
    # Two services may give two people the same id.
    return (photo.photo_id.partition(":")[0], photo.author_id) if photo.author_id else None


def _author_slice(author: tuple[str, str] | None, authors: set[tuple[str, str] | None]) -> str | None:
    if author is None or authors <= {None}:  # where nobody's photos are known in training, nobody is known to be new
        return None
    return "seen in training" if author in authors else "not seen in training"
