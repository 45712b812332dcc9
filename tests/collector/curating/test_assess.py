"""A run over the catalogue: what is written down, what is not measured again, what is taken back."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from PIL import Image

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.curating import assess as assessing
from collector.curating.assess import QualitySummary, assess, forget
from collector.curating.labels import FLAGS as LABEL_FLAGS
from collector.curating.quality import FLAGS
from collector.errors import IncompleteError
from collector.images.hashing import HASH_STAMP
from collector.images.validate import Limits, examine
from collector.records import City, Photo, Region
from collector.workspace import Workspace, exclusive, write_atomically
from tests.collector.curating.textures import texture

T = TypeVar("T")
CENTRE = (38.4942, 43.3832)


def put(workspace: Workspace, name: str, made: Image.Image, **more: Any) -> Photo:
    buffer = io.BytesIO()
    made.save(buffer, "JPEG", quality=90)
    found = examine(buffer.getvalue(), Limits())
    write_atomically(workspace.photo(found.sha256), buffer.getvalue())
    photo = Photo(f"made:{name}", "van", width=found.width, height=found.height, sha256=found.sha256)
    photo = replace(photo, phash=found.hashes.phash, dhash=found.hashes.dhash, **more)
    with open_catalogue(workspace) as catalogue:
        catalogue.add(photo, HASH_STAMP)
    return photo


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a workspace with an ordinary photo, a dark one, a grey strip, one at the centre, and a broken file."""
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(Region("one", "One", (City("van", "Van", *CENTRE, 15.0),)))
    plain = texture(1, (400, 300))
    put(workspace, "a", plain)
    put(workspace, "dark", plain.point(lambda level: level // 12))
    put(workspace, "strip", texture(2, (400, 100)).convert("L"))
    put(workspace, "centre", texture(3, (400, 300)), latitude=CENTRE[0], longitude=CENTRE[1])
    broken = put(workspace, "broken", texture(4, (400, 300)))
    workspace.photo(str(broken.sha256)).write_bytes(b"\xff\xd8\xff no picture")
    return workspace


def evidence(workspace: Workspace, stage: str = "quality") -> dict[str, dict[str, object]]:
    with open_catalogue(workspace) as catalogue:
        decisions = catalogue.decisions(stage)
    assert all((one.verdict, one.group_id) == ("keep", None) for one in decisions)
    return {one.photo_id: dict(one.evidence) for one in decisions}


def raised(found: dict[str, object]) -> set[str]:
    """Return the flags, all numbers of the top level: what the review takes for flags."""
    scores = {name: value for name, value in found.items() if isinstance(value, int | float)}
    assert all(0.5 <= score <= 1 for score in scores.values())
    return set(scores)


def by_flag(summary: QualitySummary) -> dict[str, int]:
    return {found.flag: found.photos for found in summary.flags if found.photos}


def test_what_is_written_down(filled: Workspace) -> None:
    summary = assess(filled)
    found = evidence(filled)
    assert {photo_id: raised(said) for photo_id, said in found.items()} == {
        "made:a": set(),
        "made:centre": set(),
        "made:dark": {"dark", "low-information", "greyscale"},  # 21 levels leave little colour
        "made:strip": {"odd-aspect", "greyscale", "tiny"},
    }
    assert set(evidence(filled, "labels")) == {"made:centre"}
    assert (summary.photos, summary.measured, summary.any_flag) == (5, 4, 3)
    assert [one.flag for one in summary.flags] == [*FLAGS, *LABEL_FLAGS]
    assert by_flag(summary) == {
        "dark": 1, "low-information": 1, "odd-aspect": 1, "greyscale": 2, "tiny": 1, "city-centre": 1,
    }  # fmt: skip
    worst = {one.flag: one.worst for one in summary.flags}
    assert worst["dark"] == (("made:dark", found["made:dark"]["dark"]),)
    assert worst["blurred"] == ()
    assert list(summary.unreadable) == ["made:broken"]
    assert "cannot identify" in summary.unreadable["made:broken"]
    json.dumps(found, allow_nan=False)


def test_nothing_is_left_out(filled: Workspace) -> None:
    assess(filled)
    with open_catalogue(filled) as catalogue:
        assert len(catalogue.clean()) == 5


def test_only_new_photos_are_measured(filled: Workspace) -> None:
    first = assess(filled)
    before = evidence(filled)
    again = assess(filled)
    assert (first.measured, again.measured) == (4, 0)
    assert replace(again, measured=4) == first
    put(filled, "new", texture(9, (300, 200)))
    assert assess(filled).measured == 1
    after = evidence(filled)
    assert after.pop("made:new")
    assert after == before


def test_other_bytes_or_another_version_are_measured_again(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assess(filled)
    put(filled, "a", texture(1, (400, 300)).point(lambda level: level // 12))
    assert assess(filled).measured == 1
    assert "dark" in evidence(filled)["made:a"]
    monkeypatch.setattr(assessing, "QUALITY_STAMP", "quality 0")
    assert assess(filled).measured == 4
    assert all(str(found["stamp"]).startswith("quality 0, of ") for found in evidence(filled).values())


def test_photos_that_are_gone_lose_their_flags(filled: Workspace) -> None:
    assess(filled)
    with open_catalogue(filled) as catalogue:
        photo = catalogue.photo("made:dark")
        assert photo
        catalogue.list_photo(photo)
    assert by_flag(assess(filled)).get("dark") is None
    assert "made:dark" not in evidence(filled)


def test_a_file_that_is_missing_is_tried_again(filled: Workspace) -> None:
    with open_catalogue(filled) as catalogue:
        photo = catalogue.photo("made:dark")
        assert photo
    path = filled.photo(str(photo.sha256))
    content = path.read_bytes()
    path.unlink()
    assert assess(filled).unreadable["made:dark"] == "the file is missing"
    path.write_bytes(content)
    assert assess(filled).measured == 1


def test_a_dry_run_writes_nothing(filled: Workspace) -> None:
    expected = assess(filled, dry_run=True)
    assert evidence(filled) == evidence(filled, "labels") == {}
    assert assess(filled) == expected
    before = evidence(filled)
    put(filled, "new", texture(9, (300, 200)))
    assert assess(filled, dry_run=True).measured == 1
    assert evidence(filled) == before


def test_forgetting(filled: Workspace) -> None:
    word = Decision("made:a", "reject", None, {})
    with open_catalogue(filled) as catalogue:
        catalogue.decide("review", [word])
    assess(filled)
    assert forget(filled) == 4
    assert evidence(filled) == evidence(filled, "labels") == {}
    with open_catalogue(filled) as catalogue:
        assert catalogue.decisions("review") == [word]
    assert forget(filled) == 0
    assert assess(filled).measured == 4


def test_a_stopped_run_goes_on_from_where_it_was(filled: Workspace) -> None:
    def stopping(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        assert (description, total) == ("measuring", 5)
        for number, item in enumerate(items):
            if number == 3:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        assess(filled, stopping, block_size=1)
    assert len(evidence(filled)) == 2  # a, centre (broken has none)
    assert assess(filled).measured == 2
    assert len(evidence(filled)) == 4


def test_an_empty_workspace(workspace: Workspace) -> None:
    summary = assess(workspace)
    assert (summary.photos, summary.measured, summary.any_flag, by_flag(summary)) == (0, 0, 0, {})


def test_only_one_at_a_time(filled: Workspace) -> None:
    for work in (assess, forget):
        with exclusive(filled), pytest.raises(IncompleteError, match="in use by process"):
            work(filled)
    assert evidence(filled) == {}


def test_amending_leaves_others(workspace: Workspace) -> None:
    one, two = Decision("made:1", "keep", None, {"dark": 0.6}), Decision("made:2", "keep", None, {})
    with open_catalogue(workspace) as catalogue:
        catalogue.decide("quality", [one, two])
        catalogue.decide("dedup", [one])
        changed = replace(two, evidence={"dark": 1.0})
        catalogue.amend("quality", [changed])
        assert catalogue.decisions("quality") == [one, changed]
        assert catalogue.decisions("dedup") == [one]
