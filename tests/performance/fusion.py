"""A fusion beside its members on real photos of seven capitals: accuracies, weights, and a paired test.

    python -m tests.performance.fusion [--each 110] [--member NAME ...]

Of each city's photos in $T15_REAL_DATA/capitals7 the first `--each` by digest, exact copies once: 3/5 to learn from, 1/5 to
choose by, 1/5 to test. Near-duplicates stay where they fall, so that no accuracy here is one of a clean split; members and
fusion have them alike. The member to beat is the best on the validation photos; McNemar's exact test compares.
"""

import argparse
import hashlib
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmark.derivations import RankedPhotos, predict
from benchmark.label_set import LabelSet
from benchmark.methods.fusion import fusion_of
from benchmark.methods.registry import FUSED, choose
from benchmark.methods.types import Context, Training
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.photos import Photos, WorkspacePhotos
from collector.workspace import Workspace, create_workspace
from tests.performance.local_features import keep


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=110)
    parser.add_argument("--member", action="append")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        workspace = create_workspace(Path(folder) / "workspace")
        train, val, test = sides(Path(os.environ["T15_REAL_DATA"]) / "capitals7", options.each, workspace)
        compare(train, val, test, options.member or list(FUSED))


def sides(folder: Path, each: int, workspace: Workspace) -> list[Training]:
    """Return the three sides."""
    cities = sorted(path.name for path in folder.iterdir() if path.is_dir())
    parts: dict[str, list[tuple[int, Path]]] = {"train": [], "val": [], "test": []}
    for number, city in enumerate(cities):
        by_digest = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted((folder / city).iterdir())}
        chosen = [by_digest[digest] for digest in sorted(by_digest)[:each]]
        for row, path in enumerate(chosen):
            side = "val" if row % 5 == 3 else "test" if row % 5 == 4 else "train"
            parts[side].append((number, path))
    labels = LabelSet("city", tuple(cities), np.zeros((len(cities), 2)), np.full(len(cities), 30.0))
    return [of_side(name, rows, labels, workspace) for name, rows in parts.items()]


def of_side(name: str, rows: list[tuple[int, Path]], labels: LabelSet, workspace: Workspace) -> Training:
    unknown, nothing = np.full(len(rows), -1, np.int64), np.full(len(rows), np.nan)
    return Training(
        ids=tuple(f"{path.parent.name}/{path.name}" for _, path in rows),
        digests=tuple(keep(path, workspace) for _, path in rows),
        store=WorkspacePhotos(workspace),
        side=name,
        labels=np.array([number for number, _ in rows], np.int64),
        classes=labels.ids,
        label_set=labels,
        places=np.full((len(rows), 2), np.nan),
        headings=nothing,
        authors=unknown,
        sequences=unknown,
        times=nothing,
        protocol="city",
    )


def compare(train: Training, val: Training, test: Training, names: list[str]) -> None:
    """Fit the members, then their fusion out of the fitted ones, and print what each is right in."""
    members, fitted, right = choose(names), {}, {}
    print(f"{len(train)} to learn from, {len(val)} to choose by, {len(test)} asked about")
    for one in members:
        worked, state, digest = time.process_time(), None, None
        if one.backbone and (stored := weights.stored(find_backbone(one.backbone))):
            state, digest = weights.load(find_backbone(one.backbone)), stored.digest
        context = Context(weights=state, weights_digest=digest)
        fitted[one.name] = one.fit(train, val, context, **one.parameters)
        right[one.name] = [answered(fitted[one.name], of, train) == of.labels for of in (val, test)]
        said(one.name, right[one.name], time.process_time() - worked)
    worked, together = time.process_time(), fusion_of(members, "fusion")
    context = Context(finished=lambda of: fitted[of.name])
    fusion: Any = together.fit(train, val, context, **together.parameters)
    own = [answered(fusion, of, train) == of.labels for of in (val, test)]
    said("fusion", own, time.process_time() - worked)
    print("weights:", fusion.files()["fusion.json"].decode())
    best = max(right, key=lambda name: (right[name][0].mean(), name))
    for name, theirs in right.items():
        gained, lost = int((own[1] & ~theirs[1]).sum()), int((~own[1] & theirs[1]).sum())
        p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        which = ", the best on validation" if name == best else ""
        print(f"against {name}{which}: {gained} right that it has wrong, {lost} the other way, p = {p:.3g}")


def answered(predictor: object, photos: Training, gallery: Training) -> NDArray[np.int64]:
    bare = Photos(photos.ids, photos.digests, photos.store, photos.side)
    found = predict(predictor, bare, gallery.label_set, RankedPhotos(gallery.labels, gallery.places)).probabilities
    assert found is not None
    return np.asarray(found.argmax(axis=1), np.int64)


def said(name: str, right: list[NDArray[np.bool_]], seconds: float) -> None:
    of_val, of_test = (100 * one.mean() for one in right)
    print(f"{name:45} validation {of_val:5.1f} %, test {of_test:5.1f} %, {seconds:.1f} s of cores", flush=True)


if __name__ == "__main__":
    main()
