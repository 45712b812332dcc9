"""Writes the leaderboard of a manifest, or of several side by side: a page, Markdown, CSV and JSON."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath

from benchmark.leaderboard.comparing import require_different
from benchmark.leaderboard.exports import as_csv, as_json
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.rows import Leaderboard
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown
from collector.errors import UsageError
from collector.manifest.manifest import Manifest
from collector.workspace import DEFAULT_MANIFESTS, storage_errors, write_atomically


def folder_name(manifests: Sequence[Manifest]) -> str:
    """Return what the folder of the manifests' leaderboard is called where nobody said."""
    of = [(manifest.header, manifest.digest[:8]) for manifest in manifests]
    return "-and-".join(f"{header.name}-{header.version}-{digest}" for header, digest in of)


def write_leaderboard(
    manifests: Sequence[tuple[Manifest, PurePath | None]], runs_dir: Path, out: Path
) -> list[Leaderboard]:
    """Write `leaderboard.md`, `leaderboard.csv`, `leaderboard.json` and `index.html` to the folder `out`.

    The same manifests and the same runs give the same bytes.

    Args:
        manifests: what the runs learnt from and are judged on, each with its folder as the commands name it, by default
            `manifests/NAME/VERSION`. Several are compared, each ranked for itself.
        runs_dir: the workspace's runs.
        out: is made when it is missing.

    Raises:
        UsageError: there is no run on a manifest, finished or failed, a manifest is given twice, or `out` cannot be
            written to.
        DataError: see `leaderboard`.
        IncompleteError: the disk is full.
    """
    boards = [leaderboard(manifest, runs_dir, folder) for manifest, folder in manifests]
    for board, (_, folder) in zip(boards, manifests, strict=True):
        if not board.rows and not board.failed:
            where = folder or DEFAULT_MANIFESTS / board.name / board.version
            raise UsageError(
                f"{runs_dir}: holds no run on {board.name} {board.version} (digest {board.digest[:12]}); "
                f"`{shlex.join(['t15', 'bench', '--manifest', str(where), '--all'])}` makes some"
            )
    require_different(boards)
    files = {
        "leaderboard.md": as_markdown(boards),
        "leaderboard.csv": as_csv(boards),
        "leaderboard.json": json.dumps(as_json(boards), ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        "index.html": as_html(boards),
    }
    with storage_errors(out):
        for name, content in files.items():
            write_atomically(out / name, content.encode("utf-8", "backslashreplace"))
    return boards
