"""Panels, examples, words for values, and names that options had before."""

import re
import shlex
from typing import Any

import pytest
import typer

from collector import front_door
from collector.help_texts import EXAMPLES, PANELS, POSITIONAL, RENAMED, START, dressed, every_command, in_todays_words


def tree() -> Any:
    return dressed(typer.main.get_command(front_door.app))


def leaves() -> dict[str, Any]:
    return {name: one for name, one in every_command(tree()) if not hasattr(one, "commands")}


def test_every_command_has_one_panel_and_an_example() -> None:
    listed = [name for names in PANELS.values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(tree().commands) <= set(listed)
    assert set(leaves()) <= set(EXAMPLES)


@pytest.mark.parametrize("line", [*START, *(EXAMPLES[name] for name in sorted(set(leaves()) & set(EXAMPLES)))])
def test_examples_are_command_lines_that_the_commands_take(line: str) -> None:
    first, *arguments = shlex.split(line)
    assert first == "t15"
    assert in_todays_words(arguments) == arguments
    command: Any = tree()
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context("t15", arguments)  # raises where an option is unknown or a value does not fit


@pytest.mark.parametrize("name", sorted(leaves()))
def test_values_are_words_and_lines_fit(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    assert front_door.run([*name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert not re.search(r"<[a-z]|list\[|\[x?[<>]|\{|[Dd]efault: \(|\[default|\[env", out)
    assert not re.search(r"-[a-z]*…", out)  # no name is cut
    assert max(map(len, out.splitlines())) <= 80


def test_each_command_whose_argument_is_a_manifest_takes_it_as_an_option_too() -> None:
    taking = {
        name
        for name, one in leaves().items()
        if any(param.param_type_name == "argument" and param.metavar.startswith("MANIFEST") for param in one.params)
    }
    assert taking == set(POSITIONAL)


def test_earlier_names_are_understood_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_todays_words(["export", "m", "--jsonl", "--out", "x"]) == [
        "export",
        "m",
        "--format",
        "jsonl",
        "--out",
        "x",
    ]
    assert capsys.readouterr().err == "--jsonl is called --format jsonl now, and will go\n"
    assert in_todays_words(["predict", "--csv", "--", "--csv"]) == ["predict", "--format", "csv", "--", "--csv"]
    assert in_todays_words([]) == []
    for name, renamed in RENAMED.items():
        known = {option for param in leaves()[name].params for option in param.opts}
        for old, new in renamed.items():
            assert old not in known
            assert new[0] in known


def test_a_manifest_may_be_an_option_where_it_is_an_argument() -> None:
    assert in_todays_words(["audit", "--manifest", "m"]) == ["audit", "m"]
    assert in_todays_words(["verify", "--manifest=m", "--json"]) == ["verify", "m", "--json"]
    assert in_todays_words(["geodata", "add", "--manifest", "m"]) == ["geodata", "add", "m"]
    assert in_todays_words(["diff", "--manifest", "a", "--manifest", "b"]) == ["diff", "a", "b"]
    assert in_todays_words(["bench", "--manifest", "m"]) == ["bench", "--manifest", "m"]
    assert in_todays_words(["audit", "--manifest"]) == ["audit", "--manifest"]  # the command says what is missing
