"""The page in a real browser: no outside request, no error, and nothing wider than a phone."""

import shutil
from pathlib import Path

import pytest

from benchmark.leaderboard.write import write_leaderboard
from tests.benchmark.leaderboard import add_run, manifest_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_on_a_phone(tmp_path: Path, scheme: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    manifest = manifest_of(names={"bursa": "<script>document.title = 'broken into'</script>"})
    add_run(tmp_path / "runs", manifest, "net", 9)
    write_leaderboard(manifest, tmp_path / "runs", tmp_path / "out")
    asked: list[str] = []
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 360, "height": 800}, color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((tmp_path / "out" / "index.html").as_uri())
        assert page.title().startswith("Leaderboard of ")
        width = page.evaluate("document.documentElement.scrollWidth")
        page.get_by_text("Command and details").first.click()
        assert page.get_by_text("t15 bench --manifest").first.is_visible()
        browser.close()
    assert width <= 360
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
