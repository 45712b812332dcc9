"""`t15 split` and `t15 audit`: their options, what they say, how they end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.commands.splitting import parse_fractions
from collector.errors import UsageError
from collector.manifest.manifest import read_manifest
from collector.options import parse_columns
from tests.collector.cli import CITIES, QUOTAS, House, furnish, like, tree


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("furnished"))


@pytest.fixture
def house(furnished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    return like(furnished, tmp_path / "house", capsys)


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Return a house with a workspace and nothing in it: options are judged before anything is read."""
    (tmp_path / "workspace").mkdir()
    return House(tmp_path, capsys)


# --- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--paper", "--fractions", "70/15/15"], "--fractions and --paper: these are different splits"),
        (["--paper", "--kfold", "5"], "--kfold and --paper"),
        (["--kfold", "5", "--fractions", "70/15/15"], "--fractions and --kfold"),
        (["--fractions", "70/15/15", "--train", "4"], "--fractions: says how many photos each side gets"),
        (["--kfold", "3", "--test", "4"], "--kfold: says how many"),
        (["--kfold", "0", "--test", "4"], "--kfold: says how many"),
        (["--drop-photos", "--paper"], "--drop-photos: belongs to a split by numbers, not to --paper"),
        (["--drop-photos", "--fractions", "70/15/15"], "--drop-photos"),
        (["--extend", "x", "--paper"], "--extend: an earlier manifest cannot be extended with --paper"),
        (["--extend", "x", "--kfold", "3"], "--extend: an earlier manifest cannot be extended with --kfold"),
        (["--paper", "--no-authors"], "--paper: takes single photos at random"),
        (["--paper", "--min-distance", "9"], "--paper: takes single photos at random"),
        (["--kfold", "3", "--version", "2.0.0"], "--version: each fold"),
        (["--fractions", "70/20"], "write the shares of train, val and test"),
        (["--fractions", "70/20/20"], "the shares sum to 110"),
        (["--fractions", "a/b/c"], "write the shares"),
        (["--fractions", "nan/50/50"], "write the shares"),
        (["--fractions", "-10/60/50"], "write the shares"),
        (["--fractions", ""], "write the shares"),
        (["--kfold", "2"], "give at least 3"),
        (["--train", "0"], "train"),
        (["--min-distance", "-1"], "min-distance"),
        (["--min-distance", "nan"], "--min-distance"),
        (["--max-hours", "0"], "--max-hours 0: give hours above 0"),
        (["--extend", "nowhere"], "no such file or folder"),
        (["--region", "nowhere.toml"], "nowhere.toml"),
        (["--city", "atlantis"], "'atlantis' is not in sandbox"),
        ([*QUOTAS, "--version", "one"], "write it as major.minor.patch"),
        ([*QUOTAS, "--name", "../x"], "use small letters"),
    ],
)
def test_options_that_cannot_be(house: House, options: list[str], said: str) -> None:
    assert said in house.complaint("split", *options, code=2)
    assert not house.manifests.exists()


def test_fractions_are_read_as_people_write_them() -> None:
    assert parse_fractions("70/15/15") == {"train": 0.7, "val": 0.15, "test": 0.15}
    assert parse_fractions("0.8/0.1/0.1") == {"train": 0.8, "val": 0.1, "test": 0.1}
    assert sum(parse_fractions("33.3/33.3/33.4").values()) == pytest.approx(1)
    with pytest.raises(UsageError):
        parse_fractions("1/1/1")


def test_no_workspace_and_an_empty_one(empty: House, tmp_path: Path) -> None:
    assert "holds no photos yet" in empty.complaint("split", code=3)
    nowhere = House(tmp_path / "nowhere", empty.capsys)
    assert "no workspace at" in nowhere.complaint("split", code=2)
    assert not nowhere.root.exists()


def test_too_few_photos_say_what_is_possible(house: House) -> None:
    said = house.complaint("split", code=3)
    assert "the quotas need 150 clean photos a city: quellmora has 24 (126 missing)" in said
    assert "--train" in said


# --- what it makes


def test_a_split_and_its_words(house: House) -> None:
    out, err = house.run("split", *QUOTAS)
    assert "looked for copies first" in err
    assert "sandbox/1.0.0: written" in out
    assert "linked by" in out
    assert "`t15 audit " in out
    assert "proves" not in out  # the audit has not been made yet
    assert "with 8 test photos, a difference of two methods under 75.0 points cannot be seen" in out
    again, _ = house.run("split", *QUOTAS)
    assert "unchanged, is there already" in again


def test_the_same_for_programs(house: House) -> None:
    found = house.json("split", *QUOTAS, "--seed", "3", "--name", "mine")
    assert found["counts"] == {city: {"train": 8, "val": 4, "test": 4} for city in CITIES}
    assert (found["name"], found["version"], found["written"]) == ("mine", "1.0.0", True)
    assert found["digest"] == read_manifest(Path(found["folder"])).digest
    assert found["left_out"] == dict.fromkeys(CITIES, 8)
    assert set(found["groups"]) == {"groups", "spanning", "effects", "largest"}
    assert found["growth"] is None
    assert read_manifest(Path(found["folder"])).header.seed == 3


def test_rules_of_ones_own(house: House) -> None:
    found = house.json(
        "split", *QUOTAS, "--no-authors", "--no-panoramas", "--min-distance", "0", "--max-hours", "5", "--drop-photos"
    )
    stated = read_manifest(Path(found["folder"])).header.rules
    assert (stated["groups"]["authors"], stated["groups"]["panoramas"], stated["groups"]["near_duplicates"]) == (
        False,
        False,
        True,
    )
    assert (stated["groups"]["min_distance_m"], stated["groups"]["max_hours"], stated["drop_photos"]) == (0, 5, True)


def test_fractions_and_folds_and_paper(house: House) -> None:
    shares = house.json("split", "--fractions", "50/25/25", "--name", "shares")
    assert sum(sum(sides.values()) for sides in shares["counts"].values()) == 48
    folds = house.json("split", "--kfold", "3", "--name", "folded")
    assert [Path(fold["folder"]).parent.name for fold in folds] == [f"folded-fold-{n}-of-3" for n in (1, 2, 3)]
    text, _ = house.run("split", "--kfold", "3", "--name", "folded")
    assert text.count("unchanged, is there already") == 3
    assert (
        "pooled over the folds, with 48 test photos, a difference of two methods under 12.5 points cannot be seen"
        in text
    )
    for number, fold in enumerate(folds, start=1):
        for city, sides in fold["counts"].items():
            assert [str(number), city, *map(str, sides.values())] in [line.split() for line in text.splitlines()]
    paper, _ = house.run("split", *QUOTAS, "--paper", "--name", "as-in-2018")
    assert "single photos were assigned at random" in paper


def test_empty_sides_need_a_wish(house: House) -> None:
    """All photos nearer than 100 km: a city is one group."""
    for way in (("--fractions", "60/20/20"), ("--kfold", "3")):
        said = house.complaint("split", *way, "--min-distance", "100000", code=3)
        assert "its photos are one group" in said
        assert "--allow-empty-sides" in said
        assert not house.manifests.exists()
    out, err = house.run("split", "--fractions", "60/20/20", "--min-distance", "100000", "--allow-empty-sides")
    assert err.count("empty sides, as allowed: ") == 2
    assert "100.0%" in out  # of the one side that has all, beside what was asked for


def test_of_one_city_it_is_said_that_there_is_nothing_to_tell_apart(house: House) -> None:
    one = house.json("split", "--city", "Quellmora", "--dry-run", "--train", 4, "--val", 2, "--test", 2)
    assert set(one["counts"]) == {"quellmora"}
    _, err = house.run("split", "--city", "Quellmora", "--dry-run", "--train", 4, "--val", 2, "--test", 2)
    assert "`t15 bench` needs two cities to tell apart: `t15 split --protocol place`" in err


def test_one_city_only_and_a_region_file(house: House) -> None:
    region = house.root / "region.toml"
    found = house.json("split", *QUOTAS, "--city", "tufgrad", "--region", region, "--name", "one")
    assert set(found["counts"]) == {"tufgrad"}


# --- growing


def test_growing_keeps_what_the_parent_says(house: House) -> None:
    rules = ("--min-distance", "80", "--no-panoramas", "--seed", "5")
    first = house.json("split", "--train", "6", "--val", "3", "--test", "3", *rules)
    house.run(
        "collect", "--provider", "sandbox", "--region", house.root / "region.toml", "--target", 40, "--per-author", 4
    )
    second = house.json("split", "--extend", first["folder"], "--train", "10")
    header = read_manifest(Path(second["folder"])).header
    assert (second["version"], header.seed) == ("1.1.0", 5)
    assert header.quotas == {"train": 10, "val": 3, "test": 3}  # what is not given is the parent's
    assert (header.rules["groups"]["min_distance_m"], header.rules["groups"]["panoramas"]) == (80, False)
    assert header.parent == {"version": "1.0.0", "digest": first["digest"]}
    assert set(second["growth"]) == {"bridges", "retired", "gone"}
    text, _ = house.run("split", "--extend", second["folder"], "--no-authors", "--train", "12")
    assert "new, left out because they join two sides: 0" in text
    assert "earlier, no longer available: 0" in text
    third = read_manifest(house.manifests / "sandbox" / "1.2.0").header
    assert third.rules["groups"] == {**header.rules["groups"], "authors": False}
    compared = house.json("diff", first["folder"], second["folder"])
    assert (compared["extends"], compared["part"], compared["version_fault"]) == (True, "minor", "")


def test_fractions_grow_as_fractions(house: House) -> None:
    first = house.json("split", "--fractions", "60/20/20")
    again = house.json("split", "--extend", first["folder"])
    assert (again["written"], again["folder"]) == (False, first["folder"])
    # Numbers make it a split by numbers.
    smaller = house.complaint("split", "--extend", first["folder"], *QUOTAS, code=3)
    assert "more test photos already than the quota" in smaller


def test_what_cannot_be_extended(house: House, tmp_path: Path) -> None:
    paper = house.json("split", *QUOTAS, "--paper")
    said = house.complaint("split", "--extend", paper["folder"], code=2)
    assert "mode 'paper', which promises nothing that could be kept" in said
    exact = house.json("split", *QUOTAS, "--name", "exact")
    other = House(furnish(tmp_path / "other", photos=2), house.capsys)
    said = other.complaint("split", "--extend", exact["folder"], code=3)
    assert "are not in the workspace" in said
    assert "`t15 rehydrate` brings them" in said


def test_what_was_withdrawn_is_named(house: House) -> None:
    first = house.json("split", *QUOTAS)
    photo = read_manifest(Path(first["folder"])).photos("train")[0]
    house.run("withdraw", photo.photo_id)
    text, _ = house.run("split", "--extend", first["folder"])
    assert f"earlier, no longer available: 1 ({photo.photo_id})" in text
    assert "sandbox/2.0.0: written" in text


# --- audit


def test_audit_of_a_manifest(house: House) -> None:
    folder = house.json("split", *QUOTAS)["folder"]
    out, _ = house.run("audit", folder)
    assert out.startswith("CLEAN: ")
    found = house.json("audit", folder)
    assert (found["verdict"], found["exit_code"]) == ("clean", 0)
    # A wider distance than was claimed is a leak, and no broken promise.
    wide = house.json("audit", folder, "--min-distance", "20000", code=3)
    assert (wide["verdict"], wide["exit_code"]) == ("leak", 3)
    assert house.json("audit", folder, "--min-distance", "20000", "--claims-only")["exit_code"] == 0


def test_audit_of_one_in_paper_mode(house: House) -> None:
    folder = house.json("split", *QUOTAS, "--paper")["folder"]
    out, err = house.run("audit", folder, code=3)
    assert out.startswith("LEAK: ")
    assert err == ""  # a finding is a result and no error
    assert house.run("audit", folder, "--claims-only")[0].startswith("LEAK: ")


FOREIGN = "id,lat,lon,user,part\n1,41,29,anna,train\n2,42,30,bert,train\n3,41,29,carl,test\n4,43,31,anna,test\n"


def test_audit_of_somebodys_file(house: House, tmp_path: Path) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text(FOREIGN)
    columns = ("latitude=lat", "longitude=lon", "author_id=user", "split=part", "photo_id=id")
    options = [word for column in columns for word in ("--column", column)]
    out, _ = house.run("audit", file, *options, code=3)
    assert out.startswith("LEAK: ")
    assert "author" in out.split("\n\n")[0]
    clean = tmp_path / "clean.csv"
    clean.write_text(FOREIGN.replace("3,41,29,carl", "3,51,9,carl").replace("4,43,31,anna", "4,43,31,dora"))
    assert house.json("audit", clean, *options)["exit_code"] == 0


def test_audit_of_what_is_none(house: House, tmp_path: Path) -> None:
    assert "no such file or folder" in house.complaint("audit", tmp_path / "nowhere", code=2)
    folder = house.json("split", *QUOTAS)["folder"]
    assert "--column: is for a CSV or Parquet file" in house.complaint("audit", folder, "--column", "a=b", code=2)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    house.complaint("audit", tmp_path / "x.csv", code=3)
    (tmp_path / "y.csv").write_bytes(b"\xff\xfe\x00")
    house.complaint("audit", tmp_path / "y.csv", code=3)
    assert house.run("audit", f"{folder}/manifest.json")[0].startswith("CLEAN")


@pytest.mark.parametrize("given", [["lat"], ["=lat"], ["latitude="], ["a=b", "a=c"], [""]])
def test_columns_that_are_none(given: list[str]) -> None:
    with pytest.raises(UsageError, match="write it as latitude=lat, each once"):
        parse_columns(given)
    assert parse_columns(["a=b=c"]) == {"a": "b=c"}


# --- given splits, small cities, titles, pictures


def test_a_given_split_from_the_command_line(house: House, tmp_path: Path) -> None:
    ids = [photo.photo_id for photo in read_manifest(house.json("split", *QUOTAS)["folder"]).photos("train")]
    file = tmp_path / "theirs.csv"
    file.write_text(
        "id,part\n" + "".join(f"{id_},{'test' if n % 4 else 'train'}\n" for n, id_ in enumerate(ids)) + "x,test\n"
    )
    options = ("--given", file, "--column", "photo_id=id", "--column", "split=part", "--name", "theirs")
    out, said = house.run("split", *options, "--title", " Their  split ", "--note", "As they made it.")
    assert "theirs/1.0.0: written" in out
    assert "nothing is promised of a given split: `t15 audit" in out
    assert "without val photos: 2 of 2 cities (quellmora, tufgrad)" in out
    assert "rows; columns: photo_id from id, split from part" in said
    assert "rows whose photo is not in the workspace: 1 (x)" in said
    made = house.json("split", *options)
    assert (made["rows"], made["missing"], made["without"]["train"]) == (len(ids) + 1, ["x"], [])
    header = read_manifest(house.manifests / "theirs" / "1.0.0").header
    assert (header.title, header.note) == ("Their split", "As they made it.")
    assert "leave out what says how t15 splits" in house.complaint("split", *options, "--fractions", "70/15/15", code=2)
    assert "--column: says what" in house.complaint("split", "--column", "a=b", code=2)
    assert "--title: give at most" in house.complaint("split", "--title", "a\x1bb", code=2)


def test_small_cities_and_commas(house: House) -> None:
    assert "no city has so many clean photos" in house.complaint("split", "--min-photos", "1000", *QUOTAS, code=3)
    made = house.json("split", "--city", ",".join(CITIES), *QUOTAS, "--min-photos", "2")
    assert (set(made["counts"]), made["small_cities"]) == (set(CITIES), {})


def test_audit_reads_the_pictures(house: House, tmp_path: Path, photo_bytes: Callable[..., bytes]) -> None:
    for number, name in enumerate(("a.jpg", "b.jpg", "copy of a.jpg")):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(photo_bytes(0 if "copy" in name else number, (96, 96)))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8")
    file = tmp_path / "split.csv"
    file.write_text("path,split\na.jpg,train\nb.jpg,test\ncopy of a.jpg,test\nbroken.jpg,test\ngone.jpg,val\n")
    out, _ = house.run("audit", file, code=3)
    assert out.startswith("NOT JUDGED")
    assert "--root DIR reads the pictures" in " ".join(out.split())
    out, _ = house.run("audit", file, "--root", tmp_path / "photos", code=3)
    assert out.startswith("LEAK: ")
    assert "pictures of 3 of 5 rows were read; without one: 2 (gone.jpg, broken.jpg)" in " ".join(out.split())
    assert "no such folder" in house.complaint("audit", file, "--root", tmp_path / "nowhere", code=2)
    file.write_text("path,split\nx.jpg,train\n")
    assert "no row has its picture below" in house.complaint("audit", file, "--root", tmp_path / "photos", code=3)


# --- a dry run


@pytest.mark.parametrize("options", [QUOTAS, ["--kfold", "3"], ["--paper", *QUOTAS]])
def test_a_dry_run_says_what_the_split_would_be_and_writes_nothing(house: House, options: list[str]) -> None:
    before = tree(house.root)
    out, err = house.run("split", *options, "--dry-run")
    assert "looked for copies first" in err  # in a copy of the catalogue
    assert "would be written (dry run: nothing was)" in out
    assert "t15 audit" not in out
    planned = house.json("split", *options, "--dry-run")
    assert tree(house.root) == before
    made = house.json("split", *options)
    one = (planned[0], made[0]) if isinstance(made, list) else (planned, made)
    assert one[0]["digest"] == one[1]["digest"]
    assert one[0].get("written", False) is False
    assert "unchanged, is there already" in house.run("split", *options, "--dry-run")[0]


def test_a_dry_run_of_a_given_split(house: House, tmp_path: Path) -> None:
    house.run("split", *QUOTAS)
    house.run("export", house.manifests / "sandbox" / "1.0.0", "--out", tmp_path / "split.csv")
    before = tree(house.root)
    given = house.json("split", "--given", tmp_path / "split.csv", "--name", "theirs", "--dry-run")
    assert (given["written"], given["dry_run"], given["rows"]) == (False, True, 32)
    assert tree(house.root) == before


def test_a_dry_run_refuses_as_the_command_does(house: House) -> None:
    assert house.complaint("split", "--dry-run", code=3) == house.complaint("split", code=3)
