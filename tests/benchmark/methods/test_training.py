"""What a method learns from: every fact of the manifest in its row."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from benchmark.methods.training import training_photos
from benchmark.photos import WorkspacePhotos
from collector.manifest.manifest import build_manifest
from tests.benchmark.conftest import World


def test_every_fact_lies_in_the_photos_row(world: World) -> None:
    first, second, third, *rest = world.photos("train")
    first = replace(first, latitude=1.5, longitude=-2.5, heading=90.0, author_id="a", sequence_id="s")
    second = replace(second, author_id="b", taken_at=datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    third = replace(third, author_id="a", sequence_id="t")
    others = [*world.photos("val"), *world.photos("test")]
    manifest = build_manifest(world.manifest.header, [first, second, third, *rest, *others], "tests")
    training = training_photos(manifest, "train", WorkspacePhotos(world.workspace))
    assert training.ids == tuple(photo.photo_id for photo in manifest.photos("train"))
    row = {photo_id: number for number, photo_id in enumerate(training.ids)}
    one, two, three, other = (row[photo.photo_id] for photo in (first, second, third, rest[0]))
    assert training.places[one].tolist() == [1.5, -2.5]
    assert training.headings[one] == 90.0
    assert training.times[two] == 60.0
    assert training.authors[one] == training.authors[three] != training.authors[two]
    assert min(training.authors[one], training.authors[two]) >= 0
    assert training.sequences[one] != training.sequences[three]
    for values in (training.authors, training.sequences):
        assert values[other] == -1
    for numbers in (training.headings, training.times, training.places[:, 0]):
        assert np.isnan(numbers[other])
    assert [training.label_set.ids[label] for label in training.labels] == [
        photo.city for photo in manifest.photos("train")
    ]
    assert training.protocol == "city"


def test_authors_of_two_services_are_two(world: World) -> None:
    photos = [photo for side in ("train", "val", "test") for photo in world.photos(side)]
    first, second = world.photos("train")[:2]
    named = {first.photo_id: replace(first, author_id="x"), second.photo_id: replace(second, author_id="x")}
    named[second.photo_id] = replace(named[second.photo_id], photo_id="flickr:1")
    changed = [named.get(photo.photo_id, photo) for photo in photos]
    training = training_photos(
        build_manifest(world.manifest.header, changed, "tests"), "train", WorkspacePhotos(world.workspace)
    )
    assert len({author for author in training.authors if author >= 0}) == 2
