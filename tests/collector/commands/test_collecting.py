"""The commands that collect, as a person meets them: what they refuse before any work, what they show, what they print."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from collector import front_door
from collector.catalogue.catalogue import SCHEMA_VERSION
from collector.catalogue.ledger import Coverage
from collector.collecting.collect import Summary
from collector.collecting.estimate import Plan
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import deal
from collector.sandbox.scenes import region_text
from collector.sandbox.server import Sandbox, Trouble, serving
from collector.workspace import Workspace, create_workspace, exclusive
from tests.collector.collecting.sandboxed import FOR_EVER, check_no_key, lead_to

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs t15 in a folder of its own, without settings: it gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("T15_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = front_door.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    # Rows are lost by dice that the second of the question throws: what a test finds must not hang on the clock.
    with serving(deal(2, 2, 24), limits=Limits(row_loss=0, total_error=0), pictures="pool") as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """Return the sandbox, in order; its region file lies in the folder where t15 runs."""
    del run  # which takes other settings away
    server.change(Trouble())
    server.requests.clear()
    lead_to(server, monkeypatch)
    (tmp_path / "region.toml").write_text(region_text(2), encoding="utf-8")
    return server


def collect(provider: str, *options: object) -> Sequence[object]:
    return ("collect", "--provider", provider, "--region", "region.toml", *options)


def check_one_line(complaint: str) -> None:
    assert complaint.startswith("t15: ")
    assert complaint.count("\n") == 1


# --- refused before any work


@pytest.mark.parametrize(
    ("provider", "variable", "where"),
    [
        ("flickr", "T15_FLICKR_KEY", "https://www.flickr.com/services/apps/create"),
        ("mapillary", "T15_MAPILLARY_TOKEN", "https://www.mapillary.com/dashboard/developers"),
        ("streetview", "T15_GOOGLE_KEY", "https://console.cloud.google.com/google/maps-apis/credentials"),
    ],
)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    variable: str,
    where: str,
    value: str | None,
) -> None:
    if value is not None:
        monkeypatch.setenv(variable, value)
    for more in ([], ["--dry-run"]):
        code, out, complaint = run("collect", "--provider", provider, *more)
        assert (code, out) == (4, "")
        check_one_line(complaint)
        assert variable in complaint
        assert where in complaint
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--provider", "flikr"],
            r"'flikr' is unknown \(did you mean 'flickr'\?\); there are commons, flickr, folder,",
        ),
        (["--provider", "xyz"], r"'xyz' is unknown; there are commons"),
        (["--licence", "cc-by-4"], r"'cc-by-4' is unknown \(did you mean 'CC-BY-4.0'"),
        (["--licence", "redistributible"], r"did you mean 'redistributable'"),
        (["--licence", ","], r"--licence is empty"),
        (["--provider", "folder"], r"--root DIR"),
        (["--city", "Ankar"], r"did you mean 'ankara'"),
        (["--region", "turkiye16"], r"turkiye15"),
        (["--target", "-1"], r"--target"),
        (["--geo-accuracy", "17"], r"--geo-accuracy"),
        (
            ["--provider", "commons", "--root", "."],
            r"--root: is a folder of your own, and --provider commons a service",
        ),
        (["--table", "photos.csv"], r"--table: tells of the photos of a folder; say which with --root DIR"),
        (["--root", ".", "--table", "none.csv"], r"none.csv: there is no such file"),
        (["--root", "nowhere"], r"--root nowhere: no such folder"),
        (["--root", ".", "--column", "city=stadt"], r"--column: says what the columns of --table FILE are"),
        (["--root", ".", "--root-licence", "mine"], r"'mine' is unknown.*LicenseRef-NAME for one of your own"),
    ],
)
def test_options_that_mean_nothing(run: Run, tmp_path: Path, options: list[str], said: str) -> None:
    code, out, complaint = run("collect", *options)
    assert (code, out) == (2, "")
    check_one_line(complaint)
    assert re.search(said, complaint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("provider", "variable"),
    [("commons", "T15_COMMONS_URL"), ("flickr", "T15_FLICKR_URL"), ("streetview", "T15_STREETVIEW_URL")],
)
@pytest.mark.parametrize("value", ["nonsense", "ftp://example.org/", "https://user:secret@example.org/", "http://a b/"])
def test_an_address_that_is_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, variable: str, value: str
) -> None:
    for key in ("T15_FLICKR_KEY", "T15_GOOGLE_KEY"):
        monkeypatch.setenv(key, "0" * 32)
    monkeypatch.setenv(variable, value)
    code, _, complaint = run("collect", "--provider", provider)
    assert code == 2
    check_one_line(complaint)
    assert f"{variable}: must be the address of a service, such as https://" in complaint
    assert "secret" not in complaint
    assert not list(tmp_path.iterdir())


def test_a_catalogue_of_a_newer_t15_is_left_alone(run: Run, sandbox: Sandbox) -> None:
    assert run(*collect("commons", "--target", 1))[0] == 0
    file = Path("workspace/catalogue.sqlite")
    with sqlite3.connect(file) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = {
        path: path.read_bytes() for path in Path("workspace").rglob("*") if path.suffix != ".lock" and path.is_file()
    }
    sandbox.requests.clear()
    for command in (collect("commons"), ("coverage",), ("rejected",)):
        code, out, complaint = run(*command)
        assert (code, out) == (3, "")
        check_one_line(complaint)
        assert f"catalogue.sqlite: was written by a newer t15 (schema {SCHEMA_VERSION + 1}" in complaint
    after = {
        path: path.read_bytes() for path in Path("workspace").rglob("*") if path.suffix != ".lock" and path.is_file()
    }
    assert after == before
    assert not sandbox.requests


def test_a_catalogue_in_use_says_by_whom(run: Run, sandbox: Sandbox) -> None:
    with exclusive(create_workspace(Path("workspace"))):
        code, _, complaint = run(*collect("commons"))
    assert code == 5
    check_one_line(complaint)
    assert f"in use by process {os.getpid()}" in complaint
    assert not sandbox.requests


# --- what is shown


def test_plan_estimates_and_does_nothing_else(run: Run, sandbox: Sandbox) -> None:
    for provider, most in (("commons", 60), ("flickr", 12), ("streetview", 0)):
        sandbox.requests.clear()
        code, out, _ = run(*collect(provider, "--dry-run", "--json"))
        plans = json.loads(out)
        assert (code, set(plans)) == (0, {"quellmora", "tufgrad"})
        for slug, plan in plans.items():
            assert set(plan) == set(Plan.__annotations__)
            held = len(sandbox.holdings.what(provider, slug).collectable) if provider != "streetview" else 0
            assert plan["photos"] is None if provider == "streetview" else held <= plan["photos"] <= 3 * held + 10
        assert sum(sandbox.requests.values()) <= most
        code, out, _ = run(*collect(provider, "--dry-run"))
        assert code == 0
        assert re.search(r"listing: \d+ requests \(\d+ % of the hourly quota\), about .*, plus downloads", out)
    assert not Path("workspace").exists()


def test_collect_coverage_and_rejected(run: Run, sandbox: Sandbox) -> None:
    code, out, progress = run(*collect("flickr", "--target", 6, "--json"))
    summary = json.loads(out)
    assert (code, set(summary)) == (0, set(Summary.__annotations__))
    assert summary["by_city"] == {"quellmora": 6, "tufgrad": 6}
    assert "listing Quellmora" in progress
    code, out, _ = run(*collect("flickr", "--target", 0))
    assert code == 0
    assert re.search(r"^read \d+: \d+ new, 12 known already, \d+ rejected", out)
    assert re.search(r"  rejected, placeholder: \d+\n", out)
    assert "`t15 rejected` names them" in out

    code, out, _ = run("coverage", "--json")
    cities = json.loads(out)
    assert [(city["provider"], city["city"], city["complete"]) for city in cities] == [
        ("flickr", "quellmora", True),
        ("flickr", "tufgrad", True),
    ]
    assert all(set(city) == set(Coverage.__annotations__) for city in cities)
    table = run("coverage")[1].splitlines()
    assert table[0].split()[:4] == ["provider", "city", "reported", "listed"]
    assert re.search(r"\d{4}-\d\d-\d\d$", table[2])  # the day from which a re-run asks

    code, out, _ = run("rejected", "--json")
    refused = json.loads(out)
    assert code == 0
    assert {"placeholder", "gone", "noai", "not-a-photo", "outside-city"} <= {one["reason"] for one in refused}
    assert all(set(one) == {"photo_id", "reason", "detail", "city"} for one in refused)
    assert len(run("rejected")[1].splitlines()) == len(refused) + 2


def test_a_lower_geo_accuracy_asks_again_for_what_was_too_rough(run: Run, sandbox: Sandbox) -> None:
    """The option reaches what the planner remembers of its question, so that the whole city is listed afresh."""

    def rough() -> set[str]:
        rejected = json.loads(run("rejected", "--json")[1])
        return {one["photo_id"] for one in rejected if one["reason"] == "imprecise-location"}

    run(*collect("flickr", "--target", 0))
    before = rough()
    assert before
    sandbox.requests.clear()
    assert run(*collect("flickr", "--target", 0, "--geo-accuracy", 15))[0] == 0
    assert rough() > before
    assert run(*collect("flickr", "--target", 0, "--geo-accuracy", 1))[0] == 0
    assert not before & rough()


def test_what_was_given_up_is_asked_again_by_its_reason(run: Run, sandbox: Sandbox) -> None:
    assert run(*collect("flickr", "--target", 0))[0] == 0
    gone = [one for one in json.loads(run("rejected", "--json")[1]) if one["reason"] == "gone"]
    assert gone
    sandbox.requests.clear()
    assert run(*collect("flickr", "--target", 0, "--retry", "gone"))[0] == 0
    assert sandbox.requests["flickr.picture"] == len(gone)
    code, out, complaint = run(*collect("flickr", "--retry", "gine"))
    assert (code, out) == (2, "")
    check_one_line(complaint)
    assert "--retry gine" in complaint
    assert "did you mean 'gone'" in complaint


def test_what_stopped_is_shown_and_goes_on(run: Run, sandbox: Sandbox) -> None:
    down = Trouble(1.0, kinds=("rate-limited",), endpoints=("commons.geosearch",), in_a_row=FOR_EVER, retry_after=3600)
    sandbox.change(down)
    code, out, complaint = run(*collect("commons"))
    assert (code, out) == (5, "")
    assert re.search(
        r"t15: commons: \d cells? of Quellmora (is|are) still to be listed .* again in 60 min\n$", complaint
    )
    code, out, _ = run("coverage")
    assert (code, re.search(r"quellmora .*4 open cells", out) is not None) == (0, True)
    sandbox.change(Trouble())
    code, out, _ = run(*collect("commons", "--target", 3))
    assert code == 0
    assert re.search(r"quellmora +3\n", out)


@pytest.mark.parametrize("provider", ["flickr", "streetview"])
@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_a_refused_key_is_never_shown(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: str, options: list[str]
) -> None:
    """Not even in the traceback that --verbose adds."""
    variable = {"flickr": "T15_FLICKR_KEY", "streetview": "T15_GOOGLE_KEY"}[provider]
    monkeypatch.setenv(variable, "wrong-key-0123456789")
    code, out, complaint = run(*collect(provider), *options)
    assert code == 4
    assert variable in complaint
    assert "wrong-key" not in out + complaint
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"wrong-key" in path.read_bytes()]
    check_no_key([out, complaint], tmp_path)


def test_street_view_says_what_its_terms_allow(run: Run, sandbox: Sandbox) -> None:
    code, out, progress = run(*collect("streetview", "--target", 2, "--city", "Quellmora", "--json"))
    assert (code, json.loads(out)["by_city"]) == (0, {"quellmora": 2})
    assert "Google's terms do not let Street View pictures be stored or passed on" in progress


# --- the sandbox as a command


def test_sandbox_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """What it prints is a shell's input: after it, the command that it names collects."""
    command = [sys.executable, "-m", "t15", "sandbox", "--port", "0", "--photos", "8", "--trouble", "0.05"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        of_cities = [line for line in said.splitlines() if "sandbox-land" not in line]
        exports = "\n".join(line for line in of_cities if line.startswith(("export", "t15 collect")))
        exports = exports.replace("t15 collect", f"{sys.executable} -m t15 collect --target 2 --city quellmora --json")
        done = subprocess.run(["sh", "-ec", exports], cwd=tmp_path, capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode in (0, 130)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["by_city"] == {"quellmora": 2}
    assert Workspace(tmp_path / "sandbox").catalogue.exists()


def test_a_folder_with_a_table_from_the_first_time_to_the_second(
    run: Run, tmp_path: Path, photo_bytes: Callable[..., bytes]
) -> None:
    for number, name in enumerate(("bolu/1.jpg", "bolu/2.jpg", "x/3.jpg")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(photo_bytes(number, (96, 96)))
    table = tmp_path / "photos" / "table.csv"
    table.write_text("datei,ort,licence\nbolu/1.jpg,Ankara,CC0\nbolu/2.jpg,Van,LicenseRef-Mine\ngone.jpg,Van,CC0\n")
    command = (
        "collect",
        "--root",
        tmp_path / "photos",
        "--table",
        table,
        "--column",
        "file=datei",
        "--column",
        "city=ort",
    )
    code, out, _ = run(*command, "--dry-run")
    assert (code, Path("workspace").exists()) == (0, False)
    assert "read 4: 2 new" in out
    assert "dry run: nothing was kept" in out
    code, out, said = run(*command)
    assert code == 0
    assert "read 4: 2 new, 0 known already, 2 rejected" in out
    assert "table: 3 rows, 1 row without a file, 3 files, 1 file without a row" in out
    assert "table.csv: 3 rows; columns: file from datei, city from ort, license from licence (" in said
    table.write_text("datei,ort,licence\nbolu/1.jpg,Ankara,CC BY 4.0\nbolu/2.jpg,Ankara,LicenseRef-Mine\n")
    assert json.loads(run(*command, "--dry-run", "--json")[1])["relabelled"] == 1
    code, out, _ = run(*command)
    assert code == 0
    assert "read 3: 0 new, 2 known already, 1 rejected" in out
    assert "of the known ones 1 are described otherwise now: licence 1" in out
    assert "of the known ones 1 are of another city now" in out
    summary = json.loads(run(*command, "--json")[1])
    assert (summary["updated"], summary["relabelled"], summary["by_city"]["ankara"]) == (0, 0, 2)
    assert summary["table"] == {"rows": 2, "rows without a file": 0, "files": 3, "files without a row": 1}


def test_folders_that_are_cities_of_another_region(run: Run, tmp_path: Path, photo_bytes: Callable[..., bytes]) -> None:
    (tmp_path / "photos" / "Sivas").mkdir(parents=True)
    (tmp_path / "photos" / "Sivas" / "1.jpg").write_bytes(photo_bytes(1, (96, 96)))
    code, _, said = run("collect", "--root", tmp_path / "photos", "--region", "turkiye15")
    assert code == 3
    assert "1 folder name is a city of turkiye81, not of turkiye15: --region turkiye81" in said


def test_a_folder_without_a_photo_of_the_region_says_what_to_do(
    run: Run, tmp_path: Path, photo_bytes: Callable[..., bytes]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(photo_bytes(1, (96, 96)))
    code, _, said = run("collect", "--root", tmp_path / "photos", "--region", "turkiye15")
    assert code == 3
    assert (
        "the one file is no photo of a city of turkiye15: name the region whose cities they are of with --region"
        in said
    )
    (tmp_path / "photos" / "1.jpg").write_bytes(b"nothing")
    code, _, said = run("collect", "--root", tmp_path / "photos", "--region", "turkiye15")
    assert code == 3


def test_areas_are_cities(run: Run, tmp_path: Path, photo_bytes: Callable[..., bytes]) -> None:
    places = {"a": (41.05, 29.05), "b": (41.05, 29.12), "c": (41.05, 29.15), "out": (41.15, 29.05)}
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(places):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(photo_bytes(number, (96, 96)))
    rows = [f"{name}.jpg,{lat},{lon}" for name, (lat, lon) in places.items()]
    (tmp_path / "photos.csv").write_text("file,lat,lon\n" + "\n".join(rows) + "\n")

    def ring(west: float, east: float) -> list[list[list[float]]]:
        return [[[west, 41.0], [east, 41.0], [east, 41.1], [west, 41.1], [west, 41.0]]]

    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": ring(west, east)},
        }
        for name, west, east in (("Broad", 29.0, 29.14), ("Narrow", 29.14, 29.16))
    ]
    (tmp_path / "two.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    options = ("--root", tmp_path / "photos", "--table", tmp_path / "photos.csv", "--area", tmp_path / "two.geojson")
    made = json.loads(run("collect", *options, "--json")[1])
    assert made["by_city"] == {"broad": 2, "narrow": 1}  # b is nearer to the middle of Narrow
    assert made["rejected"] == {"outside-area": 1} or made["rejected"] == {"no-city": 1}
    code, out, _ = run("split", "--fractions", "50/25/25", "--allow-empty-sides", "--no-near-duplicates", "--json")
    assert code == 0
    assert sum(sum(sides.values()) for sides in json.loads(out)["counts"].values()) == 3
    code, _, said = run("collect", *options, "--region", "turkiye81")
    assert (code, "both say where the cities are" in said) == (2, True)


def test_regions_are_made_and_written(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("cities", "--city", "Van,Konya", "--grid", "20", "--out", tmp_path / "mine.toml")
    assert code == 0
    assert "districts" in out
    made = json.loads(run("cities", "--region", tmp_path / "mine.toml", "--json")[1])
    assert ([city["slug"] for city in made["cities"]], bool(made["districts"])) == (["konya", "van"], True) or [
        city["slug"] for city in made["cities"]
    ] == ["van", "konya"]
    for options, words in (
        (("--out", tmp_path / "mine.toml"), "is there already"),
        (("--place", "Van", "--area", "x.geojson"), "choose one"),
        (("--area", "x.geojson", "--city", "Van"), "leave it out"),
        (("--area", tmp_path / "none.geojson"), "no such file"),
    ):
        code, _, said = run("cities", *options)
        assert (code, words in said) == (2, True), said
