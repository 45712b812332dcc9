"""Decoding, the two ways of resizing, and the cache of decoded photos."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmark import photos as photos_module
from benchmark.photos import LabelledPhotos, Photos, decode, labelled_photos, require_photos, unlabelled_photos
from collector.errors import DataError
from collector.pictures import quiet_decoders
from collector.workspace import Workspace, remove_drafts
from tests.benchmark.conftest import CITIES, World, make_world, paint, png, store


def saved(folder: Path, picture: Image.Image, suffix: str = ".png", **options: Any) -> Path:
    path = folder / f"picture{suffix}"
    picture.save(path, **options)
    return path


def of(workspace: Workspace, *pictures: Image.Image) -> Photos:
    digests = tuple(store(workspace, png(picture)) for picture in pictures)
    return Photos(tuple(f"folder:{i}" for i in range(len(digests))), digests, workspace)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def close_to(picture: Image.Image, colour: tuple[int, int, int], tolerance: int = 3) -> bool:
    return bool((np.abs(np.asarray(picture).astype(int) - colour) <= tolerance).all())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_decoded_as_it_is_displayed(tmp_path: Path, orientation: int) -> None:
    shown = paint(1, 0, 40, 24)
    undo = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}
    undo |= {8: Image.Transpose.ROTATE_270, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180}
    undo |= {4: Image.Transpose.FLIP_TOP_BOTTOM}
    stored = shown.transpose(undo[orientation]) if orientation in undo else shown
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(saved(tmp_path, stored, exif=exif), "folder:1")
    assert decoded.size == (40, 24)
    assert np.array_equal(np.asarray(decoded), np.asarray(shown))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    decoded = decode(saved(tmp_path, cyan, ".jpg"), "folder:1")
    assert decoded.mode == "RGB"
    assert close_to(decoded, (0, 255, 255))


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    palette = Image.new("RGB", (8, 8), (10, 200, 30)).quantize(4)
    assert close_to(decode(saved(tmp_path, palette), "folder:1"), (10, 200, 30))


def test_grey_and_black_and_white_become_rgb(tmp_path: Path) -> None:
    assert close_to(decode(saved(tmp_path, Image.new("L", (8, 8), 90)), "folder:1"), (90, 90, 90))
    assert close_to(decode(saved(tmp_path, Image.new("1", (8, 8), 1)), "folder:1"), (255, 255, 255))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    half = Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16))
    decoded = decode(saved(tmp_path, half, suffix), "folder:1")
    assert decoded.mode == "RGB"
    assert close_to(decoded, (128, 128, 128))


def test_an_opaque_alpha_channel_changes_nothing(tmp_path: Path) -> None:
    shown = paint(2, 1)
    with_alpha = shown.copy()
    with_alpha.putalpha(255)
    decoded = decode(saved(tmp_path, with_alpha), "folder:1")
    assert np.array_equal(np.asarray(decoded), np.asarray(shown))


def test_colours_that_nobody_sees_are_not_decoded(tmp_path: Path) -> None:
    red = decode(saved(tmp_path, Image.new("RGBA", (8, 8), (255, 0, 0, 0))), "folder:1")
    blue = decode(saved(tmp_path, Image.new("RGBA", (8, 8), (0, 0, 255, 0))), "folder:1")
    assert np.array_equal(np.asarray(red), np.asarray(blue))


def test_a_palette_with_transparency_raises_no_warning(tmp_path: Path) -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert close_to(decode(saved(tmp_path, picture, transparency=b"\x00\xff"), "folder:1"), (0, 0, 255))


def test_a_large_photo_that_collect_accepts_decodes_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, paint(3, 1, 40, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns above this, and refuses above twice as much
    with quiet_decoders():
        assert decode(path, "folder:1").size == (40, 30)


def test_a_photo_that_pillow_takes_for_a_bomb_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, paint(3, 1, 80, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with quiet_decoders(), pytest.raises(DataError, match="folder:1"):
        decode(path, "folder:1")


@pytest.mark.parametrize("content", [b"", b"no picture", png(paint(4, 0))[:-200]], ids=["empty", "text", "cut"])
def test_what_does_not_decode_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"folder:77.*broken\.jpg.*collect it again"):
        decode(path, "folder:77")


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder:77"):
        decode(tmp_path / "gone.jpg", "folder:77")


@pytest.mark.parametrize("damage", [b"\x00" * 40, b"\xff" * 40, b"MM\x00*" + b"\xff" * 36])
def test_odd_exif_either_decodes_or_is_a_data_error(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "odd.jpg"
    paint(5, 2).save(path, exif=b"Exif\x00\x00" + damage)
    with suppress(DataError):
        assert decode(path, "folder:1").size == (40, 32)


def test_pixels_are_squashed_as_pillow_does_it(workspace: Workspace) -> None:
    pictures = [paint(1, 0, 50, 20), paint(2, 1, 20, 50), paint(3, 2, 16, 16)]
    pixels = of(workspace, *pictures).pixels(16)
    assert pixels.shape == (3, 3, 16, 16)
    assert pixels.dtype == np.uint8
    for picture, found in zip(pictures, pixels, strict=True):
        expected = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.array_equal(found, expected)


def test_pixels_are_read_only(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0))
    for pixels in (photos.pixels(8), photos.pictures(8)[0]):
        with pytest.raises(ValueError, match="read-only"):
            pixels[...] = 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [((50, 20), (16, 40)), ((20, 50), (40, 16)), ((33, 32), (16, 16)), ((16, 16), (16, 16)), ((9, 10), (18, 16))],
)
def test_pictures_have_the_shorter_side_asked_for(
    workspace: Workspace, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = paint(1, 0, *size)
    found = of(workspace, picture).pictures(16)[0]
    assert found.shape == (3, *expected)
    assert found.dtype == np.uint8
    resized = picture.resize((expected[1], expected[0]), Image.Resampling.BILINEAR)
    assert np.array_equal(found, np.asarray(resized).transpose(2, 0, 1))


def test_the_shorter_side_is_exact_for_every_size(workspace: Workspace) -> None:
    sizes = [(width, 30 + width * 7 % 31) for width in range(17, 60)]
    for side in (7, 64):
        for picture in of(workspace, *(Image.new("RGB", size) for size in sizes)).pictures(side):
            assert min(picture.shape[1:]) == side


def test_pictures_of_many_sizes_keep_their_own_values(workspace: Workspace) -> None:
    pictures = [paint(i, i, 20 + i % 5 * 3, 20 + i % 7 * 2) for i in range(70)]  # more than are decoded at once
    for picture, found in zip(pictures, of(workspace, *pictures).pictures(20), strict=True):
        assert min(found.shape[1:]) == 20
        scale = 20 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        expected = picture.resize(size, Image.Resampling.BILINEAR)
        assert np.array_equal(found.transpose(1, 2, 0), np.asarray(expected))


def test_orientation_counts_before_resizing(workspace: Workspace) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    digest = store(workspace, png(paint(1, 0, 40, 20), exif=exif))
    photos = Photos(("folder:1",), (digest,), workspace)
    assert photos.pictures(10)[0].shape == (3, 20, 10)
    with Image.open(workspace.photo(digest)) as image:
        upright = ImageOps.exif_transpose(image).resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(photos.pixels(8)[0], np.asarray(upright).transpose(2, 0, 1))


def remove_photos(workspace: Workspace) -> None:
    for path in workspace.photos.glob("*/*"):
        path.unlink()


def test_the_second_call_does_not_decode(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0, 50, 20), paint(2, 1, 20, 50))
    pixels, pictures = photos.pixels(8).copy(), [picture.copy() for picture in photos.pictures(8)]
    remove_photos(workspace)
    again = Photos(photos.ids, photos.digests, workspace)
    assert np.array_equal(again.pixels(8), pixels)
    for before, after in zip(pictures, again.pictures(8), strict=True):
        assert np.array_equal(before, after)


def test_the_cache_is_shared_between_labelled_and_unlabelled_photos(world: World) -> None:
    labelled_photos(world.manifest, "test", world.workspace).pixels(8)
    remove_photos(world.workspace)
    assert len(unlabelled_photos(world.manifest, "test", world.workspace).pixels(8)) == 6


@pytest.mark.parametrize("change", ["rule", "size", "digests", "order", "decoder", "fewer"])
def test_the_cache_key_holds_everything(workspace: Workspace, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    photos.pixels(8)
    other = store(workspace, png(paint(3, 2)))
    remove_photos(workspace)
    digests = {"digests": (photos.digests[0], other), "order": photos.digests[::-1], "fewer": photos.digests[:1]}
    changed = Photos(
        photos.ids[: len(digests.get(change, photos.digests))], digests.get(change, photos.digests), workspace
    )
    if change == "decoder":
        monkeypatch.setattr(photos_module, "DECODER", "another")
    with pytest.raises(DataError):  # nothing is cached, and there is nothing to decode
        changed.pictures(8) if change == "rule" else changed.pixels(9 if change == "size" else 8)


def test_the_same_bytes_under_other_names_are_the_same_pixels(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    pixels = photos.pixels(8).copy()
    remove_photos(workspace)
    assert np.array_equal(Photos(("flickr:8", "flickr:9"), photos.digests, workspace).pixels(8), pixels)


def test_the_cache_can_be_deleted_at_any_time(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    pixels = photos.pixels(8).copy()
    for path in workspace.cache.iterdir():
        path.unlink()
    assert np.array_equal(photos.pixels(8), pixels)


@pytest.mark.parametrize("gone", ["*.u8", "*.json"])
def test_half_of_a_cache_entry_is_made_again(workspace: Workspace, gone: str) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    pixels = photos.pixels(8).copy()
    (path,) = workspace.cache.glob(gone)
    path.unlink()
    assert np.array_equal(photos.pixels(8), pixels)


@pytest.mark.parametrize("keep", [0, 100])
def test_a_pack_without_its_end_is_made_again(workspace: Workspace, keep: int) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    pictures = [picture.copy() for picture in photos.pictures(8)]
    (pack,) = workspace.cache.glob("*.u8")
    os.truncate(pack, keep)  # as after a power cut: the shapes had reached the disk, the pack had not
    for before, after in zip(pictures, photos.pictures(8), strict=True):
        assert np.array_equal(before, after)


def test_a_failed_packing_leaves_nothing(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    workspace.photo(photos.digests[1]).write_bytes(b"broken")
    with pytest.raises(DataError, match="folder:1"):
        photos.pixels(8)
    assert list(workspace.cache.iterdir()) == []


def test_a_pack_that_a_killed_process_left_is_never_used(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    pixels = photos.pixels(8).copy()
    (pack,), (shapes,) = workspace.cache.glob("*.u8"), workspace.cache.glob("*.json")
    for path in (pack, shapes):  # half-written, under the name that a process that is no more gave it
        content = path.read_bytes()
        path.unlink()
        path.with_name(f".{path.name}.99999999-1.part").write_bytes(content[: len(content) // 2])
    pack.write_bytes(b"\x00" * 10)  # moved into place whole or not at all, but even so: its shapes are not there
    assert np.array_equal(photos.pixels(8), pixels)
    remove_drafts(workspace.cache)
    assert sorted(workspace.cache.iterdir()) == sorted([pack, shapes])


def test_progress_counts_the_photos(workspace: Workspace) -> None:
    said = []

    def track(items: Any, description: str, total: int | None = None) -> Any:
        said.append((description, total))
        return items

    photos = of(workspace, paint(1, 0), paint(2, 1))
    shown = Photos(photos.ids, photos.digests, workspace, track)
    shown.pixels(8)
    shown.pixels(8)
    assert said == [("decoding (squash-8)", 2)]


def test_no_photos_have_no_pixels(workspace: Workspace) -> None:
    workspace.root.mkdir()
    nothing = Photos((), (), workspace)
    assert nothing.pixels(8).shape == (0, 3, 8, 8)
    assert nothing.pictures(8) == []


def test_labels_follow_the_order_of_the_header(world: World) -> None:
    for split in ("train", "val", "test"):
        labelled = labelled_photos(world.manifest, split, world.workspace)
        assert labelled.classes == CITIES
        assert labelled.labels.dtype == np.int64
        expected = [CITIES.index(photo.city) for photo in world.photos(split)]
        assert labelled.labels.tolist() == expected
        assert labelled.ids == tuple(photo.photo_id for photo in world.photos(split))
        assert labelled.digests == tuple(photo.sha256 for photo in world.photos(split))
        assert len(labelled) == len(expected)


def test_unlabelled_photos_carry_no_labels(world: World) -> None:
    photos = unlabelled_photos(world.manifest, "test", world.workspace)
    assert type(photos) is Photos
    assert not isinstance(photos, LabelledPhotos)
    assert set(vars(photos)) == {"ids", "digests", "workspace", "track"}


def test_missing_photos_are_counted_by_side(world: World) -> None:
    require_photos(world.manifest, world.workspace)
    for photo in [*world.photos("train")[:3], world.photos("test")[0]]:
        world.workspace.photo(str(photo.sha256)).unlink()
    with pytest.raises(DataError, match=r"small 1\.0\.0.*: 3 of train, 1 of test; .*t15 collect"):
        require_photos(world.manifest, world.workspace)


def test_a_photo_that_does_not_decode_is_named_by_its_id(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    broken = world.photos("train")[5]
    world.workspace.photo(str(broken.sha256)).write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=broken.photo_id):
        labelled_photos(world.manifest, "train", world.workspace).pixels(8)
