"""What a leaderboard holds: rows, cities, what did not run, and the sentences that belong to the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.scoring.calibration import Bin
from benchmark.scoring.geography import GeoSummary
from benchmark.scoring.significance import Difference
from benchmark.scoring.slices import Slice

PAPER_NOTE = (
    "The paper's numbers (Özköse, Yılıkoğlu, Karacan and Erdem, SIU 2018, Tables I and II) were measured on another "
    "data set, the Türkiye15 of 2018, whose photos are not these: they are shown for orientation and cannot be compared."
)
VERDICT_NOTE = (
    "“Agrees” says that the difference may be chance: its 95 % interval for two proportions (Newcombe's hybrid of two Wilson "
    "intervals, ours and the paper's at its 375 photos) holds 0; otherwise ours is “higher” or “lower”. It is no proof of a "
    "reproduction, and with another number of cities than the paper's 15 the word is withheld."
)
RANK_NOTE = (
    "A rank of 1–3 means that these photos do not tell which of the three places the method has. Two methods count as told "
    "apart by an exact paired test on the same photos over all seeds (sign flips), corrected for all pairs by Holm, at 5 %."
)
SECTIONS = {
    "paper": "Full runs (tier paper)",
    "smoke": "Smoke runs (tier smoke): shortened, they reproduce nothing",
    "random": "Random weights in place of pre-trained ones: they show that the code runs, nothing else",
}
"""The parts of a leaderboard, in the order in which they are shown; rows of two parts are never ranked together."""

TIERS = ("paper", "smoke")
"""The tiers that a run may have."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one method, with one set of parameters, scored on the test photos.

    Attributes:
        section: a key of SECTIONS.
        rank_best, rank_worst: the places within its section that it may have, from 1; see RANK_NOTE.
        group: letters; two methods of a section share one exactly when they were not told apart.
        method, title: what `t15 bench --method` and what a reader calls it.
        variant: the parameters that were set otherwise than the tier has them, and those by which it differs from other rows
            of the same method and section; may be empty.
        changed: names of the parameters that were set otherwise.
        tier: `paper` or `smoke`.
        origin: `bench`, or `submission` for predictions that were made elsewhere and only scored here.
        parameters: the method's parameters, all of them.
        weights_digest: sha256 of the pre-trained weights, None without.
        seeds: of the runs that were averaged, ascending.
        stochastic: whether other seeds would give another result.
        accuracy: mean over the seeds, 0 to 1, as are the other scores.
        low, high: Wilson 95 % interval of `accuracy` at n = number of test photos. Not n times seeds: the seeds are
            judged on the same photos, so that more seeds say nothing about other photos.
        spread: sample standard deviation of the accuracy over the seeds, None for a single seed.
        behind: its accuracy minus that of the section's best, photo by photo, with its bootstrap 95 % interval.
        top3: share of photos whose city is among the three most probable (among all, with fewer cities).
        macro_f1: mean F1 of the cities; mean over the seeds.
        ece: expected calibration error, 15 bins; mean over the seeds. Like `top3` None for submissions of labels alone.
        geo: distances over all answers of all seeds, None where no test photo has coordinates.
        per_city: accuracy by city slug, mean over the seeds, cities without test photos left out.
        slices: accuracy on parts of the test photos, by what they are parts of: see `judging.parts_of`.
        paper_table, paper_row, paper_accuracy: what the 2018 paper has (a fraction), None where it has nothing or
            parameters were set otherwise.
        paper_verdict: `agrees`, `higher`, `lower` (see VERDICT_NOTE), or empty.
        pretraining, weights_licence, selection: as the method says.
        seconds: wall clock of one run's fit and predict, mean over the seeds; None for submissions.
        peak_memory_mib: highest over the seeds; None for submissions.
        device: what it ran on; several are separated by `; `.
        engine: the training loop that worked, empty for methods that train no network; several as for the device.
        command: the shell command that makes these runs; empty for submissions.
        runs: identities of the runs, in the order of `seeds`.
        test_reads: how often the test photos were read for these runs, repeated ones counted each time; 0 when they were
            made elsewhere.
    """

    section: str
    rank_best: int
    rank_worst: int
    group: str
    method: str
    title: str
    variant: str
    changed: tuple[str, ...]
    tier: str
    origin: str
    parameters: Mapping[str, Any]
    weights_digest: str | None
    seeds: tuple[int, ...]
    stochastic: bool
    accuracy: float
    low: float
    high: float
    spread: float | None
    behind: Difference
    top3: float | None
    macro_f1: float
    ece: float | None
    geo: GeoSummary | None
    per_city: Mapping[str, float]
    slices: Mapping[str, tuple[Slice, ...]]
    paper_table: str | None
    paper_row: str | None
    paper_accuracy: float | None
    paper_verdict: str
    pretraining: str
    weights_licence: str
    selection: str
    seconds: float | None
    peak_memory_mib: float | None
    device: str
    engine: str
    command: str
    runs: tuple[str, ...]
    test_reads: int

    @property
    def rank(self) -> str:
        """The places that it may have, as people write them: `1` or `1–3`."""
        return str(self.rank_best) if self.rank_best == self.rank_worst else f"{self.rank_best}–{self.rank_worst}"

    @property
    def learnt_before(self) -> str:
        """What the weights had seen before these photos, in words: random ones nothing."""
        return f"random, not {self.pretraining}" if self.section == "random" else self.pretraining


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


@dataclass(frozen=True, slots=True)
class Closer:
    """A closer look at the best method: what its pictures are drawn from.

    Attributes:
        confusion: how often each city was taken for each, all seeds together; true cities down, predicted ones across,
            both in the order of `Leaderboard.cities`.
        reliability: confidence and accuracy by bins, all seeds together.
    """

    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All rows of one manifest.

    Attributes:
        name, version, digest: of the manifest.
        region: what people call the region that the cities come from.
        note: what every reader of the data set has to know; may be empty.
        cities: the classes, in the manifest's order.
        test_photos: their number, the n of every interval.
        located_photos: how many of them have coordinates.
        chance_uniform: accuracy of guessing each city equally often, 1 / number of cities.
        chance_largest: accuracy of always naming the city with the most test photos.
        rows: by section, then accuracy (best first), then method.
        closer: of the first row; None without rows.
        failed: the runs that did not finish, by method and seed.
    """

    name: str
    version: str
    digest: str
    region: str
    note: str
    cities: tuple[CityRow, ...]
    test_photos: int
    located_photos: int
    chance_uniform: float
    chance_largest: float
    rows: tuple[Row, ...]
    closer: Closer | None
    failed: tuple[FailedRow, ...]

    @property
    def best(self) -> Row | None:
        """The first row; None without rows."""
        return self.rows[0] if self.rows else None

    def warnings(self) -> list[str]:
        """Return what has to be read before any number: the manifest's note, such as that its pictures are drawn."""
        return [self.note] if self.note else []

    def sections(self) -> dict[str, list[Row]]:
        """Return the rows by section, in the order of SECTIONS; sections without rows are left out."""
        by_section = {section: [row for row in self.rows if row.section == section] for section in SECTIONS}
        return {section: rows for section, rows in by_section.items() if rows}

    def notes(self) -> list[str]:
        """Return the sentences without which the numbers would be misread."""
        notes = [*self.warnings(), RANK_NOTE] if self.rows else self.warnings()
        papers = [row for row in self.rows if row.section == "paper" and row.paper_accuracy is not None]
        return [*notes, PAPER_NOTE, VERDICT_NOTE] if papers else notes
