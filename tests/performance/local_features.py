"""Methods that recognise the very place, on real street views: recall, and seconds of what they are made of.

    python -m tests.performance.local_features [--data grid|msls|capitals7] [--side 320] [--method NAME ...] [--landmarks]

`grid`: $T15_REAL_DATA/streetview_grid, 480 views of 120 places; every fourth place is a query, the others are the gallery.
`msls`: London of MSLS, its own database and queries. Recall is the share of queries with a photo of the gallery within so
many metres (great circle) among the first; the answerable share and what chance would find are printed beside it. The
standard error of a share on the grid is about 4.5 points. `--landmarks` judges the pairs of tourists' photos at each ratio.
"""

import argparse
import csv
import hashlib
import json
import os
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.label_set import LabelSet
from benchmark.local.keypoints import Sift, extract_features
from benchmark.local.verification import PairVerifier, Rules, matches
from benchmark.methods.registry import choose
from benchmark.methods.types import Context, Method, Training
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.photos import WorkspacePhotos, given_photos
from benchmark.scoring.significance import sign_flip_test
from benchmark.scoring.truth import Gallery as TruthGallery
from benchmark.scoring.truth import Truth
from collector.geo import distances_km
from collector.workspace import Workspace, create_workspace

METHODS = ["sift-nbnn", "sift-nbnn+verify", "bow", "bow+ransac", "vlad", "schindler2007"]
METRES = (10, 25, 50, 100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=["grid", "msls", "capitals7"], default="grid")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--method", action="append")
    parser.add_argument("--set", action="append", default=[], help="NAME=NUMBER, of methods that have it")
    parser.add_argument("--landmarks", action="store_true")
    parser.add_argument("--part", type=int, default=1, help="ask every so manieth query only")
    parser.add_argument("--each", type=int, default=180, help="training photos of a city, with capitals7")
    parser.add_argument("--compare", action="store_true", help="tests by place between all kept rankings")
    parser.add_argument("--rankings", type=Path, help="file that rankings are added to, for `--compare`")
    parser.add_argument("--workspace", type=Path, help="where features stay; else they go with the run")
    options = parser.parse_args()
    given = {name: json.loads(of) for name, _, of in (one.partition("=") for one in options.set)}
    real = Path(os.environ["T15_REAL_DATA"])
    if options.landmarks:
        judge(real / "new" / "landmark_pairs")
        return
    with TemporaryDirectory() as folder:
        kept = options.workspace or Path(folder) / "workspace"
        workspace = Workspace(kept) if kept.exists() else create_workspace(kept)
        if options.data == "capitals7":
            cities(real / "capitals7", workspace, options.each, {"side": 480, **given})
            return
        gallery, queries = sides(real, options.data, workspace)
        if options.compare:
            compare(gallery, part_of(queries, options.part), options.rankings)
            return
        changed = {"side": options.side, **given}
        measure(gallery, part_of(queries, options.part), changed, options.method or METHODS, options.rankings)


def sides(real: Path, data: str, workspace: Workspace) -> tuple[Training, Training]:
    """Return gallery and queries."""
    folder = real / ("streetview_grid" if data == "grid" else "new/msls_london_a")
    with (folder / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if data == "grid":
        asked = set(sorted({int(row["place"]) for row in rows})[::4])
        of_queries = [int(row["place"]) in asked for row in rows]
        places = [(float(row["latitude"]), float(row["longitude"])) for row in rows]
    else:
        of_queries = [row["role"] != "database" for row in rows]
        places = [(float(row["lat"]), float(row["lon"])) for row in rows]
    digests = [keep(folder / row["file"], workspace) for row in rows]
    headings = [float(row["heading"]) for row in rows]

    def side(wanted: bool) -> Training:
        chosen = [number for number, query in enumerate(of_queries) if query == wanted]
        where = np.array([places[number] for number in chosen])
        return Training(
            ids=tuple(rows[number]["file"] for number in chosen),
            digests=tuple(digests[number] for number in chosen),
            store=WorkspacePhotos(workspace),
            labels=(where[:, 0] > np.median(where[:, 0])).astype(np.int64),
            classes=("south", "north"),
            label_set=LabelSet("city", ("south", "north"), where[:2], np.ones(2)),
            places=where,
            headings=np.array([headings[number] for number in chosen]),
            authors=np.full(len(chosen), -1),
            sequences=np.full(len(chosen), -1),
            times=np.full(len(chosen), np.nan),
            protocol="place",
        )

    return side(False), side(True)


def cities(folder: Path, workspace: Workspace, each: int, changed: dict[str, Any]) -> None:
    """Print the accuracy of sift-nbnn on seven capitals, test photos that share much with a training photo left out.

    A test photo shares much with one where a tenth of its features, or more, are mutual nearest ones that pass the ratio
    of 0.8. Of a city's photos, in a random order, the first are trained on and a quarter as many behind them are asked about;
    as many behind these are for validation. `changed` are parameters.
    """
    names = sorted(one.name for one in folder.iterdir() if one.is_dir())
    files = {name: sorted(one for one in (folder / name).iterdir() if one.is_file()) for name in names}
    rng = np.random.default_rng(0)
    chosen = {name: [of[row] for row in rng.permutation(len(of))] for name, of in files.items()}
    asked = each // 4

    def side(begin: int, count: int) -> Training:
        paths = [(label, path) for label, name in enumerate(names) for path in chosen[name][begin : begin + count]]
        unknown = np.full(len(paths), -1)
        nowhere = np.full(len(paths), np.nan)
        return Training(
            ids=tuple(f"{path.parent.name}/{path.name}" for _, path in paths),
            digests=tuple(keep(path, workspace) for _, path in paths),
            store=WorkspacePhotos(workspace),
            labels=np.array([label for label, _ in paths]),
            classes=tuple(names),
            label_set=LabelSet("city", tuple(names), np.zeros((len(names), 2)), np.ones(len(names))),
            places=np.full((len(paths), 2), np.nan),
            headings=nowhere,
            authors=unknown,
            sequences=unknown,
            times=nowhere,
            protocol="city",
        )

    train, test, validation = side(0, each), side(each, asked), side(each + asked, asked)
    method = choose(["sift-nbnn"])[0]
    parameters = {**method.parameters, **changed}
    front_end = Sift(*(parameters[name] for name in ("side", "keypoints", "contrast")))
    fitted: Any = method.fit(train, validation, Context(), **parameters)
    shares = fitted.predict_labels(test)
    features, others = extract_features(test, front_end), extract_features(train, front_end)
    ranking = fitted.rank(test, 3)
    alike = np.array(
        [
            max((len(matches(one.descriptors, others[row].descriptors, 0.8)) for row in rows if row >= 0), default=0)
            >= max(1, 0.1 * len(one))
            for one, rows in zip(features, ranking.rows.tolist(), strict=True)
        ]
    )
    right, sure = shares.argmax(axis=1) == test.labels, shares.max(axis=1)
    order = np.argsort(-sure[~alike], kind="stable")
    sixth = order[: max(1, len(order) // 6)]
    print(
        f"{len(train)} training photos, {len(test)} asked; right {right.mean():.3f}; {alike.sum()} share much, without them "
        f"right {right[~alike].mean():.3f}; the surest sixth, {len(sixth)}: {right[~alike][sixth].mean():.3f}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def keep(path: Path, workspace: Workspace) -> str:
    """Link a photo into the workspace and return its digest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    target = workspace.photo(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.symlink_to(path.resolve())
    return digest


def part_of(queries: Training, step: int) -> Training:
    """Return every so manieth query."""
    taken = {name: value[::step] for name, value in sliced(queries)}
    return Training(**{**vars(queries), **taken})


def context_of(method: Method) -> Context:
    """Return the context of a method: with the weights of its network, which have to be here."""
    if not method.backbone:
        return Context()
    network = find_backbone(method.backbone)
    said = weights.stored(network)
    return Context(weights=weights.load(network), weights_digest=said.digest if said else None)


def measure(gallery: Training, queries: Training, changed: dict[str, Any], names: list[str], kept: Path | None) -> None:
    """Print a line for the front end, for verification, and for each method; `changed` are parameters."""
    side = changed["side"]
    metres = 1000 * distances_km(
        queries.places[:, None, 0], queries.places[:, None, 1], gallery.places[None, :, 0], gallery.places[None, :, 1]
    )
    print(f"{len(gallery)} photos, {len(queries)} queries, {side} px; load {os.getloadavg()[0]:.1f}")
    for name, of in (("answerable", [(metres.min(axis=1) <= m).mean() for m in METRES]), ("chance", chance(metres))):
        print(name, dict(zip(METRES, np.round(of, 3).tolist(), strict=True)))
    front_end = Sift(side=side)
    begun = time.perf_counter()
    features = [*extract_features(gallery, front_end), *extract_features(queries, front_end)]
    seconds = time.perf_counter() - begun
    print(f"front end {1000 * seconds / len(features):.0f} ms a photo; {np.median([len(one) for one in features]):.0f}")
    verifier = PairVerifier(front_end)
    begun = time.perf_counter()
    verifier.counts(features[0], features[1:101])
    print(f"verification {10 * (time.perf_counter() - begun):.0f} ms a pair; load {os.getloadavg()[0]:.1f}", flush=True)
    empty = Training(**{**vars(queries), **{name: value[:0] for name, value in sliced(queries)}})
    for method in choose(names):
        begun = time.perf_counter()
        parameters = {**method.parameters, **{name: of for name, of in changed.items() if name in method.parameters}}
        fitted = method.fit(gallery, empty, context_of(method), **parameters)
        middle = time.perf_counter()
        ranking = fitted.rank(queries, 20)  # type: ignore[union-attr]
        ended = time.perf_counter()
        if kept:
            known = dict(np.load(kept)) if kept.exists() else {}
            np.savez(kept, **{**known, method.name: ranking.rows})
        turned = np.abs((gallery.headings[ranking.rows] - queries.headings[:, None] + 180) % 360 - 180)
        report(
            method.name,
            np.where(ranking.rows < 0, np.inf, np.take_along_axis(metres, ranking.rows, axis=1)),
            turned <= 40,
            middle - begun,
            (ended - middle) / len(queries),
        )
        said: dict[str, bytes] = getattr(fitted, "files", dict)()
        if said:
            print(*(content.decode() for content in said.values()))


def compare(gallery: Training, queries: Training, kept: Path) -> None:
    """Print, for each two methods of kept rankings, recall@1 at 25 and 50 m and the p-value of the test by place."""
    truth = Truth(
        photo_ids=list(queries.ids),
        labels=queries.labels,
        label_set=queries.label_set,
        ancestors={},
        places=queries.places,
        headings=queries.headings,
        authors=[None] * len(queries),
        gallery=TruthGallery(gallery.labels, gallery.places),
        parts={},
        protocol="place",
    )
    known = {name: rows for name, rows in np.load(kept).items() if len(rows) == len(queries)}
    print(f"{len(queries)} queries of {len(np.unique(truth.queried))} places")
    first = {name: gallery.places[rows[:, 0]] for name, rows in known.items()}
    metres = {
        name: np.where(known[name][:, 0] < 0, np.inf, 1000 * distances_km(*queries.places.T, *of.T))
        for name, of in first.items()
    }
    turned = {
        name: np.abs((gallery.headings[known[name][:, 0]] - queries.headings + 180) % 360 - 180) for name in known
    }
    for name in known:
        right = metres[name] <= 25
        print(f"{name}: 25 m {right.mean():.3f}, and turned at most 40° {(right & (turned[name] <= 40)).mean():.3f}")
    for one, other in combinations(known, 2):
        shares = [(metres[one] <= m, metres[other] <= m) for m in (25, 50)]
        tested = [f"p {sign_flip_test(a[None], b[None], truth.queried):.3g}" for a, b in shares]
        print(f"{one} against {other}: at 25, 50 m {', '.join(tested)}")


def sliced(photos: Training) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the fields that have a value for each photo."""
    for name in ("ids", "digests", "labels", "places", "headings", "authors", "sequences", "times"):
        yield name, getattr(photos, name)


def chance(metres: NDArray[np.float64]) -> list[float]:
    """Return the mean share of the gallery that answers a query, by distance."""
    return [float((metres <= m).mean()) for m in METRES]


def report(name: str, ranked: NDArray[np.float64], alike: NDArray[np.bool_], fit: float, query: float) -> None:
    """Print the recalls of one method among the first 1, 5, 10, 20, by distance, and at 25 m of photos turned alike."""
    shares = [
        f"{m} m " + "/".join(f"{(ranked[:, :k] <= m).any(axis=1).mean():.3f}" for k in (1, 5, 10, 20)) for m in METRES
    ]
    median = np.median(ranked[:, 0])
    facing = "/".join(f"{((ranked <= 25) & alike)[:, :k].any(axis=1).mean():.3f}" for k in (1, 5, 10, 20))
    print(
        f"{name}: recall@1/5/10/20 {', '.join(shares)}; 25 m and at most 40° {facing}; "
        f"median {median:.0f} m; fit {fit:.1f} s, {query:.3f} s a query; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def judge(folder: Path) -> None:
    """Print how many pairs of tourists' photos are verified, and those that are judged wrongly."""
    with (folder / "pairs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row[side] for row in rows for side in ("a", "b")})
    photos = given_photos([Image.open(folder / name).convert("RGB") for name in names])
    of = dict(zip(names, extract_features(photos, Sift()), strict=True))
    for ratio in (0.8, 0.85, 0.9):
        inliers = PairVerifier(Sift(), Rules(ratio)).inliers((of[row["a"]], of[row["b"]]) for row in rows)
        judged = [(row, len(found)) for row, found in zip(rows, inliers, strict=True)]
        for same in ("1", "0"):
            counts = [count for row, count in judged if row["same_place"] == same]
            print(f"ratio {ratio}, same place {same}: {sum(count > 0 for count in counts)} of {len(counts)} verified")
        for row, count in judged:
            if (count > 0) != (row["same_place"] == "1"):
                print(f"  {row['a']} {row['b']}: same place {row['same_place']}, {count} inliers")


if __name__ == "__main__":
    main()
