"""Decoding, the ways of resizing, and the cache of decoded photos."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmark import photos as photos_module
from benchmark.methods.training import training_photos
from benchmark.photos import LabelledPhotos, Photos, WorkspacePhotos, decode, photos_of, require_photos
from collector.errors import DataError
from collector.images import decode as decode_module
from collector.images.decode import quiet_decoders
from collector.workspace import Workspace
from tests.benchmark.conftest import CITIES, World, make_world, paint, png, store


def saved(folder: Path, picture: Image.Image, suffix: str = ".png", **options: Any) -> Path:
    path = folder / f"picture{suffix}"
    picture.save(path, **options)
    return path


def of(workspace: Workspace, *pictures: Image.Image) -> Photos:
    digests = tuple(store(workspace, png(picture)) for picture in pictures)
    return Photos(tuple(f"folder:{i}" for i in range(len(digests))), digests, WorkspacePhotos(workspace))


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


def test_more_pixels_than_collect_accepts_are_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, paint(3, 1, 80, 60), ".jpg")
    monkeypatch.setattr(decode_module, "MAX_PIXELS", 80 * 60)
    assert decode(path, "folder:1").size == (80, 60)
    monkeypatch.setattr(decode_module, "MAX_PIXELS", 80 * 60 - 1)
    for size in (None, 8):  # also where the decoder would make it smaller
        with pytest.raises(DataError, match=r"^photo folder:1: .*80 × 60 pixels"):
            decode(path, "folder:1", size)


def test_formats_that_are_not_collected_are_not_tried(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="photo folder:1: cannot be decoded"):
        decode(saved(tmp_path, paint(3, 1), ".ppm"), "folder:1")


@pytest.mark.parametrize("content", [b"", b"no picture", png(paint(4, 0))[:-200]], ids=["empty", "text", "cut"])
def test_what_does_not_decode_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^photo folder:77: cannot be decoded from .*broken\.jpg \(.+\)$"):
        decode(path, "folder:77")


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^photo folder:77: cannot be decoded from .*gone\.jpg \(.*No such file"):
        decode(tmp_path / "gone.jpg", "folder:77")


@pytest.mark.parametrize("damage", [b"\x00" * 40, b"\xff" * 40, b"MM\x00*" + b"\xff" * 36])
def test_odd_exif_either_decodes_or_is_a_data_error(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "odd.jpg"
    paint(5, 2).save(path, exif=b"Exif\x00\x00" + damage)
    with suppress(DataError):
        assert decode(path, "folder:1").size == (40, 32)


def smooth(width: int, height: int) -> Image.Image:
    """Return a picture of a few patches, which survives JPEG."""
    patches = np.random.default_rng(width).integers(40, 216, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("size", "asked", "expected"),
    [
        ((640, 480), 64, (160, 120)),  # a quarter; an eighth has too few rows
        ((640, 480), 60, (80, 60)),
        ((640, 480), 256, (640, 480)),
        ((640, 480), 240, (320, 240)),
        ((640, 64), 64, (640, 64)),  # no side is smaller than asked for
        ((100, 50), 64, (100, 50)),
        ((640, 480), None, (640, 480)),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(
    tmp_path: Path, size: tuple[int, int], asked: int | None, expected: tuple[int, int]
) -> None:
    path = saved(tmp_path, smooth(*size), ".jpg", quality=95)
    decoded = decode(path, "folder:1", asked)
    assert decoded.size == expected
    whole = decode(path, "folder:1").resize((32, 32), Image.Resampling.BILINEAR)
    smaller = decoded.resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(whole, dtype=int) - np.asarray(smaller, dtype=int)).max() <= 8


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_smaller_jpeg_of_another_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, smooth(320, 160).convert(mode), ".jpg", quality=95, exif=exif)
    decoded = decode(path, "folder:1", 40)
    assert decoded.mode == "RGB"
    assert decoded.size == (40, 80)  # upright
    whole = decode(path, "folder:1").resize((40, 80), Image.Resampling.BOX)
    assert np.abs(np.asarray(whole, dtype=int) - np.asarray(decoded, dtype=int)).mean() <= 3


def test_pixels_are_squashed_as_pillow_does_it(workspace: Workspace) -> None:
    pictures = [paint(1, 0, 50, 20), paint(2, 1, 20, 50), paint(3, 2, 16, 16)]
    pixels = of(workspace, *pictures).pixels(16)
    assert pixels.shape == (3, 3, 16, 16)
    assert pixels.dtype == np.uint8
    for picture, found in zip(pictures, pixels, strict=True):
        expected = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("size", "larger", "box"),
    [
        ((50, 20), (40, 16), (12, 0, 28, 16)),  # the longer side loses its ends
        ((20, 50), (16, 40), (0, 12, 16, 28)),
        ((33, 32), (16, 16), (0, 0, 16, 16)),
        ((35, 32), (18, 16), (1, 0, 17, 16)),
        ((17, 16), (17, 16), (0, 0, 16, 16)),  # of an odd rest the larger half is cut at the far end
        ((8, 10), (16, 20), (0, 2, 16, 18)),
    ],
)
def test_cover_keeps_the_proportions_and_cuts_the_ends_off(
    workspace: Workspace, size: tuple[int, int], larger: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    picture = paint(1, 0, *size)
    found = of(workspace, picture).pixels(16, "cover")
    assert found.shape == (1, 3, 16, 16)
    expected = picture.resize(larger, Image.Resampling.BILINEAR).crop(box)
    assert np.array_equal(found[0], np.asarray(expected).transpose(2, 0, 1))


def test_cover_is_a_square_for_every_size(workspace: Workspace) -> None:
    sizes = [(width, 30 + width * 7 % 31) for width in range(17, 60)]
    assert of(workspace, *(Image.new("RGB", size) for size in sizes)).pixels(7, "cover").shape == (43, 3, 7, 7)


def test_rows_choose_photos_in_the_order_asked_for(workspace: Workspace) -> None:
    photos = of(workspace, *(paint(i, i) for i in range(5)))
    pixels = photos.pixels(8).copy()
    for rows in ([0, 1, 2, 3, 4], [1, 2], [4, 0, 2], [3, 3], [2]):
        assert np.array_equal(photos.pixels(8, rows=rows), pixels[rows])
        assert np.array_equal(
            Photos(photos.ids, photos.digests, WorkspacePhotos(workspace)).pixels(8, "squash", rows), pixels[rows]
        )
    assert photos.pixels(8, rows=[]).shape == (0, 3, 8, 8)


def test_the_first_rows_asked_for_decode_all_photos(workspace: Workspace, decoded: list[str]) -> None:
    photos = of(workspace, *(paint(i, i) for i in range(5)))
    photos.pixels(8, rows=[3])
    assert sorted(decoded) == sorted(photos.ids)
    photos.pixels(8, rows=[0, 4])
    photos.pixels(8)
    assert len(decoded) == 5


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


def test_each_interpolation_has_pixels_of_its_own(workspace: Workspace) -> None:
    picture = paint(3, 1, 60, 40)
    photos = of(workspace, picture)
    for name, resampling in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)) * 2:
        expected = np.asarray(picture.resize((30, 20), resampling))
        assert np.array_equal(photos.pictures(20, name)[0].transpose(1, 2, 0), expected)
    cut = photos.pictures(20, "bicubic")[0][:, :, 5:25]
    assert np.array_equal(photos.pixels(20, "cover-bicubic")[0], cut)


def test_orientation_counts_before_resizing(workspace: Workspace) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    digest = store(workspace, png(paint(1, 0, 40, 20), exif=exif))
    photos = Photos(("folder:1",), (digest,), WorkspacePhotos(workspace))
    assert photos.pictures(10)[0].shape == (3, 20, 10)
    with Image.open(workspace.photo(digest)) as image:
        upright = ImageOps.exif_transpose(image).resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(photos.pixels(8)[0], np.asarray(upright).transpose(2, 0, 1))


def remove_photos(workspace: Workspace) -> None:
    for path in workspace.photos.rglob("*.jpg"):
        path.unlink()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the photos that were decoded since."""
    seen: list[str] = []

    def seeing(path: Path, name: str, *rest: Any, **settings: Any) -> Image.Image:
        seen.append(name)
        return decode(path, name, *rest, **settings)

    monkeypatch.setattr(photos_module, "decode", seeing)
    return seen


def test_the_second_call_does_not_decode(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0, 50, 20), paint(2, 1, 20, 50))
    pixels, pictures = photos.pixels(8).copy(), [picture.copy() for picture in photos.pictures(8)]
    remove_photos(workspace)
    again = Photos(photos.ids, photos.digests, WorkspacePhotos(workspace))
    assert np.array_equal(again.pixels(8), pixels)
    for before, after in zip(pictures, again.pictures(8), strict=True):
        assert np.array_equal(before, after)


def test_the_cache_is_shared_between_labelled_and_unlabelled_photos(world: World) -> None:
    training_photos(world.manifest, "test", WorkspacePhotos(world.workspace)).pixels(8)
    remove_photos(world.workspace)
    assert len(photos_of(world.manifest, "test", WorkspacePhotos(world.workspace)).pixels(8)) == 6


@pytest.mark.parametrize("positions", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0], [1, 2], [3], []], ids=str)
def test_the_cache_is_by_photo(workspace: Workspace, decoded: list[str], positions: list[int]) -> None:
    photos = of(workspace, *(paint(i, i) for i in range(4)))
    pixels, covers = photos.pixels(8).copy(), photos.pixels(8, "cover").copy()
    pictures = [picture.copy() for picture in photos.pictures(8)]
    decoded.clear()
    ids, digests = (tuple(names[i] for i in positions) for names in (photos.ids, photos.digests))
    some = Photos(ids, digests, WorkspacePhotos(workspace), side="test")
    assert np.array_equal(some.pixels(8), pixels[positions])
    assert np.array_equal(some.pixels(8, "cover"), covers[positions])
    for found, position in zip(some.pictures(8), positions, strict=True):
        assert np.array_equal(found, pictures[position])
    assert decoded == []


def test_only_new_photos_are_decoded(workspace: Workspace, decoded: list[str]) -> None:
    of(workspace, paint(1, 0), paint(2, 1)).pixels(8)
    decoded.clear()
    more = of(workspace, paint(3, 2), paint(2, 1), paint(4, 0), paint(1, 0))
    pixels = more.pixels(8)
    assert sorted(decoded) == ["folder:0", "folder:2"]
    for picture, found in zip((paint(3, 2), paint(2, 1), paint(4, 0), paint(1, 0)), pixels, strict=True):
        expected = picture.resize((8, 8), Image.Resampling.BILINEAR)
        assert np.array_equal(found, np.asarray(expected).transpose(2, 0, 1))


def test_a_photo_that_is_there_twice_is_decoded_once(workspace: Workspace, decoded: list[str]) -> None:
    pixels = of(workspace, paint(1, 0), paint(2, 1), paint(1, 0)).pixels(8)
    assert sorted(decoded) == ["folder:0", "folder:1"]
    assert np.array_equal(pixels[0], pixels[2])
    assert not np.array_equal(pixels[0], pixels[1])


@pytest.mark.parametrize("change", ["rule", "shorter side", "size", "digest", "decoder"])
def test_the_cache_key_holds_everything(
    workspace: Workspace, change: str, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    photos.pixels(8)
    decoded.clear()
    if change == "digest":
        photos = Photos(photos.ids, (photos.digests[0], store(workspace, png(paint(3, 2)))), WorkspacePhotos(workspace))
    elif change == "decoder":
        monkeypatch.setattr(photos_module, "DECODER", "another")
    again = Photos(photos.ids, photos.digests, WorkspacePhotos(workspace))
    calls: dict[str, Callable[[], object]] = {
        "rule": lambda: again.pixels(8, "cover"),
        "shorter side": lambda: again.pictures(8),
        "size": lambda: again.pixels(9),
    }
    calls.get(change, lambda: again.pixels(8))()
    assert sorted(decoded) == (["folder:1"] if change == "digest" else ["folder:0", "folder:1"])


def test_the_keys_of_the_cache_can_be_read(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0))
    photos.pixels(8)
    photos.pixels(8, "cover")
    photos.pictures(8)
    keys = [json.loads(path.read_text("utf-8"))[0] for path in workspace.cache.glob("arrays/*/key.json")]
    assert {key["rule"] for key in keys} == {"squash-8", "cover-8", "shorter-8"}
    assert {(key["what"], key["decoder"]) for key in keys} == {("pixels", photos_module.DECODER)}


def test_the_same_bytes_under_other_names_are_the_same_pixels(workspace: Workspace) -> None:
    photos = of(workspace, paint(1, 0), paint(2, 1))
    pixels = photos.pixels(8).copy()
    remove_photos(workspace)
    assert np.array_equal(
        Photos(("flickr:8", "flickr:9"), photos.digests, WorkspacePhotos(workspace)).pixels(8), pixels
    )


@pytest.mark.parametrize("deleted", ["cache", "cache/arrays", "one"])
def test_the_cache_can_be_deleted_between_two_calls(workspace: Workspace, deleted: str) -> None:
    photos = of(workspace, *(paint(i, i, 20 + i, 20) for i in range(4)))
    mapped = photos.pixels(8)
    pixels, pictures = mapped.copy(), [picture.copy() for picture in photos.pictures(8)]
    for folder in workspace.cache.glob("arrays/*") if deleted == "one" else [workspace.root / deleted]:
        shutil.rmtree(folder)
    assert np.array_equal(mapped, pixels)  # what was handed out stays
    assert np.array_equal(photos.pixels(8, rows=[2, 1]), pixels[[2, 1]])
    assert np.array_equal(photos.pixels(8), pixels)
    for before, after in zip(pictures, photos.pictures(8), strict=True):
        assert np.array_equal(before, after)


def test_the_cache_can_be_deleted_and_made_anew_by_others_between_two_calls(workspace: Workspace) -> None:
    photos = of(workspace, *(paint(i, i) for i in range(4)))
    pixels = photos.pixels(8).copy()
    shutil.rmtree(workspace.cache)
    Photos(photos.ids[::-1], photos.digests[::-1], WorkspacePhotos(workspace)).pixels(8)
    assert np.array_equal(photos.pixels(8), pixels)
    assert np.array_equal(photos.pixels(8, rows=[2]), pixels[[2]])


@pytest.mark.parametrize("done", [0, 1, 3])
def test_the_cache_can_be_deleted_while_photos_are_decoded(workspace: Workspace, done: int) -> None:
    photos = of(workspace, *(paint(i, i) for i in range(3)))
    deleted: list[int] = []

    def deleting(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
        left = iter(items)
        for number in range(4):
            if number == done and not deleted:
                deleted.append(number)
                shutil.rmtree(workspace.cache, ignore_errors=True)
            yield from (item for item, _ in zip(left, "1", strict=False))

    pixels = Photos(photos.ids, photos.digests, WorkspacePhotos(workspace, deleting)).pixels(8)
    assert deleted == [done]
    assert np.array_equal(pixels, photos.pixels(8))
    assert pixels.shape == (3, 3, 8, 8)


def test_what_decoded_before_an_error_is_kept(workspace: Workspace, decoded: list[str]) -> None:
    photos = of(workspace, *(paint(i, i) for i in range(4)))
    whole = workspace.photo(photos.digests[1]).read_bytes()
    workspace.photo(photos.digests[1]).write_bytes(b"broken")
    for _ in range(2):  # also by the same object
        with pytest.raises(DataError, match="folder:1"):
            photos.pixels(8)
    assert sorted(decoded) == ["folder:0", "folder:1", "folder:1", "folder:2", "folder:3"]
    workspace.photo(photos.digests[1]).write_bytes(whole)
    pixels = photos.pixels(8)
    assert decoded[5:] == ["folder:1"]
    for i, found in enumerate(pixels):
        expected = paint(i, i).resize((8, 8), Image.Resampling.BILINEAR)
        assert np.array_equal(found, np.asarray(expected).transpose(2, 0, 1))


def test_progress_counts_the_photos(workspace: Workspace) -> None:
    said = []

    def track(items: Any, description: str, total: int | None = None) -> Any:
        said.append((description, total))
        return items

    photos = of(workspace, paint(1, 0), paint(2, 1))
    shown = Photos(photos.ids, photos.digests, WorkspacePhotos(workspace, track))
    shown.pixels(8)
    shown.pixels(8)
    assert said == [("decoding (squash-8)", 2)]


def test_no_photos_have_no_pixels(workspace: Workspace) -> None:
    workspace.root.mkdir()
    nothing = Photos((), (), WorkspacePhotos(workspace))
    assert nothing.pixels(8).shape == (0, 3, 8, 8)
    assert nothing.pictures(8) == []


def test_labels_follow_the_order_of_the_header(world: World) -> None:
    for split in ("train", "val", "test"):
        labelled = training_photos(world.manifest, split, WorkspacePhotos(world.workspace))
        assert labelled.classes == CITIES
        assert labelled.labels.dtype == np.int64
        expected = [CITIES.index(photo.city) for photo in world.photos(split)]
        assert labelled.labels.tolist() == expected
        assert labelled.ids == tuple(photo.photo_id for photo in world.photos(split))
        assert labelled.digests == tuple(photo.sha256 for photo in world.photos(split))
        assert len(labelled) == len(expected)


def test_unlabelled_photos_carry_no_labels(world: World) -> None:
    photos = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    assert type(photos) is Photos
    assert not isinstance(photos, LabelledPhotos)
    assert set(vars(photos)) == {"ids", "digests", "store", "side"}
    assert photos.side == "test"


def test_missing_photos_are_counted_by_side(world: World) -> None:
    require_photos(world.manifest, world.workspace)
    for photo in [*world.photos("train")[:3], world.photos("test")[0]]:
        world.workspace.photo(str(photo.sha256)).unlink()
    with pytest.raises(DataError, match=r"small 1\.0\.0.*: 3 of train, 1 of test; .*t15 rehydrate"):
        require_photos(world.manifest, world.workspace)


@pytest.mark.parametrize("call", ["pixels", "pictures"])
@pytest.mark.parametrize(("broken", "more"), [(1, ""), (5, ""), (6, " and 1 more"), (8, " and 3 more")])
def test_photos_that_do_not_decode_are_counted_and_the_first_named(
    tmp_path: Path, broken: int, more: str, call: str
) -> None:
    world = make_world(tmp_path)
    photos = world.photos("train")[2 : 2 + broken]
    for number, photo in enumerate(photos):
        path = world.workspace.photo(str(photo.sha256))
        path.write_bytes(b"\xff\xd8\xff") if number % 2 else path.unlink()
    with pytest.raises(DataError) as caught:
        getattr(training_photos(world.manifest, "train", WorkspacePhotos(world.workspace)), call)(8)
    said = str(caught.value)
    assert said.startswith(f"{broken} of 12 photos of train cannot be decoded: photo {photos[0].photo_id}: ")
    assert said.partition("; ")[0].endswith(")" + (more if broken == 1 else ""))
    assert said.rpartition("; ")[0].endswith(f"){more}")
    assert "t15 collect" in said.rpartition("; ")[2]
    assert [photo.photo_id in said for photo in photos] == [number < 5 for number in range(broken)]
    assert caught.value.exit_code == DataError("").exit_code


def test_other_sides_do_not_mind(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.workspace.photo(str(world.photos("train")[0].sha256)).write_bytes(b"broken")
    assert len(training_photos(world.manifest, "val", WorkspacePhotos(world.workspace)).pixels(8)) == 6
    assert len(photos_of(world.manifest, "test", WorkspacePhotos(world.workspace)).pixels(8)) == 6


def test_photos_of_no_side_are_the_manifests(workspace: Workspace) -> None:
    photos = Photos(("folder:1",), ("ab" * 32,), WorkspacePhotos(workspace))
    with pytest.raises(DataError, match=r"^1 of 1 photo of the manifest cannot be decoded: photo folder:1: .*No such"):
        photos.pixels(8)
