"""A small manifest and made-up runs on it, for the tests of the leaderboard."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.results import Failure, Predictions, Run, RunInputs, save_failure, save_run
from collector.manifest.manifest import Header, Manifest, build_manifest
from collector.records import City, Photo

CITIES = ("bursa", "istanbul", "nevsehir")
QUOTAS = {"train": 4, "val": 2, "test": 5}


def manifest_of(
    cities: Sequence[str] = CITIES,
    quotas: Mapping[str, int] = QUOTAS,
    rules: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    note: str = "",
    region: str = "sample-region",
) -> Manifest:
    """Return a manifest with the same number of photos of every city."""
    header = Header(
        name="sample",
        version="1.0.0",
        region=region,
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


TURKIYE = {
    "adana": ("Adana", 37.0, 35.32),
    "amasya": ("Amasya", 40.65, 35.83),
    "ankara": ("Ankara", 39.94, 32.86),
    "antalya": ("Antalya", 36.89, 30.71),
    "bursa": ("Bursa", 40.18, 29.07),
    "denizli": ("Denizli", 37.78, 29.09),
    "erzurum": ("Erzurum", 39.91, 41.28),
    "gaziantep": ("Gaziantep", 37.06, 37.38),
    "istanbul": ("İstanbul", 41.01, 28.97),
    "izmir": ("İzmir", 38.42, 27.14),
    "konya": ("Konya", 37.87, 32.49),
    "mardin": ("Mardin", 37.31, 40.74),
    "nevsehir": ("Nevşehir", 38.63, 34.71),
    "trabzon": ("Trabzon", 41.0, 39.73),
    "van": ("Van", 38.49, 43.38),
}
CAPITALS = {
    "berlin": ("Berlin", 52.52, 13.41),
    "lisboa": ("Lisboa", 38.72, -9.14),
    "london": ("London", 51.51, -0.13),
    "madrid": ("Madrid", 40.42, -3.7),
    "moscow": ("Moscow", 55.76, 37.62),
    "paris": ("Paris", 48.86, 2.35),
    "rome": ("Rome", 41.9, 12.5),
}


def world_manifest(
    places: Mapping[str, tuple[str, float, float]] = TURKIYE, test: int = 25, version: str = "1.0.0", note: str = ""
) -> Manifest:
    """Return a manifest of real places: photos with coordinates, authors, licences and two providers."""
    rng = np.random.default_rng(len(places))
    header = Header(
        name="world",
        version=version,
        region="world",
        title="Made-up photos of real places",
        note=note,
        seed=0,
        quotas={"train": 20, "val": 5, "test": test},
        rules={},
        cities=tuple(City(slug, name, lat, lon, 20.0) for slug, (name, lat, lon) in places.items()),
    )
    photos = []
    for slug, (_, latitude, longitude) in places.items():
        sides = ["train"] * 20 + ["val"] * 5 + ["test"] * test
        for number, (side, north, east) in enumerate(zip(sides, *rng.normal(0, 0.03, (2, len(sides))), strict=True)):
            photo_id = f"{'flickr' if number % 3 else 'commons'}:{slug}-{number}"
            photos.append(
                Photo(
                    photo_id=photo_id,
                    city=slug,
                    latitude=round(latitude + north, 6),
                    longitude=round(longitude + east, 6),
                    author_id=f"author-{slug}-{number % 17}",
                    license=("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0")[number % 3],
                    width=64,
                    height=48,
                    bytes=1000,
                    sha256=hashlib.sha256(photo_id.encode()).hexdigest(),
                    split=side,
                )
            )
    return build_manifest(header, photos, "t15 test")


def add_world_runs(runs: Path, manifest: Manifest, methods: int = 12, seeds: int = 3) -> None:
    """Save runs of ever better methods, photos as hard for all; one is a submission, one has random weights."""
    rng = np.random.default_rng(1)
    slugs = [city.slug for city in manifest.header.cities]
    photos = manifest.photos("test")
    truth = np.array([slugs.index(photo.city) for photo in photos])
    hardness = rng.normal(0, 1, len(photos)) + rng.normal(0, 0.8, len(slugs))[truth]
    lookalikes = rng.normal(0, 1, (len(slugs), len(slugs)))
    for number in range(methods):
        skill = 3.2 * (number + 1) / methods
        for seed in range(seeds):
            scores = rng.normal(0, 1, (len(photos), len(slugs))) + lookalikes[truth]
            scores[np.arange(len(photos)), truth] += skill - hardness
            shares = np.exp(1.4 * scores)
            run = run_of(
                manifest,
                f"method-{number:02d}",
                seed=seed,
                title=_TITLES[number % len(_TITLES)] + (f" {number}" if number >= len(_TITLES) else ""),
                stochastic=seeds > 1,
                pretraining=("none", "ImageNet", "Places365")[number % 3],
                weights_licence=("", "BSD-3-Clause", "CC-BY-4.0")[number % 3],
                paper={"table": "II", "row": "a row", "accuracy": 100 * number / methods * 0.7} if number % 2 else None,
                seconds={"fit": 0.05 * 2.2**number % 900, "predict": 1.0},
                peak_memory_mib=300.0 + 90 * number,
                origin="submission" if number == methods - 2 else "bench",
                weights="random" if number == 1 else "none",
                tier="smoke" if number in (1, 3) else "paper",
            )
            save_run(
                runs, run, Predictions([p.photo_id for p in photos], (shares.T / shares.sum(axis=1)).T.astype("f4"))
            )


_TITLES = (
    "Tiny images 64×64, 11 neighbours",
    "HOG 128×128, logistic regression",
    "GIST 256×256, 1 neighbour",
    "AlexNet from scratch",
    "ResNet-18 features, logistic regression",
    "ResNet-18 fine-tuned (classifier only)",
    "ResNet-18 fine-tuned (all layers)",
    "ResNet-18, layers frozen: A",
    "ResNet-18, layers frozen: B",
    "ResNet-18, layers frozen: C",
    "DINOv2 ViT-S/14 features",
    "CLIP ViT-B/32, zero-shot prompts",
)
