"""The audit of a split: what its sides share that they should not, measured on the rows alone, whatever made them."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from collector.executors.local import Work
from collector.geo import chord, unit_vectors
from collector.manifest.foreign import Foreign
from collector.manifest.manifest import Manifest
from collector.manifest.schema import FORMATS
from collector.providers.registry import PROVIDERS, traits_of
from collector.records import (
    DHASH_SLACK,
    FLAGS_COLUMN,
    MIN_DISTANCE_M,
    PHASH_RADIUS,
    SCENES_COLUMN,
    SPLITS,
    ProviderTraits,
    UnknownOwners,
    where_named,
)
from collector.splitting.leakage import (
    Alike,
    Comparison,
    Concentration,
    Near,
    Rows,
    Shared,
    codes,
    compare,
    concentrations,
    counts,
    missing,
    rows_of,
    unknown,
)

# Modes of a split (splitting/allocate.py) whose quotas are exact numbers of photos; `paper` was once called `stratified`.
_EXACT_MODES = ("exact", "paper", "stratified", "place")

_ANSWER_M = (10.0, 25.0, 50.0)  # distances at which queries are told to be answerable

# The side that learns or chooses, and the side that is judged against it; the most telling pair first.
_PAIRS = (("train", "test"), ("val", "test"), ("train", "val"))


LEAKS = {
    "author": "photos by an author of the other side",
    "sequence": "photos of a sequence of the other side",
    "group": "photos of a group of the other side",
    "panorama": "views of a panorama of the other side",
    "bytes": "photos with the bytes of one on the other side",
    "near-duplicate": "photos that show a picture of the other side",
    "distance": "photos taken too near to one of the other side",
}
"""What may pass between the sides, and what is counted of each."""

SAME_PHOTO = "photo"
"""The leak of other people's tables that no manifest can have: one photo, by its very id, on two sides."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a manifest's rules say that its sides do not share.

    Attributes:
        kinds: names from LEAKS.
        min_distance_m: the distance that photos of two sides keep, None where no rule speaks of one.
        phash_radius: no two photos of different sides are one picture at this radius, None where no rule says so.
        service_authors: author ids that stand for a service and no person, beside those that the traits of a service say;
            a `*` at the end matches anything.
        within_m: the training side has another photo so near to each query, None where no rule says so.
    """

    kinds: tuple[str, ...] = ()
    min_distance_m: float | None = None
    phash_radius: int | None = None
    service_authors: tuple[str, ...] = ()
    within_m: float | None = None


def claims_of(rules: Mapping[str, Any], always: tuple[str, ...] = ()) -> Claims:
    """Return what rules claim; what is not stated, or not understood, is not claimed.

    `groups` holds the fields of splitting.groups.GroupRules: what is kept on one side. `left_out` was taken out before.
    """
    rules = rules if isinstance(rules, Mapping) else {}
    stated = rules.get("groups")
    groups = stated if isinstance(stated, Mapping) else {}
    left_out = _number(rules, "left_out", "near-duplicates", "phash_radius")
    radius = _number(groups, "phash_radius") if groups.get("near_duplicates") is True else None
    radii = [int(r) for r in (left_out, radius) if r is not None]
    # Links that ask for one time too leave photos of other times as near to each other as they like.
    metres = _number(groups, "min_distance_m") if groups.get("max_hours") is None else None
    claimed = {
        "author": groups.get("authors") is True,
        "sequence": groups.get("sequences") is True,
        "panorama": groups.get("panoramas") is True,
        "bytes": bool(radii),
        "near-duplicate": bool(radii),
        "distance": bool(metres),
    }
    services = groups.get("service_authors", ())
    return Claims(
        kinds=tuple(kind for kind in LEAKS if kind in always or claimed.get(kind)),
        min_distance_m=metres or None,
        phash_radius=max(radii, default=None),
        service_authors=tuple(map(str, services)) if isinstance(services, list | tuple) else (),
        within_m=_number(rules, "within_m") if rules.get("mode") == "place" else None,
    )


def _number(rules: Any, *path: str) -> float | None:
    """Return the number at a path of names; None where there is none: a manifest's rules may be anybody's."""
    for name in path:
        rules = rules.get(name) if isinstance(rules, Mapping) else None
    return rules if isinstance(rules, int | float) and not isinstance(rules, bool) else None


@dataclass(frozen=True, slots=True)
class Leak:
    """One kind of leak between two sides: of `known` photos of the judged side `photos` are affected.

    `claimed` is whether the manifest's own rules exclude it: then the manifest is wrong; else the leak is real, but nothing
    was promised.
    """

    kind: str
    reference: str
    judged: str
    photos: int
    known: int
    claimed: bool


@dataclass(frozen=True, slots=True)
class Quota:
    """A city whose photos on one side are not as many as the manifest's quotas say."""

    city: str
    side: str
    photos: int
    quota: int


@dataclass(frozen=True, slots=True)
class Untrained:
    """A city with test photos and no training photo: no method can learn to name it."""

    city: str
    test_photos: int


@dataclass(frozen=True, slots=True)
class Answerable:
    """How many queries of a side have their place in the gallery, of the protocol `place`.

    Attributes:
        side: `test` or `val`.
        queries: photos of that side; `unknown` of them have no place.
        gallery: photos of `train` whose place is known.
        shares: by distance in metres, the share of the queries with known place that have a gallery photo so near: the best
            recall that any method can have.
        chance_city, chance: by distance, recall@1 of a gallery photo at random, of the query's city and of all: the mean over
            the queries of the share of gallery photos so near.
        unanswered: queries without a gallery photo as near as the rules claim.
    """

    side: str
    queries: int
    unknown: int
    gallery: int
    shares: Mapping[str, float]
    chance_city: Mapping[str, float]
    chance: Mapping[str, float]
    unanswered: int


@dataclass(frozen=True, slots=True)
class Outside:
    """A photo that lies outside of the radius that the manifest claims for its city; rows are counted from 0."""

    row: int
    photo_id: str
    city: str
    km: float
    radius_km: float


@dataclass(frozen=True, slots=True)
class Audit:
    """All that an audit found; plain values throughout, so that `dataclasses.asdict` is fit for JSON.

    Attributes:
        name: what was audited: name and version of a manifest, or a file.
        digest: of the manifest; None for other files.
        columns: for other files, which of their columns was taken for which of ours.
        rules: of the manifest, as it states them.
        claims: what these say.
        min_distance_m, phash_radius: what was looked for.
        photos: by side.
        comparisons: of each two sides that have photos, training against test first.
        leaks: what was found there.
        quotas: that are not kept.
        answerable: of the protocol `place`, what can be answered; empty for the protocol `city`.
        outside: photos that lie outside of their city's radius, which a manifest claims.
        untrained: cities that are tested but never trained.
        held_out: cities and districts that its rules keep out of training, and how many photos of each are in training or
            validation after all: with any the rules are broken.
        counts: photos by city, licence and provider, and by side.
        concentration: of authors, by city and side.
        missing: values that are missing, by column and side.
        absent: columns that are not there at all, of those that every manifest has.
        unknown: photos that cannot be judged, by what is not known of them.
        unjudged: kinds of leak that could not be looked for between two sides, such as `author (train-test)`.
        remarks: what limits the findings.
        titles: of the photos that findings name, as far as they have one; hostile text.
        files: paths of these photos, below the folder that they were collected from, where the workspace knows them;
            hostile text.
        authors: names by id of the authors that findings name, as far as they have one; hostile text.
        scenes: of two sides, such as `train-test`: scenes (`t15 split --group-scenes`) that have photos on both, and how many
            photos of the judged side are in them; empty where no scenes are known. No leak by itself: nobody promised it.
        twice: of two sides, such as `train-test`: ids that somebody's table has on both.
        named: by side, how many photos name their answer, by where they do; empty where nobody looked (`t15 quality --text`).
    """

    name: str
    digest: str | None
    columns: Mapping[str, str]
    rules: Mapping[str, Any]
    claims: Claims
    min_distance_m: float
    phash_radius: int
    photos: Mapping[str, int]
    comparisons: tuple[Comparison, ...]
    leaks: tuple[Leak, ...]
    quotas: tuple[Quota, ...]
    answerable: tuple[Answerable, ...]
    outside: tuple[Outside, ...]
    untrained: tuple[Untrained, ...]
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    concentration: tuple[Concentration, ...]
    missing: Mapping[str, Mapping[str, int]]
    absent: tuple[str, ...]
    unknown: Mapping[str, int]
    unjudged: tuple[str, ...]
    remarks: tuple[str, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    authors: Mapping[str, str] = field(default_factory=dict)
    held_out: Mapping[str, int] = field(default_factory=dict)
    named: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scenes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    twice: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<audit of {self.name}: {self.verdict}, {len(self.leaks)} leaks>"

    @property
    def verdict(self) -> str:
        """What it comes to: `breach` (own rules broken), `leak` (not claimed), `not-judged`, `partly-judged` or `clean`."""
        unanswered = any(of.unanswered for of in self.answerable)
        broken = self.quotas or self.outside or any(self.held_out.values())
        if broken or unanswered or any(leak.claimed for leak in self.leaks):
            return "breach"
        if self.leaks:
            return "leak"
        if not any(_judges_something(comparison) for comparison in self.comparisons):
            return "not-judged"
        return "partly-judged" if self.unjudged else "clean"

    def exit_code(self, *, claims_only: bool = False) -> int:
        """Return 3 where something leaks or nothing could be judged, else 0.

        With `claims_only`, 3 only where the manifest breaks its own rules or nothing could be judged.
        """
        failing = ("breach", "not-judged") if claims_only else ("breach", "leak", "not-judged")
        return 3 if self.verdict in failing else 0


def _judges_something(comparison: Comparison) -> bool:
    measures: tuple[Shared | Near | Alike, ...] = (
        *(comparison.authors, comparison.sequences, comparison.groups, comparison.panoramas, comparison.bytes),
        *(comparison.near, comparison.alike),
    )
    return any(measure.known for measure in measures)


def audit_manifest(
    manifest: Manifest,
    min_distance_m: float | None = None,
    phash_radius: int | None = None,
    work: Work | None = None,
) -> Audit:
    """Audit a manifest. What is not given is taken from its rules, else from the defaults; looks are compared by `work`."""
    header = manifest.header
    remarks = [] if len(header.hashes) < 2 else [f"hashes of {len(header.hashes)} versions were compared"]
    if header.protocol == "place":
        remarks += _not_excluded(manifest.table)
    audit = _audit(
        manifest.table,
        name=f"{header.name} {header.version}",
        digest=manifest.digest,
        columns={},
        rules=header.rules,
        # A group is by its definition what must stay on one side (docs/manifest-format.md).
        claims=claims_of(header.rules, always=() if header.rules.get("mode") == "given" else ("group",)),
        quotas=_broken_quotas(manifest),
        outside=_outside(manifest),
        protocol=header.protocol,
        traits=header.provider_traits or _built_in_traits(),
        min_distance_m=min_distance_m,
        phash_radius=phash_radius,
        remarks=remarks,
        work=work,
    )
    return replace(audit, named=named_answers(manifest), scenes=shared_scenes(manifest))


def named_answers(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return by side how many photos name their answer, by where they do; empty where nobody looked."""
    flags = manifest.beside(FLAGS_COLUMN)
    if flags is None:
        return {}
    tally: dict[str, Counter[str]] = {side: Counter() for side in SPLITS}
    for side, of in zip(manifest.table["split"].to_pylist(), flags, strict=True):
        tally[side][where_named(of) or "nobody looked"] += 1
    return {side: dict(sorted(of.items())) for side, of in tally.items()}


def shared_scenes(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return of each two sides the scenes that have photos on both, and the photos of the judged side in them."""
    scenes = manifest.beside(SCENES_COLUMN)
    if scenes is None:
        return {}
    tally: dict[str, Counter[str]] = {side: Counter() for side in SPLITS}
    for side, scene in zip(manifest.table["split"].to_pylist(), scenes, strict=True):
        if scene:
            tally[side][scene] += 1
    shared = {(one, other): sorted(tally[one].keys() & tally[other].keys()) for one, other in _PAIRS}
    return {
        f"{one}-{other}": {"scenes": len(of), "photos": sum(tally[other][scene] for scene in of)}
        for (one, other), of in shared.items()
    }


def _not_excluded(table: pa.Table) -> Iterator[str]:
    """Yield what cannot be kept out of the gallery, for not being known of queries."""
    queries = table.filter(pc.not_equal(table["split"], "train"))
    of_nobody = queries.filter(pc.is_null(queries["author_id"]))
    train = table.filter(pc.equal(table["split"], "train"))
    yield from UnknownOwners(
        photos=queries.num_rows,
        author=of_nobody.num_rows,
        sequence=of_nobody["sequence_id"].null_count,
        gallery=train.num_rows,
        gallery_author=train["author_id"].null_count,
    ).lines("queries")
    if count := queries["phash"].null_count:
        yield f"hashes unknown of {count:,} of {queries.num_rows:,} queries: the gallery may hold photos that share them"
    gallery = set(_points(train))
    unordered = queries.filter(pc.is_null(queries["sequence_id"]))
    if count := sum(point in gallery for point in _points(unordered)):
        yield (
            f"{count} of {queries.num_rows} queries have a gallery photo at the very same point: where these are views "
            "of one panorama, only a column `sequence` of the photos' table keeps them apart (`t15 collect --column "
            "sequence=NAME`)"
        )


def _points(table: pa.Table) -> Iterator[tuple[float, float]]:
    """Yield the places of the rows that have one."""
    for place in zip(table["latitude"].to_pylist(), table["longitude"].to_pylist(), strict=True):
        if None not in place:
            yield place


def audit_foreign(
    foreign: Foreign,
    min_distance_m: float | None = None,
    phash_radius: int | None = None,
    remarks: Sequence[str] = (),
    work: Work | None = None,
) -> Audit:
    """Audit the split of a file that t15 did not make; it claims nothing, and what it lacks cannot be judged."""
    names = foreign.table.column_names
    remarks = list(remarks)
    if "phash" in names and "dhash" not in names:
        remarks.append(
            "no column of dHashes: looks are judged by pHash alone, which also matches some different pictures"
        )
    if "sha256" not in names and "md5" in names:
        remarks.append("equal bytes are judged by MD5")
    audit = _audit(
        foreign.table,
        name=str(foreign.path),
        digest=None,
        columns=foreign.columns,
        rules={},
        claims=Claims(),
        quotas=(),
        outside=(),
        protocol="city",
        traits=_built_in_traits(),
        min_distance_m=min_distance_m,
        phash_radius=phash_radius,
        remarks=remarks,
        work=work,
    )
    twice = _on_two_sides(foreign.table)
    photos = audit.photos
    leaks = tuple(Leak(SAME_PHOTO, r, j, len(ids), photos[j], False) for (r, j), ids in twice.items())
    return replace(audit, leaks=(*leaks, *audit.leaks), twice={f"{r}-{j}": ids for (r, j), ids in twice.items()})


def _on_two_sides(table: pa.Table) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return of each two sides the ids that are on both, pairs without one left out."""
    if pc.count_distinct(table["photo_id"]).as_py() == table.num_rows:
        return {}
    of = {side: set(table["photo_id"].filter(pc.equal(table["split"], side)).to_pylist()) for side in SPLITS}
    return {(r, j): tuple(sorted(of[r] & of[j])) for r, j in _PAIRS if of[r] & of[j]}


def _broken_quotas(manifest: Manifest) -> tuple[Quota, ...]:
    rules, quotas = manifest.header.rules, manifest.header.quotas
    if not (isinstance(rules, Mapping) and isinstance(quotas, Mapping) and rules.get("mode") in _EXACT_MODES):
        return ()
    held_out, counts = held_out_by(rules), manifest.counts()
    for district, sides in _sides_of_districts(manifest.table, held_out).items():
        if (city := district.partition("/")[0]) in counts:
            counts[city]["test"] -= sides["test"]
    asked = (
        Quota(city, side, photos, int(quotas[side]))
        for city, sides in counts.items()
        for side, photos in sides.items()
        if side in quotas and photos != quotas[side] and city not in held_out
    )
    return tuple(asked)


def _sides_of_districts(table: pa.Table, held_out: Collection[str]) -> dict[str, dict[str, int]]:
    """Return how many photos of each held-out district are on each side."""
    districts = {of: dict.fromkeys(SPLITS, 0) for of in held_out if "/" in of}
    if districts and "label" in table.column_names:
        for label, side in zip(table["label"].to_pylist(), table["split"].to_pylist(), strict=True):
            if label in districts:
                districts[label][side] += 1
    return districts


def held_out_by(rules: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cities and districts that rules claim to be test only; what is not understood is not claimed."""
    stated = (
        [rules.get(name) for name in ("held_out_cities", "held_out_districts")] if isinstance(rules, Mapping) else []
    )
    return tuple(of for listed in stated if isinstance(listed, list | tuple) for of in listed if isinstance(of, str))


def _outside(manifest: Manifest) -> tuple[Outside, ...]:
    photo_ids = manifest.table["photo_id"]
    return tuple(
        Outside(of.row, photo_ids[of.row].as_py(), of.city.slug, of.km, of.city.radius_km) for of in manifest.outside()
    )


def _audit(
    table: pa.Table,
    *,
    name: str,
    digest: str | None,
    columns: Mapping[str, str],
    rules: Mapping[str, Any],
    claims: Claims,
    quotas: tuple[Quota, ...],
    outside: tuple[Outside, ...],
    protocol: str,
    traits: Mapping[str, ProviderTraits],
    min_distance_m: float | None,
    phash_radius: int | None,
    remarks: list[str],
    work: Work | None,
) -> Audit:
    metres = next(m for m in (min_distance_m, claims.min_distance_m, MIN_DISTANCE_M) if m is not None)
    radius = next(r for r in (phash_radius, claims.phash_radius, PHASH_RADIUS) if r is not None)
    rows = rows_of(table, claims.service_authors, traits)
    photos = dict(zip(SPLITS, np.bincount(rows.sides, minlength=len(SPLITS)).tolist(), strict=True))
    pairs = [(r, j) for r, j in _PAIRS if photos[r] and photos[j]]
    comparisons = tuple(compare(rows, r, j, metres, radius, work) for r, j in pairs)
    cities = codes(table["city"]) if "city" in table.column_names else None
    photos_of = counts(table, rows.sides)
    concentration = tuple(concentrations(rows.authors, cities, rows.sides))
    sides_of = {**photos_of.get("city", {}), **_sides_of_districts(table, held_out_by(rules))}
    return Audit(
        name=name,
        digest=digest,
        columns=columns,
        rules=rules,
        claims=claims,
        min_distance_m=metres,
        phash_radius=radius,
        photos=photos,
        comparisons=comparisons,
        leaks=tuple(leak for comparison in comparisons for leak in _leaks(comparison, claims, protocol)),
        quotas=quotas,
        answerable=tuple(_answerable(rows, table, claims)) if protocol == "place" else (),
        outside=outside,
        held_out={of: sum(sides_of.get(of, {}).get(side, 0) for side in ("train", "val")) for of in held_out_by(rules)},
        untrained=tuple(
            Untrained(city, sides["test"])
            for city, sides in photos_of.get("city", {}).items()
            if sides["test"] and not sides["train"]
        ),
        counts=photos_of,
        concentration=concentration,
        missing=missing(table, rows.sides),
        absent=tuple(name for name in FORMATS[1].columns if name not in table.column_names),
        unknown={name: count for name, count in unknown(rows).items() if count},
        unjudged=tuple(_unjudged(comparisons)),
        remarks=tuple(remarks),
        titles=_titles(table, comparisons),
        authors=_author_names(table, comparisons, concentration),
    )


def _author_names(
    table: pa.Table, comparisons: tuple[Comparison, ...], concentration: tuple[Concentration, ...]
) -> dict[str, str]:
    """Return the names of the authors that findings name."""
    if not {"author_id", "author_name"} <= set(table.column_names):
        return {}
    named = {value.value for comparison in comparisons for value in comparison.authors.worst}
    named |= {row.top_author for row in concentration}
    rows = table.filter(pc.is_in(table["author_id"], pa.array(sorted(named), pa.string())))
    pairs = zip(rows["author_id"].to_pylist(), rows["author_name"].to_pylist(), strict=True)
    return {author: name for author, name in pairs if name}


def photos_found(comparisons: tuple[Comparison, ...]) -> set[str]:
    """Return the ids of the photos that findings name."""
    shared = ((c.authors, c.sequences, c.groups, c.panoramas, c.bytes) for c in comparisons)
    values = (value for measures in shared for measure in measures for value in measure.worst)
    pairs = (pair for c in comparisons for measure in (c.near, c.alike) for pair in measure.worst)
    found = {photo_id for value in values for photo_id in (value.reference, value.judged)}
    return found | {photo_id for pair in pairs for photo_id in (pair.reference, pair.judged)}


def _titles(table: pa.Table, comparisons: tuple[Comparison, ...]) -> dict[str, str]:
    """Return the titles of the photos that findings name."""
    if "title" not in table.column_names:
        return {}
    named = pa.array(sorted(photos_found(comparisons)), pa.string())
    rows = table.select(["photo_id", "title"]).filter(pc.is_in(table["photo_id"], named))
    return {row["photo_id"]: row["title"] for row in rows.to_pylist() if row["title"]}


def _built_in_traits() -> dict[str, ProviderTraits]:
    """Return the traits of t15's own services: manifests of format 1 and other people's files state none."""
    return {name: traits_of(name) for name in PROVIDERS}


def _answerable(rows: Rows, table: pa.Table, claims: Claims) -> Iterator[Answerable]:
    """Measure what the gallery answers, of each side that asks."""
    placed = ~np.isnan(rows.degrees).any(axis=1)
    points = unit_vectors(rows.degrees[:, 0], rows.degrees[:, 1])
    city = codes(table["city"]).code
    gallery = (rows.sides == SPLITS.index("train")) & placed
    for side in ("test", "val"):
        asking = rows.sides == SPLITS.index(side)
        if not asking.any():
            continue
        near = {metres: _near_counts(points, city, gallery, asking & placed, metres) for metres in _ANSWER_M}
        of_city = np.bincount(city[gallery], minlength=city.max() + 1)[city[asking & placed]]
        claimed = _near_counts(points, city, gallery, asking & placed, claims.within_m) if claims.within_m else None
        yield Answerable(
            side=side,
            queries=int(asking.sum()),
            unknown=int((asking & ~placed).sum()),
            gallery=int(gallery.sum()),
            shares={f"{metres:g}": _mean(all_ > 0) for metres, (all_, _) in near.items()},
            chance_city={f"{metres:g}": _mean(own / np.maximum(1, of_city)) for metres, (_, own) in near.items()},
            chance={f"{metres:g}": _mean(all_ / max(1, gallery.sum())) for metres, (all_, _) in near.items()},
            unanswered=0 if claimed is None else int((asking & ~placed).sum() + (claimed[0] == 0).sum()),
        )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _near_counts(
    points: NDArray[np.float64],
    city: NDArray[np.int64],
    gallery: NDArray[np.bool_],
    asking: NDArray[np.bool_],
    metres: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many gallery photos lie within `metres` of each query: of all, and of the query's city."""
    reach, queries = chord(metres / 1000), np.flatnonzero(asking)
    own = np.zeros(len(queries), dtype=np.int64)
    for of in np.unique(city[queries]) if gallery.any() else ():
        there, here = gallery & (city == of), city[queries] == of
        if there.any():
            own[here] = cKDTree(points[there]).query_ball_point(points[queries[here]], reach, return_length=True)
    if not gallery.any():
        return own, own
    every = cKDTree(points[gallery]).query_ball_point(points[queries], reach, return_length=True)
    return np.asarray(every, dtype=np.int64), own


def _leaks(comparison: Comparison, claims: Claims, protocol: str) -> Iterator[Leak]:
    near, alike = comparison.near, comparison.alike
    measured = {
        "author": (comparison.authors.photos, comparison.authors.known, "author" in claims.kinds),
        "sequence": (comparison.sequences.photos, comparison.sequences.known, "sequence" in claims.kinds),
        "group": (comparison.groups.photos, comparison.groups.known, "group" in claims.kinds),
        "panorama": (comparison.panoramas.photos, comparison.panoramas.known, "panorama" in claims.kinds),
        "bytes": (comparison.bytes.photos, comparison.bytes.known, "bytes" in claims.kinds),
        "near-duplicate": (alike.photos, alike.known, _within_claim(comparison, claims)),
        "distance": (near.photos, near.known, _nearer_than_claimed(comparison, claims)),
    }
    for kind, (photos, known, claimed) in measured.items():
        # That a query's place is in the gallery is what the protocol `place` is about.
        if photos and not (kind == "distance" and protocol == "place"):
            yield Leak(kind, comparison.reference, comparison.judged, photos, known, claimed)


def _within_claim(comparison: Comparison, claims: Claims) -> bool:
    """Return whether the closest pair contradicts the rules: the radius looked for may be wider than the one claimed."""
    radius = claims.phash_radius
    return radius is not None and any(
        pair.phash_bits is not None
        and pair.dhash_bits is not None
        and pair.phash_bits <= radius
        and pair.dhash_bits <= radius + DHASH_SLACK
        for pair in comparison.alike.worst
    )


def _nearer_than_claimed(comparison: Comparison, claims: Claims) -> bool:
    nearest = comparison.near.nearest_m
    return claims.min_distance_m is not None and nearest is not None and nearest < claims.min_distance_m


def _unjudged(comparisons: tuple[Comparison, ...]) -> Iterator[str]:
    for comparison in comparisons:
        sides = f"({comparison.reference}-{comparison.judged})"
        measures: dict[str, Shared | Near | Alike] = {
            "author": comparison.authors,
            "distance": comparison.near,
            "near-duplicate": comparison.alike,
            "bytes": comparison.bytes,
        }
        for kind, measure in measures.items():
            if not measure.known and not (kind == "author" and comparison.not_attributable and not measure.unknown):
                yield f"{kind} {sides}"
