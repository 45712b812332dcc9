"""The imaginary land by commands alone: photos and tiles from the sandbox, districts held out, cross-view and attributes."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.areas import as_toml
from collector.sandbox.land import LAND, REGION
from collector.sandbox.server import serve_forever
from tests.in_process import t15, t15_json


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What `t15 sandbox` says to export, while it serves; its files lie in the test's folder."""
    said: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        ready.set()

    arguments = (0, 0, 30, 0.0, tmp_path / "sandbox-region.toml", say, stop)
    server = threading.Thread(target=serve_forever, args=arguments, daemon=True)
    server.start()
    assert ready.wait(20)
    lines = [line.removeprefix("export ") for line in said[0].splitlines() if line.startswith("export ")]
    yield {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    stop.set()
    server.join(10)


def test_from_the_sandbox_to_a_board(tmp_path: Path, exports: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**exports, "T15_GEODATA": str(tmp_path / "geodata")}.items():
        monkeypatch.setenv(name, value)
    cities = LAND[:2]
    labels = tuple(label for label in REGION.labels if label.parent in {city.slug for city in cities})
    (tmp_path / "two.toml").write_text(as_toml(replace(REGION, cities=cities, labels=labels)), encoding="utf-8")
    t15(tmp_path, "collect", "--provider", "commons", "--region", "two.toml")
    split = ("--fractions", "60/20/20", "--hold-out-districts", "2", "--allow-empty-sides")
    held_out = t15_json(tmp_path, "split", "--region", "two.toml", *split)["held_out"]
    assert len(held_out) == 2
    for name in ("elevation", "warmth"):
        facts = ("--source", "t15", "--licence", "CC0-1.0")
        t15(tmp_path, "geodata", "bring", f"land_{name}", f"sandbox-layers/land_{name}.tif", *facts)
    t15(tmp_path, "geodata", "add", "land", "--layer", "land_elevation", "--layer", "land_warmth")
    tiles = ("--service", "sandbox-tiles.toml", "--zoom", "11")
    assert t15_json(tmp_path, "aerial", "fetch", "--region", "two.toml", *tiles)
    t15(tmp_path, "aerial", "add", "land", *tiles)
    methods = [word for name in ("workman2015", "lee2015") for word in ("--method", f"{name}:im2gps-colour")]
    level = ("--manifest", "land", "--level", "district")
    t15(tmp_path, "bench", *level, *methods, "--tier", "smoke")
    board = t15_json(tmp_path, "leaderboard", *level)
    assert {row["held_out"] for row in board["maps"]} == {True, False}
    assert {row["score"]["question"] for row in board["attributes"]} >= {"land_elevation, tails", "land_warmth, tails"}
    assert t15_json(tmp_path, "audit", "land")["verdict"] == "clean"
