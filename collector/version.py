"""Which t15 this is: its version and, where it runs from a checkout, the commit."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HOUSE = Path(__file__).parents[1]
"""The folder that holds t15.py: a checkout, or what packages are installed into."""


def describe(root: Path = HOUSE) -> str:
    """Return such as `0.2.0` or, in a checkout, `0.2.0 (commit 1a2b3c4d5e6f)`."""
    try:
        number = version("t15")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "unknown version"
    commit = checked_out(root)
    return f"{number} (commit {commit[:12]})" if commit else number


def checked_out(root: Path) -> str:
    """Return the commit that a checkout is at, read from its `.git` without git; empty where there is none.

    Formats: https://git-scm.com/docs/gitrepository-layout.
    """
    try:
        folder = root / ".git"
        if folder.is_file():  # a worktree's says where its folder is
            folder = root / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        shared = folder / "commondir"
        common = folder / shared.read_text(encoding="utf-8").strip() if shared.is_file() else folder
        if (common / name).is_file():
            return (common / name).read_text(encoding="utf-8").strip()
        packed = (common / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, ValueError):
        return ""
