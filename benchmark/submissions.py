"""Other people's predictions: checked against a manifest, scored, and put on its board.

A submission is a table of answers (`benchmark.answer_table`) or rankings of a gallery (`benchmark.rankings`).
"""

import hashlib
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from benchmark import predictions
from benchmark.answer_table import Answers, read_answers
from benchmark.derivations import labels_from_places, labels_from_ranking
from benchmark.label_set import LabelSet, label_set, photos_at, positions
from benchmark.rankings import read_rankings
from benchmark.results import Predictions, Run, RunInputs, finished_runs, record_test_read, save_run
from benchmark.scoring.evaluation import Scores, evaluate
from benchmark.scoring.truth import Truth
from collector.errors import DataError, UsageError, one_line
from collector.manifest.manifest import Manifest
from collector.text_table import printable

ORIGIN = "submission"
"""What a run of `t15 score` says of where it came from, and what its method's name begins with."""

_LONGEST_NAME = 100
_LONGEST_DESCRIPTION = 500
_LONGEST_SLUG = 60


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked file.

    Attributes:
        answers: to every test photo once, in the manifest's order.
        sha256: of the file.
        label_set: the labels that it answers with.
    """

    answers: Answers
    sha256: str
    label_set: LabelSet

    @property
    def kind(self) -> str:
        """What it answers with: `probabilities`, `labels`, `places`, or `labels and places`, or `ranking`."""
        return " and ".join(self.answers.kinds)


@dataclass(frozen=True, slots=True)
class Scored:
    """A submission on the board: its run, the scores, and the runs of the same name that it took the place of."""

    run: Run
    scores: Scores
    replaced: tuple[str, ...]


def read_submission(path: Path, manifest: Manifest, level: str = "city") -> Submission:
    """Return the predictions in a file, checked against the manifest's test photos and its labels of a level.

    Raises:
        UsageError: there is no such file, or the manifest has no labels of that level.
        DataError: it is damaged or empty, a column is missing, doubled or no label, or rows are wrong: the message names the
            first five by line (of a CSV) or row (of a Parquet file, from 0) and photo, and counts the rest.
    """
    labels = label_set(manifest, level)
    if not photos_at(manifest, "test", level):
        having = "" if level == "city" else f" with a {level}"
        raise DataError(f"{manifest.header.name} {manifest.header.version}: has no test photo{having} to score")
    answers = read_answers(path, manifest, level)
    with path.open("rb") as file:
        return Submission(answers, hashlib.file_digest(file, "sha256").hexdigest(), labels)


def read_ranked(path: Path, manifest: Manifest, level: str = "city") -> Submission:
    """Return the rankings in a file or folder (`benchmark.rankings`), checked against the manifest.

    Raises:
        UsageError, DataError: as `rankings.read_rankings`, or the manifest has no labels of that level.
    """
    labels, test = label_set(manifest, level), photos_at(manifest, "test", level)
    ranking = read_rankings(path, manifest, level)
    answers = Answers([photo.photo_id for photo in test], ("ranking",), None, None, None, ranking)
    digest = hashlib.sha256(repr(ranking.rows.tolist()).encode() + ranking.scores.tobytes())
    return Submission(answers, digest.hexdigest(), labels)


def scores(submission: Submission, manifest: Manifest) -> Scores:
    """Return what a checked submission is worth, as the leaderboard has it."""
    answers = submission.answers
    judged = predictions.Predictions(answers.probabilities, answers.places, answers.ranking, answers.confidence)
    return evaluate([judged], Truth.of(manifest, level=submission.label_set.level))


def _saved(submission: Submission, manifest: Manifest) -> Predictions:
    answers = submission.answers
    shares = answers.probabilities
    if shares is None and answers.ranking is not None:
        level = submission.label_set.level
        gallery = positions(manifest, photos_at(manifest, "train", level), level)
        shares = labels_from_ranking(answers.ranking, gallery, len(submission.label_set))
    if shares is None:
        assert answers.places is not None  # noqa: S101 (one of the two is there)
        shares = labels_from_places(answers.places, submission.label_set)
    return Predictions(answers.photo_ids, shares, answers.places, answers.ranking, answers.confidence)


def method_name(name: str) -> str:
    """Return what a leaderboard's method column calls a submission: `submission:` and the name in small ASCII letters.

    Two names may come to the same; one without any Latin letter or digit is called by its digest.
    """
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ı", "i")).encode("ascii", "ignore").decode()
    words = "".join(c if c.isalnum() else " " for c in plain).split()
    slug = "-".join(words)[:_LONGEST_SLUG].rstrip("-")
    return f"{ORIGIN}:{slug or hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def put_on_board(
    submission: Submission, manifest: Manifest, runs: Path, name: str, description: str = "", *, replacing: bool = False
) -> Scored:
    """Score a checked submission and save it as a run, so that leaderboards of this manifest show it.

    That the test labels were looked at is entered in the ledger first. The same file under the same name is the same run.
    Arguments and errors are those of `entry`.
    """
    run, others = entry(submission, manifest, runs, name, description, replacing=replacing)
    record_test_read(runs, run.inputs)
    scored = Scored(run, scores(submission, manifest), others)
    save_run(runs, run, _saved(submission, manifest))
    for identity in others:
        shutil.rmtree(runs / identity)
    return scored


def entry(
    submission: Submission, manifest: Manifest, runs: Path, name: str, description: str = "", *, replacing: bool = False
) -> tuple[Run, tuple[str, ...]]:
    """Return the run that a submission would be on the board, and the runs that it would take the place of.

    Nothing is written, and no test label is looked at.

    Args:
        submission: from `read_submission` with the same manifest.
        manifest: what it is judged on.
        runs: the workspace's runs.
        name: what readers call it; hostile text.
        description: what it is and how it was made; hostile text, may be empty.
        replacing: take the place of a submission of this name with other content.

    Raises:
        UsageError: the name is empty, or it or the description is too long; other content has the name, without `replacing`.
    """
    title, summary = (
        _one_line("--name", name, _LONGEST_NAME),
        _one_line("--description", description, _LONGEST_DESCRIPTION),
    )
    if not title:
        raise UsageError("--name: is empty; give the submission a name")
    level = submission.label_set.level
    parameters = {"sha256": submission.sha256, "answers": submission.kind}
    parameters |= {} if level == "city" else {"level": level}  # a submission's identity is that of its parameters
    inputs = RunInputs(manifest.digest, method_name(title), parameters, None, 0, level=level)
    others = [
        run
        for run in finished_runs(runs, manifest.digest)
        if (run.inputs.method, run.inputs.level) == (inputs.method, level) and run.inputs.identity != inputs.identity
    ]
    if others and not replacing:
        raise UsageError(
            f"--name {title!r}: {others[0].title!r} with other content is on the board as {inputs.method}; "
            "choose another name, or take its place with --replace"
        )
    return _as_run(inputs, manifest, title, summary, submission), tuple(run.inputs.identity for run in others)


def _as_run(inputs: RunInputs, manifest: Manifest, title: str, description: str, submission: Submission) -> Run:
    return Run(
        inputs=inputs,
        manifest=f"{manifest.header.name} {manifest.header.version}",
        tier="paper",
        title=title,
        pretraining="not stated",
        weights_licence="",
        selection=description or "not stated",
        paper=None,
        stochastic=False,
        classes=list(submission.label_set.ids),
        device="elsewhere",
        versions={},
        seconds={"fit": 0.0, "predict": 0.0},
        peak_memory_mib=0.0,
        origin=ORIGIN,
        gives=sorted({kind if kind in ("places", "ranking") else "labels" for kind in submission.answers.kinds}),
    )


def _one_line(option: str, text: str, longest: int) -> str:
    """Return text with blanks as single spaces and control characters as escapes."""
    line = printable(one_line(text, None))
    if len(line) > longest:
        raise UsageError(f"{option}: has {len(line)} characters; {longest} are the most")
    return line
