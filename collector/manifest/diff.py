"""What changed from one manifest to another, and whether the version numbers say so."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.manifest.manifest import Header, Manifest, version_key
from collector.records import PHOTO_FIELDS, SPLITS
from collector.text_table import printable, table

_EXAMPLES = 5
_PARTS = ("major", "minor", "patch")
# What the header is expected to change in, or what the rows and cities tell better.
_NOT_COMPARED = ("name", "version", "parent", "cities")


@dataclass(frozen=True, slots=True)
class Moves:
    """Photos whose city, or side, is another one: how many, from which to which, and the first of them."""

    photos: int
    counts: Mapping[str, Mapping[str, int]]
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Photos that are on one side of the comparison only, by side of the split, and the first of them."""

    photos: int
    by_side: Mapping[str, int]
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A column whose value is another in both manifests' photos, and the first of them."""

    photos: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from `before` to `after` (name, version and digest each).

    Attributes:
        before, after: what was compared.
        same: the two hold the same data, to the digest.
        added, removed: photos.
        moved, relabelled: photos that are on another side, or under another city.
        columns: changed values by column, of all other columns.
        header: changed fields, the value before and after.
        cities_added, cities_removed, cities_changed: slugs.
        counts: photos by city, by side, before and after.
        judged_then_learned: photos of validation or test that the other trains on: scores cannot be compared any more.
        names_parent: `after` names `before` as its parent, with its digest.
        extends: `after` names `before` as its parent and holds every photo of it under the same city, on the same side.
        part: of the version that has to rise by the rule (`major`, `minor` or `patch`), None where nothing changed.
        version_fault: what is wrong with the version of `after`, empty where it is right.
        names: titles of the examples, by photo_id, where they have one; hostile text.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    same: bool
    added: Set
    removed: Set
    moved: Moves
    relabelled: Moves
    columns: Mapping[str, Changed]
    header: Mapping[str, tuple[Any, Any]]
    cities_added: tuple[str, ...]
    cities_removed: tuple[str, ...]
    cities_changed: tuple[str, ...]
    counts: Mapping[str, Mapping[str, tuple[int, int]]]
    judged_then_learned: int
    names_parent: bool
    extends: bool
    part: str | None
    version_fault: str
    names: Mapping[str, str]


def diff(a: Manifest, b: Manifest) -> Diff:
    """Return what changed from manifest `a` to manifest `b`."""
    left, right = _common(a.table, b.table)
    before, after = _taken(a.table, left), _taken(b.table, right)
    added, removed = _rest(b.table, right), _rest(a.table, left)
    moved, relabelled = (_moves(before, after, name) for name in ("split", "city"))
    cities = [{city.slug: city for city in manifest.header.cities} for manifest in (a, b)]
    same = a.digest == b.digest
    columns = dict(_changed(before, after))
    told: list[Set | Moves | Changed] = [added, removed, moved, relabelled, *columns.values()]
    examples = [photo_id for of in told for photo_id in of.examples]
    part = None if same else _part(bool(removed.photos or moved.photos or relabelled.photos), bool(added.photos))
    names_parent = bool(b.header.parent) and dict(b.header.parent or {}).get("digest") == a.digest
    return Diff(
        before=_named(a),
        after=_named(b),
        same=same,
        added=added,
        removed=removed,
        moved=moved,
        relabelled=relabelled,
        columns=columns,
        header=dict(_header(a.header, b.header)),
        cities_added=tuple(slug for slug in cities[1] if slug not in cities[0]),
        cities_removed=tuple(slug for slug in cities[0] if slug not in cities[1]),
        cities_changed=tuple(slug for slug, city in cities[0].items() if cities[1].get(slug, city) != city),
        counts=_counts(a, b),
        judged_then_learned=sum(moved.counts.get(side, {}).get("train", 0) for side in ("val", "test")),
        names_parent=names_parent,
        extends=names_parent and not (removed.photos or moved.photos or relabelled.photos),
        part=part,
        version_fault=_version_fault(a, b, part),
        names={**_titles(a.table, examples), **_titles(b.table, examples)},
    )


def _titles(rows: pa.Table, photo_ids: Sequence[str]) -> dict[str, str]:
    chosen = rows.select(["photo_id", "title"]).filter(pc.is_in(rows["photo_id"], pa.array(photo_ids, pa.string())))
    return {row["photo_id"]: row["title"] for row in chosen.to_pylist() if row["title"]}


def _named(manifest: Manifest) -> dict[str, str]:
    return {"name": manifest.header.name, "version": manifest.header.version, "digest": manifest.digest}


def _common(a: pa.Table, b: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions, in each of two tables, of the photos that both have."""
    there = pc.index_in(a["photo_id"], b["photo_id"].combine_chunks())
    left = np.flatnonzero(np.asarray(pc.is_valid(there)))
    return left, np.asarray(there.drop_null(), dtype=np.int64)


def _taken(rows: pa.Table, at: NDArray[np.int64]) -> pa.Table:
    """Return some rows; all of them in their order are no copy."""
    every = 0 < len(at) == rows.num_rows and bool((np.diff(at) == 1).all())
    return rows if every else rows.take(pa.array(at))


def _rest(rows: pa.Table, common: NDArray[np.int64]) -> Set:
    alone = np.ones(rows.num_rows, dtype=np.bool_)
    alone[common] = False
    chosen = rows.filter(pa.array(alone))
    sides = {side: int(pc.sum(pc.equal(chosen["split"], side)).as_py() or 0) for side in SPLITS}
    return Set(chosen.num_rows, sides, _examples(chosen))


def _examples(rows: pa.Table) -> tuple[str, ...]:
    return tuple(rows["photo_id"].slice(0, _EXAMPLES).to_pylist())


def _differ(before: pa.Table, after: pa.Table, name: str) -> pa.ChunkedArray:
    """Return where a column has another value; a missing value equals a missing one only."""
    one, other = before[name].combine_chunks(), after[name].combine_chunks()
    unlike = pc.fill_null(pc.not_equal(one, other), False)
    return pc.or_(unlike, pc.not_equal(pc.is_null(one), pc.is_null(other)))


def _moves(before: pa.Table, after: pa.Table, name: str) -> Moves:
    changed = _differ(before, after, name)
    old, new = before.filter(changed), after.filter(changed)
    pairs = pa.table({"from": old[name], "to": new[name]}).group_by(["from", "to"]).aggregate([([], "count_all")])
    counts: dict[str, dict[str, int]] = {}
    for row in sorted(pairs.to_pylist(), key=lambda row: (row["from"], row["to"])):
        counts.setdefault(row["from"], {})[row["to"]] = row["count_all"]
    return Moves(old.num_rows, counts, _examples(old))


def _changed(before: pa.Table, after: pa.Table) -> Iterator[tuple[str, Changed]]:
    for name in PHOTO_FIELDS:
        if name not in ("photo_id", "split", "city"):
            changed = before.filter(_differ(before, after, name))
            if changed.num_rows:
                yield name, Changed(changed.num_rows, _examples(changed))


def _header(a: Header, b: Header) -> Iterator[tuple[str, tuple[Any, Any]]]:
    before, after = (asdict(replace(header, cities=())) for header in (a, b))
    for name, value in before.items():
        if name not in _NOT_COMPARED and value != after[name]:
            yield name, (value, after[name])


def _counts(a: Manifest, b: Manifest) -> dict[str, dict[str, tuple[int, int]]]:
    before, after = a.counts(), b.counts()
    none = dict.fromkeys(SPLITS, 0)
    return {
        city: {side: (before.get(city, none)[side], after.get(city, none)[side]) for side in SPLITS}
        for city in [*before, *(city for city in after if city not in before)]
    }


def _part(assignments_changed: bool, added: bool) -> str:
    """Return which part of the version has to rise: the rule of `versions.next_version`."""
    if assignments_changed:
        return "major"
    return "minor" if added else "patch"


def _version_fault(a: Manifest, b: Manifest, part: str | None) -> str:
    then, now = a.header.version, b.header.version
    if a.header.name != b.header.name:
        return ""  # two data sets: their versions say nothing about each other
    if part is None:
        return ""
    if now == then:
        return f"both are {then}, but differ: a published version never changes"
    if version_key(now) < version_key(then):
        return f"{now} is older than {then}: this is the way back"
    risen = next(p for p, x, y in zip(_PARTS, version_key(then), version_key(now), strict=True) if x != y)
    if _PARTS.index(risen) > _PARTS.index(part):
        return f"from {then} to {now} only the {risen} number rose, but the {part} number has to"
    return ""


def as_json(difference: Diff) -> dict[str, Any]:
    """Return a diff as plain values."""
    return asdict(difference)


def as_text(difference: Diff) -> str:
    """Return a diff as text; ids and header fields are hostile: print it through `options.show`."""
    before, after = (f"{of['name']} {of['version']}" for of in (difference.before, difference.after))
    if difference.same:
        return f"{before} and {after} hold the same data (digest {difference.before['digest']})"
    names = difference.names
    lines = [
        f"{before} -> {after}",
        *(
            _set(word, of, names)
            for word, of in (("added", difference.added), ("removed", difference.removed))
            if of.photos
        ),
        *_moved("moved to another side", difference.moved, names),
        *_moved("under another city", difference.relabelled, names),
        *(
            f"{name} changed: {_photos(of.photos)}, such as {_listed(of.examples, names)}"
            for name, of in difference.columns.items()
        ),
        *(f"{name}: {_value(old)} -> {_value(new)}" for name, (old, new) in difference.header.items()),
        *(
            f"cities {word}: {', '.join(of)}"
            for word, of in (
                ("added", difference.cities_added),
                ("removed", difference.cities_removed),
                ("described otherwise", difference.cities_changed),
            )
            if of
        ),
        *_conclusions(difference, before),
    ]
    changed = {city: sides for city, sides in difference.counts.items() if any(x != y for x, y in sides.values())}
    if changed:
        rows = [
            (city, *(str(x) if x == y else f"{x} -> {y}" for x, y in sides.values())) for city, sides in changed.items()
        ]
        lines += ["", table(("city", *SPLITS), rows)]
    return "\n".join(lines)


def _conclusions(difference: Diff, before: str) -> Iterator[str]:
    if difference.judged_then_learned:
        yield (
            f"NOT COMPARABLE: {_photos(difference.judged_then_learned)} of validation or test became training: "
            "what was trained on the new one must not be judged on the old one"
        )
    if difference.extends:
        yield f"extends {before}: every photo of it keeps its city and its side"
    elif difference.names_parent:
        yield f"names {before} as its parent, but does not keep all of its photos where they were"
    else:
        yield f"does not name {before} as its parent"
    if difference.before["name"] == difference.after["name"]:
        yield (
            f"version: {difference.version_fault}"
            if difference.version_fault
            else f"version: right, a {difference.part} change"
        )


def _set(word: str, of: Set, names: Mapping[str, str]) -> str:
    sides = ", ".join(f"{count} {side}" for side, count in of.by_side.items() if count)
    return f"{word}: {_photos(of.photos)} ({sides}), such as {_listed(of.examples, names)}"


def _moved(word: str, of: Moves, names: Mapping[str, str]) -> Iterator[str]:
    if of.photos:
        yield f"{word}: {_photos(of.photos)}, such as {_listed(of.examples, names)}"
        yield from (
            f"  {old} -> {new}: {count}" for old, targets in of.counts.items() for new, count in targets.items()
        )


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"


def _listed(examples: tuple[str, ...], names: Mapping[str, str]) -> str:
    return ", ".join(_value(names.get(example, example)) for example in examples[:3])


def _value(value: Any) -> str:
    text = printable(str(value)).replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:59]}…"
