"""A data set of the imaginary land (`collector.sandbox.land`): photos drawn from layers, with the tables of these."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.aerial.fetch import Entry, aerial
from collector.aerial.grid import tiles_of
from collector.aerial.services import Service
from collector.aerial.table import NAME as AERIAL
from collector.aerial.table import write as write_aerial
from collector.geodata.table import MAP, NAME, map_places, write_columns
from collector.labels import LabelTree
from collector.manifest.manifest import Header, Manifest, build_manifest, read_manifest, write_manifest
from collector.net.client import Http
from collector.records import City, Photo
from collector.sandbox import land
from collector.sandbox.server import Sandbox
from collector.sandbox.tiles_api import tile
from collector.workspace import Workspace
from tests.benchmark.conftest import png, store
from tests.collector.net.servers import FakeTime


@dataclass(frozen=True)
class Land:
    """The data set: its manifest, the manifest's folder and the workspace with the photos."""

    manifest: Manifest
    folder: Path
    workspace: Workspace


def places_in(city: City, count: int, seed: int) -> NDArray[np.float64]:
    """Return places drawn evenly from a city's circle."""
    rng = np.random.default_rng([seed, int(hashlib.sha256(city.slug.encode()).hexdigest()[:6], 16)])
    reach, turn = city.radius_km * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    north = city.latitude + reach * np.cos(turn) / 111.2
    east = city.longitude + reach * np.sin(turn) / 111.2 / np.cos(np.radians(city.latitude))
    return np.stack([north, east], axis=1)


def make_land(root: Path, per_side: dict[str, int], held_out: Sequence[str], of_a_city: int = 100) -> Land:
    """Draw photos of each city, so many a side; those of cities and districts (`city/district`) held out are test photos."""
    workspace = Workspace(root / "workspace")
    workspace.root.mkdir(parents=True)
    districts = LabelTree.of(land.REGION)
    photos = []
    for number, city in enumerate(land.LAND):
        sides = {"test": sum(per_side.values())} if city.slug in held_out else per_side
        names = [side for side, count in sides.items() for _ in range(count)]
        for index, ((latitude, longitude), name) in enumerate(
            zip(places_in(city, len(names), 0).tolist(), names, strict=True)
        ):
            side = "test" if districts.finest(city.slug, latitude, longitude).id in held_out else name
            data = png(land.ground_photo(latitude, longitude, 1000 * number + index))
            photos.append(
                Photo(
                    photo_id=f"land:{city.slug}-{index}", city=city.slug, latitude=latitude, longitude=longitude, width=96,
                    height=72, bytes=len(data), sha256=store(workspace, data), split=side, author_id=f"a{number}-{index}",
                )
            )  # fmt: skip
    header = Header(
        name="land", version="1.0.0", region="land", title="Land", note="", seed=0, quotas={},
        rules={"held_out_cities": list(held_out)}, cities=land.LAND,
    )  # fmt: skip
    if any("/" in of for of in held_out):
        header = replace(header, rules={"held_out_districts": list(held_out)}, labels=land.REGION.labels)
    folder = root / "manifests" / "land" / "1.0.0"
    write_manifest(build_manifest(header, photos, "tests"), folder)
    manifest = read_manifest(folder)
    add_tables(manifest, of_a_city)
    return Land(manifest, folder, workspace)


def add_tables(manifest: Manifest, of_a_city: int = 100) -> None:
    """Write what `t15 geodata add` would, of the land's layers."""
    assert manifest.folder is not None
    where = np.stack([manifest.table[name].to_numpy() for name in ("latitude", "longitude")], axis=1)
    facts = {name: {"name": name} for name in land.layers_of(where[:1])}
    ids = {"photo_id": manifest.table["photo_id"]}
    write_columns(manifest, ids, land.layers_of(where), facts, manifest.folder / NAME)
    places = map_places(manifest.header.cities, of_a_city)
    at = {"latitude": pa.array(places[:, 0]), "longitude": pa.array(places[:, 1])}
    write_columns(manifest, at, land.layers_of(places), facts, manifest.folder / MAP)


def service_of(sandbox: Sandbox, **others: object) -> Service:
    """Return the sandbox's tiles as a service."""
    facts = {
        "name": "land",
        "title": "Land",
        "licence": "CC0-1.0",
        "attribution": "nobody",
        "own": True,
        "most": 99_999,
    }
    return Service(**{**facts, "url": f"{sandbox.url}/tiles/{{z}}/{{x}}/{{y}}.png", **others})  # type: ignore[arg-type]


def at_once(service: Service) -> Http:
    """Return what asks without waiting between tries."""
    time = FakeTime()

    def sleep(seconds: float) -> None:
        if seconds:
            time.sleep(seconds)

    return Http(service.access, clock=time.clock, sleep=sleep)


def add_map(land_: Land, zoom: int) -> tuple[Service, list[Entry]]:
    """Draw the land's tiles into the workspace, as if they were fetched, and write the table of them beside the manifest."""
    entries = []
    for of in tiles_of(land.LAND, zoom):
        content = tile(f"/tiles/{of.z}/{of.x}/{of.y}.png", 0.0)[2]
        entries.append(Entry(of, hashlib.sha256(content).hexdigest()))
        path = aerial(land_.workspace).photo(entries[-1].sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    service = Service("land", "Land", "http://127.0.0.1:1/{z}/{x}/{y}", "CC0-1.0", "nobody", own=True)
    write_aerial(land_.manifest, service, entries, land_.folder / AERIAL)
    return service, entries
