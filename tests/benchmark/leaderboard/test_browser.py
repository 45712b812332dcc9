"""The page in a real browser: it sorts, searches and filters, asks nobody for anything, and fits a phone in either light."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.leaderboard.explorer import explorer
from benchmark.leaderboard.exports import write_leaderboard
from collector.workspace import Workspace
from tests.benchmark.leaderboard import CAPITALS, add_run, add_world_runs, world_manifest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "<script>document.title = 'broken into'</script>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("board")
    manifest = world_manifest({**CAPITALS, "paris": (EVIL, 48.86, 2.35)}, test=10, note=EVIL)
    add_world_runs(folder / "runs", manifest, methods=7, seeds=2)
    add_run(folder / "runs", manifest, "evil", 30, title=EVIL)
    write_leaderboard([(manifest, None)], folder / "runs", folder / "out")
    return (folder / "out/index.html").as_uri()


class Visit:
    """A page that was opened, what it asked for and what it complained about."""

    def __init__(self, browser: Any, address: str, **settings: Any) -> None:
        self.page = browser.new_page(**settings)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(address)

    def names(self) -> list[str]:
        """Return the names of the rows that are shown in the first ranking, from the top."""
        rows = self.page.locator("table.ranking").first.locator("tbody tr:visible .name")
        return [text.strip() for text in rows.all_inner_texts()]

    def quiet(self) -> bool:
        return not self.said and all(url.startswith(("file:", "data:")) for url in self.asked)


def test_sorting_searching_and_filtering(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport={"width": 1280, "height": 900})
    page, first = visit.page, visit.names()
    assert page.title() == "Leaderboard of Made-up photos of real places 1.0.0"
    assert len(first) == 6

    table = page.locator("table.ranking").first
    time = table.get_by_role("columnheader", name="Time")
    time.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert time.get_attribute("aria-sort") == "ascending"
    assert table.locator("[aria-sort]").count() == 1
    by_time = visit.names()
    assert sorted(by_time) == sorted(first)
    assert by_time != first
    page.keyboard.press("Enter")
    assert time.get_attribute("aria-sort") == "descending"
    unknown = [name for name in by_time if name == first_submission(page)]
    assert visit.names() == [
        *[name for name in by_time[::-1] if name not in unknown],
        *unknown,
    ]  # what has no time is last

    table.get_by_role("columnheader", name="Rank").get_by_role("button").click()
    assert visit.names() == first

    page.get_by_label("Search").fill("resnet FEATURES")
    assert visit.names() == [name for name in first if "ResNet-18 features" in name]
    assert page.locator("#said").inner_text() == "1 of 8 rows"
    page.get_by_label("Search").fill("")
    page.get_by_role("combobox", name="Pre-trained on").select_option("Places365")
    assert 0 < len(visit.names()) < len(first)
    page.get_by_role("combobox", name="Pre-trained on").select_option("")
    page.get_by_label("possible winners only").check()
    assert visit.names() == [name for name in first if name in visit.names()]
    assert 0 < len(visit.names()) < len(first)
    assert visit.quiet()


def first_submission(page: Any) -> str:
    return str(page.locator("table.ranking tr:has(.tag:text('submission')) .name").first.inner_text().strip())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(browser: Any, address: str, scheme: str) -> None:
    visit = Visit(browser, address, viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page, first = visit.page, visit.names()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_text("Command and details").first.click()
    assert page.get_by_text("t15 bench --manifest").first.is_visible()
    page.get_by_label("Sort by").select_option("time")
    assert visit.names() != first
    assert page.get_by_text(EVIL).first.is_visible()
    background, ink = (
        page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
    )
    assert (background, ink) == {
        "light": ("rgb(255, 255, 255)", "rgb(27, 31, 36)"),
        "dark": ("rgb(20, 23, 28)", "rgb(229, 232, 236)"),
    }[scheme]
    fill = page.evaluate("getComputedStyle(document.querySelector('figure text')).fill")
    assert fill == {"light": "rgb(91, 100, 112)", "dark": "rgb(154, 164, 177)"}[scheme]
    assert visit.quiet()


def test_without_scripts_everything_is_there(browser: Any, address: str) -> None:
    visit = Visit(browser, address, java_script_enabled=False)
    assert len(visit.names()) == 6
    assert not visit.page.locator(".tools").is_visible()
    assert visit.page.locator("figure .picture > svg").count() == 6


@pytest.mark.slow
def test_a_large_board(browser: Any, tmp_path: Path) -> None:
    """60 methods, 2 seeds, 375 photos: under 3 MB, and sorted, searched and scrolled like any other."""
    manifest = world_manifest()
    add_world_runs(tmp_path / "runs", manifest, methods=60, seeds=2)
    write_leaderboard([(manifest, None)], tmp_path / "runs", tmp_path / "out")
    assert (tmp_path / "out/index.html").stat().st_size < 3_000_000
    visit = Visit(browser, (tmp_path / "out/index.html").as_uri(), viewport={"width": 360, "height": 800})
    assert len(visit.names()) == 58
    visit.page.get_by_label("Sort by").select_option("memory")
    visit.page.get_by_label("Search").fill("gist NEIGHBOUR")
    assert len(visit.names()) == 5
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert visit.quiet()


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("explored")
    manifest = world_manifest({**CAPITALS, "paris": (EVIL, 48.86, 2.35)}, test=20, note=EVIL)
    add_world_runs(folder / "runs", manifest, methods=4, seeds=1)
    add_run(folder / "runs", manifest, "evil", 30, title=EVIL)
    page = folder / "photos.html"
    page.write_text(explorer([manifest], Workspace(folder)).html, encoding="utf-8")
    return page.as_uri()


def test_photos_are_filtered_and_opened(browser: Any, explored: str) -> None:
    visit = Visit(browser, explored, viewport={"width": 1280, "height": 900})
    page = visit.page
    assert page.title() == "Photos of Made-up photos of real places 1.0.0"
    assert page.locator("#cards li").count() == 60
    page.locator("#more").click()
    assert page.locator("#cards li").count() == 120
    page.select_option("#verdict", "wrong")
    page.select_option("#label", label=EVIL)
    count = page.locator("#count").inner_text()
    cards = page.locator("#cards li")
    assert count.startswith(f"{cards.count()} of 140 photos; ")
    assert all("✗" in text for text in cards.all_inner_texts())
    page.select_option("#verdict", "")
    page.select_option("#label", "")
    page.select_option("#other", "1")
    page.select_option("#differ", "first")
    assert all("✓ right" in text for text in cards.all_inner_texts())
    page.select_option("#differ", "")
    page.select_option("#order", "km")
    page.fill("#km-low", "500")
    page.fill("#sure-high", "99")
    page.select_option("#provider", "1")
    far = [float(text.split("\n")[-2].replace(",", "").split()[0]) for text in cards.all_inner_texts()]
    assert far
    assert far == sorted(far, reverse=True)
    assert min(far) >= 500
    cards.first.locator("button").click()
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("tr").count() == 6
    assert EVIL in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.fill("#words", "no such words")
    assert page.locator("#count").inner_text() == "0 of 140 photos."
    assert visit.quiet()


def test_photos_fit_a_phone_in_the_dark(browser: Any, explored: str) -> None:
    visit = Visit(browser, explored, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    visit.page.locator("#cards button").first.click()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert visit.quiet()
