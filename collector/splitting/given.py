"""A split of somebody else's: each photo goes to the side that a table says, and nothing is promised of it.

Nothing is left out, not even what `dedup` or reviewers decided against: numbers on it are to be comparable with those of
whoever made it. `t15 audit` says what it is worth.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.catalogue.catalogue import Catalogue, open_catalogue
from collector.errors import DataError, UsageError, first_few
from collector.manifest.columns import Values, choose, held
from collector.manifest.foreign import SIDES, read_sides
from collector.manifest.manifest import Manifest
from collector.manifest.photo_table import ALIASES, FILE_NAMES, FileFinder, path_key
from collector.manifest.read_table import Source, open_table
from collector.records import SPLITS, Photo, Region
from collector.regions import fold, slugs_by_name
from collector.splitting.allocate import draw
from collector.splitting.candidates import (
    AS_COLLECTED,
    Candidates,
    Wanted,
    chosen_region,
    columns_beside,
    header_of,
    store_manifest,
)
from collector.splitting.groups import GroupRules, group_photos
from collector.workspace import Workspace, storage_errors

NAMES = {
    "photo_id": ("photo_id",),
    "sha256": ("sha256", "sha_256"),
    "file": FILE_NAMES,
    "split": ("split", "subset", "fold", "partition", "set", "side", "role"),
    "city": ("city", "city_name", "label", "class", "category"),
}
"""Columns of such a table, and what other data sets call them. A photo is found by the first of the first three that its
workspace knows."""

GALLERY_SIDES = {**SIDES, **dict.fromkeys(("database", "gallery", "index", "map"), "train"),
                 **dict.fromkeys(("query", "queries"), "test")}  # fmt: skip
"""Words for the sides, those of place recognition too."""

_SHOWN = 5  # rows in a message


@dataclass(frozen=True, slots=True)
class GivenSplit:
    """What `split_given` made.

    Attributes:
        manifest: the data set.
        folder: where it lies.
        written: False when exactly this manifest was there already.
        table: the file that says it.
        columns: which of its columns was taken for which of ours.
        rows: of the table.
        missing: rows whose photo is not in the workspace, by what they name.
        other_city: rows that name another city than the photo has here, as `a.jpg: Bonn, here koeln`.
        unused: photos of the data set's cities that the table does not name.
        against_decisions: photos of it that `dedup` or a reviewer would leave out, by stage.
        without: cities without photos on a side, by side.
    """

    manifest: Manifest
    folder: Path
    written: bool
    table: Path
    columns: Mapping[str, str]
    rows: int
    missing: tuple[str, ...]
    other_city: tuple[str, ...]
    unused: int
    against_decisions: Mapping[str, int]
    without: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class GivenTable:
    """A table that says each photo's side, and how it is taken.

    Attributes:
        path: of the file.
        columns: which of its columns is which of NAMES, where that is not guessed.
        protocol: what its sides are: those of `city`, or gallery and queries of `place`.
        val_share: of each city's training photos, to be validation photos where the table has none; None: none are.
        seed: of which groups these are.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "city"
    val_share: float | None = None
    seed: int = 0


def split_given(
    workspace: Workspace,
    manifests: Path,
    table: GivenTable,
    region: str | Region | None = None,
    name: str | None = None,
    version: str | None = None,
    wanted: Wanted = AS_COLLECTED,
    *,
    dry_run: bool = False,
) -> GivenSplit:
    """Write the split that a table gives of the workspace's photos as a manifest of the mode `given`.

    A row's photo is found by its `photo_id`, its `sha256` or its file (as it was collected, with or without folders before
    it). Its city is the workspace's; rows that name another are told. Validation photos are taken from training photos in
    whole groups (authors, places, pictures). With `dry_run` nothing is written.

    Raises:
        UsageError: there is no such file, column or region, or the version exists with other data.
        DataError: the table is wrong, or names no photo of the workspace.
        IncompleteError: the disk is full.
    """
    given = _GivenRows.read(table.path, table.columns)
    collected = _collected(workspace, given, region)
    missing = tuple(given.place(row) for row in range(len(given.sides)) if row not in collected.photo_of_row)
    photos = [replace(photo, split=given.sides[row], group_id=None) for row, photo in collected.photo_of_row.items()]
    if not photos:
        such = f", such as {first_few(missing, most=2)}" if missing else ""
        raise DataError(
            f"{table.path}: none of its {len(given.sides)} rows names a photo of {collected.region.name} in the workspace "
            f"{workspace.root}{such}; collect the photos first (t15 collect --root DIR), or name the column with "
            "--column file=NAME"
        )
    photos = _with_validation(photos, table)
    candidates = Candidates(wanted.of(collected.region), photos, stamps=collected.stamps, columns=collected.columns)
    header = header_of(candidates, name, version, 0, {}, _rules(table, given, len(missing)), photos, None)
    stored = store_manifest(
        manifests,
        replace(header, protocol=table.protocol),
        photos,
        collected.columns,
        explicit=version is not None,
        dry_run=dry_run,
    )
    used = {photo.photo_id for photo in photos}
    present = {photo.city for photo in photos}
    counts = stored.manifest.counts()
    return GivenSplit(
        stored.manifest,
        stored.folder,
        stored.written,
        table.path,
        given.chosen,
        len(given.sides),
        missing,
        other_city=tuple(given.other_cities(collected.photo_of_row, collected.region)),
        unused=sum(photo.city in present and photo.photo_id not in used for photo in collected.photos),
        against_decisions={stage: count for stage, ids in collected.decided.items() if (count := len(ids & used))},
        without={side: [city for city, of in counts.items() if not of[side]] for side in SPLITS},
    )


def _rules(table: GivenTable, given: "_GivenRows", missing: int) -> dict[str, Any]:
    """Return what the manifest's header says of the split."""
    return {
        "mode": "given",
        "table": table.path.name,
        "sha256": hashlib.sha256(table.path.read_bytes()).hexdigest(),
        "rows": len(given.sides),
        "missing": missing,
        **({} if table.val_share is None else {"val_share": table.val_share, "val_seed": table.seed}),
    }


@dataclass(frozen=True, slots=True)
class _Collected:
    """What a workspace holds of what a table names; `decided` are ids that a stage would leave out."""

    region: Region
    photos: Sequence[Photo]
    photo_of_row: Mapping[int, Photo]
    stamps: Mapping[str, str] | str
    columns: Mapping[str, Mapping[str, str]]
    decided: Mapping[str, set[str]]


def _collected(workspace: Workspace, given: "_GivenRows", region: str | Region | None) -> _Collected:
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        chosen = chosen_region(catalogue, region)
        photos = catalogue.downloaded()
        cities = {city.slug for city in chosen.cities}
        photo_of_row = given.photos_of(catalogue, {photo.photo_id: photo for photo in photos if photo.city in cities})
        decided = {
            stage: {of.photo_id for of in catalogue.decisions(stage) if of.verdict != "keep"}
            for stage in ("dedup", "review")
        }
        return _Collected(chosen, photos, photo_of_row, catalogue.hash_stamps(), columns_beside(catalogue), decided)


def _with_validation(photos: list[Photo], table: GivenTable) -> list[Photo]:
    """Return the photos after moving the table's share of each city's training photos, in whole groups, to validation.

    Groups are tried in the order of their draw; one moves where it is needed in a city and takes no other over its number.

    Raises:
        UsageError: it is no share, or the table has validation photos of its own.
    """
    share = table.val_share
    if share is None:
        return photos
    if any(photo.split == "val" for photo in photos):
        raise UsageError(f"--val-share: {table.path} has validation photos of its own; leave it out")
    if not 0 < share < 1:
        raise UsageError(f"--val-share {share:g}: give a share between 0 and 1, such as 0.15")
    train = [photo for photo in photos if photo.split == "train"]
    group_of = group_photos(train, GroupRules()).group_of
    need = {
        city: max(1, round(share * count))
        for city, count in Counter(photo.city for photo in train).items()
        if count > 1
    }
    cities_of: dict[str, Counter[str]] = {}
    for photo in train:
        cities_of.setdefault(group_of[photo.photo_id], Counter())[photo.city] += 1
    moved: set[str] = set()
    for group in sorted(cities_of, key=lambda name: draw(table.seed, name)):
        if all(count <= need.get(city, 0) for city, count in cities_of[group].items()):
            moved.add(group)
            for city, count in cities_of[group].items():
                need[city] -= count
    ids = {photo.photo_id for photo in train if group_of[photo.photo_id] in moved}
    return [replace(photo, split="val") if photo.photo_id in ids else photo for photo in photos]


@dataclass(frozen=True, slots=True)
class _GivenRows:
    """The table: which photo and which side each row means."""

    source: Source
    chosen: Mapping[str, str]
    sides: list[str]
    texts: Mapping[str, list[str | None]]

    @classmethod
    def read(cls, path: Path, columns: Mapping[str, str]) -> "_GivenRows":
        """Read a table.

        Raises:
            UsageError, DataError: as `split_given` says.
        """
        source = open_table(path)
        chosen = choose(source, {ALIASES.get(name, name): of for name, of in columns.items()}, NAMES)
        for needed, what in (("split", "the side"), ("file", "the photo")):
            if needed not in chosen and not (needed == "file" and {"photo_id", "sha256"} & set(chosen)):
                raise DataError(f"{path}: no column tells {what}; name it with --column {needed}=NAME; {held(source)}")
        raw = source.read(list(dict.fromkeys(chosen.values())))
        if not raw.num_rows:
            raise DataError(f"{path}: has no rows")
        values = Values(source, chosen, raw)
        sides: pa.ChunkedArray = read_sides(values, values.text("split"), GALLERY_SIDES)
        texts = {name: values.text(name).to_pylist() for name in chosen if name != "split"}
        return cls(source, chosen, sides.to_pylist(), texts)

    def place(self, row: int) -> str:
        """Return what a row names its photo by: `berlin/1.jpg`."""
        texts = (self.texts[name][row] for name in ("file", "photo_id", "sha256") if name in self.texts)
        return next((text for text in texts if text), "")[:80]

    def photos_of(self, catalogue: Catalogue, by_id: Mapping[str, Photo]) -> dict[int, Photo]:
        """Return the photo of each row whose photo is here; of rows that name one photo, the first has it.

        Raises:
            DataError: two rows put one photo on two sides.
        """
        by_sha256 = {photo.sha256: photo for photo in reversed(list(by_id.values()))}
        photo_of_row: dict[int, Photo] = {}
        for row in range(len(self.sides)):
            id_, sha256 = (self.texts[name][row] if name in self.texts else None for name in ("photo_id", "sha256"))
            if photo := by_id.get(id_ or "") or by_sha256.get(sha256 or ""):
                photo_of_row[row] = photo
        if "file" in self.texts:
            photo_of_row |= self._by_file(catalogue, by_id, photo_of_row)
        first: dict[str, int] = {}
        for row, photo in sorted(photo_of_row.items()):
            before = first.setdefault(photo.photo_id, row)
            if self.sides[before] != self.sides[row]:
                raise DataError(
                    f"{self.source.path}: {self.source.place(row)} puts {self.place(row)} on {self.sides[row]}, "
                    f"{self.source.place(before)} on {self.sides[before]}"
                )
        return {row: photo_of_row[row] for row in sorted(first.values())}

    def _by_file(
        self, catalogue: Catalogue, by_id: Mapping[str, Photo], known: Mapping[int, Photo]
    ) -> dict[int, Photo]:
        cities = self.texts.get("city", [None] * len(self.sides))
        rows = [
            (row, path_key(file), cities[row])
            for row, file in enumerate(self.texts["file"])
            if file is not None and row not in known
        ]
        meant: dict[int, dict[str, bool]] = {}  # photo_id -> whether its whole path below a folder is named, by row
        catalogue.files.of(b"")  # makes the table in catalogues of before
        for root in catalogue.files.roots():
            top = Path(root.decode("utf-8", "surrogateescape"))
            photo_of = {
                top / file.path.decode("utf-8", "surrogateescape"): file.photo_id
                for file in catalogue.files.of(root)
                if b"\0" not in file.path and file.photo_id in by_id
            }
            matches = FileFinder(top, list(photo_of), rows).match()
            path_of = {**{row: path for path, row in matches.row_of.items()}, **matches.again}
            for row, path in path_of.items():
                is_whole = path_key(str(self.texts["file"][row])).endswith(path_key(path.relative_to(top).as_posix()))
                photos = meant.setdefault(row, {})
                photos[photo_of[path]] = is_whole or photos.get(photo_of[path], False)
        return {row: by_id[self._only(row, photos)] for row, photos in sorted(meant.items())}

    def _only(self, row: int, photos: Mapping[str, bool]) -> str:
        """Return the photo that a row means, of those of all folders whose files fit it.

        Raises:
            DataError: two folders that were collected hold different photos of this name.
        """
        fitting = [photo_id for photo_id, is_whole in photos.items() if is_whole] or list(photos)
        if len(fitting) > 1:
            raise DataError(
                f"{self.source.path}: {self.source.place(row)}: {self.place(row)} is a file of {len(fitting)} folders that "
                f"were collected ({first_few(fitting, most=2)}); name photos by photo_id or sha256, or the region with "
                "--region, or collect each folder into a workspace of its own"
            )
        return fitting[0]

    def other_cities(self, photo_of_row: Mapping[int, Photo], region: Region) -> list[str]:
        """Return the rows that name another city than their photo has here."""
        named = self.texts.get("city")
        if named is None:
            return []
        slugs = slugs_by_name(region, codes=True)
        return [
            f"{self.place(row)}: {name}, here {photo.city}"
            for row, photo in photo_of_row.items()
            if (name := named[row]) is not None and slugs.get(fold(name)) != photo.city
        ]
