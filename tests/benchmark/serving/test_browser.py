"""The page in a real browser: dropping, pasting and choosing photos, what is shown, and that nothing outside is asked."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.predicting.answer import Answerer
from benchmark.predicting.neighbours import Credit
from benchmark.serving.app import serving
from tests.benchmark.predicting.conftest import Trained
from tests.benchmark.serving.conftest import LIMITS, photo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "<img src=x onerror=\"document.title='broken into'\">"

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
def address(trained: Trained) -> Iterator[str]:
    answerer = Answerer(trained.file)
    training = answerer.training
    assert training is not None
    credits = tuple(hostile(credit) for credit in training.credits)
    answerer.training = replace(training, credits=credits)
    answerer.about = replace(answerer.about, title=EVIL)
    with serving(answerer, trained.world.workspace, limits=LIMITS) as url:
        yield url


def hostile(credit: Credit) -> Credit:
    return replace(credit, title=EVIL, author_name=EVIL, page_url="https://photos.example/1", license="CC-BY-4.0")


@contextmanager
def visiting(browser: Any, address: str, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """Open the page; check afterwards that nothing outside was asked, and that the browser had nothing to say."""
    asked: list[str] = []
    said: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    yield page
    title = page.title()
    context.close()
    assert title == "Which city?"
    assert [url for url in asked if not url.startswith((address, "data:", f"blob:{address}"))] == []
    assert [text for text in said if not text.startswith("Failed to load resource: the server responded")] == []


def given(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


# Makes a DataTransfer with one file of these bytes.
TRANSFER = """([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
  return transfer;
}"""


def transfer(page: Any, name: str, data: bytes) -> Any:
    return page.evaluate_handle(TRANSFER, [name, base64.b64encode(data).decode()])


def test_a_photo_is_chosen_and_answered(browser: Any, address: str) -> None:
    with visiting(browser, address) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "file"
        page.locator("#file").set_input_files([given(f"{EVIL}.jpg", photo(size=(400, 300)))])
        article = page.locator("article")
        article.locator(".verdict").get_by_text("Zulu,").wait_for()
        page.get_by_role("status").get_by_text("Zulu").wait_for()
        assert article.get_by_role("heading", level=2).inner_text() == f"{EVIL}.jpg"
        assert article.get_by_role("row").count() == 3
        assert article.get_by_role("img", name="Map: Zulu").is_visible()
        assert "° N" in article.locator(".place").inner_text()
        items = article.locator(".likeness li")
        assert items.count() == 6
        assert EVIL in items.first.inner_text()
        assert "CC-BY-4.0" in items.first.inner_text()
        assert items.first.get_by_role("link").get_attribute("href") == "https://photos.example/1"
        assert items.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0

        heat, toggle = article.locator(".heat"), article.get_by_role("checkbox")
        plain = article.locator(".plain").bounding_box()
        assert heat.bounding_box() == plain
        toggle.focus()
        page.keyboard.press("Space")
        assert not heat.is_visible()
        page.keyboard.press("Space")
        assert heat.is_visible()

        article.get_by_role("button", name="Remove").click()
        assert article.count() == 0


def test_several_are_dropped_and_pasted(browser: Any, address: str) -> None:
    with visiting(browser, address) as page:
        for hue, event in enumerate(("drop", "paste", "drop")):
            data = transfer(page, f"{event}{hue}.jpg", photo(hue=hue))
            if event == "drop":
                page.dispatch_event("body", "drop", {"dataTransfer": data})
            else:
                page.evaluate(
                    "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))", data
                )
        page.locator("article .told:visible").nth(2).wait_for()
        assert page.locator("article h2").all_inner_texts() == ["drop2.jpg", "paste1.jpg", "drop0.jpg"]
        best = page.locator("article tbody tr:first-child th").all_inner_texts()
        assert best == ["Mike", "Alpha", "Zulu"]


def test_refusals_are_said_and_the_next_photo_goes_on(browser: Any, address: str) -> None:
    with visiting(browser, address) as page:
        files = [given("a.svg", b"<svg/>"), given("b.jpg", bytes(LIMITS.body + 1)), given("c.jpg", photo())]
        page.locator("#file").set_input_files(files)
        page.locator(".told:visible").wait_for()
        problems = page.locator(".problem:visible").all_inner_texts()
        assert "is not an image" in problems[0]
        assert "more than 2 MB" in problems[1]


def test_a_busy_server_is_asked_again(browser: Any, address: str) -> None:
    with visiting(browser, address) as page:
        answers = iter([503, 429])

        def busy(route: Any) -> None:
            status = next(answers, None)
            if status is None:
                route.continue_()
                return
            body = json.dumps({"code": "busy", "error": "busy"})
            route.fulfill(status=status, headers={"Retry-After": "0.01"}, body=body)

        page.route("**/api/v1/predict*", busy)
        page.locator("#file").set_input_files([given("a.jpg", photo())])
        page.locator(".told:visible").wait_for()
        assert next(answers, None) is None


def test_a_photo_that_the_browser_cannot_show(browser: Any, address: str) -> None:
    with visiting(browser, address) as page:
        page.locator("#file").set_input_files([given("a.tif", photo(form="TIFF"))])
        page.locator(".layers.blind .heat:visible").wait_for()


def test_none_of_these_is_said(browser: Any, address: str) -> None:
    with visiting(browser, address) as page:
        page.locator("#file").set_input_files([given("grey.jpg", photo(hue=3))])
        page.locator(".told:visible").wait_for()
        assert page.locator(".verdict").inner_text() == "None of these."
        assert "withheld" in page.locator(".place").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_either_light(browser: Any, address: str, scheme: str, tmp_path: Path) -> None:
    with visiting(browser, address, 360, scheme) as page:
        page.locator("#file").set_input_files([given("a" * 200 + ".jpg", photo(size=(900, 300)))])
        page.locator(".told:visible").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        channels = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(channels) < 80) == (scheme == "dark")


def test_a_foreign_page_gets_nothing(browser: Any, address: str, httpserver: Any) -> None:
    httpserver.expect_request("/").respond_with_data("<title>Foreign</title>", content_type="text/html")
    page = browser.new_page()
    page.goto(httpserver.url_for("/"))
    asked = """async ([url, mode]) => {
      const form = new FormData();
      form.append('photo', new Blob(['x']));
      const answer = await fetch(url + 'api/v1/predict', { method: 'POST', body: form, mode });
      return answer.type;
    }"""
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate(asked, [address, "cors"])
    with pytest.raises(Exception, match="Failed to fetch"):  # Cross-Origin-Resource-Policy
        page.evaluate(asked, [address.replace("127.0.0.1", "localhost"), "no-cors"])
    page.close()
