"""`t15 aerial fetch` as a process of its own: what a test of it and its measurement share."""

import subprocess
import sys
from pathlib import Path

from collector.workspace import Workspace


def start_fetching(
    workspace: Workspace, service: Path, region: Path, zoom: int, *options: str
) -> subprocess.Popen[bytes]:
    """Start fetching a region's tiles from a service of one's own."""
    command = ["aerial", "fetch", "--service", str(service), "--region", str(region), "--zoom", str(zoom)]
    return subprocess.Popen(
        [sys.executable, "-m", "t15", *command, "--workspace", str(workspace.root), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
