"""Splits of a simulated population and of real street views: seconds, memory, what leaks, and how far the quotas are missed.

    python -m tests.performance.split [MOST_PHOTOS]

The population: photographers with Zipf activity who come in visits of a few photos, mostly to their own city, and there to
sights of Zipf popularity or anywhere; of an author at most ten photos a city, as `t15 collect` has it; every fiftieth photo
is a copy of another's. Leaks are measured from the photos, not from the groups. For T15_REAL_DATA/streetview_grid hashes are
computed from the pictures.
"""

import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree
from sklearn.model_selection import StratifiedGroupKFold

from collector.curating.hamming import as_bits, pairs_within
from collector.errors import DataError
from collector.images.hashing import perceptual_hashes
from collector.records import Photo
from collector.splitting.allocate import allocate, kfold
from collector.splitting.groups import Grouping, GroupRules, group_photos, photographer

METRES = 50.0
PER_AUTHOR = 10
SIDES = ("train", "val", "test")
Sides = Mapping[str, str]


def population(count: int, seed: int = 0, at_sights: float = 0.3) -> list[Photo]:
    """Return `count` photos, as many of each of 5 to 81 cities."""
    rng = np.random.default_rng(seed)
    cities = int(np.clip(count // 200, 5, 81))
    authors = count // 5
    weights = np.arange(1, authors + 1) ** -0.9
    home = rng.integers(0, cities, authors)
    visits = 3 * count  # more than enough
    author = rng.choice(authors, visits, p=weights / weights.sum())
    city = np.where(rng.random(visits) < 0.15, rng.integers(0, cities, visits), home[author])
    day = rng.uniform(0, 4000, visits)
    of = np.repeat(np.arange(visits), np.minimum(rng.geometric(0.4, visits), 8))
    of = of[_rank(author[of] * cities + city[of]) < PER_AUTHOR]
    of = of[_rank(city[of]) < count // cities]
    sights = max(30, count // cities // 20)
    popular = np.arange(1, sights + 1) ** -1.1
    where = rng.normal(0, 2000, (cities, sights, 2))[city[of], rng.choice(sights, len(of), p=popular / popular.sum())]
    anywhere = rng.uniform(-10_000, 10_000, (len(of), 2))
    metres = np.where((rng.random(len(of)) < at_sights)[:, None], where + rng.normal(0, 40, where.shape), anywhere)
    centre = np.column_stack((36 + 0.07 * np.arange(cities), 26 + 0.23 * np.arange(cities)))[city[of]]
    latitude = centre[:, 0] + metres[:, 1] / 111_195
    longitude = centre[:, 1] + metres[:, 0] / (111_195 * np.cos(np.radians(centre[:, 0])))
    hashes = rng.integers(0, 2**63, (len(of), 2))
    copied = np.flatnonzero(rng.random(len(of)) < 0.02)
    hashes[copied] = hashes[rng.integers(0, len(of), len(copied))] ^ (1 << rng.integers(0, 60, (len(copied), 2)))
    start = datetime(2008, 1, 1, tzinfo=UTC)
    return [
        Photo(
            f"x:{n:07d}",
            f"c{place:02d}",
            lat,
            lon,
            start + timedelta(days=when),
            f"x:a{who}",
            phash=f"{phash:016x}",
            dhash=f"{dhash:016x}",
        )
        for n, (place, lat, lon, when, who, (phash, dhash)) in enumerate(
            zip(
                city[of].tolist(),
                latitude.tolist(),
                longitude.tolist(),
                day[of].tolist(),
                author[of].tolist(),
                hashes.tolist(),
                strict=True,
            )
        )
    ]


def _rank(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many equal keys come before each."""
    order = np.argsort(key, kind="stable")
    rank = np.empty(len(key), dtype=np.int64)
    rank[order] = np.arange(len(key)) - np.searchsorted(key[order], key[order])
    return rank


def street_views(folder: Path) -> list[Photo]:
    """Return the real street views: 120 places of Cambridge, four headings each."""
    photos = []
    for line in (folder / "index.csv").read_text(encoding="utf-8").splitlines()[1:]:
        file, place, latitude, longitude, heading = line.split(",")
        with Image.open(folder / file) as image:
            hashes = perceptual_hashes(image.convert("RGB"))
        photos.append(
            Photo(
                f"streetview:{place}/{heading}",
                "cambridge",
                float(latitude),
                float(longitude),
                author_id="streetview:google",
                phash=hashes.phash,
                dhash=hashes.dhash,
            )
        )
    return photos


def leaks(photos: list[Photo], sides: Sides) -> dict[str, float]:
    """Return the share of test photos that have an author, a near-duplicate, a place, or any of them in training."""
    train = [photo for photo in photos if sides.get(photo.photo_id) == "train"]
    test = [photo for photo in photos if sides.get(photo.photo_id) == "test"]
    rules = GroupRules()
    authors = {photographer(photo, rules) for photo in train} - {None}
    found = {"author": np.array([photographer(photo, rules) in authors for photo in test])}
    both = [photo for photo in [*test, *train] if photo.phash and photo.dhash]
    pairs = pairs_within(as_bits([str(photo.phash) for photo in both]), rules.phash_radius)
    dhash = as_bits([str(photo.dhash) for photo in both])
    alike = np.bitwise_count(dhash[pairs.first] ^ dhash[pairs.second]).sum(axis=1) <= rules.phash_radius + 6
    known = {photo.photo_id for photo in test}
    copies = {
        both[a].photo_id
        for a, b in zip(pairs.first[alike].tolist(), pairs.second[alike].tolist(), strict=True)
        if (both[a].photo_id in known) != (both[b].photo_id in known)
    }  # test comes first, so the first of a mixed pair is of test
    found["copy"] = np.array([photo.photo_id in copies for photo in test])
    found["place"] = cKDTree(_metres(train)).query(_metres(test))[0] < METRES
    found["any"] = found["author"] | found["copy"] | found["place"]
    return {name: float(of.mean()) for name, of in found.items()}


def _metres(photos: list[Photo]) -> NDArray[np.float64]:
    phi, theta = np.radians(np.array([(photo.latitude, photo.longitude) for photo in photos], dtype=np.float64)).T
    points = np.column_stack((np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)))
    return np.asarray(6_371_008.8 * points, dtype=np.float64)


def missed(photos: list[Photo], sides: Sides, wanted: Mapping[str, float]) -> float:
    """Return the sum of differences from `wanted` by city and side (photos, or fractions of a city's), per photo wanted."""
    got = Counter((photo.city, sides[photo.photo_id]) for photo in photos if photo.photo_id in sides)
    of_city = Counter(photo.city for photo in photos)
    scale = {city: count if sum(wanted.values()) <= 1 else 1 for city, count in of_city.items()}
    apart = sum(abs(got[city, side] - wanted[side] * scale[city]) for city in of_city for side in SIDES)
    return apart / sum(sum(wanted.values()) * scale[city] for city in of_city)


def by_scikit_learn(photos: list[Photo], groups: Mapping[str, str]) -> Sides:
    """Two of six folds are test and val."""
    splitter = StratifiedGroupKFold(n_splits=6, shuffle=True, random_state=0)
    cities, names = [photo.city for photo in photos], [groups[photo.photo_id] for photo in photos]
    parts = [test for _, test in splitter.split(np.zeros(len(photos)), cities, names)]
    folds = dict(zip(range(6), ["test", "val", *["train"] * 4], strict=True))
    return {photos[at].photo_id: folds[fold] for fold, part in enumerate(parts) for at in part.tolist()}


def compare(title: str, photos: list[Photo], quotas: Mapping[str, int]) -> None:
    """Print a row for each way of splitting."""
    print(f"\n{title}: {len(photos)} photos, quotas {quotas}")
    rules = {
        "all rules": GroupRules(),
        "within 24 h": GroupRules(max_hours=24),
        "authors": GroupRules(min_distance_m=0),
    }
    found = {name: group_photos(photos, of) for name, of in rules.items()}
    for name, grouping in found.items():
        largest = max((of.photos for of in grouping.largest), default=0)
        print(f"  groups by {name}: {grouping.groups}, the largest {largest}, {grouping.spanning} of several cities")
    fractions = {"train": 4 / 6, "val": 1 / 6, "test": 1 / 6}
    every = found["all rules"]

    def exact(grouping: Grouping, *, drop: bool = False) -> Sides:
        clusters = list(grouping.clusters.values())
        return allocate(photos, grouping.group_of, quotas, 0, drop_photos=drop, clusters=clusters).sides

    ways: dict[str, tuple[Callable[[], Sides], Mapping[str, float]]] = {
        "exact, all rules": (lambda: exact(every), quotas),
        "exact, all rules, --drop-photos": (lambda: exact(every, drop=True), quotas),
        "exact, within 24 h": (lambda: exact(found["within 24 h"]), quotas),
        "exact, authors only": (lambda: exact(found["authors"]), quotas),
        "fractions, all rules": (
            lambda: allocate(photos, every.group_of, fractions, 0, mode="fractions").sides,
            fractions,
        ),
        "fractions, authors only": (
            lambda: allocate(photos, found["authors"].group_of, fractions, 0, mode="fractions").sides,
            fractions,
        ),
        "paper": (lambda: allocate(photos, every.group_of, quotas, 0, mode="paper").sides, quotas),
        "StratifiedGroupKFold, all rules": (lambda: by_scikit_learn(photos, every.group_of), fractions),
        "StratifiedGroupKFold, authors": (lambda: by_scikit_learn(photos, found["authors"].group_of), fractions),
    }
    print("  test photos that have in training: an author, a copy, a place, any of them; quotas missed by; photos;")
    print("  test photos within 50 m of any other photo, as against all photos")
    shared = every.clusters["places"]
    print(
        f"  {'':34} seconds  author    copy   place     any    missed   photos  shared ({len(shared) / len(photos):.0%})"
    )
    for name, (way, wanted) in ways.items():
        started = time.perf_counter()
        try:
            sides = way()
        except DataError as error:
            print(f"  {name:34} {time.perf_counter() - started:7.2f}  {error}")
            continue
        took = time.perf_counter() - started
        test = [photo_id for photo_id, side in sides.items() if side == "test"]
        at = sum(photo_id in shared for photo_id in test) / len(test)
        shares = "  ".join(f"{share:6.1%}" for share in leaks(photos, sides).values())
        print(
            f"  {name:34} {took:7.2f} {shares}  {missed(photos, sides, wanted):8.2%}  {len(sides):7}  {at:6.1%}",
            flush=True,
        )


def scale(most: int) -> None:
    """Print seconds and the highest memory so far, for more and more photos."""
    print("\nphotos    cities  group s  no hashes   exact  --drop-photos  fractions  5 folds    paper   MiB")
    for exponent in range(3, 7):
        if 10**exponent > most:
            return
        photos = population(10**exponent)
        fewest = min(Counter(photo.city for photo in photos).values())
        quotas = {"train": fewest * 4 // 8, "val": fewest // 8, "test": fewest // 8}
        started = time.perf_counter()
        grouping = group_photos(photos)
        took = [time.perf_counter() - started]
        started = time.perf_counter()
        group_photos(photos, GroupRules(near_duplicates=False))
        took.append(time.perf_counter() - started)
        authors = grouping.clusters["authors"]
        own = {photo.photo_id: authors.get(photo.photo_id, photo.photo_id) for photo in photos}
        clusters = list(grouping.clusters.values())
        fractions = {"train": 4 / 6, "val": 1 / 6, "test": 1 / 6}
        ways: list[Callable[[], object]] = [
            lambda: allocate(photos, own, quotas, 0),  # noqa: B023 (called before the next round)
            lambda: allocate(photos, grouping.group_of, quotas, 0, drop_photos=True, clusters=clusters),  # noqa: B023
            lambda: allocate(photos, own, fractions, 0, mode="fractions"),  # noqa: B023
            lambda: kfold(photos, own, 5, 0),  # noqa: B023
            lambda: allocate(photos, own, quotas, 0, mode="paper"),  # noqa: B023
        ]
        for way in ways:
            started = time.perf_counter()
            try:
                way()
            except DataError as error:
                print(f"  {str(error)[:200]}")
            took.append(time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cities = len({photo.city for photo in photos})
        seconds = "  ".join(f"{of:8.2f}" for of in took)
        print(f"{len(photos):8} {cities:5}  {seconds}  {peak:6.0f}", flush=True)


def main() -> None:
    """Print what is asked for."""
    for at_sights in (0.3, 0.6):
        photos = population(3000, at_sights=at_sights)
        compare(f"Zipf population, {at_sights:.0%} at sights", photos, {"train": 100, "val": 25, "test": 25})
    real = Path(os.environ.get("T15_REAL_DATA", ".")) / "streetview_grid"
    if real.is_dir():
        compare("streetview_grid", street_views(real), {"train": 320, "val": 80, "test": 80})
    scale(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)


if __name__ == "__main__":
    main()
