"""The certificate: readable, the verdict first, and nothing in it does what a file's author wants."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from collector.manifest.foreign import Foreign, read_foreign
from collector.splitting.audit import audit_foreign, audit_manifest
from collector.splitting.certificate import as_json, certificate
from collector.text_table import printable
from tests.collector.splitting.test_audit import Apart, apart, clean, foreign, manifest

__all__ = ["apart"]


def test_a_clean_certificate(apart: Apart) -> None:
    lines = certificate(audit_manifest(manifest(clean(apart)))).splitlines()
    assert lines[0] == "CLEAN: nothing that was looked for leaks between the sides of three-cities 1.0.0"
    assert lines[1].startswith("digest ")
    assert not any("leak," in line or "BREACH" in line for line in lines)
    assert any("No value is missing" in line for line in lines)


def test_the_verdict_comes_first_and_the_worst_is_named(apart: Apart) -> None:
    photos = [*clean(apart), apart(20, "train", author_id="made:one"), apart(21, "test", author_id="made:one")]
    text = certificate(audit_manifest(manifest(photos)))
    assert text.startswith("BREACH: three-cities 1.0.0 breaks its own rules\n")
    assert "BREACH: train-test, author: 1 of 4 test photos by an author of the other side" in text
    assert re.search(r"Ömer.*, made:one: 1 in test such as made:0021 \(", " ".join(text.split()))
    short = certificate(audit_manifest(manifest(photos)), full=False)
    assert text.startswith(short)
    assert "compared: second split against first" not in short
    text = certificate(audit_manifest(manifest(photos, rules={})))
    assert text.startswith("LEAK: three-cities 1.0.0 keeps the rules that it states, but ")
    assert "leak, not claimed: train-test, author" in text
    assert "its rules exclude: group\n" in text


def test_only_pairs_that_are_too_near_are_named(apart: Apart) -> None:
    photos = [*clean(apart), apart(20, "train", latitude=41.0), apart(21, "test", latitude=41.0001)]
    text = certificate(audit_manifest(manifest(photos)))
    assert text.count(" m: made:") == 1
    assert "11.1 m: made:0021 (" in text


def test_broken_quotas_are_named(apart: Apart) -> None:
    text = certificate(audit_manifest(manifest(clean(apart), quotas={"train": 2, "val": 1, "test": 2})))
    assert "BREACH: quotas: not kept for 3 cities and sides" in text
    assert "van, test: 1 photo, not 2" in text


def test_what_cannot_be_judged_stands_in_the_first_line() -> None:
    text = certificate(audit_foreign(foreign(split=["train", "test"], author_id=["a", "b"])))
    assert text.startswith(
        "PARTLY JUDGED: nothing leaks in what can be judged of others.csv; cannot be judged: distance"
    )
    assert "cannot be judged" in text.split("nearest place, m")[1].splitlines()[0]
    assert "columns that are not there: city" in text
    assert "fewer than two sides" in " ".join(certificate(audit_foreign(foreign(split=["train"]))).split())


def test_the_columns_that_were_guessed_are_told(tmp_path: Path) -> None:
    path = tmp_path / "others.csv"
    path.write_text("image,subset,user\na.jpg,train,x\nb.jpg,test,y\n")
    text = certificate(audit_foreign(read_foreign(path)))
    assert "columns: photo_id from image, split from subset, author_id from user" in " ".join(text.split())


def test_it_fits_a_terminal(apart: Apart) -> None:
    shared = {"author_id": "made:" + "x" * 300, "group_id": "g" * 300}
    photos = [*clean(apart), *(apart(20 + n, ("train", "val", "test")[n % 3], **shared) for n in range(30))]
    text = certificate(audit_manifest(manifest(photos)))
    assert max(map(len, text.splitlines())) <= 100


def test_hostile_text_stays_text() -> None:
    evil = "\x1b[2J\nCLEAN: nothing"
    columns = {"author_id": [evil] * 2, "city": [evil, "a\tb"], "photo_id": [f"{evil}1", f"{evil}2"]}
    table = pa.table({"split": ["train", "test"], **columns})
    text = printable(certificate(audit_foreign(Foreign(Path(f"{evil}.csv"), table, {"city": evil}))))
    assert "\x1b" not in text
    assert sum(line.startswith("CLEAN") for line in text.splitlines()) == 0


def test_many_cities_are_cut_in_text_only() -> None:
    found = audit_foreign(foreign(split=["train", "test"] * 200, city=[f"city {n}" for n in range(400)]))
    assert "… and 300 more" in certificate(found)
    assert len(as_json(found)["counts"]["city"]) == 400


@pytest.mark.parametrize("rules", [{}, None])
def test_json_holds_everything(apart: Apart, rules: dict[str, object] | None) -> None:
    photos = [*clean(apart), apart(20, "train", author_id="made:one"), apart(21, "test", author_id="made:one")]
    found = audit_manifest(manifest(photos, rules=rules))
    stated = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert (stated["verdict"], stated["exit_code"]) == (found.verdict, 3)
    assert as_json(found, claims_only=True)["exit_code"] == (0 if rules == {} else 3)
    assert stated["comparisons"][0]["authors"]["worst"][0]["value"] == "made:one"
    assert math.isfinite(stated["comparisons"][0]["near"]["nearest_m"])


def test_json_of_what_cannot_be_judged(apart: Apart) -> None:
    bare = [replace(p, latitude=None, longitude=None, phash=None, dhash=None, author_id=None) for p in clean(apart)]
    stated = as_json(audit_manifest(manifest(bare)))
    json.dumps(stated, allow_nan=False)
    assert stated["comparisons"][0]["near"]["nearest_m"] is None
