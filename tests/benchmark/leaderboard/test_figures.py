"""The pictures: all six, of the page's colours and with words for who does not see them, the same every time."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from benchmark.leaderboard.drawing import Picture
from benchmark.leaderboard.figures import pictures, spaced
from benchmark.leaderboard.rows import Leaderboard
from benchmark.leaderboard.table import leaderboard
from tests.benchmark.leaderboard import CAPITALS, add_run, add_world_runs, manifest_of, world_manifest

NAMES = ["accuracies", "cities", "map", "confusion", "speed", "reliability"]
EVIL = "<script>alert(1)</script> $\\frac{1}{2}$ & 漢字"


def element_of(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - it was drawn here


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    places = {**CAPITALS, "paris": (EVIL, 48.86, 2.35)}
    manifest = world_manifest(places, test=10)
    runs = tmp_path_factory.mktemp("runs")
    add_world_runs(runs, manifest, methods=5, seeds=2)
    add_run(runs, manifest, "evil", 20, title=EVIL, paper={"table": "I", "row": "x", "accuracy": 40.0})
    return leaderboard(manifest, runs)


@pytest.fixture(scope="module")
def drawn(board: Leaderboard) -> list[Picture]:
    return pictures(board)


def test_all_six_with_words(drawn: list[Picture]) -> None:
    assert [picture.name for picture in drawn] == NAMES
    for picture in drawn:
        assert picture.title
        assert len(picture.caption) > 40
        assert len(picture.alternative) > 40


def test_each_is_an_element_that_follows_the_page(drawn: list[Picture]) -> None:
    for picture in drawn:
        root = element_of(picture.svg)
        assert root.tag == "svg"
        assert set(root.attrib) == {"viewBox", "class", "aria-hidden", "focusable"}
        assert not re.search("http|metadata|font-family|<style", picture.svg)
        assert set(re.findall(r"#[0-9a-f]{6}\b", picture.svg)) == set()  # every colour is the page's
        assert len(picture.svg) < 200_000
        assert all(element.attrib.get("id", picture.name).startswith(picture.name) for element in root.iter())


def test_names_are_text(drawn: list[Picture]) -> None:
    by_name = {picture.name: picture for picture in drawn}
    for name in ("accuracies", "cities", "confusion", "map"):
        texts = [element.text or "" for element in element_of(by_name[name].svg).iter("text")]
        assert any(text.startswith("<scri") for text in texts), name
        assert "<script" not in by_name[name].svg


def test_the_same_bytes_whatever_the_readers_settings(board: Leaderboard, drawn: list[Picture]) -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert [picture.svg for picture in pictures(board)] == [picture.svg for picture in drawn]


def test_confusion_and_speed_say_the_commonest_and_the_unbeaten(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "slow", 9, seconds={"fit": 99.0, "predict": 1.0})
    add_run(tmp_path, manifest, "fast", 6, seconds={"fit": 0.5, "predict": 0.5})
    add_run(tmp_path, manifest, "beaten", 3, seconds={"fit": 5.0, "predict": 0.0})
    add_run(tmp_path, manifest, "as-good", 6, seconds={"fit": 50.0, "predict": 0.0})
    add_run(tmp_path, manifest, "theirs", 9, origin="submission", seconds={})
    by_name = {picture.name: picture for picture in pictures(leaderboard(manifest, tmp_path))}
    assert "1 The fast (1.0 s, 40.0 %); 2 The slow (2 min, 60.0 %)." in by_name["speed"].caption
    assert "beaten" not in by_name["speed"].caption
    assert "confusion: 2 of 5 photos of Bursa are taken for Istanbul" in by_name["confusion"].caption
    assert "map" not in by_name  # all three cities are said to be at one place


def test_labels_alone_have_no_confidence(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "labels", 9, origin="submission", parameters={"answers": "labels"}, seconds={})
    assert [one.name for one in pictures(leaderboard(manifest, tmp_path))] == ["accuracies", "cities", "confusion"]


def test_extremes_are_drawn(tmp_path: Path) -> None:
    """Nothing right, everything right, no time known, one method."""
    for number, (right, seconds) in enumerate(((0, {"fit": 0.0, "predict": 0.0}), (15, {"fit": 1e-4, "predict": 0.0}))):
        manifest = manifest_of()
        add_run(tmp_path / str(number), manifest, "only", right, seconds=seconds)
        made = [picture.name for picture in pictures(leaderboard(manifest, tmp_path / str(number)))]
        assert made == [name for name in NAMES if name != "map" and (name != "speed" or right)]


def test_nothing_ran_nothing_is_drawn(tmp_path: Path) -> None:
    assert pictures(leaderboard(manifest_of(), tmp_path)) == []


def test_names_of_curves_stand_apart() -> None:
    assert spaced([90, 89, 50, 49.5], 4) == [90, 86, 50, 46]
