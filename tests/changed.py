"""Print the tests of what differs from the last commit (or, with a revision, from there): for `make check`.

`collector/net/client.py` is tested by `tests/collector/net`; a module at the top of a half, or none of these, by the tests
beside it. Nothing changed: the tests of the front door.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def folders_of(changed: Iterable[str]) -> list[str]:
    """Return the folders and files of tests for changed files, sorted, none inside another."""
    chosen: set[Path] = set()
    for path in map(Path, changed):
        if path.parts[0] == "tests" and path.name.startswith("test_"):
            chosen.add(path)
        elif path.parts[0] in ("collector", "benchmark"):
            folder = Path("tests", *path.parent.parts)
            own = folder / f"test_{path.stem}.py"
            chosen.add(own if len(path.parts) == 2 and own.is_file() else folder)
    there = {
        path for path in chosen if path.exists() and path not in (Path("tests/collector"), Path("tests/benchmark"))
    }
    outer = {path for path in there if not there & set(path.parents)}
    return sorted(map(str, outer)) or ["tests/test_t15.py"]


def main(since: str = "HEAD") -> None:
    """Print the tests, a line each."""
    commands = (["git", "diff", "--name-only", since], ["git", "ls-files", "--others", "--exclude-standard"])
    found = [subprocess.run(one, capture_output=True, text=True, check=True).stdout.splitlines() for one in commands]
    print("\n".join(folders_of([*found[0], *found[1]])))


if __name__ == "__main__":
    main(*sys.argv[1:])
