"""The page of photos × runs: what is in it, whose pictures are not, and that strangers' words stay text."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.leaderboard.explorer import MOST_RUNS, explorer, why_not_shown
from benchmark.results import Predictions, save_run
from collector import front_door
from collector.errors import UsageError
from collector.manifest.manifest import Manifest, build_manifest, write_manifest
from collector.records import Photo, ProviderTraits
from collector.workspace import Workspace
from tests.benchmark.conftest import World, make_world
from tests.benchmark.leaderboard import CAPITALS, add_run, add_world_runs, run_of, world_manifest
from tests.benchmark.leaderboard.test_pooled import folds

HOSTILE = "</script><img src=x onerror=alert(1)>"


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_has_every_photo_and_every_run(tmp_path: Path) -> None:
    manifest = world_manifest(CAPITALS, test=4)
    add_world_runs(tmp_path / "runs", manifest, methods=4, seeds=2)
    page = explorer([manifest], Workspace(tmp_path))
    assert (page.photos, page.runs, page.pictures, page.left_out) == (28, 4, 0, [])
    assert page.unshown == {"not in the workspace": 28}
    data = data_of(page.html)
    assert [photo[0] for photo in data["photos"]] == [photo.photo_id for photo in manifest.photos("test")]
    shares = [run["right"] for run in data["runs"]]
    assert shares == sorted(shares, reverse=True)
    for run in data["runs"]:
        right = sum(a == photo[1] for a, photo in zip(run["labels"], data["photos"], strict=True))
        assert right / 28 == pytest.approx(run["right"], abs=1e-4)
        assert all(0 < sure <= 1 for sure in run["confidence"])
        answers = zip(run["km"], run["labels"], data["photos"], strict=True)
        assert all((km < 25) == (label == photo[1]) for km, label, photo in answers)


def test_it_asks_nobody(tmp_path: Path) -> None:
    manifest = world_manifest(CAPITALS, test=1)
    add_world_runs(tmp_path / "runs", manifest, methods=2, seeds=1)
    html = explorer([manifest], Workspace(tmp_path)).html
    assert "default-src 'none'" in unescape(html)
    assert not re.findall(r'(?:src|href)="(?!data:)', html)


def placed(world: World, **changes: Any) -> Manifest:
    photos = [photo for side in ("train", "val", "test") for photo in world.photos(side)]
    return build_manifest(world.manifest.header, [replace(photo, **changes) for photo in photos], "tests")


def answering(world: World, manifest: Manifest, **changes: Any) -> None:
    """Save a run that gives every photo to the first city."""
    ids = [photo.photo_id for photo in manifest.photos("test")]
    shares = np.tile(np.array([0.8, 0.1, 0.1], np.float32), (len(ids), 1))
    save_run(world.workspace.runs, run_of(manifest, "m", **changes), Predictions(ids, shares))


def test_strangers_words_stay_text_and_pictures_are_small(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    manifest = placed(world, title=HOSTILE, author_name=HOSTILE, license="CC-BY-4.0", page_url="javascript:alert(1)")
    answering(world, manifest, title=HOSTILE)
    page = explorer([manifest], world.workspace, side=24)
    assert page.pictures == 6
    assert HOSTILE not in page.html
    photo = data_of(page.html)["photos"][0]
    assert photo[3] == HOSTILE
    assert photo[6] == ""
    assert photo[7].startswith("/9j/")  # a JPEG
    assert explorer([manifest], world.workspace, side=0).unshown == {"not asked for": 6}


def test_pictures_that_may_not_be_passed_on_are_not_shown(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    header = replace(
        world.manifest.header,
        provider_traits={"streetview": ProviderTraits(pixels_may_be_kept=False, licence="LicenseRef-GoogleStreetView")},
    )
    manifest = replace(world.manifest, header=header)

    def why(photo_id: str, license: str) -> str:
        return why_not_shown(Photo(photo_id=photo_id, city="a", license=license), manifest)

    assert why("streetview:x@90", "CC-BY-4.0") == "their service does not allow it"
    assert why("other:x", "LicenseRef-GoogleStreetView") == "their service does not allow it"
    assert why("flickr:1", "CC-BY-ND-4.0").startswith("their licence does not allow it (`t15 explore --private`")
    assert why("flickr:1", "LicenseRef-NobodyKnows").startswith("their licence is unknown")
    assert why("folder:1", "LicenseRef-Unknown").startswith("their licence is unknown")
    assert why("flickr:1", "CC-BY-SA-4.0") == ""
    unknown = placed(world)
    answering(world, unknown)
    assert explorer([unknown], world.workspace).pictures == 0
    assert "Private:" in explorer([unknown], world.workspace, private=True).html
    assert (
        why_not_shown(Photo("streetview:x@90", city="a"), manifest, private=True) == "their service does not allow it"
    )
    assert why_not_shown(Photo("folder:1", city="a"), manifest, private=True) == ""


def test_all_folds_are_on_one_page(tmp_path: Path) -> None:
    made = folds()
    for manifest in made:
        add_run(tmp_path / "runs", manifest, "whole", 9)
    add_run(tmp_path / "runs", made[0], "part", 9)
    page = explorer(made, Workspace(tmp_path))
    assert (page.photos, page.runs, page.left_out) == (45, 1, ["The part"])
    assert data_of(page.html)["runs"][0]["right"] == pytest.approx(27 / 45)


def test_too_many_runs_and_none(tmp_path: Path) -> None:
    manifest = world_manifest(CAPITALS, test=1)
    with pytest.raises(UsageError, match="holds no run"):
        explorer([manifest], Workspace(tmp_path))
    add_world_runs(tmp_path / "runs", manifest, methods=MOST_RUNS + 2, seeds=1)
    page = explorer([manifest], Workspace(tmp_path))
    assert (page.runs, len(page.left_out)) == (MOST_RUNS, 2)


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = world_manifest(CAPITALS, test=1)
    add_world_runs(tmp_path / "workspace/runs", manifest, methods=2, seeds=1)
    write_manifest(manifest, tmp_path / "manifests/world/1.0.0")
    options = ["--workspace", str(tmp_path / "workspace"), "--out", str(tmp_path / "page.html"), "--json"]
    assert front_door.run(["explore", str(tmp_path / "manifests/world/1.0.0"), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["photos"], told["runs"], told["file"]) == (7, 2, str(tmp_path / "page.html"))
    assert data_of((tmp_path / "page.html").read_text())["labels"][0] == "Berlin"
