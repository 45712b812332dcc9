"""The imaginary world is the same every time, and what it claims to have planted is there."""

import io
import tomllib
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from collector.cities import distance_km, region
from collector.errors import UsageError
from collector.sandbox import painter, scenes
from collector.sandbox.scenes import CITIES, World, draw_world, encode, plan, render


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return draw_world(tmp_path_factory.mktemp("world"), seed=3, cities=3, photos_per_city=16)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def opened(world: World, kind: str) -> Image.Image:
    return Image.open(world.root / "photos" / world.planted[kind][0])


def gps_of(image: Image.Image) -> dict[int, object]:
    return dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))


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


@pytest.mark.parametrize(("seed", "cities", "photos"), [(0, 0, 5), (0, 9, 5), (0, 2, 0), (-1, 2, 5)])
def test_numbers_out_of_range_are_usage_errors(seed: int, cities: int, photos: int) -> None:
    with pytest.raises(UsageError, match="sandbox"):
        plan(seed, cities, photos)


def test_the_cities_are_far_apart_and_every_scene_is_near_its_own() -> None:
    for a, b in combinations(CITIES, 2):
        assert distance_km(a.latitude, a.longitude, b.latitude, b.longitude) > 60
    assert list(painter.LOOKS) == [city.slug for city in CITIES]
    by_slug = {city.slug: city for city in CITIES}
    for scene in plan(0):
        city = by_slug[scene.city]
        assert distance_km(city.latitude, city.longitude, scene.latitude, scene.longitude) < city.radius_km
        assert 2019 <= scene.taken_at.year <= 2024
        assert scene.taken_at.utcoffset() is not None


def test_the_plan_has_what_a_real_collection_has() -> None:
    planned = plan(0)
    assert len({scene.scene_id for scene in planned}) == len({scene.seed for scene in planned}) == 1200
    authors = Counter(scene.author_id for scene in planned if scene.city == CITIES[0].slug)
    assert sum(number for _, number in authors.most_common(5)) > 150 * 0.4
    assert len(authors) > 10
    assert any("traveller" in scene.author_id for scene in planned)
    ordinary = sum(scene.view in {"detail", "interior", "table", "flowers"} for scene in planned)
    assert 0.2 < ordinary / len(planned) < 0.3
    assert set(scenes.HOSTILE) <= {scene.title for scene in planned}
    assert set(scenes.HOSTILE) & {scene.author_name for scene in planned}
    assert {scene.view for scene in planned} == set(painter.VIEWS)
    assert {scene.light for scene in planned} == set(painter.LIGHTS)
    names = {scene.author_id: scene.author_name for scene in planned}
    assert all(names[scene.author_id] == scene.author_name for scene in planned)


@pytest.mark.parametrize("text", [*scenes.HOSTILE, "小雨 Oak", "Дарья Élise"])
def test_exif_survives_a_round_trip(text: str) -> None:
    scene = replace(plan(0, 4, 9)[-1], author_name=text, title=text)
    assert scene.orientation == 6
    with Image.open(io.BytesIO(encode(scene))) as image:
        exif, gps = image.getexif(), gps_of(image)
        camera = exif.get_ifd(ExifTags.IFD.Exif)
        upright = ImageOps.exif_transpose(image)
    for tag in (ExifTags.Base.Artist, ExifTags.Base.ImageDescription):
        assert exif[tag].encode("latin-1").decode("utf-8") == text
    assert exif[ExifTags.Base.Copyright] == scenes.CREDIT
    assert camera[ExifTags.Base.DateTimeOriginal] == f"{scene.taken_at:%Y:%m:%d %H:%M:%S}"
    assert camera[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    assert (gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLongitudeRef]) == ("S", "W")
    for angle, degrees in ((ExifTags.GPS.GPSLatitude, scene.latitude), (ExifTags.GPS.GPSLongitude, scene.longitude)):
        parts = gps[angle]
        assert isinstance(parts, tuple)
        assert -sum(float(part) / 60**power for power, part in enumerate(parts)) == pytest.approx(degrees, abs=1e-6)
    assert upright.size == scene.size


def test_rotated_photos_are_upright_once_their_orientation_is_heeded() -> None:
    rotated = {scene.orientation: scene for scene in plan(0, 1, 20) if scene.orientation != 1}
    assert set(rotated) == {6, 8}
    for scene in rotated.values():
        drawn = np.asarray(render(scene), dtype=float)
        with Image.open(io.BytesIO(encode(scene, quality=95))) as image:
            assert image.size == scene.size[::-1]
            assert np.abs(np.asarray(ImageOps.exif_transpose(image), dtype=float) - drawn).mean() < 4


def test_every_file_is_accounted_for(world: World) -> None:
    photos = {path.removeprefix("photos/") for path in contents(world.root) if path.startswith("photos/")}
    planted = {path for paths in world.planted.values() for path in paths}
    assert world.scenes == 48
    assert world.files == len(photos) == 48 + len(world.originals) + len(scenes.BROKEN)
    assert planted | set(world.originals.values()) <= photos
    assert set(world.planted) == {
        *("near-duplicate", "exact-copy", "label-conflict", "unsorted", "rotated"),
        *scenes.BROKEN,
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


def test_broken_files_are_broken_as_said(world: World) -> None:
    with opened(world, "truncated") as image, pytest.raises(OSError, match="truncated"):
        image.load()
    assert (world.root / "photos" / world.planted["empty"][0]).stat().st_size == 0
    for kind in ("empty", "text"):
        with pytest.raises(UnidentifiedImageError):
            opened(world, kind)
    with opened(world, "animated") as image:
        assert (image.format, image.info["duration"], getattr(image, "n_frames", 1)) == ("GIF", 400, 2)
    with opened(world, "tiny") as image:
        assert image.size == (16, 16)
    assert (world.root / "photos" / world.planted["bomb"][0]).stat().st_size < 100_000
    with pytest.raises(Image.DecompressionBombError):
        opened(world, "bomb")


def test_a_bomb_of_harmless_size_is_a_valid_picture() -> None:
    with Image.open(io.BytesIO(scenes._bomb(200))) as image:
        image.load()
        assert (image.size, image.getextrema()) == ((200, 200), (0, 0))


def test_misplaced_photos_are_misplaced_as_said(world: World) -> None:
    with opened(world, "no-exif") as image:
        assert "exif" not in image.info
        image.load()
    latitude, longitude, reference = (
        ExifTags.GPS.GPSLatitude,
        ExifTags.GPS.GPSLongitude,
        ExifTags.GPS.GPSLatitudeRef,
    )
    with opened(world, "gps-zero") as image:
        assert gps_of(image)[latitude] == gps_of(image)[longitude] == (0, 0, 0)
    with opened(world, "gps-undefined") as image:
        parts = gps_of(image)[latitude]
        assert isinstance(parts, tuple)
        assert [(part.numerator, part.denominator) for part in parts] == [(0, 0)] * 3
    with opened(world, "gps-no-reference") as image:
        assert latitude in gps_of(image)
        assert reference not in gps_of(image)
    with opened(world, "gps-far-away") as image:
        parts = gps_of(image)[latitude]
        assert isinstance(parts, tuple)
        assert parts[0] == 48


def test_views_are_drawn_in_the_size_asked_for_and_differ_by_city() -> None:
    for view in painter.VIEWS:
        for size in ((64, 48), (48, 64)):
            first, second = (
                painter.paint(look, view, light="noon", month=6, size=size, seed=1)
                for look in (painter.LOOKS["isquarra"], painter.LOOKS["snovarra"])
            )
            assert (first.size, first.mode) == (size, "RGB")
            assert (first.tobytes() == second.tobytes()) is (view == "table")  # lunch looks the same everywhere


def test_the_cities_can_be_told_apart_by_tiny_pictures_but_not_easily() -> None:
    planned = plan(0, 8, 60)
    pixels = np.stack([np.asarray(render(s).resize((16, 16)), dtype=np.float32).ravel() for s in planned])
    labels = np.array([[city.slug for city in CITIES].index(s.city) for s in planned])
    train = np.arange(len(planned)) % 60 < 45
    # Squared distances without their constant term, which does not change the order of the neighbours.
    apart = (pixels[train] ** 2).sum(1) - 2 * pixels[~train] @ pixels[train].T
    votes = labels[train][np.argsort(apart, axis=1)[:, :11]]
    predicted = np.array([np.bincount(row, minlength=8).argmax() for row in votes])
    assert 2 / 8 < (predicted == labels[~train]).mean() < 0.7
