"""Which photos must stay on one side of a split: the connected components of what makes photos give each other away.

Authors meet at sights, so that authors and places together join most photos of a much-photographed city: of 3,000 simulated
photos of 15 cities, 30 % of them at sights, authors alone make groups of at most 110, places alone smaller ones, and both
together one of 2,538 (`python -m tests.performance.split`). Such a group cannot be split whole; `allocate` can part it by
leaving out the photos that join, for which `Grouping.clusters` says what each rule joins by itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from collector.curating.hamming import pairs_within
from collector.errors import UsageError
from collector.geo import EARTH_RADIUS_KM, unit_vectors
from collector.manifest.photo_rows import PhotoRows
from collector.providers.registry import panorama_of, traits_of
from collector.records import DHASH_SLACK, MIN_DISTANCE_M, PANORAMA_M, PHASH_RADIUS, Photo, provider_of
from collector.splitting.by_photo import ByPhoto, FirstOf, Positions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Edges = tuple[Ints, Ints]

PREFIX = "g:"
"""What the ids of these groups begin with, so that they are not taken for those of `dedup`."""

CHUNK = 1 << 19  # pairs of points that are compared at a time: about 60 MB
_LARGEST = 10  # groups that are described
_ISLANDS_M = 5_000.0  # what lies farther apart is looked at apart, some CHUNK points at a time


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What links two photos; a switch and its measure each. What is unknown links nothing.

    Attributes:
        near_duplicates: equal bytes; a `group_id` of `dedup` in common; hashes within `phash_radius`.
        phash_radius: bits, as in `find_groups`: pHashes within it, and dHashes within 6 bits more.
        authors: the same `author_id`, unless it is that of a service.
        service_authors: author ids that stand for a service, not for a photographer, beside those whose service says so
            in its traits; a `*` at the end matches anything.
        sequences: the same `sequence_id`: photos of one drive, walk or upload batch.
        min_distance_m: taken closer than this, in metres on the great circle, at any time; 0 for never.
        max_hours: links by distance only join photos taken at most so many hours apart (a photo of unknown time may be of any
            time); None at any time: a building gives itself away years later.
        panoramas: views of one panorama, and views of panoramas taken closer than `panorama_m`, at any time, whatever
            `min_distance_m` and `max_hours` are.
        panorama_m: metres; 0: only views of the same panorama.
    """

    near_duplicates: bool = True
    phash_radius: int = PHASH_RADIUS
    authors: bool = True
    service_authors: tuple[str, ...] = ()
    sequences: bool = True
    min_distance_m: float = MIN_DISTANCE_M
    max_hours: float | None = None
    panoramas: bool = True
    panorama_m: float = PANORAMA_M


@dataclass(frozen=True, slots=True)
class Effect:
    """What one rule does by itself.

    Attributes:
        photos: that it links to another.
        groups: of two photos or more.
        largest: photos in the largest of them.
    """

    photos: int
    groups: int
    largest: int


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What is told about one group.

    Attributes:
        group_id: as in `Grouping.group_of`.
        photos: how many there are.
        cities: photos by city slug, most first.
        author_id: of most of its photos, None when no photographer is known.
        by_author: photos of that author.
        linked_by: photos by the rule that links them to another photo; one photo may be linked by several rules.
    """

    group_id: str
    photos: int
    cities: Mapping[str, int]
    author_id: str | None
    by_author: int
    linked_by: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of some photos.

    Attributes:
        group_of: photo_id -> group id, `g:` and the smallest photo_id of the group.
        clusters: by rule that was on, photo_id -> id of the photos that this rule alone joins, where there are two or more.
        groups: how many there are, those of one photo among them.
        spanning: groups with photos of more than one city.
        effects: by rule, of the rules that were on.
        largest: the ten largest groups, largest first.
    """

    group_of: Mapping[str, str]
    clusters: Mapping[str, Mapping[str, str]]
    groups: int
    spanning: int
    effects: Mapping[str, Effect]
    largest: tuple[GroupFacts, ...]


def group_photos(
    photos: Sequence[Photo], rules: GroupRules | None = None, scenes: Mapping[str, str] | None = None
) -> Grouping:
    """Return the groups of `photos`: two are in one when a chain of links by any of the rules joins them.

    `scenes` (photo_id -> scene) are a rule more where there are any.

    The result does not depend on the order of `photos`.

    Raises:
        UsageError: a rule's measure makes no sense.
    """
    rules = rules or GroupRules()
    _check(rules)
    rows = PhotoRows.of(photos)
    alone = {name: components(len(rows), *_joined(edges)) for name, edges in _links(rows, rules)}
    photo_ids = rows.ids()
    if scenes:
        alone["scenes"] = components(len(rows), *_equal([scenes.get(photo_id) for photo_id in photo_ids]))
    labels = components(len(rows), *_joined([chain(labelling) for labelling in alone.values()]))
    index = Positions(photo_ids)
    group_of = _named(index, photo_ids, labels)
    cities = rows.coded("city")[0]
    of_city = np.unique(labels * (cities.max(initial=0) + 1) + cities) // (cities.max(initial=0) + 1)
    in_cities = np.bincount(of_city) if len(of_city) else of_city
    return Grouping(
        group_of=group_of,
        clusters={name: _named(index, photo_ids, labelling, fewest=2) for name, labelling in alone.items()},
        groups=int((in_cities > 0).sum()),
        spanning=int((in_cities > 1).sum()),
        effects={name: _effect(labelling) for name, labelling in alone.items()},
        largest=tuple(_described(rows, group_of, labels, alone, rules)),
    )


def regroup(photo_ids: Iterable[str], clusters: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the groups of some of the photos that were grouped: without the others, chains through those are broken.

    Args:
        photo_ids: of the photos that stay.
        clusters: each maps photo_ids to what it joins them by; a photo that it does not know it joins to none.
    """
    ordered = sorted(photo_ids)
    edges = [_equal([cluster.get(photo_id) for photo_id in ordered]) for cluster in clusters]
    index = {photo_id: at for at, photo_id in enumerate(ordered)}
    return dict(_named(index, ordered, components(len(ordered), *_joined(edges))))


def photographer(photo: Photo, rules: GroupRules) -> str | None:
    """Return the author_id of a photo when it is that of a photographer, None when it is unknown or a service's."""
    return _person(photo.author_id, rules)


def _person(author: str | None, rules: GroupRules) -> str | None:
    if not author or traits_of(provider_of(author)).author_is_service:
        return None
    for service in rules.service_authors:
        if author.startswith(service[:-1]) if service.endswith("*") else author == service:
            return None
    return author


def _check(rules: GroupRules) -> None:
    if not 0 <= rules.min_distance_m <= 100_000:  # NaN is neither
        raise UsageError(f"--min-distance {rules.min_distance_m:g}: give 0 to 100000 metres; 0 turns the rule off")
    if rules.max_hours is not None and not 0 < rules.max_hours < float("inf"):
        raise UsageError(f"--max-hours {rules.max_hours:g}: give hours above 0, or leave it out for any time")
    if not 0 <= rules.phash_radius <= 64:
        raise UsageError(f"a radius of {rules.phash_radius} bits: give 0 to 64")


def _links(rows: PhotoRows, rules: GroupRules) -> Iterator[tuple[str, list[Edges]]]:
    """Yield the name of each rule that is on, and its edges between positions of photos."""
    if rules.near_duplicates:
        groups, names = rows.coded("group_id")
        ours = np.array([name.startswith(PREFIX) or not name for name in names] + [True])
        decided = _same(np.where(ours[groups], -1, groups))
        yield "near_duplicates", [_same(_filled(rows, "sha256")), decided, *_resembling(rows, rules.phash_radius)]
    if rules.authors:
        yield "authors", [_same(_photographers(rows, rules)[0])]
    if rules.sequences:
        yield "sequences", [_same(_filled(rows, "sequence_id"))]
    if rules.min_distance_m:
        yield "places", [_close(rows, np.arange(len(rows)), rules.min_distance_m, rules.max_hours)]
    if rules.panoramas:
        panoramas = [panorama_of(str(photo_id)) for photo_id in rows.texts("photo_id")]
        views = np.array([position for position, panorama in enumerate(panoramas) if panorama], dtype=np.int64)
        near = [_close(rows, views, rules.panorama_m)] if rules.panorama_m else []
        yield "panoramas", [_equal(panoramas), *near]


def _filled(rows: PhotoRows, name: str) -> Ints:
    """Return a column of texts as numbers (N,), -1 where missing or empty."""
    number, names = rows.coded(name)
    empty = np.array([not text for text in names] + [True])
    return np.where(empty[number], -1, number)


def _photographers(rows: PhotoRows, rules: GroupRules) -> tuple[Ints, Sequence[str]]:
    """Return the photographer of each photo (N,) as a number, -1 for none, and their author ids."""
    number, names = rows.coded("author_id")
    nobody = np.array([_person(name, rules) is None for name in names] + [True])
    return np.where(nobody[number], -1, number), names


def _same(numbers: Ints) -> Edges:
    """Return edges that join the positions of equal numbers; -1 is equal to nothing."""
    known = np.flatnonzero(numbers >= 0)
    return _edges_of(known, chain(numbers[known]))


def _equal(values: Sequence[str | None]) -> Edges:
    """Return edges that join the positions of equal values; None is equal to nothing."""
    known = [position for position, value in enumerate(values) if value]
    codes: dict[str, int] = {}
    labels = [codes.setdefault(str(values[position]), len(codes)) for position in known]
    return _edges_of(np.array(known, dtype=np.int64), chain(np.array(labels, dtype=np.int64)))


def _resembling(rows: PhotoRows, radius: int) -> Iterator[Edges]:
    known = np.flatnonzero(rows.is_known("phash") & rows.is_known("dhash"))
    bits = np.ascontiguousarray(np.hstack((rows.hashes("phash"), rows.hashes("dhash")))[known])
    _, first, look = np.unique(bits.view("S16").reshape(-1), return_index=True, return_inverse=True)
    yield _edges_of(known, chain(look))
    phash, dhash = bits[first, :8], bits[first, 8:]
    pairs = pairs_within(phash, radius)
    apart = np.bitwise_count(dhash[pairs.first] ^ dhash[pairs.second]).sum(axis=1)
    alike = apart <= radius + DHASH_SLACK
    yield _edges_of(known[first], (pairs.first[alike], pairs.second[alike]))


def _close(rows: PhotoRows, among: Ints, metres: float, max_hours: float | None = None) -> Edges:
    """Return edges that join photos of one place, among those at the positions `among`."""
    where = np.column_stack((rows.numbers("latitude"), rows.numbers("longitude")))[among]
    known = np.isfinite(where).all(axis=1)
    among, where = among[known], where[known]
    if max_hours is None:
        return _edges_of(among, chain(places(where[:, 0], where[:, 1], metres)))
    hours = np.where(rows.is_known("taken_at"), rows.whole("taken_at") / 3.6e9, np.nan)[among]
    return _edges_of(among, chain(places(where[:, 0], where[:, 1], metres, hours, max_hours)))


def _edges_of(positions: Ints, edges: Edges) -> Edges:
    return positions[edges[0]], positions[edges[1]]


def _joined(edges: Sequence[Edges]) -> Edges:
    none = np.empty(0, dtype=np.int64)
    return np.concatenate([none, *(first for first, _ in edges)]), np.concatenate(
        [none, *(second for _, second in edges)]
    )


def _named(index: Mapping[str, int], photo_ids: Sequence[str], labels: Ints, fewest: int = 1) -> ByPhoto:
    """Return the group id of each of the sorted photos; labels of fewer photos are left out."""
    _, first, group, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    number = np.where(counts[group] >= fewest, group, -1).astype(np.int32)
    return ByPhoto(index, number, FirstOf(PREFIX, photo_ids, first))  # sorted: the first photo has the smallest id


def _effect(labels: Ints) -> Effect:
    sizes = np.bincount(labels)
    shared = sizes[sizes > 1]
    return Effect(photos=int(shared.sum()), groups=len(shared), largest=int(sizes.max(initial=0)))


def _described(
    rows: PhotoRows, group_of: ByPhoto, labels: Ints, alone: Mapping[str, Ints], rules: GroupRules
) -> Iterator[GroupFacts]:
    linked = {name: np.bincount(found)[found] > 1 for name, found in alone.items()}
    people, names = _photographers(rows, rules)
    city, slugs = rows.coded("city")
    _, first, counts = np.unique(labels, return_index=True, return_counts=True)
    for at in np.lexsort((first, -counts))[:_LARGEST].tolist():
        members = np.flatnonzero(labels == labels[first[at]])
        authors = _tally([names[of] for of in people[members].tolist() if of >= 0])
        author, by_author = next(iter(authors.items()), (None, 0))
        yield GroupFacts(
            group_id=group_of.names[at],
            photos=len(members),
            cities=_tally([slugs[of] for of in city[members].tolist()]),
            author_id=author,
            by_author=by_author,
            linked_by={name: int(found[members].sum()) for name, found in linked.items() if found[members].any()},
        )


def _tally(values: Sequence[str]) -> dict[str, int]:
    """Return how often each value occurs: most first, then by value."""
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


# --- which photos were taken in one place: single linkage on the sphere, exactly and within bounded memory


def places(
    latitude: Floats, longitude: Floats, metres: float, hours: Floats | None = None, max_hours: float = np.inf
) -> Ints:
    """Return a label (N,) for each point: equal where a chain of points joins two, each closer than `metres` to the next.

    Points in cells whose diagonal is `metres` are joined without comparing them, and of two neighbouring cells that are
    joined already nothing is compared: thousands of photos of one sight cost no more than their number.

    Args:
        latitude: (N,) degrees WGS84.
        longitude: (N,) degrees WGS84; any turn of 360 is the same.
        metres: great-circle distance, above 0 and at most 100 km, on the sphere of `distance_km`.
        hours: (N,) time of each point in hours, NaN where unknown; None where time does not matter.
        max_hours: only points at most so many hours apart are joined, above 0; one of unknown time may be of any time.
    """
    diameter = 2 * 1000 * EARTH_RADIUS_KM
    chord = diameter * np.sin(metres / diameter)
    time = np.zeros(len(latitude)) if hours is None else hours / max_hours
    time = np.where(np.isnan(time), -np.inf, time)  # unknown; unlike NaN it is equal to itself
    points = np.column_stack((1000 * EARTH_RADIUS_KM * unit_vectors(latitude, longitude), time))
    islands = _islands(points[:, :3], max(chord, _ISLANDS_M))
    order, sizes = np.argsort(islands, kind="stable"), np.bincount(islands)
    ends, found = np.cumsum(sizes), np.empty(len(points), dtype=np.int64)
    for some in _parts(sizes):
        start = ends[some.start] - sizes[some.start]
        at = order[start : ends[some.stop - 1]]
        found[at] = 2 * start + _of_island(points[at], chord)  # they are below 2 · len(at)
    return found


def _islands(points: Floats, metres: float) -> Ints:
    """Return a label (N,) for each point (N, 3) in metres: points of different labels are farther apart than `metres`."""
    most = int(3 * 1000 * EARTH_RADIUS_KM / metres) + 3  # cells along an axis
    along = np.floor(points / metres).astype(np.int64) + most // 2
    cells, cell_of = np.unique((along[:, 0] * most + along[:, 1]) * most + along[:, 2], return_inverse=True)
    places = np.column_stack((cells // most**2, cells // most % most, cells % most))
    pairs = (
        cKDTree(places).query_pairs(1, p=np.inf, output_type="ndarray") if len(cells) else np.empty((0, 2), np.int64)
    )
    return components(len(cells), pairs[:, 0], pairs[:, 1])[cell_of]


def _of_island(points: Floats, chord: float) -> Ints:
    """Do what `places` does of points (N, 4), in metres and units of the largest difference in time."""
    points, which = np.unique(points, axis=0, return_inverse=True)  # equal places and times are one point
    dated = np.isfinite(points[:, 3])
    labels = np.arange(len(points))
    labels[dated] = _linked(points[dated], labels[dated], chord)
    if not dated.all():
        labels[~dated] = len(points) + np.flatnonzero(~dated)
        labels = _linked(points, labels, chord, of_any_time=~dated)
    return labels[which]


def components(count: int, first: Ints, second: Ints) -> Ints:
    """Return the connected component (count,) of each node of a graph whose edges join `first[i]` and `second[i]`."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    labels: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def chain(labels: Ints) -> tuple[Ints, Ints]:
    """Return edges that join all positions of equal label, as few as will do."""
    order = np.argsort(labels, kind="stable")
    same = labels[order[1:]] == labels[order[:-1]]
    return order[:-1][same], order[1:][same]


def _linked(points: Floats, labels: Ints, chord: float, of_any_time: NDArray[np.bool_] | None = None) -> Ints:
    """Return `labels` (N,) with those of linked points made equal.

    Points (N, 4: metres, and time in units of the largest difference) are linked when they are closer than `chord` and
    their times differ by at most 1; with `of_any_time` (N,), when they are closer than `chord` and one of them is of any
    time.
    """
    if not len(points):
        return labels
    # Within a cell, points are closer than its diagonal: three sides of chord / sqrt(3), a little less against rounding.
    side = (1 - 1e-6) * chord / np.sqrt(3)
    slot = points[:, 3] if of_any_time is None else np.zeros(len(points))
    free = np.ones(len(points), dtype=bool) if of_any_time is None else of_any_time
    cells, cell_of = np.unique(np.floor(np.column_stack((points[:, :3] / side, slot))), axis=0, return_inverse=True)
    order = np.lexsort((~free, cell_of))
    points, labels, cell_of, free = points[order], labels[order], cell_of[order], free[order]
    starts = np.searchsorted(cell_of, np.arange(len(cells)))
    ends = np.append(starts[1:], len(points)).astype(np.int64)
    whole = free[starts]

    def close(first: Ints, second: Ints) -> NDArray[np.bool_]:
        near = np.sum((points[first, :3] - points[second, :3]) ** 2, axis=1) < chord**2
        in_time = (
            np.abs(points[first, 3] - points[second, 3]) <= 1 if of_any_time is None else free[first] | free[second]
        )
        linked: NDArray[np.bool_] = near & in_time
        return linked

    members = np.flatnonzero(whole[cell_of])
    labels = _merged(labels, starts[cell_of[members]], members)
    # Points closer than sqrt(3) sides lie at most two cells apart along each axis.
    pairs = cKDTree(cells).query_pairs(2, p=np.inf, output_type="ndarray")
    pairs = pairs[whole[pairs].any(axis=1)]
    first, second = starts[pairs[:, 0]], starts[pairs[:, 1]]
    near = close(first, second)  # one point of each cell: enough where it is crowded
    labels = _merged(labels, first[near], second[near])
    lowest, highest = np.minimum.reduceat(labels, starts)[pairs], np.maximum.reduceat(labels, starts)[pairs]
    pairs = pairs[lowest.min(axis=1) != highest.max(axis=1)]
    for first, second in _products(starts, ends, pairs):
        found = (labels[first] != labels[second]) & close(first, second)
        if found.any():
            labels = _merged(labels, first[found], second[found])
    back = np.empty_like(labels)
    back[order] = labels
    return back


def _merged(labels: Ints, first: Ints, second: Ints) -> Ints:
    """Return `labels` with those of the points `first[i]` and `second[i]` made equal."""
    kept = chain(labels)
    return components(len(labels), np.concatenate((kept[0], first)), np.concatenate((kept[1], second)))


def _products(starts: Ints, ends: Ints, pairs: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs of positions (one from each of two cells) for all pairs of cells, some CHUNK at a time."""
    sizes = ends - starts
    for some in _parts(sizes[pairs[:, 0]]):
        first, of = _expanded(starts[pairs[some, 0]], sizes[pairs[some, 0]])
        other = pairs[some, 1][of]
        for rows in _parts(sizes[other]):
            second, row = _expanded(starts[other[rows]], sizes[other[rows]])
            yield first[rows][row], second


def _expanded(starts: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """Return the positions of all ranges `start, start + 1, … start + size - 1`, and which range each is of."""
    of = np.repeat(np.arange(len(sizes)), sizes)
    return starts[of] + np.arange(len(of)) - (np.cumsum(sizes) - sizes)[of], of


def _parts(sizes: Ints) -> Iterator[slice]:
    """Yield slices of items whose sizes add up to about CHUNK."""
    total = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + CHUNK, side="right")))
        yield slice(start, stop)
        start = stop
