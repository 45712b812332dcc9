"""What cross-view methods find on the imaginary land, by way of runs, and where pictures from above are permuted.

    python -m tests.performance.cross_view [--held-out districts] [--net im2gps-colour] [--train 150] [--zoom 13]

draws photos of nine cities, and their tiles, runs the methods and prints how often the true cell is in the map's best
hundredth, and its median rank: of photos from what is trained and from what is held out, two cities or a quarter of each.
Of held-out quarters only photos count in whose cell no training photo was taken. Controls:

- *learnt from permuted pictures, asked with the true ones*: pairs that teach nothing; a method that is right for the right
  reason is at chance, in trained cities too;
- *permuted in learning and asking alike*: what learning a picture by heart gives where test photos lie in cells of training.

Above them stands an oracle that knows the layers of both sides, and one that errs by a tenth of their range; and retrieval on
the same vectors, which ranks cells by the likest training photo in them, and knows nothing of cells without any.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.cross_view import FILE, MapAnswers, own_cells, reach_km
from benchmark.methods.cross_view import CrossView, evened
from benchmark.methods.registry import choose
from benchmark.models import load_predictor
from benchmark.photos import WorkspacePhotos, photos_of
from benchmark.planning import plan
from benchmark.runner import bench
from benchmark.scoring.truth import places_of
from collector.aerial.fetch import Entry
from collector.aerial.grid import centres_of
from collector.aerial.services import Service
from collector.aerial.table import NAME, write
from collector.sandbox.land import DRAWN, LAND, REGION, layer
from collector.text_table import table
from tests.benchmark.land import Land, add_map, make_land

METHODS = ("lin2013", "workman2015", "where-cnn2015", "cross-view")
HELD_OUT = {
    "cities": ("shire-4", "shire-8"),
    "districts": tuple(
        REGION.labels[4 * city + np.random.default_rng(city).integers(4)].id for city in range(len(LAND))
    ),
}


def answers(
    land: Land, service: Service, entries: Sequence[Entry], methods: Sequence[str], tier: str
) -> dict[str, MapAnswers]:
    """Run methods on a map of these entries, and return what they say of it."""
    write(land.manifest, service, entries, land.folder / NAME)
    tasks = plan(land.manifest, choose(methods), [0], tier)
    found = {}
    for outcome in bench(land.manifest, land.workspace, tasks, "cpu"):
        assert outcome.state == "done", outcome.reason
        kept = land.workspace.runs / outcome.task.inputs.identity / FILE
        found[outcome.task.method.name] = MapAnswers.of_bytes(kept.read_bytes(), str(kept))
    return found


def cells(name: str, what: str, ranks: NDArray[np.float64], held_out: NDArray[np.bool_], count: int) -> list[str]:
    """Return a line of the table: ranks (S, N) of S maps."""
    best = max(1, count // 100)
    line = [name, what]
    for part in (~held_out, held_out):
        of = ranks[:, part]
        line += [f"{100 * (of <= best).mean():.1f}", f"{100 * np.median(of) / count:.1f}"]
    return line


def oracle(
    photos: NDArray[np.float64], places: NDArray[np.float64], own: NDArray[np.int64], error: float
) -> NDArray[np.float64]:
    """Return ranks (1, N) by the drawn layers themselves, those of photos known but for an error."""
    of_photos, of_cells = (np.stack([layer(name, at) for name in DRAWN], axis=1) for at in (photos, places))
    of_photos = of_photos + np.random.default_rng(0).normal(0, error, of_photos.shape)
    scores = -np.square(of_photos[:, None] - of_cells[None]).sum(axis=2)
    return MapAnswers(("",) * len(photos), places, scores.astype(np.float32)).ranks(own)[None]


def retrieval(
    land: Land, name: str, tier: str, places: NDArray[np.float64], taught: NDArray[np.int64], own: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return ranks (1, N) where a cell is as likely as the likest training photo in it (`taught`: their cells), by the
    vectors of a finished run of `name`.
    """
    (task,) = plan(land.manifest, choose([name]), [0], tier)
    predictor, _ = load_predictor(land.workspace.runs / task.inputs.identity / "model.safetensors", "cpu")
    assert isinstance(predictor, CrossView)
    gallery, asked = (
        CrossView.coded(
            predictor,
            evened(predictor.describing.embed(photos_of(land.manifest, side, WorkspacePhotos(land.workspace)))),
        )
        for side in ("train", "test")
    )
    likeness, scores = asked @ gallery.T, np.full((len(asked), len(places)), -2, np.float32)
    for cell in set(taught[taught >= 0].tolist()):
        scores[:, cell] = likeness[:, taught == cell].max(axis=1)
    return MapAnswers(("",) * len(asked), places, scores).ranks(own)[None]


def measured(land: Land, service: Service, entries: Sequence[Entry], asked: argparse.Namespace) -> list[list[str]]:
    """Return the lines of the table."""
    photos = list(land.manifest.photos("test"))
    where = places_of(photos)
    places = centres_of(entry.tile for entry in entries)
    own = own_cells(where, places, reach_km(places))
    taught = own_cells(places_of(list(land.manifest.photos("train"))), places, reach_km(places))
    apart = np.array([not {photo.city, photo.label}.isdisjoint(HELD_OUT[asked.held_out]) for photo in photos])
    on = (own >= 0) & ~(apart & np.isin(own, taught))  # a tile may lie on a quarter's border
    held_out = apart[on]
    print(f"{(~held_out).sum()} test photos of what is trained, {held_out.sum()} held out, {len(places)} cells, of which "
          f"{len(set(taught[taught >= 0].tolist()))} have training photos")  # fmt: skip
    lines = [
        cells(f"oracle, error {error}", "", oracle(where[on], places, own[on], error), held_out, len(places))
        for error in (0.0, 0.1)
    ]
    methods = [f"{name}:{asked.net}" for name in METHODS]
    true = answers(land, service, entries, methods, asked.tier)
    assert all(list(of.photo_ids) == [photo.photo_id for photo in photos] for of in true.values())
    lines += [cells(name, "true", of.ranks(own)[None, on], held_out, len(places)) for name, of in true.items()]
    by_photos = retrieval(land, methods[0], asked.tier, places, taught, own)[:, on]
    lines.append(cells("retrieval", "", by_photos, held_out, len(places)))
    alike: Mapping[str, list[NDArray[np.float64]]] = {name: [] for name in methods}
    learnt: Mapping[str, list[NDArray[np.float64]]] = {name: [] for name in methods}
    for seed in range(asked.permutations):
        order = np.random.default_rng(seed).permutation(len(entries))
        mixed = [replace(entry, sha256=entries[other].sha256) for entry, other in zip(entries, order, strict=True)]
        for name, of in answers(land, service, mixed, methods, asked.tier).items():
            alike[name].append(of.ranks(own)[on])
            scores = np.empty_like(of.scores)
            scores[:, order] = of.scores  # each picture where it belongs
            learnt[name].append(replace(of, scores=scores).ranks(own)[on])
    for what, found in (("learnt permuted, asked true", learnt), ("permuted alike", alike)):
        lines += [cells(name, what, np.stack(of), held_out, len(places)) for name, of in found.items() if of]
    return lines


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", choices=HELD_OUT, default="cities")
    parser.add_argument("--zoom", type=int, default=13)
    parser.add_argument("--train", type=int, default=150)
    parser.add_argument("--net", default="im2gps-colour")
    parser.add_argument("--tier", default="paper")
    parser.add_argument("--permutations", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        land = make_land(Path(root), {"train": asked.train, "val": 20, "test": 20}, HELD_OUT[asked.held_out])
        service, entries = add_map(land, asked.zoom)
        print(f"{len(entries)} tiles, {time.process_time():.0f} s of processor time", flush=True)
        header = ("method", "pictures", "trained top 1 %", "median rank %", "held out top 1 %", "median rank %")
        print(table(header, measured(land, service, entries, asked)))
        chance = 100 * max(1, len(entries) // 100) / len(entries)
        print(f"chance {chance:.1f} and 50; {time.process_time():.0f} s of processor time")


if __name__ == "__main__":
    main()
