"""What a person needs to know of this machine before collecting: keys, disk, workspace."""

import os
import shutil
from pathlib import Path
from typing import Any

from collector.catalogue.catalogue import open_catalogue
from collector.errors import T15Error
from collector.workspace import Workspace

KEYS = {
    "T15_FLICKR_KEY": "Flickr",
    "T15_GOOGLE_KEY": "Google Street View",
    "T15_GOOGLE_SECRET": "Google Street View, for signed requests",
    "T15_MAPILLARY_TOKEN": "Mapillary",
    "T15_COPERNICUS_INSTANCE": "Copernicus, pictures from above",
}
"""Environment variables that hold keys, and the service that each is for. Their values are never shown."""


def keys() -> dict[str, bool]:
    """Return which keys are set; never what they are."""
    return {name: bool(os.environ.get(name)) for name in KEYS}


def disk(path: Path) -> dict[str, float]:
    """Return free and total GiB of the disk that `path` lies on, or will lie on."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    usage = shutil.disk_usage(there)
    return {"free_gib": round(usage.free / 2**30, 1), "total_gib": round(usage.total / 2**30, 1)}


def workspace_state(root: Path) -> dict[str, Any]:
    """Return what the workspace holds, or what is wrong with it; nothing is created."""
    workspace = Workspace(root)
    if not workspace.catalogue.is_file():
        return {"path": str(root), "state": "empty: `t15 collect` fills it"}
    try:
        with open_catalogue(workspace) as catalogue:
            photos = catalogue.counts()
            regions = [region.name for region in catalogue.regions()]
            clean = len(catalogue.clean())
    except T15Error as error:
        return {"path": str(root), "state": str(error)}
    runs = len(list(workspace.runs.glob("[!.]*/run.json")))
    return {"path": str(root), "state": "ok", "regions": regions, "photos": photos, "clean": clean, "runs": runs}
