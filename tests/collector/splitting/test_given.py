"""A split of somebody else's: whose photos a table means, on which side, and what is told of the rest."""

from pathlib import Path

import pytest

from collector.collecting.collect import collect
from collector.curating.duplicates import dedup
from collector.errors import DataError, UsageError
from collector.images.validate import Limits
from collector.manifest.manifest import read_manifest
from collector.providers.folder import FolderProvider
from collector.regions import region
from collector.splitting.audit import audit_manifest
from collector.splitting.candidates import Wanted
from collector.splitting.given import GivenSplit, GivenTable, split_given
from collector.workspace import Workspace, create_workspace
from tests.conftest import PhotoBytes

REGION = region("turkiye15")
FILES = ("ankara/1.jpg", "ankara/2.jpg", "ankara/3.jpg", "van/1.jpg", "van/copy of 1.jpg", "van/4.jpg")


@pytest.fixture
def workspace(tmp_path: Path, photo_bytes: PhotoBytes) -> Workspace:
    """A workspace with six photos of two cities, one of them twice."""
    root = tmp_path / "photos"
    for number, name in enumerate(FILES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(photo_bytes(3 if "copy" in name else number, (64, 64)))
    workspace = create_workspace(tmp_path / "workspace")
    collect(workspace, REGION, REGION.cities, FolderProvider(root, REGION, "CC0-1.0"), limits=Limits(min_side=32))
    return workspace


def given(workspace: Workspace, text: str, columns: dict[str, str] | None = None, **of: object) -> GivenSplit:
    path = workspace.root.parent / "split.csv"
    path.write_text(text, encoding="utf-8")
    named = {name: of.pop(name) for name in ("protocol", "val_share", "seed") if name in of}
    table = GivenTable(path, columns or {}, **named)  # type: ignore[arg-type]
    return split_given(workspace, workspace.root.parent / "manifests", table, **of)  # type: ignore[arg-type]


def sides(made: GivenSplit) -> dict[str, str]:
    rows = made.manifest.table.to_pylist()
    return {f"{row['city']}/{row['title']}": row["split"] for row in rows}


ALL = "path,label,set\n" + "".join(
    f"data/{name},{name.partition('/')[0].title()},{side}\n"
    for name, side in zip(FILES, ("Train", "dev", "TEST", "training", "test", "val"), strict=True)
)


def test_a_table_is_taken_as_it_is(workspace: Workspace) -> None:
    dedup(workspace)
    made = given(workspace, ALL)
    assert sides(made) == dict(zip(FILES, ("train", "val", "test", "train", "test", "val"), strict=True))
    assert (made.rows, made.missing, made.other_city, made.unused) == (6, (), (), 0)
    assert made.against_decisions == {"dedup": 1}  # the copy, which stays where the table puts it
    assert made.columns == {"file": "path", "split": "set", "city": "label"}
    header = made.manifest.header
    assert (header.rules["mode"], header.rules["table"], header.rules["missing"]) == ("given", "split.csv", 0)
    assert read_manifest(made.folder).digest == made.manifest.digest
    assert not given(workspace, ALL).written
    found = audit_manifest(made.manifest)
    assert (found.verdict, found.claims.kinds) == ("leak", ())
    assert {leak.kind for leak in found.leaks} >= {"bytes", "near-duplicate"}


def test_rows_by_id_and_by_digest(workspace: Workspace) -> None:
    first = {row["title"]: row for row in given(workspace, ALL).manifest.table.to_pylist() if row["city"] == "ankara"}
    by_id = f"photo_id,split\n{first['1.jpg']['photo_id']},train\n{first['2.jpg']['photo_id']},test\n"
    assert sides(given(workspace, by_id)) == {"ankara/1.jpg": "train", "ankara/2.jpg": "test"}
    by_digest = f"sha256,split\n{first['1.jpg']['sha256'].upper()},train\n"
    assert sides(given(workspace, by_digest)) == {"ankara/1.jpg": "train"}


def test_what_does_not_meet_is_told(workspace: Workspace) -> None:
    made = given(workspace, "file,city,split\nankara/1.jpg,Van,train\nankara/9.jpg,,test\nvan/4.jpg,Nowhere,test\n")
    assert made.missing == ("ankara/9.jpg",)
    assert made.other_city == ("ankara/1.jpg: Van, here ankara", "van/4.jpg: Nowhere, here van")
    assert made.unused == 4
    assert made.without == {"train": ["van"], "val": ["ankara", "van"], "test": ["ankara"]}


def test_a_file_of_two_folders_is_not_guessed(workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    first = {row["title"]: row["photo_id"] for row in given(workspace, ALL).manifest.table.to_pylist()}
    other = tmp_path / "others"
    for number, name in enumerate(("ankara/1.jpg", "deep/ankara/2.jpg"), start=20):
        (other / name).parent.mkdir(parents=True)
        (other / name).write_bytes(photo_bytes(number, (64, 64)))
    collect(workspace, REGION, REGION.cities, FolderProvider(other, REGION, "CC0-1.0"), limits=Limits(min_side=32))
    with pytest.raises(DataError, match=r"line 2: ankara/1\.jpg is a file of 2 folders that were collected"):
        given(workspace, "file,split\nankara/1.jpg,train\n")
    (row,) = given(workspace, "file,split\nankara/2.jpg,train\n").manifest.table.to_pylist()
    assert row["photo_id"] == first["2.jpg"]  # its whole path, not the end of another's


def test_galleries_and_queries(workspace: Workspace) -> None:
    made = given(workspace, "file,role\nankara/1.jpg,database\nankara/2.jpg,query\n", protocol="place")
    assert (sides(made), made.manifest.header.protocol) == ({"ankara/1.jpg": "train", "ankara/2.jpg": "test"}, "place")


def test_title_and_note(workspace: Workspace) -> None:
    header = given(workspace, ALL, wanted=Wanted(title="Two towns", note="Taken by hand.")).manifest.header
    assert (header.title, header.note) == ("Two towns", "Taken by hand.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "file,city\nankara/1.jpg,Ankara\n",
            "no column tells the side; name it with --column split=NAME; it has file, city",
        ),
        ("name,split\nankara/1.jpg,train\n", "no column tells the photo; name it with --column file=NAME"),
        ("file,split\nankara/1.jpg,blue\n", "line 2, column split: 'blue' is none of train, val, test"),
        ("file,split\nankara/1.jpg,\n", "line 2, column split: must not be missing"),
        ("file,split\n1.png,train\n", "none of its 1 rows names a photo of turkiye15"),
        (
            "file,split\nankara/1.jpg,train\nphotos/ankara/1.jpg,test\n",
            "line 3 puts photos/ankara/1.jpg on test, line 2 on train",
        ),
        ("file,split\n", "has no rows"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_is_told(workspace: Workspace, text: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        given(workspace, text)
    assert said in str(caught.value)


def test_what_there_is_not(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"column 'place' is not one of photo_id, sha256, file, split, city"):
        given(workspace, ALL, {"place": "label"})
    with pytest.raises(UsageError, match=r"has no column 'side' to be split"):
        given(workspace, ALL, {"split": "side"})


def test_validation_from_training_photos(workspace: Workspace) -> None:
    rows = "".join(f"{name},{'test' if name.endswith('4.jpg') else 'train'}\n" for name in FILES)
    made = given(workspace, f"file,split\n{rows}", val_share=0.34, seed=1)
    assert made.manifest.header.rules["val_share"] == 0.34
    moved = {name for name, side in sides(made).items() if side == "val"}
    assert {name for name in moved if name.startswith("ankara")} != set()
    assert len([name for name in moved if name.startswith("ankara")]) == 1
    # The copies are one group of two, which is more than the one photo that is asked for: they stay together.
    assert not {"van/1.jpg", "van/copy of 1.jpg"} & moved
    assert sides(made)["van/4.jpg"] == "test"
    assert sides(given(workspace, f"file,split\n{rows}", val_share=0.34, seed=1)) == sides(made)
    with pytest.raises(UsageError, match="has validation photos of its own"):
        given(workspace, ALL, val_share=0.2)
    with pytest.raises(UsageError, match="give a share between 0 and 1"):
        given(workspace, f"file,split\n{rows}", val_share=1.5)
