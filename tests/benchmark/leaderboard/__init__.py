"""A small manifest and made-up runs on it, for the tests of the leaderboard."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.results import Failure, Predictions, Run, RunInputs, save_failure, save_run
from collector.publishing.manifest import Header, Manifest, build_manifest
from collector.records import City, Photo

CITIES = ("bursa", "istanbul", "nevsehir")
QUOTAS = {"train": 4, "val": 2, "test": 5}


def manifest_of(
    cities: Sequence[str] = CITIES,
    quotas: Mapping[str, int] = QUOTAS,
    rules: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    note: str = "",
) -> Manifest:
    """Return a manifest with the same number of photos of every city."""
    header = Header(
        name="sample",
        version="1.0.0",
        region="sample-region",
        title="Sample region",
        note=note,
        seed=7,
        quotas=quotas,
        rules=rules or {},
        cities=tuple(City(slug, (names or {}).get(slug, slug.title()), 40.0, 29.0, 30.0) for slug in cities),
    )
    sides = [(city, side, i) for city in cities for side, count in quotas.items() for i in range(count)]
    return build_manifest(header, (_photo(*of) for of in sides), "t15 test")


def _photo(city: str, side: str, number: int) -> Photo:
    photo_id = f"test:{city}-{side}-{number:03d}"
    return Photo(
        photo_id=photo_id,
        city=city,
        license="CC-BY-4.0",
        width=64,
        height=48,
        bytes=1000,
        sha256=hashlib.sha256(photo_id.encode()).hexdigest(),
        split=side,
    )


def predictions_of(manifest: Manifest, right: int) -> Predictions:
    """Return predictions of which the first `right`, dealt out over the cities in turn, are right."""
    slugs = [city.slug for city in manifest.header.cities]
    photos = manifest.photos("test")
    taken = [int(photo.photo_id.rsplit("-", 1)[1]) * len(slugs) + slugs.index(photo.city) for photo in photos]
    is_right = np.argsort(np.argsort(taken)) < right
    truth = np.array([slugs.index(photo.city) for photo in photos])
    said = np.where(is_right, truth, (truth + 1) % len(slugs))
    probabilities = np.full((len(photos), len(slugs)), 0.1, np.float32)
    probabilities[np.arange(len(photos)), said] = 0.9
    return Predictions([photo.photo_id for photo in photos], probabilities / probabilities.sum(axis=1, keepdims=True))


def run_of(manifest: Manifest, method: str, seed: int = 0, tier: str = "paper", **changes: Any) -> Run:
    """Return a run; `parameters` and `weights_digest` go to its inputs, every other change to the run itself."""
    inputs = RunInputs(
        manifest_digest=manifest.digest,
        method=method,
        parameters=changes.pop("parameters", {"k": 11}),
        weights_digest=changes.pop("weights_digest", None),
        seed=seed,
    )
    settings: dict[str, Any] = {
        "title": f"The {method}",
        "pretraining": "none",
        "weights_licence": "",
        "selection": "none",
        "paper": None,
        "stochastic": False,
        "classes": [city.slug for city in manifest.header.cities],
        "device": "a processor",
        "versions": {"python": "3.11"},
        "seconds": {"fit": 2.0, "predict": 1.0},
        "peak_memory_mib": 100.0,
    }
    return Run(inputs=inputs, manifest="sample 1.0.0", tier=tier, **{**settings, **changes})


def add_run(runs: Path, manifest: Manifest, method: str, right: int, **changes: Any) -> Path:
    """Save a run of which `right` test photos are right and return its folder."""
    return save_run(runs, run_of(manifest, method, **changes), predictions_of(manifest, right))


def add_failure(runs: Path, manifest: Manifest, method: str, reason: str, seed: int = 0) -> None:
    """Save a failed run."""
    inputs = RunInputs(manifest.digest, method, {}, None, seed)
    save_failure(runs, Failure(inputs, f"The {method}", reason))
