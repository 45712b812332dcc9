"""The dataset card and the datasheet: what they say, and that hostile text stays text."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from collector.licences import licences
from collector.manifest.manifest import Manifest, build_manifest
from collector.manifest.schema import column_rows
from collector.providers.registry import PROVIDERS, traits_of
from collector.publishing.card import card, datasheet
from collector.publishing.facts import Release, gather
from collector.publishing.stats import Shown, stats
from collector.records import ProviderTraits
from collector.web.markdown import Markdown, escape, fenced, grid, plain
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

HOSTILE = (
    "<script>alert(1)</script> <img src=https://evil.example/x.png onerror=alert(1)> ![x](https://evil.example/y.png) "
    "[click](javascript:alert(1)) `code` | cell | **bold** __u__ ~~s~~ $x$ \n\n# heading\n---\n\u202eevil\u2066 &lt; "
    "\x00\x1b[31m \u2028 www.evil.example https://evil.example/z {{ 7*7 }} {% raw %} ]( \\"
)


def html(markdown: str) -> str:
    """Return the page as GitHub's dialect shows it, raw HTML allowed."""
    body = markdown.split("\n---\n", 1)[1] if markdown.startswith("---\n") else markdown
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body))


def hostile(make_photo: MakePhoto) -> Manifest:
    city = replace(HEADER.cities[0], name=HOSTILE[:200])
    odd: dict[str, Any] = {"rules": {HOSTILE: HOSTILE}, "parent": {"version": HOSTILE, "digest": HOSTILE}}
    header = replace(HEADER, title=HOSTILE, note=HOSTILE, hashes=(HOSTILE,), cities=(city, *HEADER.cities[1:]), **odd)
    photos = [make_photo(n, title=HOSTILE, author_name=HOSTILE, author_id=HOSTILE) for n in range(9)]
    return build_manifest(header, photos, HOSTILE)


def pages(manifest: Manifest, release: Release | None = None) -> list[str]:
    facts, said = gather(manifest), release or Release("t15 test")
    shown = Shown(stats(manifest), lines=(HOSTILE,))
    return [card(manifest, facts, said, ["map.svg"], None, shown), datasheet(manifest, facts, said, None)]


def test_hostile_text_stays_text(make_photo: MakePhoto) -> None:
    for page in pages(hostile(make_photo), Release(HOSTILE, None, HOSTILE)):
        shown = html(page)
        outside = re.sub(r"<pre>.*?</pre>", "", shown, flags=re.DOTALL)
        assert "<script" not in shown
        assert not re.search(r"<img[^>]*evil", shown)
        assert not re.search(r'href="(?!https://creativecommons\.org/)', shown)
        assert "<del>" not in outside
        assert "<strong>bold" not in outside
        assert not re.search("[\x00-\x08\x1b\u202a-\u202e\u2066-\u2069]", page)
        assert "49" not in re.sub(r"[0-9a-f]{64}", "", outside)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_hostile_text_cannot_end_the_header(make_photo: MakePhoto) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the hub's client reads the header")
    data = hub.DatasetCard(pages(hostile(make_photo))[0]).data.to_dict()
    assert set(data) == {"pretty_name", "license", "task_categories", "size_categories", "tags", "configs"}
    assert data["pretty_name"] == plain(HOSTILE)
    assert "\n" not in data["pretty_name"]


def test_tables_keep_their_shape(make_photo: MakePhoto) -> None:
    for page in pages(hostile(make_photo)):
        widths = [len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")]
        for earlier, later in zip(page.splitlines(), page.splitlines()[1:], strict=False):
            if earlier.startswith("|") and later.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", earlier)) == len(re.findall(r"(?<!\\)\|", later))
        assert all(width >= 3 for width in widths)


@given(st.text())
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    shown = MarkdownIt("commonmark").enable("strikethrough").render(f"x{escape(text)}x")
    unescaped = re.sub(r"<[^>]+>", "", shown).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    # Two blanks become one, and blanks at the edges are gone, as anywhere in HTML.
    assert unescaped.replace("&amp;", "&").strip() == f"x{plain(text)}x"


def test_fences_hold() -> None:
    for text in ("a", "```", "~~~", "````\n```", "`" * 10):
        assert MarkdownIt().render(fenced(text)).count("<pre>") == 1
        assert html(f"{fenced(text)}\n\n# after\n").endswith("<h1>after</h1>\n")


def test_grids() -> None:
    assert grid(("a|b", "n"), [("x", 12345), (Markdown("**y**"), 2)]) == (
        "| a\\|b | n |\n| --- | ---: |\n| x | 12,345 |\n| **y** | 2 |"
    )


# --- the header that hubs read


def header_of(make_photo: MakePhoto, *licences: str) -> dict[str, Any]:
    hub = pytest.importorskip("huggingface_hub", reason="the hub's client reads the header")
    photos = [make_photo(n, license=licence) for n, licence in enumerate(licences)]
    found: dict[str, Any] = hub.DatasetCard(pages(build_manifest(HEADER, photos, "t15"))[0]).data.to_dict()
    return found


def test_licences_that_the_hub_knows_are_listed(make_photo: MakePhoto) -> None:
    found = header_of(make_photo, "CC-BY-4.0", "CC-BY-4.0", "CC0-1.0")
    assert found["license"] == ["cc-by-4.0", "cc0-1.0"]
    assert found["size_categories"] == ["n<1K"]
    assert found["task_categories"] == ["image-classification"]
    assert found["configs"][0]["data_files"] == [{"split": "photos", "path": "photos.parquet"}]


def test_one_licence_that_it_does_not_know_makes_it_other(make_photo: MakePhoto) -> None:
    found = header_of(make_photo, "CC-BY-4.0", "LicenseRef-GoogleStreetView")
    assert (found["license"], found["license_name"]) == ("other", "per-photo")


# --- what they say


def test_facts_on_the_card(small: Manifest) -> None:
    text = pages(small)[0]
    assert "> **Note: made up**" in text
    assert f"| digest | `{small.digest}` |" in text
    assert "| Ankara | 10 | 4 | 3 | 3 |" in text
    assert "| all | 30 | 12 | 9 | 9 |" in text
    assert "| [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) | 30 | 12 | 9 | 9 | yes |" in text
    assert "| places | 96.7 % have coordinates |" in text
    assert "| taken | 2019-05-01 to 2019-05-30; 96.7 % have a time |" in text
    assert "5 known; that of 1 photo is not known" in text
    assert "*Finding Location of\nA Photograph with Deep Learning*, SIU 2018" in text


def test_street_view_is_named(make_photo: MakePhoto) -> None:
    photos = [make_photo(0), make_photo(1, license="LicenseRef-GoogleStreetView")]
    text, sheet = pages(build_manifest(HEADER, photos, "t15"))
    assert "**1 row is of services that keep their pictures, such as Google Street View.**" in text
    assert "| [Google Maps Platform terms](https://cloud.google.com/maps-platform/terms) | 1 | 1 | 0 | 0 | no |" in text
    assert "ids and parameters only" in sheet


def test_a_service_that_keeps_its_pictures_is_known_by_its_traits(make_photo: MakePhoto) -> None:
    photos = [make_photo(0), make_photo(1, photo_id="streets:1", license="CC0-1.0"), make_photo(2, license="CC-BY-4.0")]
    traits = {"streets": ProviderTraits(pixels_may_be_kept=False), "streetview": ProviderTraits()}
    manifest = build_manifest(replace(HEADER, provider_traits=traits), photos, "t15")
    assert gather(manifest).ids_only == 1
    photos[2] = replace(photos[2], photo_id="streetview:abc")  # whatever the manifest says of a service that t15 knows
    assert gather(build_manifest(replace(HEADER, provider_traits=traits), photos, "t15")).ids_only == 2


def test_the_table_of_licences_names_every_service_that_keeps_its_pictures() -> None:
    closed = {name: traits_of(name).licence for name in PROVIDERS if not traits_of(name).pixels_may_be_kept}
    assert {of.ids_only_of: of.id for of in licences().values() if of.ids_only_of} == closed


def test_leaks_are_said(make_photo: MakePhoto) -> None:
    photos = [
        make_photo(0, group_id="g", split="train"),
        make_photo(1, group_id="g", split="test", author_id="made:author-0"),
    ]
    text, sheet = pages(build_manifest(HEADER, photos, "t15"))
    assert "**1 group of related photos is on more than one side.**" in text
    assert "**1 such group is on more than one side**" in sheet
    assert "1 of 1 test photo is by authors who also have training photos" in text


def test_what_is_not_known_is_not_claimed(make_photo: MakePhoto) -> None:
    bare = {"taken_at": None, "author_id": None, "latitude": None, "longitude": None, "group_id": None}
    text, sheet = pages(build_manifest(replace(HEADER, note="", rules={}), [make_photo(0, **bare)], "t15"))
    assert "nothing is known of photos that belong together" in text
    assert "No author is known." in text
    assert "No photo says where, when or by whom it was taken." in text
    assert "A cell is a square" not in text
    assert "authors have photos both" not in text + sheet.replace("Whether authors have photos both", "")
    assert "Whether authors have photos both in training and in test is not known, as no author is." in sheet
    partly = [make_photo(0, author_id="made:a"), make_photo(1, author_id=None)]
    said = "0 known authors have photos both in training and in test; the author of 1 photo is not known."
    assert all(said in page for page in pages(build_manifest(HEADER, partly, "t15")))
    assert "| taken | not known |" in text
    assert "near-duplicates (by perceptual hashes) were left out" not in sheet
    assert "Note" not in text
    cleaned = replace(HEADER, rules={"left_out": {"near-duplicates": {"phash_radius": 8}}})
    sheet = pages(build_manifest(cleaned, [make_photo(0)], "t15"))[1]
    assert "near-duplicates (by perceptual hashes) were left out" in sheet


def test_the_datasheet_lists_the_columns(small: Manifest) -> None:
    text = pages(small)[1]
    for name, type_, since, _ in column_rows(small.format):
        assert f"| `{name}` | {type_} | {since} |" in text


def test_the_datasheet_has_seven_sections_and_marked_gaps(small: Manifest) -> None:
    sheet = pages(small)[1]
    sections = re.findall(r"^## (\d)\. ", sheet, flags=re.MULTILINE)
    assert sections == list("1234567")
    assert sheet.count("**✎ For the publisher:**") >= 7
    answered = pages(small, Release("t15", "2026-05-01", "An institute", "https://example.org/data"))[1]
    assert "Published on 2026-05-01 at https&#58;//example.org/data." in answered
    assert "(Published by An institute.)" in answered


def test_pages_use_no_clock_and_no_place(small: Manifest, tmp_path: Path) -> None:
    first = pages(small)
    assert first == pages(small)
    assert str(tmp_path) not in "".join(first)


def test_a_city_that_is_tested_and_never_trained_is_a_limitation(make_photo: MakePhoto) -> None:
    sides = {0: "train", 1: "test", 2: "train", 3: "test"}  # Ankara, Bursa, Van, Ankara
    photos = [make_photo(n, split=side) for n, side in sides.items()]
    said = "tested but without training photos"
    assert all(said in page for page in pages(build_manifest(HEADER, photos, "t15 test")))
    trained = build_manifest(HEADER, [*photos, make_photo(4, split="train")], "t15 test")
    assert not any(said in page for page in pages(trained))


def test_cities_side_by_side(small: Manifest) -> None:
    said, looked = (
        gather(small),
        ("pictures: 3 of 4 photos were here", "indoors: by net", "people: skipped, x is missing"),
    )
    rows = [replace(of, indoors=0.5, people=None) for of in stats(small)]
    page = card(small, said, Release("t15"), ["cities.svg", "licences.svg"], None, Shown(rows, True, looked))
    assert "| indoors | people fill it |" in page
    assert "| 50 % | – |" in page
    assert "within two kilometres of a populated place" in page
    assert "pictures: 3 of 4 photos were here; indoors: by net." in page
    assert "missing" not in page.partition("## Is the city in it?")[2].partition("## Sources")[0]
    assert "pictures/cities.svg" in page
    assert "indoors" not in card(small, said, Release("t15"), [], None, Shown(rows))
