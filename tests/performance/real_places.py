"""Tables and regions of real photos with places, for `t15 collect --table`: what docs/places.md measures on.

    python -m tests.performance.real_places FOLDER

writes, for London of MSLS and the street views of one town in $T15_REAL_DATA, NAME.toml (the town's four quarters as cities)
and NAME.csv, and for the web photos of Türkiye's towns tr.csv; then, for example,

    t15 collect --root $T15_REAL_DATA/new/msls_london_a --table london.csv --region london.toml
    t15 split --given london.csv --protocol place --name london-place
    t15 split --paper --train 76 --val 19 --test 38 --name london-paper
    t15 bench --manifest manifests/london-paper/1.0.0 --method knn-density:gist

London's drives are not published: `sequence` is a stand-in, a stretch of street (photos linked by steps of at most 30 m) and
whether the photo is of the database or a query. For splits by streets (`--fractions 55/20/25`), leave that column out.
Of the street views the sequence is the panorama, of Türkiye's photos the author is the repository, the place the town's.
"""

import csv
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from collector.geo import distances_km
from collector.regions import region

STEP_KM = 0.03
FEWEST = 9  # photos of a town of Türkiye


def main() -> None:
    real, out = Path(os.environ["T15_REAL_DATA"]), Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rows = read(real / "new/msls_london_a/index.csv")
    places = np.array([(float(row["lat"]), float(row["lon"])) for row in rows])
    near = distances_km(places[:, :1], places[:, 1:], places[:, 0], places[:, 1]) <= STEP_KM
    streets = connected_components(near)[1]
    drives = [f"{street}-{row['role']}" for street, row in zip(streets, rows, strict=True)]
    queries = iter(range(len(rows)))
    sides = ["train" if row["role"] == "database" else ("test", "test", "val")[next(queries) % 3] for row in rows]
    write(out, "London", rows, places, {"sequence": drives, "split": sides})
    rows = read(real / "streetview_grid/index.csv")
    places = np.array([(float(row["latitude"]), float(row["longitude"])) for row in rows])
    write(out, "Cambridge", rows, places, {"sequence": [row["place"] for row in rows]})
    photos = [row for row in read(real / "new/turkiye66_sites/manifest.csv") if row["content"] == "photo"]
    towns = {city.slug: city for city in region("turkiye81").cities}
    count = Counter(row["city"] for row in photos)
    table = [
        (
            row["file"],
            towns[row["city"]].name,
            towns[row["city"]].latitude,
            towns[row["city"]].longitude,
            row["source_repo"],
        )
        for row in photos
        if count[row["city"]] >= FEWEST
    ]
    write_table(out / "tr.csv", ["file", "city", "latitude", "longitude", "author"], table)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(
    out: Path, town: str, rows: list[dict[str, str]], places: NDArray[np.float64], columns: dict[str, list[str]]
) -> None:
    """Write a town's table and its region: quarters north and south, east and west of the median photo."""
    north, east = (places > np.median(places, axis=0)).T
    quarters = [f"{town} {'SN'[n]}{'WE'[e]}" for n, e in zip(north.astype(int), east.astype(int), strict=True)]
    lines = [f'name = "{town.lower()}"\n']
    for quarter in sorted(set(quarters)):
        own = places[[of == quarter for of in quarters]]
        latitude, longitude = own.mean(axis=0)
        radius = float(distances_km(latitude, longitude, own[:, 0], own[:, 1]).max()) + 0.3
        lines.append(f'[[city]]\nname = "{quarter}"\nlatitude = {latitude:.6f}\nlongitude = {longitude:.6f}')
        lines.append(f"radius_km = {radius:.2f}\n")
    (out / f"{town.lower()}.toml").write_text("\n".join(lines), encoding="utf-8")
    table = [
        (row["file"], quarter, *place, row["heading"], *more)
        for row, quarter, place, *more in zip(rows, quarters, places.tolist(), *columns.values(), strict=True)
    ]
    write_table(out / f"{town.lower()}.csv", ["file", "city", "latitude", "longitude", "heading", *columns], table)


def write_table(path: Path, columns: list[str], rows: Sequence[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


if __name__ == "__main__":
    main()
