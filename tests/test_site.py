"""The documentation site: it builds without a warning, asks nobody for anything, and says what is true."""

import ast
import doctest
import importlib.util
import math
import operator
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

from collector import front_door
from tests import warm

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def fences(page: str, language: str) -> list[str]:
    """Return the contents of a page's fenced blocks in `language`."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# --- how each number is computed

OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[[float], float]] = {
    **{"sqrt": math.sqrt, "exp": math.exp, "ln": math.log, "rad": math.radians},
    **{"sin": math.sin, "cos": math.cos, "arcsin": math.asin},
}


def value(node: ast.expr) -> float:
    """Return what an arithmetical expression is worth."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, operation, right):
            return OPERATORS[type(operation)](value(left), value(right))
        case ast.UnaryOp(operation, operand):
            return OPERATORS[type(operation)](value(operand))
        case ast.Call(ast.Name(name), [argument]):
            return FUNCTIONS[name](value(argument))
        case _:
            raise ValueError(ast.unparse(node))


SUMS = [line for block in fences("numbers.md", "calc") for line in block.splitlines()]


@pytest.mark.parametrize("line", SUMS)
def test_sums_by_hand_are_right_to_their_last_digit(line: str) -> None:
    left, right = line.split(" = ")
    half_a_unit = 0.5 * 10.0 ** -len(right.partition(".")[2])
    assert abs(value(ast.parse(left, mode="eval").body) - float(right)) <= half_a_unit * (1 + 1e-9)


def test_t15_computes_what_the_page_says() -> None:
    """Each example with its output; most of them stand below the same sum by hand."""
    found = doctest.testfile(str(DOCS / "numbers.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 20
    assert found.failed == 0
    assert len(SUMS) > 20


# --- the tutorial, run as it stands


@dataclass(frozen=True)
class Block:
    """Commands of a page: whether they run on in a terminal of their own, how they end, and what the page shows of it."""

    commands: str
    runs_on: bool
    exit_code: int
    shown: tuple[str, ...]


def blocks_of(page: str) -> list[Block]:
    """Return a page's shell blocks; a comment before one says what is special, the `text` block after one what it prints.

    Raises:
        ValueError: a comment is none of those that are known.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    found = []
    for mark, commands, shown in re.findall(
        r"(?:^<!-- ([^>]*) -->\n)?^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", text, re.MULTILINE | re.DOTALL
    ):
        code = re.fullmatch(r"exit code (\d+)", mark)
        if mark not in ("", "other terminal") and not code:
            raise ValueError(f"{page}: what is {mark!r}?")
        lines = tuple(line for line in shown.splitlines() if line.strip())
        found.append(Block(commands, mark == "other terminal", int(code[1]) if code else 0, lines))
    return found


def skeleton(text: str) -> str:
    """Return a line without blanks, and without numbers and ids of runs: those differ between versions of libraries."""
    return re.sub(r"\b[0-9a-f]{8}\b|\d+(\.\d+)?", "#", " ".join(text.split()))


@dataclass
class Terminals:
    """Runs blocks in one folder, as a person would with some terminals open."""

    folder: Path
    environment: dict[str, str]
    open: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, commands: str) -> str:
        """Start what runs on, on a free port, export what it tells to, and return what it printed."""
        program, *arguments = shlex.split(commands)
        process = subprocess.Popen(
            [str(Path(self.environment["PATH"].partition(os.pathsep)[0], program)), *arguments, "--port", "0"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.open.append(process)
        assert process.stdout
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, f"{commands}: ended, after it had printed {printed!r}"
            printed += line
        exports = re.findall(r"^export (T15_\w+)=(.*)$", printed, re.MULTILINE)
        self.environment.update({name: shlex.split(text)[0] for name, text in exports})
        return printed

    def run(self, block: Block) -> str:
        """Run a block to its end and return what it printed, both streams."""
        finished = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", block.commands],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert finished.returncode == block.exit_code, f"{block.commands}\n{finished.stdout}"
        return finished.stdout

    def close(self) -> None:
        """Press Ctrl-C in all of them."""
        for process in self.open:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("T15_")}
    paths = os.pathsep.join([*dict.fromkeys(str(Path(of).parent) for of in (warm.t15(), warm.python())), kept["PATH"]])
    opened = Terminals(tmp_path, {**kept, "PATH": paths, "T15_WEIGHTS": str(tmp_path / "weights")})
    yield opened
    opened.close()


@pytest.mark.slow
def test_the_tutorial_works_as_it_stands(terminals: Terminals) -> None:
    """Every command, in order; and each line that the page shows is printed, but for its numbers."""
    blocks = [*blocks_of("index.md"), *blocks_of("tutorial.md")]
    assert len(blocks) > 15
    for block in blocks:
        if block.runs_on:
            terminals.start(block.commands)
            continue
        printed = {skeleton(line) for line in terminals.run(block).splitlines()}
        for line in block.shown:
            wanted = skeleton(line.rstrip("…"))
            assert any(one.startswith(wanted) for one in printed), f"{block.commands}\n{line}\n{sorted(printed)}"


# --- the site


class Resources(HTMLParser):
    """Collects what a page loads by itself: all addresses but those of links that a reader may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: text or "" for name, text in attrs}
        if tag in ("h1", "h2", "h3"):
            self.headings.append(said.get("id", ""))
        if tag == "link" and said.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(said.get("href", ""))
        if tag not in ("a", "link"):
            self.loaded += [said[name] for name in ("src", "srcset", "data", "poster", "action") if name in said]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site; a warning of mkdocs fails the build."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed (the extra `docs`)")
    folder = tmp_path_factory.mktemp("site")
    # Not with --quiet, under which warnings are not counted and --strict lets them pass (mkdocs 1.6.1).
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


OUTSIDE = re.compile(r"(?:https?:)?//", re.IGNORECASE)


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text(encoding="utf-8"))
        assert resources.loaded
        assert [one for one in resources.loaded if OUTSIDE.match(one)] == [], page.name
    for style in site.rglob("*.css"):
        loaded = re.findall(r"(?:url\(|@import)\s*[\"']?([^)\"']+)", style.read_text(encoding="utf-8"))
        assert [one for one in loaded if OUTSIDE.match(one)] == [], style.name


def test_every_command_has_a_page(site: Path) -> None:
    """Commands of groups too, such as `t15 weights list`."""

    def pages(command: Any, name: str) -> Iterator[str]:
        below = getattr(command, "commands", {})
        if not below:
            yield name
        for child, one in below.items():
            yield from pages(one, f"{name}-{child}".strip("-"))

    wanted = set(pages(typer.main.get_command(front_door.app), ""))
    assert len(wanted) > 20
    assert {name for name in wanted if not (site / "cli" / f"{name}.html").is_file()} == set()


def test_pages_beside_docs_are_part_of_the_site(site: Path) -> None:
    for name in ("overview", "contributing", "changelog"):
        assert (site / f"{name}.html").is_file()
    assert 'href="changelog.html"' in (site / "index.html").read_text(encoding="utf-8")
    assert 'src="images/leaderboard.png"' in (site / "overview.html").read_text(encoding="utf-8")
    assert list(site.rglob("*.py")) == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")
def test_the_site_works_from_a_folder_and_asks_nobody(site: Path) -> None:
    """Opened by a double click: no request leaves, the search finds, and a phone has nothing to scroll sideways."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        asked: list[str] = []
        troubles: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        for name in ("index", "tutorial", "numbers", "cli", "methods"):
            page.goto((site / f"{name}.html").as_uri())
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wider) <= 0, name
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto((site / "index.html").as_uri())
        query = page.locator("[data-md-component=search-query]")
        query.click()
        query.press_sequentially("temperature")  # the search listens for keys
        page.wait_for_selector(".md-search-result__link:visible")
        assert "numbers.html" in str(page.get_attribute(".md-search-result__link", "href"))
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert troubles == []
