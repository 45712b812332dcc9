"""The page: whole, loads nothing, and shows hostile names as text."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmark.leaderboard.exports import write_leaderboard
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.rows import PAPER_NOTE, RANK_NOTE, VERDICT_NOTE, Leaderboard
from benchmark.leaderboard.table import leaderboard
from tests.benchmark.leaderboard import add_failure, add_run, manifest_of

VOID = {"meta", "link", "br", "hr", "img", "input"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-"


class Page(HTMLParser):
    """Reads a page, checks that its tags are balanced, and keeps its tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Return the attributes of the tags of this kind that have these attributes."""
        return [a for name, a in self.tags if name == tag and attributes.items() <= a.items()]


@pytest.fixture
def html(tmp_path: Path) -> str:
    manifest = manifest_of(names={"bursa": EVIL}, note=EVIL)
    paper = {"table": "I", "row": EVIL, "accuracy": 15.47}
    add_run(tmp_path, manifest, EVIL, 9, title=EVIL, paper=paper, parameters={"evil": EVIL}, device=EVIL)
    add_run(tmp_path, manifest, "second", 8, pretraining=EVIL, weights_licence=EVIL, selection=EVIL)
    add_run(tmp_path, manifest, "short", 8, tier="smoke", title="A short one")
    add_failure(tmp_path, manifest, "bad", EVIL)
    return as_html([leaderboard(manifest, tmp_path)])


def test_hostile_text_stays_text(html: str) -> None:
    page = Page(html)
    names = [name for name, _ in page.tags]
    assert not set(names) & {"img", "image", "iframe", "object", "form", "base", "a"}
    assert names.count("script") == names.count("style") == 1
    assert names[-1] == "script"
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in page.text


def test_nothing_is_loaded(html: str) -> None:
    page = Page(html)
    policy = str(page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"])
    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"{POLICY}{digest}'"
    assert "http:" not in html
    assert "https:" not in html
    assert not re.search(r"url\((?!#)|@import|srcset|fetch\(|XMLHttp|import\(", html)
    links = [str(value) for _, attributes in page.tags for key, value in attributes.items() if key in {"src", "href"}]
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert links[0] == "data:,"  # the empty icon that keeps a browser from asking for one
    assert {link.removeprefix("#") for link in links[1:]} | set(re.findall(r"url\(#([^)]*)\)", html)) <= ids


def test_the_page_is_accessible(html: str) -> None:
    page = Page(html)
    assert page.all("html", lang="en")
    assert len(page.all("table")) == len(page.all("caption")) == 7
    assert all(attributes.get("scope") in {"col", "row", "rowgroup"} for attributes in page.all("th"))
    assert all("aria-label" in a or a.get("aria-hidden") == "true" for a in page.all("svg"))
    assert all("role" in a for _, a in page.tags if "aria-label" in a and a.get("scope") is None)
    ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(a["aria-labelledby"]) for _, a in page.tags if "aria-labelledby" in a} <= set(ids)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_numbers_and_notes(tmp_path: Path) -> None:
    manifest = manifest_of(region="turkiye15")
    add_run(tmp_path, manifest, "knn", 9, paper={"table": "I", "row": "tiny", "accuracy": 15.47}, title="Neighbours")
    for seed in (0, 1):
        add_run(tmp_path, manifest, "net", 8 - 2 * seed, seed=seed, stochastic=True, peak_memory_mib=2048.0)
    page = Page(as_html([leaderboard(manifest, tmp_path)]))
    for expected in ("60.0", "35.7 to 80.2", "15.47", "33.3 %", "± 9.4 over seeds", "2.0 GiB", "3.0 s"):
        assert expected in page.text
    assert {a["title"] for a in page.all("code") if "title" in a} == {manifest.digest}
    assert "t15 bench --manifest manifests/sample/1.0.0 --method net --seeds 0,1 --tier paper" in page.text
    assert PAPER_NOTE in page.text
    assert RANK_NOTE in page.text
    assert VERDICT_NOTE in page.text
    assert "ours is higher" in page.text
    assert "With 15 test photos differences under 40.0 points cannot be seen" in page.text
    assert "at chance" in page.text  # 6 and 8 of 15 in three cities
    assert "Failed runs" not in page.text
    assert len(page.all("line", **{"class": "paper", "x1": "15.47%"})) == 2


def test_smoke_runs_are_no_reproduction(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "short", 9, tier="smoke", paper={"table": "I", "row": "tiny", "accuracy": 15.47})
    page = Page(as_html([leaderboard(manifest, tmp_path)]))
    assert "Smoke tests" in page.text
    assert "Full runs" not in page.text
    assert PAPER_NOTE not in page.text
    assert not page.all("line", **{"class": "paper"})


def test_cities_without_test_photos_and_boards_without_runs(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_failure(tmp_path, manifest, "bad", "no")
    page = Page(as_html([leaderboard(manifest, tmp_path)]))
    assert "Failed runs" in page.text
    assert not page.all("figure")
    assert not page.all("input")


def nothing(_board: Leaderboard) -> str:
    return ""


def some(_board: Leaderboard) -> str:
    return "<p>matches</p>"


def test_the_page_leads_to_its_matches_where_there_are_some(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path / "runs", manifest, "tiny", 9)
    for made in (some, nothing):
        out = tmp_path / made.__name__
        write_leaderboard([(manifest, None)], tmp_path / "runs", out, matches=made)
        links = [of.get("href") for tag, of in Page((out / "index.html").read_text("utf-8")).tags if tag == "a"]
        assert ("matches.html" in links) == (out / "matches.html").is_file() == (made is some)
    assert (tmp_path / "some" / "matches.html").read_text("utf-8") == "<p>matches</p>"
