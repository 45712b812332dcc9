"""Which t15 this is, in checkouts of every kind and outside of them."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from collector.version import HOUSE, checked_out, describe

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {".git/HEAD": f"{COMMIT}\n"},
        {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{COMMIT}\n"},
        {
            ".git/HEAD": "ref: refs/heads/a/b\n",
            ".git/packed-refs": f"# pack-refs with: peeled\n{'f' * 40} refs/heads/b\n{COMMIT} refs/heads/a/b\n",
        },
        {
            ".git": "gitdir: elsewhere/worktrees/one\n",
            "elsewhere/worktrees/one/HEAD": "ref: refs/heads/one\n",
            "elsewhere/worktrees/one/commondir": "../..\n",
            "elsewhere/refs/heads/one": f"{COMMIT}\n",
        },
    ],
)
def test_a_checkout_names_its_commit(tmp_path: Path, files: dict[str, str]) -> None:
    root = write(tmp_path, files)
    assert checked_out(root) == COMMIT
    assert describe(root) == f"{version('t15')} (commit {COMMIT[:12]})"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {".git/HEAD": "ref: refs/heads/born-later\n"},
        {".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": ""},
        {".git": "gitdir: nowhere\n"},
        {".git": "\0"},
    ],
)
def test_anything_else_is_the_version_alone(tmp_path: Path, files: dict[str, str]) -> None:
    assert describe(write(tmp_path, files)) == version("t15")


def test_git_says_the_same_of_this_checkout() -> None:
    try:
        said = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=HOUSE, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout, or git is not here")
    assert checked_out(HOUSE) == said.strip()
