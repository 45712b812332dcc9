"""What a leaderboard holds: rows, cities, what did not run, and the sentences that belong to the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.label_set import left_out_note
from benchmark.leaderboard.attributes import AttributeRow
from benchmark.leaderboard.cross_view import MapRow
from benchmark.leaderboard.formatting import decimals, percent, points_of
from benchmark.results import Run
from benchmark.scoring.evaluation import METRICS, RECALL_METRES, Details, Metric, Score, Scores, Slice
from benchmark.scoring.metrics import CONVENTION
from benchmark.scoring.significance import Difference
from collector.errors import first_few
from collector.labels import PLURALS
from collector.power import Power
from collector.records import UnknownOwners
from collector.text_table import are, counted

if TYPE_CHECKING:
    import pandas as pd

PAPER_NOTE = (
    "The paper's numbers (Özköse, Yılıkoğlu, Karacan and Erdem, SIU 2018, Tables I and II) were measured on another "
    "data set, the Türkiye15 of 2018, whose photos are not these: they are shown for orientation and cannot be compared."
)
VERDICT_NOTE = (
    "“Agrees” says that the difference may be chance: its 95 % interval for two proportions (Newcombe's hybrid of two Wilson "
    "intervals, ours and the paper's at its 375 photos) holds 0; otherwise ours is “higher” or “lower”. It is no proof of a "
    "reproduction."
)
RANK_NOTE = (
    "A rank such as 1–3 means that these photos do not tell which of these places the method has. Two methods "
    "differ by an exact paired test on the same photos over all seeds (sign flips), corrected for all pairs by Holm, at 5 %."
)
SECTIONS = {
    "paper": "Full runs (tier paper)",
    "smoke": "Smoke tests (tier smoke): shortened runs, not results",
    "random": "Random weights in place of pre-trained ones: they show that the code runs, nothing else",
    "oracle": "Oracles: no methods, they are told the truth, and are not ranked",
}
"""The parts of a leaderboard, in the order in which they are shown; rows of two parts are never ranked together."""

UNRANKED = "oracle"
"""The part whose rows have no places: what an answer set allows at best."""

TIERS = ("paper", "smoke")
"""The tiers that a run may have."""


CHANCE_NOTE = (
    "“At chance” marks a row whose interval reaches down to chance: nothing shows that it has learnt anything."
)
TIME_NOTE = (
    "Times are of runs as they were: what an earlier run left in the workspace (vectors, keypoints) was not computed again, "
    "so that the first run of a method shows more than the next, and who else used the machine counts too."
)
WITHHELD_NOTE = "Withheld answers count as wrong; beside the method stands their share."
PAPERS_REGION = "turkiye15"
"""The region whose cities are the paper's: on others its numbers are of another task, and are not shown."""

CURVE_NOTE = (
    "Learning curves: each seed draws its own training photos, fewer among more, groups kept together; all validation photos "
    "are used at every point. Bands are 95 % intervals for the test photos, dots are seeds. These runs are not ranked."
)

ORACLE_NOTE = (
    "The oracle is the best that a method's set of answers allows: what it would have if for each photo it answered the best "
    "of all places that it can answer: the nearest centre of a label, the nearest photo of the gallery."
)


NO_OWN_NOTE = (
    "No photo of the gallery is by a test photo's author, or of its sequence: to leave them out, as is done, changes nothing "
    "here. What they are worth shows on a split at random (`t15 split --paper`)."
)
UNKNOWN_OWN_NOTE = (
    "No photo of the gallery is known to be by a test photo's author, or of its sequence. But that is not known of all:"
)
OWN_NOTE = (
    "The gallery's photos of a test photo's own author or sequence do not exist for it: that is each row's number. Beside it "
    "stands what the same method scores with them, as tables are often made that let a photographer's own photos answer."
)


@dataclass(frozen=True, slots=True)
class Own:
    """What a method that answers from the gallery's photos gains by photos of the test photos' own authors.

    Attributes:
        photos: how many test photos have any such in the gallery.
        scores: with them; those of the row are without.
        gain: the share of right answers with them minus that without, photo by photo, with its bootstrap 95 % interval.
    """

    photos: int
    scores: Scores
    gain: Difference


@dataclass(frozen=True)
class Row:
    """What one method, with one set of parameters, scored on the test photos.

    Attributes:
        section: a key of SECTIONS.
        rank_best, rank_worst: the places within its section that it may have, from 1; see RANK_NOTE. 0 in UNRANKED.
        group: letters; two methods of a section share one exactly when they do not differ significantly. Empty in UNRANKED.
        run: of its first seed, every text in it one printable line.
        runs: identities of the runs, in the order of `seeds`.
        seeds: of the runs that were averaged, ascending.
        scores: of all seeds; shares are 0 to 1.
        behind: its share of right answers minus that of the section's best, photo by photo, with its bootstrap 95 % interval.
        at_chance: its interval reaches down to chance; see CHANCE_NOTE.
        variant: the parameters that were set otherwise than the tier has them, and those by which it differs from other rows
            of the same method and section; may be empty.
        paper_verdict: `agrees`, `higher`, `lower` (see VERDICT_NOTE), or empty.
        paper_accuracy: what the 2018 paper has (a fraction), None where it has nothing, parameters were set otherwise, or the
            task is another.
        seconds: wall clock of one run's fit and predict, mean over the seeds; None for submissions.
        peak_memory_mib: highest over the seeds; None for submissions.
        device: what it ran on; several are separated by `; `.
        engine: the training loop that worked, empty for methods that train no network; several as for the device.
        command: the shell command that makes these runs; empty for submissions.
        test_reads: how often the test photos were read for these runs, repeated ones counted each time; 0 when they were
            made elsewhere.
        own: what photos of the test photos' own authors would have added; None for methods that do not answer from the
            gallery's photos.
    """

    section: str
    rank_best: int
    rank_worst: int
    group: str
    run: Run
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: Scores
    behind: Difference
    at_chance: bool
    variant: str
    paper_verdict: str
    paper_accuracy: float | None
    seconds: float | None
    peak_memory_mib: float | None
    device: str
    engine: str
    command: str
    test_reads: int
    own: Own | None = None

    @property
    def rank(self) -> str:
        """The places that it may have, as people write them: `1` or `1–3`; `–` where it is not ranked."""
        if not self.is_ranked:
            return "–"
        return str(self.rank_best) if self.rank_best == self.rank_worst else f"{self.rank_best}–{self.rank_worst}"

    @property
    def is_ranked(self) -> bool:
        """Whether it has a place among others."""
        return self.section != UNRANKED

    @property
    def method(self) -> str:
        """What `t15 bench --method` calls it."""
        return self.run.inputs.method

    @property
    def title(self) -> str:
        """What a reader calls it."""
        return self.run.title

    @property
    def is_submission(self) -> bool:
        """Whether its predictions were made elsewhere and only scored here."""
        return self.run.origin == "submission"

    @property
    def primary(self) -> Score:
        """The score that it is ranked by, with its interval at n = number of test photos. Not n times seeds: the seeds answer
        the same photos, so that more seeds say nothing about other photos."""
        return self.scores[self.scores.primary]

    @property
    def accuracy(self) -> float:
        """The share of right answers that it is ranked by."""
        return self.primary.value

    @property
    def low(self) -> float:
        """Lower end of its interval."""
        return self.primary.low if self.primary.low is not None else 0.0

    @property
    def high(self) -> float:
        """Upper end of its interval."""
        return self.primary.high if self.primary.high is not None else 1.0

    @property
    def per_city(self) -> Mapping[str, float]:
        """Share of right answers by city slug, cities without test photos left out."""
        return self.scores.per_class

    @property
    def cities(self) -> Mapping[str, Slice]:
        """The same with the interval of each."""
        return self.scores.classes

    @property
    def slices(self) -> Mapping[str, tuple[Slice, ...]]:
        """The same of parts of the test photos."""
        return self.scores.slices

    @property
    def learnt_before(self) -> str:
        """What the weights had seen before these photos, in words: random ones nothing."""
        return f"random, not {self.run.pretraining}" if self.section == "random" else self.run.pretraining


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of a learning curve.

    Attributes:
        photos: training photos of each label; of all of them the mean.
        shots: the number that was asked for, 0 for all.
        accuracy: share of right answers, mean over the seeds, 0 to 1.
        low, high: its 95 % interval for so many test photos, as a row's.
        seeds: the share of each seed, which drew its own training photos.
    """

    photos: float
    shots: int
    accuracy: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """What a method scores by the number of its training photos; `variant` tells curves of one method apart."""

    method: str
    title: str
    variant: str
    section: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A run that did not finish, and why; `kind` is `failed`, or `weights missing` for one that could not begin."""

    method: str
    title: str
    seed: int
    reason: str
    kind: str


@dataclass(frozen=True, slots=True)
class CityRow:
    """A city, its centre (degrees WGS84), its ISO 3166-2 code, and how many photos of it are on each side of the split."""

    slug: str
    name: str
    latitude: float
    longitude: float
    code: str
    train: int
    val: int
    test: int

    @property
    def photos(self) -> int:
        """How many photos of it there are on all sides."""
        return self.train + self.val + self.test


@dataclass(frozen=True, slots=True)
class Pooled:
    """What a board that pools the folds of a cross-validation is made of.

    Attributes:
        folds: name and version of each fold's manifest.
        groups: how many groups the test photos fall into; of a group are photos that the folds keep together.
        largest: photos of the largest.
    """

    folds: tuple[str, ...]
    groups: int
    largest: int


@dataclass(frozen=True)
class Leaderboard:
    """All rows of one manifest, or of all folds of a cross-validation.

    Attributes:
        name, version, digest: of the manifest.
        title: what people call the data set: its title where it has one of its own, else its name.
        region: what people call the region that the cities come from.
        protocol: `city` or `place`; boards of the two are never mixed.
        level: of the labels that were to be answered.
        note: what every reader of the data set has to know; may be empty.
        cities: the classes, in the manifest's order: the labels of the level.
        test_photos: their number, the n of every interval.
        located_photos: how many of them have coordinates.
        near_duplicates: of how many of them training has a near-duplicate.
        unknown_owners: of how many of them, and of the gallery's photos, the author is unknown; of folds of all together.
        units: how many there are of what stands or falls together: places by protocol `place`, groups of folds; None where
            each photo stands alone.
        given: whether the sides are those of somebody's table, of which nothing is promised.
        left_out: by side, how many photos have no label of the level, and are neither learnt from nor judged.
        chance_uniform: share of right answers of guessing each city (or photo of the gallery) equally often.
        chance_largest: accuracy of always naming the city with the most test photos.
        answerable: protocol `place`, by metres: the share of queries with a photo of the gallery so near, and of the gallery
            that is so near, mean over the queries.
        rows: by section, then accuracy (best first), then method.
        details: of the first row; None without rows.
        power: by section, which differences of two of its methods these photos can show.
        failed: the runs that did not finish, by method and seed.
        worth: by section, how many photos that stand alone tell as much of a difference of two methods as these; where it is
            not there, all.
        curves: learning curves, of runs on a few photos of each label; those are in no row.
        attributes: what methods say of places, question by question; empty where none is asked.
        maps: how methods rank the true cell of a map; empty where none scores one.
        pooled: the folds that it pools; None of one manifest. Counts of training photos are then a fold's, on average.
    """

    name: str
    version: str
    digest: str
    title: str
    region: str
    protocol: str
    level: str
    note: str
    cities: tuple[CityRow, ...]
    test_photos: int
    located_photos: int
    near_duplicates: int
    unknown_owners: UnknownOwners
    units: int | None
    given: bool
    left_out: Mapping[str, int]
    chance_uniform: float
    chance_largest: float
    answerable: Mapping[int, tuple[float, float]]
    rows: tuple[Row, ...]
    details: Details | None
    power: Mapping[str, Power]
    failed: tuple[FailedRow, ...]
    worth: Mapping[str, int] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    attributes: tuple[AttributeRow, ...] = ()
    maps: tuple[MapRow, ...] = ()
    pooled: Pooled | None = None

    @property
    def best(self) -> Row | None:
        """The first row that is ranked; None where none is."""
        return best_of(self.rows)

    def warnings(self) -> list[str]:
        """Return what has to be read before any number: the manifest's note (drawn pictures, say), what sides share, and what
        is left out.
        """
        left_out = left_out_note(self.left_out, self.level)
        pooled = [self.pooled_note] if self.pooled else []
        return [*(line for line in (self.note, self.leak_note, left_out, self.untrained_note) if line), *pooled]

    @property
    def measure(self) -> str:
        """What rows are ranked by, in words."""
        return f"found within {RECALL_METRES[0]} m" if self.protocol == "place" else "accuracy"

    @property
    def interval_words(self) -> str:
        """What the intervals of the ranked numbers are."""
        return f"Wilson 95 % intervals for {self.counted_by}"

    @property
    def parts_words(self) -> str:
        """What the intervals of parts of the photos are, each of which has a number of its own."""
        by = ", each place counting as one" if self.protocol == "place" else ", by what groups of photos are worth"
        return f"Wilson 95 % intervals{by if self.units is not None else ''}"

    @property
    def counted_by(self) -> str:
        """How many photos an interval rests on, and how many units of photos that stand or fall together."""
        if self.units is None:
            return counted(self.test_photos, "photos")
        if self.protocol == "place":
            return (
                f"{counted(self.test_photos, 'photos')} at {counted(self.units, 'places')}, each of which counts as one"
            )
        return f"{counted(self.test_photos, 'photos')} in {counted(self.units, 'groups')}, at what these are worth"

    @property
    def leak_note(self) -> str:
        """What is known to be on both sides, in sentences; empty where nothing is, and the sides are t15's own."""
        given = "The sides are those of a table that was given, of which nothing is promised"
        if self.near_duplicates:
            leak = (
                f"{self.near_duplicates:,} of {counted(self.test_photos, 'test photos')} {are(self.near_duplicates)} "
                f"{'a near-duplicate' if self.near_duplicates == 1 else 'near-duplicates'} of training photos: "
                "numbers are better than they should be"
            )
            return f"{f'{given}. ' if self.given else ''}{leak}. `t15 audit` says what else is shared."
        return f"{given}: `t15 audit` says what they share." if self.given else ""

    @property
    def untrained_note(self) -> str:
        """Which classes are tested and never trained, in a sentence; empty where there are none."""
        never = [city for city in self.cities if city.test and not city.train]
        if not never or self.protocol == "place":
            return ""
        photos, names = sum(city.test for city in never), first_few([city.name for city in never])
        return (
            f"{len(never)} of {counted(len(self.cities), self.nouns)} {are(len(never))} tested and never trained ({names}): "
            f"{photos:,} of {counted(self.test_photos, 'test photos')}. No method can learn to name them, so that "
            "an accuracy is at most "
            f"{percent(1 - photos / self.test_photos, 1)} %; distances say how near answered places come."
        )

    @property
    def pooled_note(self) -> str:
        """How the folds were pooled, in sentences; empty of one manifest."""
        if self.pooled is None:
            return ""
        return (
            f"Pooled over {len(self.pooled.folds)} folds: each of the {self.test_photos:,} photos was tested once, by runs "
            "that had not seen it. Photos that the folds keep together (one author, place or picture) are "
            f"{self.pooled.groups:,} groups, of at most {self.pooled.largest:,} photos; intervals and paired tests draw "
            "whole groups. The runs of two folds share training photos: intervals say nothing of other training photos."
        )

    @property
    def nouns(self) -> str:
        """What its classes are called: `cities`, or `districts`."""
        return PLURALS[self.level]

    def sections(self) -> dict[str, list[Row]]:
        """Return the rows by section, in the order of SECTIONS; sections without rows are left out."""
        by_section = {section: [row for row in self.rows if row.section == section] for section in SECTIONS}
        return {section: rows for section, rows in by_section.items() if rows}

    def __repr__(self) -> str:
        first = f"; first {self.rows[0].run.title}" if self.rows else ""
        return (
            f"<leaderboard of {self.name} {self.version}: {len(self.rows)} rows, {self.test_photos} test photos{first}>"
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows, and failed runs behind them, as a data frame; columns as in `leaderboard.csv`, shares 0 to 1."""
        import pandas as pd

        return pd.DataFrame(records([self]))

    @property
    def decimals(self) -> int:
        """How many decimals a per cent of so many photos is worth: one below 1,000."""
        return decimals(self.test_photos)

    def metrics(self, rows: Sequence[Row] | None = None) -> list[Metric]:
        """Return the metrics that at least one of the rows has, in the order of METRICS."""
        shown = self.rows if rows is None else rows
        return [metric for metric in METRICS if any(row.scores.get(metric.name) for row in shown)]

    def metric(self, name: str) -> Metric:
        """Return a metric by its name."""
        return next(metric for metric in METRICS if metric.name == name)

    def power_line(self, section: str) -> str:
        """Return which differences cannot be seen with so many test photos, in a sentence; empty where none is ranked."""
        if section == UNRANKED:
            return ""
        power = self.power[section]
        worth, units = self.worth.get(section, self.test_photos), "places" if self.protocol == "place" else "groups"
        together = f" (in {units}, worth {worth:,} that stand alone)" if worth != self.test_photos else ""
        if len(self.sections()[section]) == 1:
            return (
                f"With {counted(self.test_photos, 'test photos')}{together} a second method has to differ by "
                f"{points_of(power.least)} points or more to be told apart (McNemar's exact test, 5 %)."
            )
        line = (
            f"With {counted(self.test_photos, 'test photos')}{together} differences under {points_of(power.least)} "
            "points cannot be "
            "seen: McNemar's exact test at 5 % calls none of them significant."
        )
        if power.likely is None or power.discordant is None:
            return line
        return (
            f"{line} Of two methods of which one is right and the other wrong on {percent(power.discordant, 0)} % of the "
            f"photos, the median of all pairs here, it finds a difference of {points_of(power.likely)} points four times in "
            "five (normal approximation, before the correction for many pairs)."
        )

    def answerable_line(self) -> str:
        """Return which share of the queries can be answered at each distance, and what chance would find."""
        by_metres = sorted(self.answerable.items())
        metres = ", ".join(str(of) for of, _ in by_metres)
        shares, chances = (", ".join(percent(of[which], 1) for _, of in by_metres) for which in (0, 1))
        return (
            f"Photos of the gallery within {metres} m exist for {shares} % of the queries; a photo of the gallery drawn at "
            f"random is so near to {chances} %. Intervals and comparisons are by place: queries within 25 m of each other "
            "count as one."
        )

    def own_note(self, rows: Sequence[Row]) -> str:
        """Return what has to be said of photos of the test photos' own authors; empty where no method answers from photos."""
        known = [row.own.photos for row in rows if row.own]
        if not known:
            return ""
        unknown = "; ".join(self.unknown_owners.lines("test photos"))
        if any(known):
            return f"{OWN_NOTE} What is not known is not left out: {unknown}." if unknown else OWN_NOTE
        return f"{UNKNOWN_OWN_NOTE} {unknown}." if unknown else NO_OWN_NOTE

    def notes(self) -> list[str]:
        """Return the sentences without which the numbers would be misread."""
        if not self.rows:
            return self.warnings()
        ranked = [section for section in self.sections() if section != UNRANKED]
        notes = [*self.warnings(), *([RANK_NOTE] if ranked else []), *map(self.power_line, ranked)]
        notes += [self.answerable_line()] if self.answerable else []
        notes += [CHANCE_NOTE] if any(row.at_chance for row in self.rows) else []
        notes += [TIME_NOTE] if any(row.seconds for row in self.rows) else []
        notes += [WITHHELD_NOTE] if any(row.scores.withheld for row in self.rows) else []
        notes += [CONVENTION, ORACLE_NOTE] if any(metric.needs != "labels" for metric in self.metrics()) else []
        notes += [note] if (note := self.own_note(self.rows)) else []
        papers = [row for row in self.rows if row.section == "paper" and row.paper_accuracy is not None]
        return [*notes, PAPER_NOTE, VERDICT_NOTE] if papers else notes


def best_of(rows: Sequence[Row]) -> Row | None:
    """Return the first row that is ranked; None where none is."""
    return next((row for row in rows if row.is_ranked), None)


def owning(rows: Sequence[Row]) -> list[tuple[Row, Own]]:
    """Return the rows that photos of the test photos' own authors change, with what they change."""
    return [(row, row.own) for row in rows if row.own and row.own.photos]


def records(boards: Sequence[Leaderboard]) -> list[dict[str, Any]]:
    """Return every row and every failed run of the leaderboards as one flat record each, as for a data frame."""
    lines = []
    for board in boards:
        of_board = {"manifest": board.name, "version": board.version, "digest": board.digest}
        of_board |= {"protocol": board.protocol, "level": board.level}
        lines += [{**of_board, "status": "finished", **flat(row), "reason": ""} for row in board.rows]
        lines += [
            {
                **of_board,
                "status": of.kind,
                "method": of.method,
                "title": of.title,
                "seeds": [of.seed],
                "reason": of.reason,
            }
            for of in board.failed
        ]
    return lines


_BEHIND = ("behind", "behind_low", "behind_high")
_GAIN = {"": "mean", "_low": "low", "_high": "high"}


def flat(row: Row) -> dict[str, Any]:
    """Return a row as plain values by name: each metric with its interval and oracle, None where it was not judged."""
    run = row.run
    paper = run.paper if run.paper and row.paper_accuracy is not None else {}
    return {
        **{"section": row.section, "tier": run.tier, "origin": run.origin},
        **{"rank_best": row.rank_best or None, "rank_worst": row.rank_worst or None, "group": row.group},
        **{"method": row.method, "title": row.title, "variant": row.variant, "changed": sorted(run.changed)},
        **{"parameters": dict(run.inputs.parameters), "weights_digest": run.inputs.weights_digest},
        **row.scores.flat(),
        **{"spread": row.scores.spread, "withheld": row.scores.withheld, "at_chance": row.at_chance},
        **dict(zip(_BEHIND, astuple(row.behind) if row.is_ranked else (None,) * 3, strict=True)),
        **{"paper_table": paper.get("table"), "paper_row": paper.get("row")},
        **{"paper_accuracy": row.paper_accuracy, "paper_verdict": row.paper_verdict},
        **{"per_city": dict(row.per_city)},
        "slices": {kind: [asdict(one) for one in slices] for kind, slices in row.slices.items()},
        **{"seeds": list(row.seeds), "runs": list(row.runs), "stochastic": run.stochastic},
        **{"pretraining": run.pretraining, "weights_licence": run.weights_licence, "selection": run.selection},
        **{"seconds": row.seconds, "peak_memory_mib": row.peak_memory_mib, "device": row.device, "engine": row.engine},
        **{"command": row.command, "test_reads": row.test_reads},
        **{"own_photos": row.own.photos if row.own else None},
        **{"with_own": row.own.scores[row.scores.primary].value if row.own else None},
        **{f"own_gain{part}": getattr(row.own.gain, of) if row.own else None for part, of in _GAIN.items()},
    }
