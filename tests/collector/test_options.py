"""A command's result on stdout: JSON for programs, text for people."""

import json

import pytest

from collector.options import show
from collector.progress import note


def test_show_as_json_is_valid_and_readable(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"city": "Şanlıurfa", "title": "a\nb\x1b[2J\u2028", "photos": [1, 2.5, None, True]}
    show(result, True, lambda: pytest.fail("the text is not wanted"))
    out = capsys.readouterr().out
    assert json.loads(out) == result
    assert "Şanlıurfa" in out
    assert "\x1b" not in out


def test_show_as_text_goes_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show({}, False, lambda: "Muş\x1b[31m")
    note("look\x1b[31m")
    assert capsys.readouterr() == ("Muş\\x1b[31m\n", "look\\x1b[31m\n")
