"""Writes a manifest's leaderboard: a page, Markdown, CSV and JSON."""

import json
import shlex
from pathlib import Path, PurePath

from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import Leaderboard, leaderboard
from benchmark.leaderboard.text import as_csv, as_json, as_markdown
from collector.console import DEFAULT_MANIFESTS
from collector.errors import UsageError
from collector.publishing.manifest import Manifest
from collector.workspace import storage_errors, write_atomically


def write_leaderboard(manifest: Manifest, runs_dir: Path, out: Path, folder: PurePath | None = None) -> Leaderboard:
    """Write `leaderboard.md`, `leaderboard.csv`, `leaderboard.json` and `index.html` to the folder `out`.

    The same manifest and the same runs give the same bytes.

    Args:
        manifest: what the runs learnt from and are judged on.
        runs_dir: the workspace's runs.
        out: is made when it is missing.
        folder: the manifest's folder as the commands name it, by default `manifests/NAME/VERSION`.

    Raises:
        UsageError: there is no run on this manifest, finished or failed, or `out` cannot be written to.
        DataError: see `leaderboard`.
        IncompleteError: the disk is full.
    """
    board = leaderboard(manifest, runs_dir, folder)
    if not board.rows and not board.failed:
        where = folder or DEFAULT_MANIFESTS / board.name / board.version
        raise UsageError(
            f"{runs_dir}: holds no run on {board.name} {board.version} (digest {board.digest[:12]}); "
            f"`{shlex.join(['t15', 'bench', '--manifest', str(where), '--all'])}` makes some"
        )
    files = {
        "leaderboard.md": as_markdown(board),
        "leaderboard.csv": as_csv(board),
        "leaderboard.json": json.dumps(as_json(board), ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        "index.html": as_html(board),
    }
    with storage_errors(out):
        for name, content in files.items():
            write_atomically(out / name, content.encode("utf-8", "backslashreplace"))
    return board
