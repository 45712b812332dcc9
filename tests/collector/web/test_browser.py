"""`--open` of commands that make a page: the browser is shown the file, and where there is none it is said."""

from pathlib import Path

import pytest

from collector.web.browser import open_page


def test_a_page_is_shown_or_said_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    said: list[str] = []

    def opened(address: str) -> bool:
        shown.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    open_page(tmp_path / "a b.html", said.append)
    open_page("http://127.0.0.1:1/", said.append)
    assert shown == [(tmp_path / "a b.html").as_uri(), "http://127.0.0.1:1/"]
    assert said == []
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    open_page("http://127.0.0.1:1/", said.append)
    assert said == ["no browser could be opened for http://127.0.0.1:1/"]
