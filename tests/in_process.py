"""t15's commands as a person in some folder runs them, but in this process: each of its own would import torch again."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector import front_door


@dataclass(frozen=True)
class Printed:
    """What a command wrote."""

    stdout: str
    stderr: str


def t15(folder: Path, *arguments: object, code: int = 0, **environment: str) -> Printed:
    """Run t15 in `folder`, check its exit code, and return what it printed."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        ended = front_door.run([str(argument) for argument in arguments])
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    assert ended == code, f"{arguments}\n{texts[0]}\n{texts[1]}"
    return Printed(*texts)


def t15_json(folder: Path, *arguments: object) -> Any:
    """Run t15 with --json and return what it printed."""
    return json.loads(t15(folder, *arguments, "--json").stdout)
