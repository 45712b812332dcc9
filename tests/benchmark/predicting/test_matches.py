"""The page that shows why: drawn pairs, what is never drawn, hostile names."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.leaderboard.table import leaderboard
from benchmark.local.keypoints import Features
from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.predicting.answer import Answerer
from benchmark.predicting.drawing import drawn, spread
from benchmark.predicting.exporting import is_unkept, refitted
from benchmark.predicting.matches import MatchPages, far_text
from benchmark.predicting.page import as_html
from benchmark.predicting.read_image import Source, read_photo
from benchmark.results import finished_runs
from benchmark.runner import bench
from collector.manifest.header import Header
from collector.manifest.manifest import Manifest, build_manifest
from collector.records import City, Photo, ProviderTraits
from collector.workspace import Workspace
from tests.benchmark.conftest import png, store
from tests.benchmark.local.scenes import view

pytest.importorskip("cv2")
pytest.importorskip("poselib")


def scene(root: Path, service: str = "folder") -> tuple[Manifest, Workspace]:
    """Three places, two gallery photos and a query of each; the last query is of a place that is not there."""
    workspace = Workspace(root / "workspace")
    workspace.root.mkdir(parents=True)
    photos = []
    for place, camera, side in [
        *((p, c, "train") for p in range(3) for c in (0, 1)),
        (0, 7, "test"),
        (1, 7, "test"),
        (8, 7, "test"),
        (2, 5, "val"),
    ]:
        photos.append(
            Photo(
                photo_id=f"{service}:{place}-{camera}",
                city="north" if place > 1 else "south",
                latitude=40 + place / 1000,
                longitude=30.0,
                author_name="<script>alert(1)</script>",
                license="CC-BY-4.0",
                page_url="javascript:alert(1)",
                width=128,
                height=128,
                bytes=9,
                sha256=store(workspace, png(view(place, camera))),
                split=side,
            )
        )
    cities = (City("north", "North", 40.002, 30.0, 1.0), City("south", "South", 40.0, 30.0, 1.0))
    header = Header(
        name="small",
        version="1.0.0",
        region="small",
        title="",
        note="",
        seed=0,
        quotas={},
        rules={},
        cities=cities,
        protocol="place",
    )
    header = replace(header, provider_traits={"kept": ProviderTraits(pixels_may_be_kept=False)})
    return build_manifest(header, photos, "tests"), workspace


def page(manifest: Manifest, workspace: Workspace) -> str:
    tasks = plan(manifest, choose(["sift-nbnn+verify"]), [0], "smoke")
    assert [outcome.state for outcome in bench(manifest, workspace, tasks, "cpu")] == ["done"]
    return MatchPages(manifest, workspace).page(leaderboard(manifest, workspace.runs))


def test_queries_stand_beside_what_was_found(tmp_path: Path) -> None:
    text = page(*scene(tmp_path))
    right, wrong = text.split("<h3>Wrong</h3>")
    assert right.count("Query folder:") == 2
    assert wrong.count("Query folder:8-7") == 1
    assert text.count("data:image/jpeg") == 3 * 5
    assert "0 m away" in right
    assert "<script>" not in text
    assert "javascript:" not in text
    assert "&lt;script&gt;" in text


def test_photos_that_may_not_be_kept_are_never_drawn(tmp_path: Path) -> None:
    text = page(*scene(tmp_path, "kept"))
    assert "data:image" not in text
    assert "its service does not allow that" in text


def test_no_method_ranks(tmp_path: Path) -> None:
    manifest, workspace = scene(tmp_path)
    assert MatchPages(manifest, workspace).page(leaderboard(manifest, workspace.runs)) == ""


def asked(root: Path, manifest: Manifest, workspace: Workspace) -> str:
    """Return the page that explains an answer about another view of place 1, by a run that keeps no model."""
    tasks = plan(manifest, choose(["sift-nbnn+verify"]), [0], "smoke")
    assert [outcome.state for outcome in bench(manifest, workspace, tasks, "cpu")] == ["done"]
    (run,) = finished_runs(workspace.runs, manifest.digest)
    assert is_unkept(run, workspace)
    model, predictor = refitted(run, manifest, workspace, "cpu")
    answerer = Answerer(model, predictor=predictor)
    photo = root / "asked.png"
    photo.write_bytes(png(view(1, 8)))
    source = Source(photo.name, photo)
    before = sizes(workspace.root)
    explanation = answerer.explain(read_photo(source, answerer.side))
    assert explanation.heat_method == "keypoints"
    assert explanation.heat.max() == 1
    # Where its first photos of the gallery were taken, not the centre of their city, 111 m away.
    assert (explanation.answer.latitude, explanation.answer.longitude) == (40.001, 30.0)
    text = as_html(answerer, source, explanation, workspace)
    assert sizes(workspace.root) == before  # nothing of the photo stays
    return text


def sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*")}


def test_an_explanation_draws_the_photo_beside_the_first_of_the_gallery(tmp_path: Path) -> None:
    text = asked(tmp_path, *scene(tmp_path))
    pairs = text.split('<ol class="near paired">')[1].split("</ol>")[0].split("<li>")[1:]
    assert len(pairs) == 5
    assert all("data:image/jpeg" in pair for pair in pairs)
    assert {re.search(r"folder:(\d)-\d", pair)[1] for pair in pairs[:2]} == {"1"}  # type: ignore[index]
    assert all("matches that one move of the camera explains" in pair for pair in pairs[:2])
    assert "not verified" in pairs[-1]
    assert "<script>" not in text


def test_an_explanation_shows_no_pixels_that_may_not_be_kept(tmp_path: Path) -> None:
    text = asked(tmp_path, *scene(tmp_path, "kept"))
    pairs = text.split('<ol class="near paired">')[1].split("</ol>")[0]
    assert "data:image" not in pairs
    assert pairs.count("its service does not allow that") == 5


def test_lines_join_what_belongs_together() -> None:
    pictures = [Image.new("RGB", (200, 100)), Image.new("RGB", (100, 200))]
    points = [np.array([[100, 50, 1, 0]], np.float32), np.array([[50, 100, 1, 0]], np.float32)]
    features = [Features(np.zeros((1, 128), np.uint8), of) for of in points]
    both = drawn(pictures, features, np.array([[0, 0]], np.int32))
    assert both.size == (400 + 100, 200)
    assert both.getpixel((200, 100)) == both.getpixel((450, 100)) == both.getpixel((325, 100)) == (255, 196, 0)
    assert drawn(pictures, features, np.empty((0, 2), np.int32)).getextrema() == ((0, 0),) * 3
    both.save(BytesIO(), "JPEG")


def test_how_far_away() -> None:
    assert [far_text(km) for km in (0.0004, 0.0254, 0.9994, 1.4, 1135.6)] == [
        "0 m away",
        "25 m away",
        "999 m away",
        "1 km away",
        "1\u202f136 km away",
    ]
    assert far_text(float("nan")) == "place unknown"


def test_examples_are_spread() -> None:
    assert spread(np.arange(10), 3) == [0, 4, 9]
    assert spread(np.arange(2), 3) == [0, 1]
    assert spread(np.arange(0), 3) == []
