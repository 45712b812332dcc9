"""Vectors of a manifest's photos as a file, for other tools."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.commands.shared import DeviceOption, ShardsOption, what_is_here
from collector.errors import UsageError
from collector.options import ClusterOption, JsonOption, ManifestArgument, WorkspaceOption, show
from collector.progress import note, track
from collector.workspace import DEFAULT_WORKSPACE

app = typer.Typer()

SUFFIXES = (".npz", ".parquet")
"""What the file may be, by its name's end."""


@app.command()
def embed(
    manifest: ManifestArgument,
    backbone: Annotated[str, typer.Option(help="A network with weights, as `t15 weights list` names it.")],
    out: Annotated[Path, typer.Option(help="File to write: .npz, or .parquet.")],
    pooling: Annotated[
        str, typer.Option(help="penultimate (what goes into the classifier), cls, mean or gem.")
    ] = "penultimate",
    size: Annotated[
        int | None, typer.Option(help="Pixels of a side of the crop; the network's own by default.")
    ] = None,
    stored: Annotated[str, typer.Option(help="Number format: float16 or float32.")] = "float16",
    device: DeviceOption = "auto",
    cluster: ClusterOption = "",
    shards: ShardsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say of how many photos which vectors would be written; compute none.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write photo_id, side and vector of each photo: a network's frozen features, computed once and kept in the cache."""
    from benchmark.doctor import resolve_device
    from benchmark.features.export import write_vectors
    from benchmark.methods.heads import trained_tower
    from benchmark.networks.recipe import keep_freed_memory
    from benchmark.photos import WorkspacePhotos, require_photos
    from collector.executors.cluster import work_on
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate
    from collector.workspace import Workspace, storage_errors

    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out {out}: its name must end in {' or '.join(SUFFIXES)}")
    place = Workspace(workspace, shards)
    data = what_is_here(read_manifest(locate(manifest, workspace / "cache")), place)
    require_photos(data, place, manifest)
    keep_freed_memory()
    # A cluster's nodes have devices of their own: what this machine has says nothing of them.
    on = ("cuda" if device == "cuda" else "cpu") if cluster else resolve_device(device)
    tower = trained_tower(backbone, size, on, pooling=pooling, stored=stored)
    note(f"{data.header.name} {data.header.version}, digest {data.digest[:12]}: {backbone}, {tower.size} pixels")
    facts: dict[str, Any] = {"file": str(out), "backbone": backbone, "weights": tower.weights_digest}
    facts |= {"pooling": pooling, "stored": stored, "manifest_digest": data.digest}
    if dry_run:
        photos = data.table.num_rows
        show(
            {**facts, "photos": photos, "dry_run": True},
            json,
            lambda: (
                f"{out}: {photos} vectors would be written ({pooling}, {stored}), weights {str(tower.weights_digest)[:12]} "
                "(dry run: nothing was computed)"
            ),
        )
        return
    with storage_errors(out), work_on(cluster, place, None, gpus=float(on == "cuda")) as work:
        rows, width = write_vectors(tower, data, WorkspacePhotos(place, track, work), out)
    show(
        {**facts, "photos": rows, "width": width},
        json,
        lambda: (
            f"{out}: {rows} vectors of {width} values ({pooling}, {stored}), weights {str(tower.weights_digest)[:12]}"
        ),
    )
