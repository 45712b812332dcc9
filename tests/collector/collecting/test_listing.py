"""What a listing writes down of one thing, beside what earlier listings said of it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.listing import write_down
from collector.records import City, Photo, Region, Unusable
from collector.workspace import create_workspace

WEST, EAST = City("west", "West", 40.0, 30.0, 30.0), City("east", "East", 40.0, 30.2, 30.0)
REGION = Region("two", "Two", (WEST, EAST))
ROUGH = Unusable("flickr:1", "imprecise-location", "accuracy 12, 15 is asked for", "west")
IN_EAST = Photo("flickr:1", "west", latitude=40.0, longitude=30.19)


@pytest.mark.parametrize(("looked_at", "reason"), [(0, "outside-city"), (1, "imprecise-location")])
def test_the_same_listing_judges_anew_what_no_bytes_decided(tmp_path: Path, looked_at: int, reason: str) -> None:
    """A lower --geo-accuracy finds a photo exact enough, and nearer to another city: the old reason holds no more."""
    rejected: Counter[str] = Counter()
    with open_catalogue(create_workspace(tmp_path)) as catalogue:
        catalogue.reject(ROUGH, attempts=looked_at)
        write_down(catalogue, REGION, IN_EAST, rejected)
        assert [(one.reason, one.city) for one in catalogue.rejections()] == [(reason, "west")]
    assert not +rejected  # it was not new


def test_another_citys_listing_says_nothing_of_what_this_one_rejected(tmp_path: Path) -> None:
    with open_catalogue(create_workspace(tmp_path)) as catalogue:
        catalogue.reject(ROUGH)
        write_down(catalogue, REGION, Unusable("flickr:1", "outside-city", "50 km away", "east"), Counter())
        assert catalogue.rejections() == [ROUGH]
        write_down(catalogue, REGION, replace(IN_EAST, city="east"), Counter())
        assert catalogue.rejections() == []
        assert catalogue.known("flickr:1") is not None
