"""Place, time and author from EXIF: what cameras really write, and what nobody should."""

import io
import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from collector.images.decode import quiet_decoders
from collector.images.exif import ExifFacts, clean_text, read_exif
from tests.conftest import PhotoBytes

GPS = ExifTags.GPS
NOTHING = ExifFacts()
CAMERA: dict[int, Any] = {ExifTags.Base.DateTimeOriginal: "2008:10:22 16:28:39"}


class Told:
    """Stands for an opened picture: tells the given tags."""

    def __init__(self, base: dict[int, Any], camera: dict[int, Any], gps: dict[int, Any]) -> None:
        self._base = base
        self._parts = {ExifTags.IFD.Exif: camera, ExifTags.IFD.GPSInfo: gps}

    def getexif(self) -> Any:
        parts = self._parts

        class Exif(dict[int, Any]):
            def get_ifd(self, tag: int) -> dict[int, Any]:
                return parts[ExifTags.IFD(tag)]

        return Exif(self._base)


def told(
    base: dict[int, Any] | None = None, camera: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> ExifFacts:
    return read_exif(Told(base or {}, camera or {}, gps or {}))  # type: ignore[arg-type]


def degrees(
    latitude: Any = (39, 55, 12), north: Any = "N", longitude: Any = (32, 51, 0), east: Any = "E", **more: Any
) -> dict[int, Any]:
    tags = {
        GPS.GPSLatitude: latitude,
        GPS.GPSLatitudeRef: north,
        GPS.GPSLongitude: longitude,
        GPS.GPSLongitudeRef: east,
    }
    return {tag: value for tag, value in tags.items() if value is not None}


def place(gps: dict[int, Any]) -> tuple[float | None, float | None]:
    facts = told(gps=gps)
    return facts.latitude, facts.longitude


def time(camera: str | None = None, offset: Any = None, base: str | None = None) -> datetime | None:
    tags = {ExifTags.Base.DateTimeOriginal: camera, ExifTags.Base.OffsetTimeOriginal: offset}
    return told(
        {ExifTags.Base.DateTime: base} if base else {}, {k: v for k, v in tags.items() if v is not None}
    ).taken_at


# --- place


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        (degrees(), (39.92, 32.85)),
        (degrees(north="S", east="W"), (-39.92, -32.85)),
        (degrees(north="s\0", east=b"W\0"), (-39.92, -32.85)),
        (degrees((IFDRational(39), IFDRational(55), IFDRational(1200, 100))), (39.92, 32.85)),
        (degrees((39.92,), "N", (32.85,), "E"), (39.92, 32.85)),
        (degrees(39.92, "N", 32.85, "E"), (39.92, 32.85)),
        (degrees((39, 55.2), "N", (32, 51), "E"), (39.92, 32.85)),
        (degrees((39, 55.2, IFDRational(0, 0)), "N", (32, 51, 0), "E"), (39.92, 32.85)),
        (degrees((IFDRational(39), IFDRational(5520, 100), IFDRational(0, 0))), (39.92, 32.85)),
        (degrees("39/1 55/1 1200/100", "N", b"32,51,0\0", "E"), (39.92, 32.85)),
        (degrees("39, 55.2", "N", "32.85", "E"), (39.92, 32.85)),
        (degrees("39:55:12", "N", "32:51:0", "E"), (39.92, 32.85)),
        (degrees((39.92, IFDRational(0, 0), IFDRational(0, 0)), "N", (32.85, IFDRational(0, 0)), "E"), (39.92, 32.85)),
        (degrees((-39, 55, 12), "S", (-32, -51, 0), "W"), (-39.92, -32.85)),
        (degrees((90, 0, 0), "N", (180, 0, 0), "W"), (90.0, -180.0)),
        (degrees((0, 0, 0), "N", (32, 51, 0), "E"), (0.0, 32.85)),
    ],
)
def test_places(gps: dict[int, Any], expected: tuple[float, float]) -> None:
    assert place(gps) == pytest.approx(expected)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        degrees(north=None),
        degrees(east=None),
        degrees(north=""),
        degrees(north="E"),
        degrees(east="N"),
        degrees(north=0),
        degrees(latitude=None),
        degrees(longitude=None),
        degrees((IFDRational(0, 0), IFDRational(0, 0), IFDRational(0, 0))),
        degrees(longitude=(32, IFDRational(0, 0), 0)),
        degrees((IFDRational(1, 0), 0, 0)),
        degrees((0, 0, 0), "N", (0, 0, 0), "E"),
        degrees((90, 0, 1)),
        degrees(longitude=(180, 0.1, 0)),
        degrees((-39, 55, 12)),
        degrees((39, -55, 12)),
        degrees((39, 55, 12, 4)),
        degrees(()),
        degrees("39.92"[:0]),
        degrees(b"\0\0\0"),
        degrees((None, None, None)),
        degrees((39, "x", 12)),
        degrees(((39, 1), (55, 1), (12, 1))),
        degrees((float("nan"), 0, 0)),
        degrees((39, 55, IFDRational(0, 0))),
        degrees((39, IFDRational(0, 0), IFDRational(0, 0))),
        degrees((-39, 55, 12), "N", (-32, 51, 0), "E"),
        degrees("39,92"),  # 39° 92' or 39.92°
        degrees("39/0 55/1 12/1"),
        degrees("1e999999999"),
        degrees("9" * 10_000),
        degrees("39/" + "9" * 10_000),
    ],
)
def test_what_is_no_place(gps: dict[int, Any]) -> None:
    assert place(gps) == (None, None)


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_every_place_comes_back(latitude: float, longitude: float) -> None:
    def parts(value: float) -> tuple[IFDRational, ...]:
        whole = Fraction(abs(value)).limit_denominator(10**7)
        return (IFDRational(whole.numerator, whole.denominator), IFDRational(0), IFDRational(0))

    found = place(
        degrees(parts(latitude), "N" if latitude >= 0 else "S", parts(longitude), "E" if longitude >= 0 else "W")
    )
    if abs(latitude) > 1e-6 or abs(longitude) > 1e-6:
        assert found == pytest.approx((latitude, longitude), abs=1e-6)


# --- time


def test_the_gps_clock_counts_most() -> None:
    gps: dict[int, Any] = {
        GPS.GPSDateStamp: "2008:10:23",
        GPS.GPSTimeStamp: (IFDRational(14), IFDRational(27), IFDRational(724, 100)),
    }
    facts = told({}, CAMERA, gps)
    assert facts.taken_at == datetime(2008, 10, 23, 14, 27, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "gps",
    [
        {GPS.GPSDateStamp: "2008:10:23"},
        {GPS.GPSTimeStamp: (14, 27, 7)},
        {GPS.GPSDateStamp: "2008:10:23", GPS.GPSTimeStamp: (14, 27)},
        {GPS.GPSDateStamp: "2008:10:23", GPS.GPSTimeStamp: (14, 27, IFDRational(0, 0))},
        {GPS.GPSDateStamp: "2008:13:23", GPS.GPSTimeStamp: (14, 27, 7)},
        {GPS.GPSDateStamp: "0000:00:00", GPS.GPSTimeStamp: (0, 0, 0)},
        {GPS.GPSDateStamp: b"2008:10:23"[:0], GPS.GPSTimeStamp: (0, 0, 0)},
        {GPS.GPSDateStamp: "9999:12:31", GPS.GPSTimeStamp: (30, 0, 0)},
        {GPS.GPSDateStamp: "2008:10:23", GPS.GPSTimeStamp: (1e300, 0, 0)},
        {GPS.GPSDateStamp: "2008:10:23", GPS.GPSTimeStamp: (100, 0, 0)},
        {GPS.GPSDateStamp: "2008:10:23", GPS.GPSTimeStamp: (-5, 0, 0)},
    ],
)
def test_a_gps_clock_that_is_none_leaves_it_to_the_camera(gps: dict[int, Any]) -> None:
    assert told({}, {}, gps).taken_at is None
    assert told({}, CAMERA, gps).taken_at == datetime(2008, 10, 22, 16, 28, 39, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stamp", "offset", "expected"),
    [
        ("2019:06:01 12:00:00", None, datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2019:06:01 12:00:00", "+03:00", datetime(2019, 6, 1, 9, tzinfo=UTC)),
        ("2019:06:01 01:00:00\0", "+03:00\0", datetime(2019, 5, 31, 22, tzinfo=UTC)),
        ("2019:06:01 12:00:00", "-09:30", datetime(2019, 6, 1, 21, 30, tzinfo=UTC)),
        ("2019:06:01 12:00:00", "Z", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2019:06:01 12:00:00", "   :  ", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2019:06:01 12:00:00", 3, datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("2019:02:30 12:00:00", None, None),
        ("2019-06-01", None, None),
        ("1825:12:31 23:59:59", None, None),
        ("2101:01:01 00:00:00", None, None),
        ("0001:01:01 00:00:00", "+14:00", None),
        ("9999:12:31 23:59:59", "-12:00", None),
        ("", None, None),
    ],
)
def test_the_clock_of_the_camera(stamp: str, offset: Any, expected: datetime | None) -> None:
    assert time(stamp, offset) == expected


@pytest.mark.parametrize(
    "stamp",
    [
        "2019-06-01 12:00:00",
        "2019-06-01T12:00:00",
        "2019: 6: 1 12: 0: 0",
        "2019/06/01 12:00:00",
        "2019:06:01 12:00:00.25",
        "2019:06:01 12:00:00,250",
        "2019:06:01  12:00:00\0",
        "2019:06:01 12:00",
        "2019:6:1 12:0:0",
        "2019-06-01T15:00:00+03:00",
        "2019-06-01T15:00:00+0300",
        "2019:06:01 12:00:00Z",
    ],
)
def test_spellings_of_the_camera_s_time(stamp: str) -> None:
    assert time(stamp) == datetime(2019, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "zeros", ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "\0" * 20, "2019:00:00 12:00:00", 7, b"\0", (1, 2)]
)
def test_a_time_of_zeros_does_not_hide_a_good_one(zeros: Any) -> None:
    good = datetime(2004, 1, 2, 3, 4, 5, tzinfo=UTC)
    digitized: dict[int, Any] = {
        ExifTags.Base.DateTimeOriginal: zeros,
        ExifTags.Base.DateTimeDigitized: "2004:01:02 03:04:05",
    }
    assert time(zeros, base="2004:01:02 03:04:05") == good
    assert told({ExifTags.Base.DateTime: zeros}, digitized).taken_at == good
    assert time(zeros) is None


@pytest.mark.parametrize("day", ["1970:01:01", "1980:01:06", "1980:01:01", "1989:12:31", "2003:03:08", "2003:03:09"])
def test_a_gps_clock_that_was_never_set_or_fell_back_does_not_outweigh_the_camera(day: str) -> None:
    """2003-03-08 is 1,024 weeks before the camera's 2022-10-22."""
    gps: dict[int, Any] = {GPS.GPSDateStamp: day, GPS.GPSTimeStamp: (10, 0, 0)}
    camera: dict[int, Any] = {ExifTags.Base.DateTimeOriginal: "2022:10:22 16:28:39"}
    assert told({}, camera, gps).taken_at == datetime(2022, 10, 22, 16, 28, 39, tzinfo=UTC)
    assert told({}, {}, gps).taken_at == (
        datetime(2003, 3, int(day[-2:]), 10, tzinfo=UTC) if day.startswith("2003") else None
    )


def test_the_zone_of_each_time_is_its_own() -> None:
    tags_: dict[int, Any] = {ExifTags.Base.OffsetTimeOriginal: "+05:00", ExifTags.Base.OffsetTime: "+03:00"}
    facts = told({ExifTags.Base.DateTime: "2004:01:02 12:00:00"}, tags_)
    assert facts.taken_at == datetime(2004, 1, 2, 9, tzinfo=UTC)


def test_the_time_of_the_file_stands_in() -> None:
    assert time(base="2004:01:02 03:04:05") == datetime(2004, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert time("2003:01:02 03:04:05", base="2004:01:02 03:04:05") == datetime(2003, 1, 2, 3, 4, 5, tzinfo=UTC)


# --- heading and accuracy


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (IFDRational(9150, 100), 91.5),
        (0, 0.0),
        (360, 0.0),
        (359.99, 359.99),
        ("91.5", 91.5),
        ((IFDRational(9150, 100),), 91.5),
        (IFDRational(0, 0), None),
        (361, None),
        (-1, None),
        (float("inf"), None),
        ((1, 2), None),
        ("north", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("reference", ["T", "T\0", b"t", None, 7])
def test_headings(value: Any, expected: float | None, reference: Any) -> None:
    assert told(gps={GPS.GPSImgDirection: value, GPS.GPSImgDirectionRef: reference}).heading == expected
    assert told(gps={GPS.GPSImgDirection: value, GPS.GPSImgDirectionRef: "M"}).heading is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (IFDRational(48, 10), 4.8),
        (65, 65.0),
        ("4.8", 4.8),
        (0, None),
        (-3, None),
        (IFDRational(1, 0), None),
        (b"", None),
    ],
)
def test_accuracy_of_a_place(value: Any, expected: float | None) -> None:
    assert told(gps={**degrees(), GPS.GPSHPositioningError: value}).position_accuracy_m == expected
    assert told(gps={GPS.GPSHPositioningError: value}).position_accuracy_m is None


# --- text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Ayşe", "Ayşe"),
        ("AyÅ\x9fe Ã\x96z", "Ayşe Öz"),  # UTF-8 read as Latin-1
        ("Müller", "Müller"),
        (b"Ay\xc5\x9fe\0\0", "Ayşe"),
        ("Ayşe".encode("utf-16"), "Ayşe"),
        ("Ayşe".encode("utf-16").decode("latin-1"), "Ayşe"),
        ("\ufeffAyşe".encode("utf-16-be").decode("latin-1") + "\0\0", "Ayşe"),
        ("Ayşe".encode("utf-8-sig").decode("latin-1"), "Ayşe"),
        ("ÿþ is no mark of order: ş", "ÿþ is no mark of order: ş"),
        (b"M\xfcller", "M�ller"),
        ("  two \n\t words\0\0 ", "two words"),
        ("\x1b[2J\x07", "[2J"),
        ("half \ud800", "half ?"),
        ("نستعلیق \u200c می\u200cخواهم", "نستعلیق \u200c می\u200cخواهم"),
        ("", None),
        ("\0\0", None),
        ("   ", None),
        (None, None),
        (7, None),
        (("a",), None),
        ("x" * 10_000, "x" * 300),
    ],
)
def test_texts(value: Any, text: str | None) -> None:
    assert clean_text(value) == text


@given(st.text(alphabet=st.characters()) | st.binary())
def test_every_text_is_fit_to_store(value: str | bytes) -> None:
    text = clean_text(value)
    if text is not None:
        assert text
        assert len(text) <= 300
        assert text == text.strip()
        text.encode()
        json.dumps(text)
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


def test_author_and_title_come_along() -> None:
    facts = told({ExifTags.Base.Artist: "Ara G\xc3\xbcler", ExifTags.Base.ImageDescription: "Galata\0"})
    assert facts == ExifFacts(author="Ara Güler", title="Galata")


# --- anything at all

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=12)
    | st.datetimes().map(lambda moment: moment.strftime("%Y:%m:%d %H:%M:%S"))
    | st.sampled_from(["N", "S", "E", "W", "0001:01:01", "9999:12:31", "+14:00", "-12:00", b"N\0"])
    | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: IFDRational(*pair)),
    lambda inner: st.tuples(inner, inner, inner) | st.lists(inner, max_size=4).map(tuple),
    max_leaves=6,
)


def tags(*names: int) -> st.SearchStrategy[dict[int, Any]]:
    return st.dictionaries(st.sampled_from(names), VALUES)


@given(
    tags(ExifTags.Base.Artist, ExifTags.Base.ImageDescription, ExifTags.Base.DateTime),
    tags(ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    tags(*list(GPS)[:8], GPS.GPSDateStamp, GPS.GPSImgDirection, GPS.GPSHPositioningError),
)
def test_no_values_raise(base: dict[int, Any], camera: dict[int, Any], gps: dict[int, Any]) -> None:
    facts = told(base, camera, gps)
    assert (facts.latitude is None) == (facts.longitude is None)
    if facts.latitude is not None and facts.longitude is not None:
        assert -90 <= facts.latitude <= 90
        assert -180 <= facts.longitude <= 180
    assert facts.heading is None or 0 <= facts.heading < 360
    assert facts.position_accuracy_m is None or 0 < facts.position_accuracy_m < float("inf")
    assert facts.taken_at is None or (facts.taken_at.tzinfo is UTC and 1826 <= facts.taken_at.year <= 2100)


@given(st.binary(max_size=300))
def test_no_exif_block_raises(photo_bytes: PhotoBytes, block: bytes) -> None:
    data = photo_bytes(exif=None)
    marker = b"\xff\xe1" + (len(block) + 8).to_bytes(2, "big") + b"Exif\0\0" + block
    with quiet_decoders(), Image.open(io.BytesIO(data[:2] + marker + data[2:])) as image:
        assert isinstance(read_exif(image), ExifFacts)


def test_through_a_real_file(photo_bytes: PhotoBytes) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Zeynep"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:02:29 10:00:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(degrees((38.0, 37.0, 29.28), "N", (34.0, 42.0, 51.12), "E"))
    with Image.open(io.BytesIO(photo_bytes(exif=exif))) as image:
        facts = read_exif(image)
    assert (facts.latitude, facts.longitude) == pytest.approx((38.6248, 34.7142))
    assert facts.taken_at == datetime(2020, 2, 29, 10, tzinfo=UTC)
    assert facts.author == "Zeynep"


def test_no_exif_tells_nothing(photo_bytes: PhotoBytes) -> None:
    with Image.open(io.BytesIO(photo_bytes())) as image:
        assert read_exif(image) == NOTHING


# --- real cameras


def facts_of(path: Path) -> ExifFacts:
    with quiet_decoders(), Image.open(path) as image:
        return read_exif(image)


def test_every_camera_is_read(real_data: Path) -> None:
    paths = [path for path in sorted((real_data / "exif").rglob("*")) if path.is_file()]
    found = {path.name: facts_of(path) for path in paths}
    assert len(paths) >= 100
    assert sum(facts.taken_at is not None for facts in found.values()) >= 50
    for facts in found.values():
        assert facts.taken_at is None or 1990 < facts.taken_at.year < 2030
        assert (facts.latitude, facts.longitude) != (0, 0)


def test_gps_of_real_cameras(real_data: Path) -> None:
    paths = sorted((real_data / "exif" / "cameras" / "jpg" / "gps").glob("*.jpg"))
    found = {path.name: facts_of(path) for path in paths}
    assert len(found) == 9
    for facts in found.values():
        assert (facts.latitude, facts.longitude) == pytest.approx((43.4675, 11.8822), abs=0.02)
        assert facts.taken_at is not None
        assert facts.taken_at.date().isoformat() == "2008-10-22" or facts.taken_at.date().isoformat() == "2008-10-23"
    assert found["DSCN0010.jpg"].latitude == pytest.approx(43.46744833)
    assert found["DSCN0010.jpg"].longitude == pytest.approx(11.88512664)
