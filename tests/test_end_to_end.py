"""The main job by its commands, on drawn photos and on real ones; the first steps by the installed command."""

import shutil
import socket
import subprocess
import sysconfig
from pathlib import Path

import pytest

from benchmark.methods.registry import choose
from collector.sandbox.scenes import World, draw_world
from tests import warm
from tests.in_process import t15, t15_json

T15 = Path(sysconfig.get_path("scripts")) / "t15"
CITIES = 3
PHOTOS = 60
KINDS = (
    *("tiny-64*", "hog-32*", "gist-64*", "sift-nbnn", "bow", "vlad", "scratch:resnet18"),
    *("features:*", "finetune-c:*", "finetune-classifier:alexnet/places365"),
)
"""Rows of every kind; the others differ from these in sizes, networks and weights."""

QUOTAS = ("--train", "10", "--val", "4", "--test", "4", "--drop-photos")


def own_process(folder: Path, program: str, *arguments: object) -> None:
    """Run t15 in `folder`, in a process of its own."""
    command = [program, *map(str, arguments)]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a small drawn world."""
    return draw_world(tmp_path_factory.mktemp("world"), seed=5, cities=CITIES, photos_per_city=PHOTOS)


@pytest.fixture(scope="module")
def house(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the drawn world was collected, cleaned and split."""
    folder = tmp_path_factory.mktemp("house")
    collect = ("collect", "--provider", "folder", "--root", world.root / "photos", "--region", world.region_file)
    own_process(folder, str(T15), *collect)  # as it is installed
    for command in (("dedup",), ("split", "--seed", "0", *QUOTAS)):
        own_process(folder, warm.t15(), *command)
    return folder


def test_every_drawn_file_is_accounted_for(world: World, tmp_path: Path) -> None:
    collect = ("collect", "--provider", "folder", "--root", world.root / "photos", "--region", world.region_file)
    summary = t15_json(tmp_path, *collect)
    assert summary["read"] == world.files
    assert summary["added"] + sum(summary["rejected"].values()) == world.files
    assert {"truncated", "empty", "unreadable", "animated", "too-small", "bomb", "no-city"} <= set(summary["rejected"])
    again = t15_json(tmp_path, *collect)
    assert (again["added"], again["known"], again["rejected"]) == (0, summary["added"], summary["rejected"])


def test_planted_copies_are_left_out(world: World, house: Path) -> None:
    found = t15_json(house, "dedup", "--dry-run")
    assert found["exact"] == len(world.planted["exact-copy"])
    assert found["conflict_groups"] == 1
    near = len(world.planted["near-duplicate"])
    assert near - 2 <= found["near"] <= near + 2


def test_same_catalogue_and_seed_give_the_same_bytes(house: Path, tmp_path: Path) -> None:
    t15(house, "split", "--seed", "0", *QUOTAS, "--manifests", tmp_path)
    for name in ("manifest.json", "photos.parquet"):
        assert (tmp_path / "sandbox/1.0.0" / name).read_bytes() == (
            house / "manifests/sandbox/1.0.0" / name
        ).read_bytes()


def test_splitting_again_changes_nothing_and_another_seed_makes_a_major_version(house: Path) -> None:
    assert t15_json(house, "split", "--seed", "0", *QUOTAS)["written"] is False
    other = t15_json(house, "split", "--seed", "1", *QUOTAS)
    assert (other["version"], other["written"]) == ("2.0.0", True)
    shutil.rmtree(house / "manifests/sandbox/2.0.0")


def test_verify_accepts_what_split_wrote_and_names_what_was_changed(house: Path, tmp_path: Path) -> None:
    published = house / "manifests/sandbox/1.0.0"
    assert t15_json(house, "verify", published)["photos"] == CITIES * 18
    changed = tmp_path / "changed"
    shutil.copytree(published, changed)
    header = changed / "manifest.json"
    header.write_text(header.read_text(encoding="utf-8").replace('"seed": 0', '"seed": 7'), encoding="utf-8")
    assert "manifest.json: was changed" in t15(house, "verify", changed, code=3).stderr


@pytest.mark.slow
def test_bench_and_leaderboard_end_to_end(house: Path) -> None:
    """Methods of the smoke tier; what ran before is skipped; the leaderboard needs no photos."""
    first = t15_json(house, "bench", "--method", KINDS[0], "--tier", "smoke")
    tiny, chosen = len(choose(KINDS[:1])), len(choose(KINDS))
    assert first["counts"] == {"done": tiny, "skipped": 0, "failed": 0, "missing": 0}
    everything = t15_json(house, "bench", *(f"--method={name}" for name in KINDS), "--tier", "smoke")
    assert everything["counts"] == {"done": chosen - tiny, "skipped": tiny, "failed": 0, "missing": 0}
    seeds = t15_json(house, "bench", "--method", "scratch:resnet18", "--tier", "smoke", "--seeds", "0,1")
    assert seeds["counts"] == {"done": 1, "skipped": 1, "failed": 0, "missing": 0}
    shutil.rmtree(house / "workspace/photos")
    board = t15_json(house, "leaderboard", "--out", "board")
    assert {row["method"] for row in board["rows"]} == {run["method"] for run in everything["runs"]}
    assert all(row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] for row in board["rows"])
    page = (house / "board/index.html").read_text(encoding="utf-8")
    assert "drawn" in page
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json"):
        assert (house / "board" / name).stat().st_size > 0


def test_the_owners_commands_say_what_is_missing(tmp_path: Path) -> None:
    """Without a service and without data there is nothing to do, and each command says so in one line."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/w/api.php"
    for command, code in (
        (("collect", "--city", "Nevsehir"), 5),
        (("split", "--seed", "0"), 3),
        (("bench", "--all"), 2),
    ):
        complaint = t15(tmp_path, *command, code=code, T15_COMMONS_URL=nobody).stderr
        complaint = "".join(line for line in complaint.splitlines(keepends=True) if not line.startswith("listing "))
        assert complaint.startswith("t15: ")
        assert complaint.count("\n") == 1


def test_the_owners_commands_work_as_they_stand(world: World, tmp_path: Path) -> None:
    """`split --seed 0` and `bench` take the workspace's region and the newest manifest without being told."""
    t15(tmp_path, "collect", "--provider", "folder", "--root", world.root / "photos", "--region", world.region_file)
    assert "missing" in t15(tmp_path, "split", "--seed", "0", code=3).stderr
    t15(tmp_path, "split", "--seed", "0", *QUOTAS)
    assert t15_json(tmp_path, "bench", "--method", "tiny-64+knn", "--tier", "smoke")["counts"]["done"] == 1


@pytest.mark.slow
def test_real_photos_end_to_end(real_data: Path, tmp_path: Path) -> None:
    """On three of seven capitals the chain runs as on drawn photos, and tiny images are above chance (1 in 3)."""
    centres = {"Lisboa": (38.7223, -9.1393), "London": (51.5074, -0.1278), "Moscow": (55.7558, 37.6173)}
    cities = [
        f'[[city]]\nname = "{name}"\nlatitude = {lat}\nlongitude = {lon}\nradius_km = 20\n'
        for name, (lat, lon) in centres.items()
    ]
    region = tmp_path / "capitals.toml"
    region.write_text('name = "capitals"\n' + "".join(cities), encoding="utf-8")
    collected = t15_json(
        tmp_path, "collect", "--provider", "folder", "--root", real_data / "capitals7", "--region", region
    )
    assert collected["read"] == 3080
    assert collected["added"] == 1319
    assert t15_json(tmp_path, "dedup")["exact"] == 10
    split = t15_json(tmp_path, "split", "--seed", "0")
    assert all(sides == {"train": 100, "val": 25, "test": 25} for sides in split["counts"].values())
    # 75 test photos cannot tell 40 % from chance with confidence; 870 can.
    t15(tmp_path, "split", "--seed", "0", "--test", "290", "--name", "large")
    t15(tmp_path, "bench", "--method", "tiny-64+knn")
    board = t15_json(tmp_path, "leaderboard")
    assert (board["name"], board["test_photos"]) == ("large", 870)
    assert board["rows"][0]["accuracy_low"] > 1 / 3
