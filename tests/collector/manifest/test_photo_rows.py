"""Photos as columns are the photos."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from collector.manifest.photo_rows import PhotoRows
from collector.records import Photo
from tests.conftest import MakePhoto


def test_rows_are_the_photos_in_order(make_photo: MakePhoto) -> None:
    photos = [make_photo(n) for n in range(20)] + [Photo("made:x", "van")]
    rows = PhotoRows.of(reversed(photos))
    assert list(rows) == photos
    assert (len(rows), rows[3], rows[-1]) == (21, photos[3], photos[20])
    assert list(rows[2:5]) == photos[2:5]
    assert list(rows[::-7]) == photos[::-7]
    assert PhotoRows.of(rows) is rows
    assert list(rows.where(np.arange(21) % 2 == 0)) == photos[::2]
    assert list(PhotoRows.of([])) == []


def test_times_of_other_zones_are_the_same_instant() -> None:
    there = datetime(2019, 5, 1, 15, 30, tzinfo=timezone(timedelta(hours=3)))
    (photo,) = PhotoRows.of([Photo("a:1", "van", taken_at=there)])
    assert photo.taken_at == there
    assert photo.taken_at.tzinfo == UTC or photo.taken_at.utcoffset() == timedelta(0)


def test_columns(make_photo: MakePhoto) -> None:
    photos = [make_photo(n, author_id=None if n == 2 else f"made:{n % 3}") for n in range(9)]
    photos += [make_photo(9, phash=None, latitude=None, longitude=None, taken_at=None)]
    rows = PhotoRows.of(photos)
    number, names = rows.coded("author_id")
    assert [names[at] if at >= 0 else None for at in number.tolist()] == [photo.author_id for photo in photos]
    assert rows.hashes("phash").tobytes().hex() == "".join(photo.phash or "0" * 16 for photo in photos)
    assert rows.is_known("phash").tolist() == [True] * 9 + [False]
    assert np.isnan(rows.numbers("latitude")).tolist() == [False] * 9 + [True]
    assert rows.whole("bytes").tolist() == [photo.bytes for photo in photos]
    moments = [int(photo.taken_at.timestamp() * 10**6 + 0.5) if photo.taken_at else 0 for photo in photos]
    assert np.allclose(rows.whole("taken_at"), moments, rtol=0, atol=1)
