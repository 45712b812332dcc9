"""What several of the benchmark's commands need: which manifest is meant, and whether its photos are there."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.errors import UsageError
from collector.progress import note

if TYPE_CHECKING:
    from benchmark.results import Run
    from collector.manifest.manifest import Manifest
    from collector.workspace import Workspace

ManifestsOfRunsOption = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        help="Folder, https:// address, hub:NAME, or name of a manifest; a pattern such as 'NAME-fold-*', or the name of a "
        "`t15 split --kfold`, stands for all folds. Default: the newest under --manifests.",
    ),
]

ManifestOption = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        help="Folder, https:// address, hub:NAME or name of a manifest. Default: the newest under --manifests.",
    ),
]

DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
LevelOfRunsOption = Annotated[
    str, typer.Option("--level", help="Level of the labels that the runs answered at, such as district.")
]

ShardsOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Take photos from these shards (`t15 export --shards`; also s3://BUCKET/NAME), others from the workspace.",
    ),
]


def manifest_folders(asked: str | None, manifests: Path, workspace: Path) -> list[Path]:
    """Return the folders of the manifests that are meant: one, or all whose folders or names a pattern matches.

    A name without a folder is that of a data set, or of its folds, below `manifests`; of each the newest version is taken.

    Raises:
        UsageError: a pattern matches nothing.
    """
    from collector.manifest.manifest import versions

    if asked is None or Path(asked).exists() or "://" in asked or asked.startswith("hub:"):
        return [manifest_folder(asked, manifests, workspace)]
    is_pattern = any(sign in asked for sign in "*?[")
    if not is_pattern and len(Path(asked).parts) != 1:
        return [manifest_folder(asked, manifests, workspace)]
    if len(Path(asked).parts) == 1:
        names = [asked] if is_pattern else [asked, f"{asked}-fold-*-of-*"]
        found = next((paths for name in names if (paths := sorted(manifests.glob(name)))), [])
    else:
        found = sorted(Path().glob(asked)) if not Path(asked).is_absolute() else sorted(Path("/").glob(asked[1:]))
    folders = []
    for path in found:
        if (path / "manifest.json").is_file():
            folders.append(path)
        elif known := versions(path.parent, path.name):
            folders.append(path / known[-1])
    if not folders:
        if is_pattern:
            raise UsageError(
                f"--manifest {asked[:80]}: matches no manifest, neither as folders nor as names in {manifests}"
            )
        return [manifest_folder(asked, manifests, workspace)]
    return folders


def manifest_folder(manifest: str | None, manifests: Path, workspace: Path) -> Path:
    """Return the folder of the manifest that is meant; one from elsewhere is fetched into the workspace's cache."""
    from collector.manifest.manifest import newest_manifest
    from collector.manifest.remote import locate

    return locate(manifest, workspace / "cache", manifests=manifests) if manifest else newest_manifest(manifests)


def run_called(runs: Path, name: str, manifest_digest: str = "") -> "Run":
    """Return the finished run of an identity or method, as `results.find_run` does.

    A method goes by each name that `t15 bench --method` takes for it, such as `retrieval:gist` for `retrieval:gist-lear-64`;
    of several runs of a method the one on the manifest with this digest is meant.

    Raises:
        UsageError: there is none, or more than one.
        DataError: its run.json cannot be read.
    """
    from benchmark.results import find_run

    try:
        return find_run(runs, name, manifest_digest)
    except UsageError:
        from benchmark.methods.registry import choose  # here: runs are named by their digits mostly

        found = []
        with suppress(UsageError):
            found = choose([name]) if ":" in name else []
        if len(found) == 1 and found[0].name != name:
            return find_run(runs, found[0].name, manifest_digest)
        raise


def what_is_here(data: "Manifest", workspace: "Workspace") -> "Manifest":
    """Return the manifest, or, saying so, that of its partial rehydration when photos are missing."""
    from benchmark.photos import available

    there = available(data, workspace)
    if there is not data:
        note(there.header.note)
    return there
