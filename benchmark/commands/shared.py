"""What several of the benchmark's commands need: which manifest is meant, and whether its photos are there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.progress import note

if TYPE_CHECKING:
    from collector.manifest.manifest import Manifest
    from collector.workspace import Workspace

ManifestOption = Annotated[
    str | None,
    typer.Option(
        "--manifest", help="Folder, https:// address or hub:NAME of a manifest. Default: the newest under --manifests."
    ),
]


def manifest_folder(manifest: str | None, manifests: Path, workspace: Path) -> Path:
    """Return the folder of the manifest that is meant; one from elsewhere is fetched into the workspace's cache."""
    from collector.manifest.manifest import newest_manifest
    from collector.manifest.remote import locate

    return locate(manifest, workspace / "cache") if manifest else newest_manifest(manifests)


def what_is_here(data: "Manifest", workspace: "Workspace") -> "Manifest":
    """Return the manifest, or, saying so, that of its partial rehydration when photos are missing."""
    from benchmark.photos import available

    there = available(data, workspace)
    if there is not data:
        note(there.header.note)
    return there
