"""Flags on photos of poor quality, with doubtful labels or their answer in them: for people; none is left out by them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.curating import label_errors, labels, metadata_leaks, text_leaks
from collector.curating.place_names import PlaceNames
from collector.curating.quality import FLAGGED, FLAGS, QUALITY_STAMP, flags, measure_file
from collector.curating.vectors import VectorSource
from collector.errors import first_few
from collector.executors.local import Fault, Work
from collector.executors.photos import map_photos
from collector.images.repair import lacks_end
from collector.progress import Track, silent
from collector.records import City, Label, Photo
from collector.workspace import Workspace, exclusive, storage_errors

STAGE = "quality"
"""The stage of the catalogue's decisions that holds the flags of quality; its verdicts are all `keep`."""

STAGES = (STAGE, labels.STAGE, text_leaks.STAGE, metadata_leaks.STAGE, label_errors.STAGE)
"""The stages that `assess` writes."""

WORST = 10
"""Photos that are named of each flag."""

BLOCK = 256
"""Photos whose flags are written together."""

Evidence = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is found out about each photo's file, once, and kept.

    Attributes:
        stage: of the catalogue's decisions that keep it.
        stamp: what it depends on beside the bytes.
        doing: said of its progress.
        measure: the evidence of a photo, of the path of its file.
        judge: photo and evidence to the evidence with flags; asked again at each run, of what was kept too.
        most: photos that are written down together, at most: what a stopped run loses.
        holds_gil: measuring is mostly Python, so that threads would wait for each other.
    """

    stage: str
    stamp: str
    doing: str
    measure: Callable[[Path], Evidence]
    judge: Callable[[Photo, Evidence], Evidence] = lambda _, evidence: evidence
    most: int = BLOCK
    holds_gil: bool = False


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
        skipped: what was asked for and could not be done, a line each.
    """

    photos: int
    measured: int
    any_flag: int
    flags: tuple[Flagged, ...]
    unreadable: Mapping[str, str]
    skipped: tuple[str, ...] = ()


def assess(
    workspace: Workspace,
    track: Track = silent,
    *,
    dry_run: bool = False,
    block_size: int = BLOCK,
    text: bool = False,
    source: VectorSource | None = None,
    net: str | None = None,
    work: Work | None = None,
) -> QualitySummary:
    """Flag downloaded photos of poor quality or with a doubtful label; nothing is left out or changed by that.

    Photos that were measured before in the same way, from the same bytes, are not measured again, so that a stopped run goes
    on from where it was. One that cannot be read has no flags of quality and is tried again next time. Labels are judged
    anew each time. With `dry_run` nothing is written down. `work` is where photos are measured; in a few threads unless it
    is said. With `text` what can be read in pictures and beside them is judged too; without the extra `ocr`, what stands
    beside them alone. With a `source` of vectors (of the network or feature `net`, or of the best that is here) labels are
    held against the pixels; without the extra `labels` that is skipped.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        photos = catalogue.downloaded()
        run = _Run(workspace, catalogue, photos, track, dry_run, block_size, work)
        found = run.measured(_quality())
        measured, unreadable = run.new, dict(run.unreadable)
        meanings, skipped = {**FLAGS, **labels.FLAGS}, []
        doubtful = labels.flag_labels(photos, _cities(catalogue))
        if not dry_run:
            catalogue.decide(labels.STAGE, doubtful)
        found += doubtful
        if text:
            names, files = _place_names(catalogue), catalogue.files.names()
            meanings |= {**text_leaks.FLAGS, **metadata_leaks.FLAGS}
            found += run.measured(_metadata(names, files))
            if lacking := text_leaks.missing_extra():
                skipped.append(
                    f"pictures were not read: {lacking} is missing, of the extra ocr: pip install 't15[ocr]'"
                )
            else:
                found += run.measured(_text(names))
            unreadable |= run.unreadable
        if source is not None:
            meanings |= label_errors.FLAGS
            if lacking := label_errors.missing_extra():
                skipped.append(
                    f"labels were not judged: {lacking} is missing, of the extra labels: pip install 't15[labels]'"
                )
            else:
                found += _against_pixels(run, source, net, skipped)
    return replace(_summarise(photos, measured, found, unreadable, meanings), skipped=tuple(skipped))


def forget(workspace: Workspace) -> int:
    """Take back all that `assess` wrote down, and return about how many photos that was.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        photo_ids = {one.photo_id for stage in STAGES for one in catalogue.decisions(stage)}
        with catalogue.together():
            for stage in STAGES:
                catalogue.decide(stage, [])
    return len(photo_ids)


def flags_in_text(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Return the flags of what can be read in each photo or beside it, by photo_id; of photos that were looked at alone."""
    found: dict[str, set[str]] = {}
    for stage, known in ((text_leaks.STAGE, text_leaks.FLAGS), (metadata_leaks.STAGE, metadata_leaks.FLAGS)):
        for one in catalogue.decisions(stage):
            found.setdefault(one.photo_id, set()).update(flag for flag in known if flag in one.evidence)
    return {photo_id: tuple(sorted(flags)) for photo_id, flags in found.items()}


@dataclass
class _Run:
    """A run over the photos of a catalogue; `new` and `unreadable` tell of the last measurement."""

    workspace: Workspace
    catalogue: Catalogue
    photos: Sequence[Photo]
    track: Track
    dry_run: bool
    block_size: int
    work: Work | None

    def measured(self, of: Measurement) -> list[Decision]:
        """Return what is known of all photos, measuring those that are new, and write it down block by block."""
        known = self._still_valid(of)
        waiting = [photo for photo in self.photos if photo.photo_id not in known]
        self.unreadable: dict[str, str] = {}
        if not self.dry_run:
            self.catalogue.decide(of.stage, known.values())
        decisions = list(known.values())
        for block in self._blocks(of, waiting):
            decisions += block
            if not self.dry_run:
                self.catalogue.amend(of.stage, block)
        self.new = len(waiting) - len(self.unreadable)
        return decisions

    def _still_valid(self, of: Measurement) -> dict[str, Decision]:
        """Return by photo_id what was measured of the same bytes in the same way, judged anew."""
        by_id = {photo.photo_id: photo for photo in self.photos}
        return {
            one.photo_id: _decision(photo, of, one.evidence)
            for one in self.catalogue.decisions(of.stage)
            if (photo := by_id.get(one.photo_id)) and one.evidence.get("stamp") == _stamp(photo, of)
        }

    def _blocks(self, of: Measurement, photos: Sequence[Photo]) -> Iterator[list[Decision]]:
        """Yield what is measured of photos in blocks, to be written down together, and note those that cannot be read."""
        block: list[Decision] = []
        most = min(of.most, self.block_size)
        results = map_photos(
            of.measure,
            [str(photo.sha256) for photo in photos],
            self.workspace,
            self.work,
            track=self.track,
            doing=of.doing,
            at_once=most,
            holds_gil=of.holds_gil,
        )
        for photo, result in zip(photos, results, strict=True):
            if isinstance(result, Fault):
                self.unreadable[photo.photo_id] = result.reason
                continue
            block.append(_decision(photo, of, result))
            if len(block) == most:
                yield block
                block = []
        yield block


def _decision(photo: Photo, of: Measurement, evidence: Mapping[str, Any]) -> Decision:
    return Decision(photo.photo_id, "keep", None, {**of.judge(photo, dict(evidence)), "stamp": _stamp(photo, of)})


def _stamp(photo: Photo, of: Measurement) -> str:
    return f"{of.stamp}, of {str(photo.sha256)[:16]}"


def _assessed(path: Path) -> Evidence:
    """Return the flags of a photo.

    Raises:
        NotMeasurableError, OSError: why there are none.
    """
    measures, width, height = measure_file(path)
    scores = flags(measures, width, height, no_end=lacks_end(path))
    raised = {flag: score for flag, score in scores.items() if score >= FLAGGED}
    # Below a key of their own: the review takes every number beside the flags for a score.
    found = {name: round(value, 4) for name, value in asdict(measures).items()} | {"width": width, "height": height}
    return {**raised, "measures": found}


def _against_pixels(run: _Run, source: VectorSource, net: str | None, skipped: list[str]) -> list[Decision]:
    """Return the labels that their photos' vectors speak against; `skipped` is told of cities that cannot be judged."""
    photos = [photo for photo in run.catalogue.clean() if photo.sha256]
    if not photos:
        return []
    name, rows, known = source.vectors(run.workspace, photos, net, run.track)
    suspected, few = label_errors.flag_labels(photos, rows, known, name)
    if few:
        fewest = f"labels of {first_few(few)} were not judged: fewer than {label_errors.FEWEST} photos each"
        skipped.append(fewest)
    if not run.dry_run:
        run.catalogue.decide(label_errors.STAGE, suspected)
    return suspected


def _quality() -> Measurement:
    return Measurement(STAGE, QUALITY_STAMP, "measuring", _assessed, holds_gil=True)


def _text(names: PlaceNames) -> Measurement:
    def judge(photo: Photo, evidence: Evidence) -> Evidence:
        lines = text_leaks.from_evidence(evidence.get("lines"))
        return {"lines": text_leaks.as_evidence(lines), **text_leaks.judge(lines, photo.city, names)}

    return Measurement(text_leaks.STAGE, text_leaks.stamp(), "reading", _lines, judge, most=32)


def _lines(path: Path) -> Evidence:
    return {"lines": text_leaks.as_evidence(text_leaks.read_lines(path))}


def _texts(path: Path) -> Evidence:
    return {"texts": metadata_leaks.read_texts(path)}


def _metadata(names: PlaceNames, files: Mapping[str, str]) -> Measurement:
    def judge(photo: Photo, evidence: Evidence) -> Evidence:
        kept = {where: str(text) for where, text in dict(evidence.get("texts") or {}).items()}
        return {"texts": kept, **metadata_leaks.judge(kept, photo, files.get(photo.photo_id), names)}

    return Measurement(metadata_leaks.STAGE, metadata_leaks.stamp(), "metadata", _texts, judge)


def _place_names(catalogue: Catalogue) -> PlaceNames:
    """Return the names of everything that photos were collected for."""
    cities: dict[str, City] = {}
    countries: list[Label] = []
    for region in catalogue.regions():
        cities.update({city.slug: city for city in region.cities})
        countries += [label for label in region.labels if label.level == "country"]
    return PlaceNames(cities.values(), countries)


def _cities(catalogue: Catalogue) -> dict[str, list[City]]:
    """Return the cities that photos were collected for, by slug: regions may differ in where a centre is."""
    found: dict[str, list[City]] = defaultdict(list)
    for region in catalogue.regions():
        for city in region.cities:
            found[city.slug].append(city)
    return found


def _summarise(
    photos: Sequence[Photo],
    measured: int,
    decisions: Sequence[Decision],
    unreadable: Mapping[str, str],
    meanings: Mapping[str, str],
) -> QualitySummary:
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
