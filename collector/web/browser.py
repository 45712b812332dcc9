"""Showing a page in the user's browser, for the option `--open` of every command that makes or serves one."""

import webbrowser
from collections.abc import Callable
from pathlib import Path


def open_page(page: Path | str, say: Callable[[str], None]) -> None:
    """Show a file, or an address, in the user's browser; where there is none say so, and where the page is."""
    address = page if isinstance(page, str) else page.resolve().as_uri()
    if not webbrowser.open(address):
        say(f"no browser could be opened for {address}")
