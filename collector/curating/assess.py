"""Flags on photos of poor quality and with doubtful labels: they help people to choose, and never leave a photo out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.curating import labels
from collector.curating.quality import FLAGGED, FLAGS, QUALITY_STAMP, NotMeasurableError, flags, measure_file
from collector.images.decode import map_in_order
from collector.images.repair import lacks_end
from collector.progress import Track, silent
from collector.records import City, Photo
from collector.workspace import Workspace, exclusive, storage_errors

STAGE = "quality"
"""The stage of the catalogue's decisions that holds the flags of quality; its verdicts are all `keep`."""

WORST = 10
"""Photos that are named of each flag."""

BLOCK = 256
"""Photos whose flags are written together."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """Photos that have a flag.

    Attributes:
        flag: one of FLAGS, or of `labels.FLAGS`.
        meaning: what it says of a photo.
        photos: how many have it.
        worst: photo_id and score of the first WORST of them, the highest score first.
    """

    flag: str
    meaning: str
    photos: int
    worst: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class QualitySummary:
    """What `assess` found.

    Attributes:
        photos: downloaded ones.
        measured: photos measured now; the others had been, and are known not to have changed.
        any_flag: photos with at least one flag.
        flags: every flag there is, also those that no photo has.
        unreadable: why a photo could not be measured, by photo_id.
    """

    photos: int
    measured: int
    any_flag: int
    flags: tuple[Flagged, ...]
    unreadable: Mapping[str, str]


def assess(
    workspace: Workspace, track: Track = silent, *, dry_run: bool = False, block_size: int = BLOCK
) -> QualitySummary:
    """Flag downloaded photos of poor quality or with a doubtful label; nothing is left out or changed by that.

    Photos that were measured before in the same way, from the same bytes, are not measured again, so that a stopped run goes
    on from where it was. One that cannot be read has no flags of quality and is tried again next time. Labels are judged
    anew each time. With `dry_run` nothing is written down.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        photos = catalogue.downloaded()
        known = _still_valid(catalogue, photos)
        waiting = [photo for photo in photos if photo.photo_id not in known]
        if not dry_run:
            catalogue.decide(STAGE, known.values())
        unreadable: dict[str, str] = {}
        found = list(known.values())
        for block in _measured_blocks(workspace, waiting, unreadable, track, block_size):
            found += block
            if not dry_run:
                catalogue.amend(STAGE, block)
        doubtful = labels.flag_labels(photos, _cities(catalogue))
        if not dry_run:
            catalogue.decide(labels.STAGE, doubtful)
    return _summarise(photos, len(waiting) - len(unreadable), [*found, *doubtful], unreadable)


def forget(workspace: Workspace) -> int:
    """Take back all that `assess` wrote down, and return about how many photos that was.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        stages = (STAGE, labels.STAGE)
        photo_ids = {one.photo_id for stage in stages for one in catalogue.decisions(stage)}
        with catalogue.together():
            for stage in stages:
                catalogue.decide(stage, [])
    return len(photo_ids)


def _still_valid(catalogue: Catalogue, photos: Sequence[Photo]) -> dict[str, Decision]:
    """Return by photo_id what was measured of the same bytes in the same way."""
    stamps = {photo.photo_id: _stamp(photo) for photo in photos}
    return {
        one.photo_id: one
        for one in catalogue.decisions(STAGE)
        if one.photo_id in stamps and one.evidence.get("stamp") == stamps[one.photo_id]
    }


def _measured_blocks(
    workspace: Workspace, photos: Sequence[Photo], unreadable: dict[str, str], track: Track, most: int
) -> Iterator[list[Decision]]:
    """Yield what is measured of photos in blocks, to be written down together, and note those that cannot be read."""
    block: list[Decision] = []
    results = map_in_order(partial(_assessed, workspace), photos, most)
    for photo, result in zip(photos, track(results, "measuring", len(photos)), strict=True):
        if isinstance(result, str):
            unreadable[photo.photo_id] = result
            continue
        block.append(result)
        if len(block) == most:
            yield block
            block = []
    yield block


def _stamp(photo: Photo) -> str:
    return f"{QUALITY_STAMP}, of {str(photo.sha256)[:16]}"


def _assessed(workspace: Workspace, photo: Photo) -> Decision | str:
    """Return the flags of a photo as a decision, or why there is none."""
    try:
        path = workspace.photo(str(photo.sha256))
        measures, width, height = measure_file(path)
        scores = flags(measures, width, height, no_end=lacks_end(path))
    except (NotMeasurableError, OSError) as error:
        return str(error)
    raised = {flag: score for flag, score in scores.items() if score >= FLAGGED}
    # Below a key of their own: the review takes every number beside the flags for a score.
    found = {name: round(value, 4) for name, value in asdict(measures).items()} | {"width": width, "height": height}
    return Decision(photo.photo_id, "keep", None, {**raised, "stamp": _stamp(photo), "measures": found})


def _cities(catalogue: Catalogue) -> dict[str, list[City]]:
    """Return the cities that photos were collected for, by slug: regions may differ in where a centre is."""
    found: dict[str, list[City]] = defaultdict(list)
    for region in catalogue.regions():
        for city in region.cities:
            found[city.slug].append(city)
    return found


def _summarise(
    photos: Sequence[Photo], measured: int, decisions: Sequence[Decision], unreadable: Mapping[str, str]
) -> QualitySummary:
    meanings = {**FLAGS, **labels.FLAGS}
    having: dict[str, list[tuple[str, float]]] = {flag: [] for flag in meanings}
    any_flag: Counter[str] = Counter()
    for one in decisions:
        raised = {flag: float(score) for flag, score in one.evidence.items() if flag in having}
        any_flag[one.photo_id] += len(raised)
        for flag, score in raised.items():
            having[flag].append((one.photo_id, score))
    return QualitySummary(
        photos=len(photos),
        measured=measured,
        any_flag=sum(count > 0 for count in any_flag.values()),
        flags=tuple(
            Flagged(flag, meanings[flag], len(found), tuple(sorted(found, key=lambda one: (-one[1], one[0]))[:WORST]))
            for flag, found in having.items()
        ),
        unreadable=unreadable,
    )
