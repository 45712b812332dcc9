"""The review in a real browser: keys, dialogs, saving, and a foreign page that tries to join in."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest
from pytest_httpserver import HTTPServer

from collector.catalogue.catalogue import open_catalogue
from collector.review.app import serving
from collector.review.static_sheets import write_sheets
from collector.workspace import Workspace
from tests.collector.review.conftest import HOSTILE, HOSTILE_ID

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Scheme = Literal["light", "dark"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def visiting(browser: "Browser", link: str, width: int = 1400, scheme: "Scheme" = "light") -> Iterator["Page"]:
    """Open the link; check afterwards that nothing outside was asked, and that the browser had nothing to say."""
    base = link.partition("/?")[0] if link.startswith("http") else link.rpartition("/")[0]
    asked: list[str] = []
    said: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, base_url=base)
    page = context.new_page()
    page.set_default_timeout(5000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(link)
    assert "token" not in page.url
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((f"{base}/", "data:"))] == []
    assert [text for text in said if "ERR_FAILED" not in text] == []


def verdicts(workspace: Workspace) -> dict[str, str]:
    with open_catalogue(workspace) as catalogue:
        return {decision.photo_id: decision.verdict for decision in catalogue.decisions("review")}


def current(page: "Page") -> str | None:
    return page.locator(".photo.current").get_attribute("data-id")


def test_a_city_by_keyboard(browser: "Browser", shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as link, visiting(browser, link) as page:
        page.get_by_role("link", name="Bursa").click()
        assert current(page) == "made:0001"
        page.keyboard.press("k")
        assert current(page) == "made:0004"
        page.keyboard.press("R")  # Caps Lock is on
        assert current(page) == HOSTILE_ID
        page.keyboard.press("w")
        page.keyboard.type("van")
        page.keyboard.press("Enter")
        page.get_by_role("status").get_by_text("Wrong city: Van").wait_for()
        assert verdicts(shelf) == {"made:0001": "keep", "made:0004": "reject", HOSTILE_ID: "wrong-city"}
        assert page.get_by_text("3 of 3 decided").is_visible()
        assert page.get_by_role("link", name="To do").inner_text() == "To do 0"
        page.keyboard.press("u")
        page.get_by_role("status").get_by_text("Taken back: Wrong city: Van").wait_for()
        page.keyboard.press("u")
        page.get_by_role("status").get_by_text("Taken back: Rejected").wait_for()
        assert current(page) == "made:0004"
        assert verdicts(shelf) == {"made:0001": "keep"}
        page.keyboard.press("ArrowLeft")
        assert current(page) == "made:0001"
        page.keyboard.press("Control+k")  # the browser's own
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.closest('.photo').dataset.id") == HOSTILE_ID
        assert page.title() == "Bursa – Review"


def test_looking_closely(browser: "Browser", shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as link, visiting(browser, link) as page:
        page.goto("/photos?city=bursa")
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        large = page.locator("#large")
        assert large.locator("h2").inner_text().startswith('"><script>')
        assert HOSTILE in large.inner_text()
        assert large.get_by_role("link").count() == 0  # its page's address is a script
        page.keyboard.press("Enter")  # decides nothing
        page.keyboard.press("r")
        large.get_by_text("Ayşe Rejected").wait_for()
        page.keyboard.press("ArrowLeft")
        assert "made:0004" in large.inner_text()
        assert page.evaluate("document.querySelector('#large-picture').decode().then(() => true)")
        page.keyboard.press("k")
        page.get_by_role("status").get_by_text("Kept").wait_for()
        page.keyboard.press("Escape")
        assert not large.is_visible()
        assert verdicts(shelf) == {HOSTILE_ID: "reject", "made:0004": "keep"}
        page.keyboard.press("?")
        assert page.get_by_role("heading", name="Keys").is_visible()
        page.keyboard.press("r")  # not while the help is open
        page.keyboard.press("Escape")
        assert verdicts(shelf) == {HOSTILE_ID: "reject", "made:0004": "keep"}


def test_what_could_not_be_saved_is_said(browser: "Browser", shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as link, visiting(browser, link) as page:
        page.goto("/photos?city=ankara")
        page.route("**/decide", lambda route: route.abort())
        page.keyboard.press("k")
        page.get_by_role("status").get_by_text("Not saved: Kept").wait_for()
        assert page.locator(".photo.unsaved").get_attribute("data-id") == "made:0000"
        page.unroute("**/decide")
        page.keyboard.press("Home")
        page.keyboard.press("k")
        page.get_by_role("status").get_by_text("Kept: ").wait_for()
        assert page.locator(".photo.unsaved").count() == 0
        assert verdicts(shelf) == {"made:0000": "keep"}


def test_the_map_by_keyboard(browser: "Browser", shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as link, visiting(browser, link) as page:
        page.goto("/map?city=ankara")
        page.locator("#map a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**spot=**")
        assert current(page) == "made:0000"
        page.keyboard.press("k")
        page.get_by_role("status").get_by_text("Kept").wait_for()
        assert verdicts(shelf) == {"made:0000": "keep"}


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1400, "light")])
def test_every_page_fits(browser: "Browser", shelf: Workspace, width: int, scheme: "Scheme") -> None:
    with serving(shelf, "Ayşe") as link, visiting(browser, link, width, scheme) as page:
        pages = ["/", "/groups?kind=duplicates", "/groups?kind=conflicts"]
        for path in [*pages, *(f"/{kind}?city=bursa" for kind in ("photos", "map"))]:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            for key in ("Enter", "?"):
                if page.locator(".photo").count():
                    page.keyboard.press(key)
                    box = page.locator("dialog[open]").bounding_box()
                    assert box
                    assert box["x"] >= 0
                    assert box["x"] + box["width"] <= width
                    page.keyboard.press("Escape")


def test_a_foreign_page_cannot_act(browser: "Browser", shelf: Workspace, httpserver: HTTPServer) -> None:
    """On another port of this machine, so that it is the same site and the cookie is sent along."""
    with serving(shelf, "Ayşe") as link:
        base = link.partition("/?")[0]
        attack = f"""
          <form method="post" enctype="text/plain" action="{base}/decide" target="in">
          <input name='{{"photo_id": "made:0000", "verdict": "reject", "x": "' value='"}}'></form>
          <iframe name="in"></iframe><iframe id="framed" src="{base}/photos?city=ankara"></iframe>
          <img id="picture" src="{base}/thumbnail?id=made:0000"><script>
          const body = '{{"photo_id": "made:0000", "verdict": "reject"}}', all = {{credentials: "include"}};
          const post = {{method: "POST", body, ...all}};
          const json = {{...post, headers: {{"Content-Type": "application/json", "X-T15-Review": "1"}}}};
          document.forms[0].submit();
          window.done = Promise.allSettled([
            fetch("{base}/decide", json), fetch("{base}/decide", {{...post, mode: "no-cors"}}).then((a) => a.text()),
            fetch("{base}/photos?city=ankara", all).then((a) => a.text()),
            fetch("{base}/static/review.js", {{...all, mode: "no-cors"}}).then((a) => a.text())
          ]).then((all) => all.map((one) => one.value || ""));
          </script>"""
        foreign = httpserver.url_for("/").replace("localhost", "127.0.0.1")
        httpserver.expect_request("/").respond_with_data(attack, content_type="text/html")
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        assert len(context.cookies(foreign)) == 1  # browsers do not keep cookies apart by port
        answers: list[tuple[str, int]] = []
        page.on("response", lambda answer: answers.append((urlsplit(answer.url).path, answer.status)))
        page.goto(foreign)
        assert page.evaluate("window.done") == ["", "", "", ""]
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.querySelector('#picture').naturalWidth") == 0
        assert "Ankara" not in page.frame_locator("#framed").locator("body").inner_text()
        assert {status for path, status in answers if path == "/decide"} == {403}
        context.close()
    assert verdicts(shelf) == {}


def test_contact_sheets(browser: "Browser", shelf: Workspace) -> None:
    made = write_sheets(shelf, shelf.root.parent / "sheets")
    with visiting(browser, made.index.as_uri(), 360) as page:
        page.get_by_role("link", name="Bursa").click()
        assert page.get_by_text("made:0001").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("[...document.images].every((one) => one.naturalWidth > 0)")
