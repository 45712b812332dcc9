"""Drawing again writes the same bytes, and what the world claims to have planted is there."""

import tomllib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from collector.regions import region
from collector.sandbox import scenes as faults
from collector.sandbox.scenes import CITIES, World, draw_world, plan


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_seed_draws_the_same_bytes_and_another_seed_does_not(world: World, tmp_path: Path) -> None:
    draw_world(tmp_path, seed=3, cities=3, photos_per_city=16)
    first = contents(tmp_path)
    assert first == contents(world.root)
    draw_world(tmp_path, seed=3, cities=3, photos_per_city=16)
    assert contents(tmp_path) == first
    assert [s.seed for s in plan(4, 1, 16)] != [s.seed for s in plan(3, 1, 16)]


def test_a_larger_draw_begins_with_the_smaller_one(world: World, tmp_path: Path) -> None:
    draw_world(tmp_path, seed=3, cities=2, photos_per_city=10)
    small, large = contents(tmp_path / "photos"), contents(world.root / "photos")
    assert small.items() <= large.items()
    of_city = [scene for scene in plan(3, 8, 150) if scene.city == CITIES[1].slug]
    assert of_city[:10] == plan(3, 2, 10)[10:]


def test_every_file_is_accounted_for(world: World) -> None:
    photos = {path.removeprefix("photos/") for path in contents(world.root) if path.startswith("photos/")}
    planted = {path for paths in world.planted.values() for path in paths}
    assert world.scenes == 48
    assert world.files == len(photos) == 48 + len(world.originals) + len(faults.BROKEN)
    assert planted | set(world.originals.values()) <= photos
    assert set(world.planted) == {
        *("near-duplicate", "exact-copy", "label-conflict", "unsorted", "rotated"),
        *faults.BROKEN,
    }
    assert "drawn" in (world.root / "READ-ME.txt").read_text(encoding="utf-8")


def test_the_region_file_is_read_as_the_cities_that_were_drawn(world: World) -> None:
    assert tomllib.loads(world.region_file.read_text(encoding="utf-8"))["name"] == "sandbox"
    assert region(str(world.region_file)).cities == CITIES[:3]


def test_copies_are_exact_and_near_duplicates_nearly_so(world: World) -> None:
    photos = world.root / "photos"
    for path in world.planted["exact-copy"]:
        assert (photos / path).read_bytes() == (photos / world.originals[path]).read_bytes()
    for path in (*world.planted["near-duplicate"], *world.planted["label-conflict"]):
        with Image.open(photos / path) as copy, Image.open(photos / world.originals[path]) as original:
            assert copy.width < original.width
            small = [
                np.asarray(ImageOps.exif_transpose(each).convert("L").resize((16, 16)), dtype=float).ravel()
                for each in (copy, original)
            ]
        assert np.corrcoef(small)[0, 1] > 0.93
    (conflict,) = world.planted["label-conflict"]
    assert conflict.split("/")[0] != world.originals[conflict].split("/")[0]
