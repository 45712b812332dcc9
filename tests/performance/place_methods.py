"""Methods that answer with places, on real street views: how far off they are, beside chance and the oracles.

    python -m tests.performance.place_methods [--data grid|msls] [--unseen] [--net tiny] [--method NAME ...] [--most 150]

`grid`: $T15_REAL_DATA/streetview_grid, 480 views of 120 places; every fourth place is asked about. `msls`: London of MSLS,
its own database and queries, whose places are in the database; with `--unseen` the gallery are the squares of a chess board
and queries lie on the others. Of what is asked about every other photo is of the validation side. Authors are not known, so
that none can be kept apart. Medians have a bootstrap interval of 95 %, over photos;
`chance` is a random place of the gallery.
"""

import argparse
import csv
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmark.label_set import LabelSet
from benchmark.methods.registry import choose
from benchmark.methods.types import Context, Training
from benchmark.networks import weights
from benchmark.networks.backbones import backbones
from benchmark.photos import Photos, WorkspacePhotos
from collector.geo import distances_km
from collector.workspace import Workspace, create_workspace
from tests.performance.local_features import keep

FORMS = (
    "knn-density:{}",
    "knn-density:{}@released",
    "cells:{}",
    "isn:{}",
    "cplanet:{}",
    "haversine:{}",
    "vmf:{}",
    "geoclip-head:{}",
)
METHODS = (
    "oracle:labels",
    "oracle:cells",
    "im2gps+1nn",
    "im2gps+meanshift",
    "im2gps+lazy-svm",
    "im2gps-tiny+1nn",
    "im2gps-colour+1nn",
    "im2gps-lines+1nn",
    "im2gps-gist+1nn",
    "im2gps-layout+1nn",
)
METRES = (25, 100, 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", choices=["grid", "msls"], default="grid")
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--net", default="tiny")
    parser.add_argument("--method", action="append")
    parser.add_argument("--most", type=int, default=150)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    names = options.method or [*METHODS, *(form.format(options.net) for form in FORMS)]
    changes = dict(text.split("=", 1) for text in options.set)
    with TemporaryDirectory() as folder:
        workspace = create_workspace(Path(folder) / "workspace")
        measure(*sides(Path(os.environ["T15_REAL_DATA"]), options, workspace), names, changes)


def sides(real: Path, options: argparse.Namespace, workspace: Workspace) -> tuple[Training, Training, Training]:
    """Return gallery, validation and test side."""
    folder = real / ("streetview_grid" if options.data == "grid" else "new/msls_london_a")
    with (folder / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if options.data == "grid":
        places = np.array([(float(row["latitude"]), float(row["longitude"])) for row in rows])
        asked = np.array([int(row["place"]) % 4 == 0 for row in rows])
    else:
        places = np.array([(float(row["lat"]), float(row["lon"])) for row in rows])
        asked = np.array([row["role"] != "database" for row in rows])
        if options.unseen:
            share = (places - places.min(axis=0)) / np.ptp(places, axis=0)
            asked = (share * 3.999).astype(int).sum(axis=1) % 2 == 1
    wanted = np.random.default_rng(0).permutation(len(rows))
    gallery = [row for row in wanted if not asked[row]][: 3 * options.most]
    queries = [row for row in wanted if asked[row]][: 2 * options.most]
    middles = np.percentile(places[gallery], [25, 75], axis=0)
    labels = LabelSet("city", ("south-west", "north-east"), middles, np.ones(2))
    return tuple(  # type: ignore[return-value]
        side(name, sorted(of), rows, places, folder, labels, workspace)
        for name, of in (("train", gallery), ("val", queries[::2]), ("test", queries[1::2]))
    )


def side(
    name: str,
    chosen: list[int],
    rows: list[dict[str, str]],
    places: NDArray[np.float64],
    folder: Path,
    labels: LabelSet,
    workspace: Workspace,
) -> Training:
    unknown, where = np.full(len(chosen), -1, np.int64), places[chosen]
    return Training(
        ids=tuple(rows[row]["file"] for row in chosen),
        digests=tuple(keep(folder / rows[row]["file"], workspace) for row in chosen),
        store=WorkspacePhotos(workspace),
        side=name,
        labels=labels.holding(where),
        classes=labels.ids,
        label_set=labels,
        places=where,
        headings=np.full(len(chosen), np.nan),
        authors=unknown,
        sequences=unknown,
        times=np.full(len(chosen), np.nan),
        protocol="place",
    )


def measure(gallery: Training, validation: Training, test: Training, names: list[str], changes: dict[str, str]) -> None:
    """Print a line for each method."""
    from benchmark.methods.settings import with_settings

    between = distances_km(test.places[:, :1], test.places[:, 1:], gallery.places[:, 0], gallery.places[:, 1])
    print(
        f"{len(gallery)} in the gallery, {len(validation)} on validation, {len(test)} asked about; the nearest photo of"
    )
    print(f"the gallery is {1000 * np.median(between.min(axis=1)):.0f} m away in the median")
    print(
        f"{'method':42} median km (95 %)          within " + ", ".join(f"{m} m" for m in METRES) + "   seconds of cores"
    )
    shown("chance", np.sort(between.ravel())[:: len(gallery)], 0.0)
    for name in names:
        (method,) = choose([name])
        method = with_settings(method, changes)
        state = digest = None
        if method.backbone and (stored := weights.stored(backbones()[method.backbone])):
            state, digest = weights.load(backbones()[method.backbone]), stored.digest
        worked = time.process_time()
        context = Context(weights=state, weights_digest=digest)
        predictor = method.fit(gallery, validation, context, **method.parameters)
        asked = test if method.told else Photos(test.ids, test.digests, test.store, "test")
        if hasattr(predictor, "predict_places"):
            found = predictor.predict_places(asked)
            latitude, longitude = found.latitude, found.longitude
        else:
            latitude, longitude = test.label_set.centres[predictor.predict_labels(asked).argmax(axis=1)].T  # type: ignore[union-attr]
        km = distances_km(latitude, longitude, test.places[:, 0], test.places[:, 1])
        shown(name, km, time.process_time() - worked)


def shown(name: str, km: NDArray[np.float64], seconds: float) -> None:
    random = np.random.default_rng(0)
    medians = np.median(km[random.integers(0, len(km), (1000, len(km)))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    shares = ", ".join(f"{100 * (1000 * km <= metres).mean():5.1f}" for metres in METRES)
    print(f"{name:42} {np.median(km):7.3f} ({low:.3f} to {high:.3f})   {shares}   {seconds:.1f}", flush=True)


if __name__ == "__main__":
    main()
