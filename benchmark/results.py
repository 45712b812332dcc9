"""Runs on disk: what went in, what was predicted. Scores are computed from these and stored nowhere.

A run lies in `runs/<identity>/`, which is moved there whole: a folder that is there is finished. It holds

- `run.json` and `predictions.parquet`, the probability of each label for each test photo, in columns named by label ids;
- `predictions-places.parquet` and `predictions-ranking.parquet`, where the method gives places or a ranking;
- `validation.parquet` and its like, the same of the validation photos;
- `predictions-own.parquet` and its like, of a method that answers from the gallery's photos, where some of these are of a
  test photo's own author or sequence: what it would have answered with them;
- `curve.json`, the learning curve, where a network learnt;
- `model.safetensors`, where the model was kept.

What failed lies in `runs/failed/<identity>.json` until the same run succeeds, what a stopped training goes on from in
`runs/unfinished/<identity>/`. `runs/logs/` holds a log for each run, and `runs/test-ledger.jsonl` counts how often the test
photos were read.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.derivations import are_probabilities
from benchmark.predictions import Places, Ranking
from collector.errors import DataError, UsageError, one_line
from collector.workspace import draft_of, write_atomically

_TEST, _VALIDATION, _OWN = "predictions.parquet", "validation.parquet", "predictions-own.parquet"

_IDENTITY = re.compile(r"[0-9a-f]{4,16}")

SHORT = 8
"""First digits of an identity that name a run where room is scarce; `find_run` takes them."""

LEDGER = "test-ledger.jsonl"
"""One line for each time that test photos were read: what was looked at often is no longer unseen."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """Everything that a run's predictions depend on; its hash is the run's identity.

    Runs of the first edition of t15 have no `version`: their identity is the hash of the first five fields.

    Attributes:
        manifest_digest: of the manifest that it learnt from and is judged on.
        method: the method's name.
        parameters: the method's parameters, all of them.
        weights_digest: sha256 of the pre-trained weights, None without.
        seed: of everything random.
        version: of the method.
        settings: of the parameters those that are not that version's defaults. They alone are hashed: a new parameter whose
            default changes nothing leaves the identity of earlier runs.
        preprocessing: hash of how photos become what the method sees; empty where it decides that itself.
        precision: in which a network was trained, `float32` or `bf16`.
        level: of the labels.
        shots: how many training photos of each label it learnt from, drawn by the seed; 0: from all.
        beside: digest of what lies beside the manifest and is learnt from too (`benchmark.attributes`); empty without.
    """

    manifest_digest: str
    method: str
    parameters: dict[str, Any]
    weights_digest: str | None
    seed: int
    version: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    preprocessing: str = ""
    precision: str = ""
    level: str = "city"
    shots: int = 0
    beside: str = ""

    @property
    def identity(self) -> str:
        """The first 16 hex digits of sha256 over the canonical JSON of what is hashed."""
        return _hash(self._hashed())

    @property
    def variant(self) -> str:
        """The same for all seeds: runs that share it are one row of a leaderboard."""
        return _hash({name: value for name, value in self._hashed().items() if name != "seed"})

    def _hashed(self) -> dict[str, Any]:
        if not self.version:
            first = ("manifest_digest", "method", "parameters", "weights_digest", "seed")
            return {name: getattr(self, name) for name in first}
        # Runs of all photos, and those that nothing beside the manifest goes into, are as they were before.
        unsaid = {"parameters", *(name for name in ("shots", "beside") if not getattr(self, name))}
        return {name: value for name, value in asdict(self).items() if name not in unsaid}


def _hash(data: Mapping[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        inputs: what it depends on.
        manifest: name and version of the manifest, for people; the digest in `inputs` decides.
        tier: `paper` or `smoke`.
        title, pretraining, weights_licence, selection: as the method says (see `methods.types.Method`).
        paper: table, row and accuracy (per cent) of the 2018 paper, None for methods that it does not have.
        stochastic: whether other seeds would give another result.
        classes: ids of the labels in the order of the predictions' columns.
        device: what it ran on, in words.
        versions: of Python and the libraries that matter.
        seconds: wall clock of `fit` and `predict`.
        peak_memory_mib: the process's highest resident memory during the run, or the GPU's.
        origin: `bench`, or `submission` for predictions made elsewhere, which were only scored here.
        weights: `none`, `pre-trained`, or `random` where the smoke tier did without the weights it should have had.
        changed: the parameters that were set otherwise than the tier has them.
        engine: the training loop that worked, empty for methods that train no network.
        gives: what the method answers itself, of `labels`, `places` and `ranking`; the others are derived.
        own: of how many test photos the gallery had photos of the same author or sequence, which were left out for them;
            None for a method that does not answer from the gallery's photos.
    """

    inputs: RunInputs
    manifest: str
    tier: str
    title: str
    pretraining: str
    weights_licence: str
    selection: str
    paper: dict[str, Any] | None
    stochastic: bool
    classes: list[str]
    device: str
    versions: dict[str, str]
    seconds: dict[str, float]
    peak_memory_mib: float
    origin: str = "bench"
    weights: str = "none"
    changed: dict[str, Any] = field(default_factory=dict)
    engine: str = ""
    gives: list[str] = field(default_factory=lambda: ["labels"])
    own: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not finish, and why.

    `kind` is `failed`, or for one that could not begin `weights missing`, or `data missing`: its manifest lacks something.
    """

    inputs: RunInputs
    title: str
    reason: str
    kind: str = "failed"


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a run says of each test photo, in the order of `photo_ids`.

    Attributes:
        photo_ids: N of them.
        probabilities: (N, C) float32, in the order of the classes; a row of NaN is a withheld answer.
        places: None where the method gives none: they follow from the probabilities (`benchmark.derivations`).
        ranking: of the training photos, in the manifest's order; None where the method gives none.
        confidence: (N,) of a submission's labels, as stated, NaN where not; None where the probabilities say it.
    """

    photo_ids: list[str]
    probabilities: NDArray[np.float32]
    places: Places | None = None
    ranking: Ranking | None = None
    confidence: NDArray[np.float64] | None = None


def is_finished(runs: Path, identity: str) -> bool:
    """Return whether the run with this identity is there, whole."""
    return (runs / identity / "run.json").is_file()


def save_run(
    runs: Path,
    run: Run,
    predictions: Predictions,
    validation: Predictions | None = None,
    files: Sequence[Path] = (),
    own: Predictions | None = None,
) -> Path:
    """Write a run so that it is there whole or not at all, and return its folder. Earlier failures are forgotten.

    Args:
        runs: the workspace's runs.
        run: what is to be said of it.
        predictions: of the test photos.
        validation: of the validation photos, None when the method was not asked.
        files: moved into the folder under their names, such as the model.
        own: of the test photos, with the photos of each one's own author and sequence in the gallery.
    """
    folder = runs / run.inputs.identity
    draft = draft_of(folder)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _write_predictions(draft / _TEST, predictions, run.classes)
        if validation is not None:
            _write_predictions(draft / _VALIDATION, validation, run.classes)
        if own is not None:
            _write_predictions(draft / _OWN, own, run.classes)
        for file in files:
            shutil.move(file, draft / file.name)
        write_atomically(draft / "run.json", _json(asdict(run)))
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    # A run that waited for its weights was noted before their digest was known.
    for inputs in (run.inputs, replace(run.inputs, weights_digest=None)):
        _failure_path(runs, inputs.identity).unlink(missing_ok=True)
    return folder


def _write_predictions(path: Path, predictions: Predictions, classes: Sequence[str]) -> None:
    _write(path, _as_table(predictions, classes))
    ids = pa.array(predictions.photo_ids, pa.string())
    if places := predictions.places:
        columns = {"photo_id": ids, "latitude": places.latitude, "longitude": places.longitude}
        if places.candidates is not None and places.weights is not None:
            columns["candidates"] = _lists(places.candidates.reshape(len(places), -1))
            columns["weights"] = _lists(places.weights)
        if places.spread_km is not None:
            columns["spreads"] = _lists(places.spread_km)
        _write(_sibling(path, "places"), pa.table(columns))
    if ranking := predictions.ranking:
        columns = {"photo_id": ids, "rows": _lists(ranking.rows), "scores": _lists(ranking.scores)}
        if ranking.inliers is not None:
            columns["inliers"] = _lists(ranking.inliers)
        _write(_sibling(path, "ranking"), pa.table(columns))
    if predictions.confidence is not None:
        _write(_sibling(path, "confidence"), pa.table({"photo_id": ids, "confidence": predictions.confidence}))


def _sibling(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}-{what}.parquet")


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _lists(values: NDArray[Any]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return (
        pa.FixedSizeListArray.from_arrays(flat, max(1, values.shape[1])) if values.shape[1] else pa.nulls(len(values))
    )


def save_failure(runs: Path, failure: Failure) -> None:
    """Remember that a run failed and why; the next `t15 bench` tries it again."""
    write_atomically(_failure_path(runs, failure.inputs.identity), _json(asdict(failure)))


def record_test_read(runs: Path, inputs: RunInputs) -> None:
    """Note that a method is about to be asked about the test photos; written before it is, so that none goes uncounted."""
    runs.mkdir(parents=True, exist_ok=True)
    entry = {
        "manifest_digest": inputs.manifest_digest,
        "run": inputs.identity,
        "method": inputs.method,
        "seed": inputs.seed,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # One write of one short line: the kernel appends it whole, whoever else is writing.
    with (runs / LEDGER).open("ab", buffering=0) as ledger:
        ledger.write(json.dumps(entry).encode() + b"\n")


def test_reads(runs: Path) -> Counter[str]:
    """Return how often the test photos were read, by identity of the run; repeated runs count each time.

    Raises:
        DataError: a line of the ledger is damaged.
    """
    reads: Counter[str] = Counter()
    if (runs / LEDGER).is_file():
        text = (runs / LEDGER).read_text(encoding="utf-8")
        # A last line without its end was cut off by a full disk or a power cut.
        for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
            try:
                reads[json.loads(line)["run"]] += 1
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{runs / LEDGER}: line {number} is damaged; take it out") from error
    return reads


def finished_runs(runs: Path, manifest_digest: str) -> list[Run]:
    """Return the finished runs on the manifest with this digest, by method, tier and seed.

    Raises:
        DataError: a run.json cannot be read; the message names it.
    """
    mine = [run for run in _read_all(runs.glob("*/run.json")) if run.inputs.manifest_digest == manifest_digest]
    return sorted(mine, key=lambda run: (run.inputs.method, run.tier, run.inputs.seed, run.inputs.identity))


def all_runs(runs: Path, method: str = "*") -> list[Run]:
    """Return the finished runs on all manifests whose method matches, by manifest, method, tier and seed.

    Raises:
        DataError: a run.json cannot be read; the message names it.
    """
    mine = [run for run in _read_all(runs.glob("*/run.json")) if fnmatchcase(run.inputs.method.lower(), method.lower())]
    return sorted(
        mine, key=lambda run: (run.manifest, run.inputs.method, run.tier, run.inputs.seed, run.inputs.identity)
    )


def find_run(runs: Path, prefix: str, manifest_digest: str = "") -> Run:
    """Return the finished run whose identity begins with `prefix`, four hex digits or more, or the only one of that method.

    Of several of a method the only one on the manifest with this digest is meant.

    Raises:
        UsageError: there is none, or more than one.
        DataError: its run.json cannot be read.
    """
    if not _IDENTITY.fullmatch(prefix):
        of_method = all_runs(runs, escape(prefix)) if prefix else []
        of_manifest = [run for run in of_method if run.inputs.manifest_digest == manifest_digest]
        if len(of_method) == 1 or len(of_manifest) == 1:
            return (of_manifest or of_method)[0]
        several = ", ".join(run.inputs.identity for run in of_method[:5])
        problem = f"several runs are of this method: {several}" if of_method else "no such file or run"
        raise UsageError(
            f"{prefix[:80]!r}: {problem}; a run is named by 4 to 16 of its hex digits (`t15 runs list`), or by its "
            "method where it has one run"
        )
    identities = sorted(path.parent.name for path in runs.glob(f"{prefix}*/run.json"))
    if len(identities) != 1:
        problem = f"several runs begin so: {', '.join(identities[:5])}" if identities else f"no such run in {runs}"
        raise UsageError(f"{prefix}: {problem}; `t15 runs list` names them")
    return next(_read_all(iter([runs / identities[0] / "run.json"])))


def remove_run(runs: Path, identity: str) -> None:
    """Remove a finished run whole; what the ledger of looks at the test photos says of it stays."""
    folder = runs / identity
    gone = draft_of(folder)
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)  # at once: what is killed here leaves a draft, which the next benchmark removes
    shutil.rmtree(gone)
    _failure_path(runs, identity).unlink(missing_ok=True)
    (runs / "logs" / f"{identity}.log").unlink(missing_ok=True)


def failures(runs: Path, manifest_digest: str) -> list[Failure]:
    """Return the failures on the manifest with this digest, by method and seed."""
    read = []
    for path in runs.glob("failed/*.json"):
        data = _read_json(path)
        try:
            read.append(Failure(**{**data, "inputs": RunInputs(**data["inputs"])}))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: is no record of a failed run ({error}); delete it") from error
    mine = [failure for failure in read if failure.inputs.manifest_digest == manifest_digest]
    return sorted(mine, key=lambda failure: (failure.inputs.method, failure.inputs.seed))


def read_predictions(runs: Path, run: Run) -> Predictions:
    """Return a run's predictions, with the columns in the order of `run.classes`.

    Raises:
        DataError: the file is missing or damaged, or a value is no probability.
    """
    return _read_predictions(runs / run.inputs.identity / _TEST, run.classes)


def read_validation(runs: Path, run: Run) -> Predictions | None:
    """Return what a run says of the validation photos, None when it was not asked.

    Raises:
        DataError: as for `read_predictions`.
    """
    return _read_optional(runs / run.inputs.identity / _VALIDATION, run.classes)


def read_own(runs: Path, run: Run) -> Predictions | None:
    """Return what a run says of the test photos with their own authors' photos in the gallery; None where that is the same.

    Raises:
        DataError: as for `read_predictions`.
    """
    return _read_optional(runs / run.inputs.identity / _OWN, run.classes)


def _read_optional(path: Path, classes: Sequence[str]) -> Predictions | None:
    return _read_predictions(path, classes) if path.is_file() else None


def _read_predictions(path: Path, classes: Sequence[str]) -> Predictions:
    try:
        table = pq.read_table(path, columns=["photo_id", *classes], page_checksum_verification=True)
        probabilities = np.stack([table[name].to_numpy() for name in classes], axis=1).astype(np.float32)
        photo_ids = [str(photo_id) for photo_id in table["photo_id"].to_pylist()]
        places = _read_places(_sibling(path, "places"), photo_ids)
        ranking = _read_ranking(_sibling(path, "ranking"), photo_ids)
        stated = _read_beside(_sibling(path, "confidence"), photo_ids)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        reason = one_line(error)
        raise DataError(f"{path}: cannot be read ({reason}); delete its folder and run `t15 bench` again") from error
    if not are_probabilities(probabilities, withheld=True):
        raise DataError(f"{path}: holds values that are no probabilities; delete its folder and run `t15 bench` again")
    confidence = None if stated is None else stated["confidence"].to_numpy()
    return Predictions(photo_ids, probabilities, places, ranking, confidence)


def _read_places(path: Path, photo_ids: list[str]) -> Places | None:
    table = _read_beside(path, photo_ids)
    if table is None:
        return None
    latitude, longitude = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    if "candidates" not in table.column_names:
        return Places(latitude, longitude)
    weights = _matrix(table["weights"])
    spreads = _matrix(table["spreads"]) if "spreads" in table.column_names else None
    return Places(latitude, longitude, _matrix(table["candidates"]).reshape(*weights.shape, 2), weights, spreads)


def _read_ranking(path: Path, photo_ids: list[str]) -> Ranking | None:
    table = _read_beside(path, photo_ids)
    if table is None:
        return None
    inliers = _matrix(table["inliers"]) if "inliers" in table.column_names else None
    return Ranking(_matrix(table["rows"]), _matrix(table["scores"]), inliers)


def _read_beside(path: Path, photo_ids: list[str]) -> pa.Table | None:
    if not path.is_file():
        return None
    table = pq.read_table(path, page_checksum_verification=True)
    if table["photo_id"].to_pylist() != photo_ids:
        raise ValueError(f"{path.name} is of other photos")
    return table


def _matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    lists = column.combine_chunks()
    if pa.types.is_null(lists.type):
        return np.empty((len(lists), 0))
    values: NDArray[Any] = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), lists.type.list_size)
    return values


def _as_table(predictions: Predictions, classes: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {"photo_id": pa.array(predictions.photo_ids, pa.string())}
    for index, name in enumerate(classes):
        columns[name] = pa.array(predictions.probabilities[:, index], pa.float32())
    return pa.table(columns)


def _read_all(paths: Iterator[Path]) -> Iterator[Run]:
    for path in paths:
        if path.parent.name.startswith("."):  # a draft that a killed process left behind
            continue
        data = _read_json(path)
        try:
            yield Run(**{**data, "inputs": RunInputs(**data["inputs"])})
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: is no run of this version of t15 ({error}); delete its folder") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it and run `t15 bench` again") from error


def _failure_path(runs: Path, identity: str) -> Path:
    return runs / "failed" / f"{identity}.json"


def _json(data: Any) -> bytes:
    return (json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")
