"""What the tests of the collector's commands share: a run of t15 in this process, and a house to run it in."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector import front_door
from collector.sandbox.scenes import region_text

QUOTAS = ("--train", "8", "--val", "4", "--test", "4")
CITIES = ("quellmora", "tufgrad")


@dataclass(frozen=True)
class House:
    """A folder with a workspace and manifests, and t15 run there.

    Attributes:
        root: the folder.
        capsys: of the test.
    """

    root: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    def run(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        """Run t15 on the workspace, check its exit code, and return what it said on stdout and stderr."""
        self.capsys.readouterr()
        given = [str(argument) for argument in (*arguments, "--workspace", self.workspace)]
        found = front_door.run([*given, "--manifests", str(self.manifests)] if arguments[0] == "split" else given)
        said = self.capsys.readouterr()
        assert found == code, f"{given}\n{said.out}\n{said.err}"
        return said.out, said.err

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Run t15 with --json and return what it printed."""
        return json.loads(self.run(*arguments, "--json", code=code)[0])

    def complaint(self, *arguments: object, code: int) -> str:
        """Run t15, which has to end in one line on stderr, and indented ones below it, and return these."""
        out, err = self.run(*arguments, code=code)
        lines = err.splitlines()
        assert out == ""
        (said,) = [at for at, line in enumerate(lines) if line.startswith("t15: ")]
        assert all(line.startswith("  ") for line in lines[said + 1 :]), err
        return "\n".join(lines[said:])


def furnish(root: Path, photos: int = 24) -> Path:
    """Make a house whose workspace holds drawn photos of two cities, and a region file."""
    root.mkdir(exist_ok=True)
    region = root / "region.toml"
    region.write_text(region_text(len(CITIES)), encoding="utf-8")
    collect = ["collect", "--provider", "sandbox", "--region", region, "--target", photos, "--per-author", 3]
    assert front_door.run([*map(str, collect), "--workspace", str(root / "workspace")]) == 0
    return root


def like(root: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Return a house like the one at `root`, at `copy`."""
    shutil.copytree(root, copy)
    return House(copy, capsys)


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with the digest of its bytes, folders with nothing: what a dry run leaves alike."""
    return {
        path.relative_to(folder).as_posix(): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
    }
