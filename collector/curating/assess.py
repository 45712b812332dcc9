"""Flags on photos of poor quality, with doubtful labels or their answer in them: for people; none is left out by them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.curating import label_errors, labels, metadata_leaks, text_leaks
from collector.curating.place_names import PlaceNames
from collector.curating.quality import FLAGS, QUALITY_STAMP, assessed
from collector.curating.vectors import VectorSource
from collector.errors import first_few
from collector.executors.local import Fault, Work
from collector.executors.photos import map_photos
from collector.manifest.photo_rows import PhotoRows
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
        photos = catalogue.downloaded_rows()
        run = _Run(workspace, catalogue, photos, track, dry_run, block_size, work)
        measured = run.measure(_quality(), FLAGS)
        run.decide(labels.STAGE, labels.flag_labels(photos, _cities(catalogue)), labels.FLAGS)
        if text:
            names, files = _place_names(catalogue), catalogue.files.names()
            run.tally.know(text_leaks.FLAGS)
            run.measure(_metadata(names, files), metadata_leaks.FLAGS)
            if lacking := text_leaks.missing_extra():
                run.skipped.append(
                    f"pictures were not read: {lacking} is missing, of the extra ocr: pip install 't15[ocr]'"
                )
            else:
                run.measure(_text(names), text_leaks.FLAGS)
        if source is not None:
            run.tally.know(label_errors.FLAGS)
            if lacking := label_errors.missing_extra():
                run.skipped.append(
                    f"labels were not judged: {lacking} is missing, of the extra labels: pip install 't15[labels]'"
                )
            else:
                _against_pixels(run, source, net)
    return QualitySummary(
        photos=len(photos),
        measured=measured,
        any_flag=len(run.tally.flagged),
        flags=run.tally.flags(),
        unreadable=run.unreadable,
        skipped=tuple(run.skipped),
    )


def forget(workspace: Workspace) -> int:
    """Take back all that `assess` wrote down, and return about how many photos that was.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        photo_ids = {one.photo_id for stage in STAGES for one in catalogue.each_decision(stage)}
        with catalogue.together():
            for stage in STAGES:
                catalogue.decide(stage, [])
    return len(photo_ids)


def flags_in_text(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Return the flags of what can be read in each photo or beside it, by photo_id; of photos that were looked at alone."""
    found: dict[str, set[str]] = {}
    for stage, known in ((text_leaks.STAGE, text_leaks.FLAGS), (metadata_leaks.STAGE, metadata_leaks.FLAGS)):
        for one in catalogue.each_decision(stage):
            found.setdefault(one.photo_id, set()).update(flag for flag in known if flag in one.evidence)
    return {photo_id: tuple(sorted(flags)) for photo_id, flags in found.items()}


class _Tally:
    """Counts of flags, and the worst of each: nothing of photos without one."""

    def __init__(self) -> None:
        self.flagged: set[str] = set()
        self._meanings: dict[str, str] = {}
        self._photos: Counter[str] = Counter()
        self._worst: dict[str, list[tuple[str, float]]] = defaultdict(list)

    def know(self, flags: Mapping[str, str]) -> None:
        """Count these flags from now on, shown in the order in which they became known."""
        self._meanings |= {flag: meaning for flag, meaning in flags.items() if flag not in self._meanings}

    def count(self, decision: Decision) -> None:
        for flag in self._meanings.keys() & decision.evidence.keys():
            self.flagged.add(decision.photo_id)
            self._photos[flag] += 1
            known = [*self._worst[flag], (decision.photo_id, float(decision.evidence[flag]))]
            self._worst[flag] = sorted(known, key=lambda one: (-one[1], one[0]))[:WORST]

    def flags(self) -> tuple[Flagged, ...]:
        return tuple(
            Flagged(flag, meaning, self._photos[flag], tuple(self._worst[flag]))
            for flag, meaning in self._meanings.items()
        )


class _Run:
    """A run over the photos of a catalogue.

    Memory: the photos' rows, the ids of those that have a flag, and a block of what was found out.
    """

    def __init__(
        self,
        workspace: Workspace,
        catalogue: Catalogue,
        photos: PhotoRows,
        track: Track,
        dry_run: bool,
        block_size: int,
        work: Work | None,
    ) -> None:
        self.workspace, self.catalogue, self.photos, self.track = workspace, catalogue, photos, track
        self._dry_run, self._block_size, self._work = dry_run, block_size, work
        self.tally, self.unreadable, self.skipped = _Tally(), dict[str, str](), list[str]()

    def decide(self, stage: str, decisions: Sequence[Decision], flags: Mapping[str, str]) -> None:
        """Count what a stage concludes of all photos at once, and write it down in place of what it did before."""
        self.tally.know(flags)
        for one in decisions:
            self.tally.count(one)
        if not self._dry_run:
            self.catalogue.decide(stage, decisions)

    def measure(self, of: Measurement, flags: Mapping[str, str]) -> int:
        """Count what is known of all photos, and measure those that are new; what cannot be read is noted.

        Written down block by block; returns how many were measured.
        """
        self.tally.know(flags)
        is_new = np.ones(len(self.photos), bool)
        self._write(of, self._still_valid(of, is_new))
        return self._write(of, self._measured(of, self.photos if is_new.all() else self.photos.where(is_new)))

    def _write(self, of: Measurement, found: Iterable[tuple[str, Decision | None, bool]]) -> int:
        """Count and write down what is concluded of each photo_id, None: nothing any longer; return how many there are.

        The third value tells whether it is written down so already.
        """
        most, count = min(of.most, self._block_size), 0
        changed: dict[str, Decision | None] = {}

        def put_down() -> None:
            if not self._dry_run:
                with self.catalogue.together():
                    self.catalogue.retract(of.stage, (photo_id for photo_id, one in changed.items() if one is None))
                    self.catalogue.amend(of.stage, filter(None, changed.values()))
            changed.clear()

        for photo_id, decision, is_kept in found:
            if decision:
                self.tally.count(decision)
                count += 1
            if not is_kept:
                changed[photo_id] = decision
            if len(changed) >= most:
                put_down()
        put_down()
        return count

    def _still_valid(self, of: Measurement, is_new: NDArray[np.bool_]) -> Iterator[tuple[str, Decision | None, bool]]:
        """Yield what was measured of the same bytes in the same way, judged anew; clear `is_new` of those photos."""
        places = enumerate(self.photos)
        at, photo = next(places, (0, None))
        for before in self.catalogue.each_decision(of.stage):
            while photo and photo.photo_id < before.photo_id:  # both are sorted by it
                at, photo = next(places, (0, None))
            if photo and photo.photo_id == before.photo_id and before.evidence.get("stamp") == _stamp(photo, of):
                is_new[at] = False
                now = _decision(photo, of, before.evidence)
                yield before.photo_id, now, now == before
            else:
                yield before.photo_id, None, False

    def _measured(self, of: Measurement, photos: PhotoRows) -> Iterator[tuple[str, Decision | None, bool]]:
        """Yield what is measured of photos, and note those that cannot be read."""
        results = map_photos(
            of.measure,
            list(map(str, photos.texts("sha256"))),
            self.workspace,
            self._work,
            track=self.track,
            doing=of.doing,
            at_once=min(of.most, self._block_size),
            holds_gil=of.holds_gil,
        )
        for photo, result in zip(photos, results, strict=True):
            if isinstance(result, Fault):
                self.unreadable[photo.photo_id] = result.reason
            else:
                yield photo.photo_id, _decision(photo, of, result), False


def _decision(photo: Photo, of: Measurement, evidence: Mapping[str, Any]) -> Decision:
    return Decision(photo.photo_id, "keep", None, {**of.judge(photo, dict(evidence)), "stamp": _stamp(photo, of)})


def _stamp(photo: Photo, of: Measurement) -> str:
    return f"{of.stamp}, of {str(photo.sha256)[:16]}"


def _against_pixels(run: _Run, source: VectorSource, net: str | None) -> None:
    """Flag the labels that their photos' vectors speak against, and note cities that cannot be judged."""
    photos = run.catalogue.clean_rows()
    photos = photos.where(photos.is_known("sha256"))
    if not len(photos):
        return
    name, rows, known = source.vectors(run.workspace, photos, net, run.track)
    suspected, few = label_errors.flag_labels(photos, rows, known, name)
    if few:
        why = f"that takes two cities or more, with {label_errors.FEWEST} photos each by several authors"
        run.skipped.append(f"labels of {first_few(few)} were not judged: {why}")
    run.decide(label_errors.STAGE, suspected, label_errors.FLAGS)


def _quality() -> Measurement:
    return Measurement(STAGE, QUALITY_STAMP, "measuring", assessed, holds_gil=True)


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
