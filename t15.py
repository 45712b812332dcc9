"""t15 as a library: the verbs of the commands, for notebooks and programs.

    import t15
    manifest = t15.load("manifests/sandbox/1.0.0")
    t15.bench(manifest, ["gist-64+logreg", "tiny-64+knn"])
    t15.leaderboard(manifest).to_pandas()

Every function does what the command of its name does, returns what the command prints, and is silent unless `progress` is
asked for. Errors are `t15.T15Error`s: what is wrong, where, and what to do. Nothing heavy is imported before it
is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.errors import T15Error

if TYPE_CHECKING:
    from benchmark.datasets import ManifestDataset, ShardStream
    from benchmark.leaderboard.rows import Leaderboard
    from benchmark.methods.types import Method
    from benchmark.predicting.answer import Answer
    from benchmark.runner import Outcome
    from benchmark.scoring.evaluation import Scores
    from collector.collecting.collect import Summary
    from collector.curating.duplicates import DedupSummary
    from collector.manifest.manifest import Manifest
    from collector.progress import Track
    from collector.splitting.audit import Audit
    from collector.splitting.split import SplitResult

__all__ = [
    "T15Error",
    "audit",
    "bench",
    "collect",
    "dedup",
    "leaderboard",
    "load",
    "predict",
    "score",
    "split",
    "torch_dataset",
]

PathLike = str | Path

WORKSPACE, MANIFESTS = "workspace", "manifests"
"""Where things lie unless it is said: the defaults of the commands, below the current folder."""


def load(source: PathLike, workspace: PathLike = WORKSPACE) -> "Manifest":
    """Return a manifest, checked against its digest.

    Args:
        source: a folder, a name, an https:// address or hub:NAME; what is fetched is kept in the workspace's cache.
        workspace: folder of the workspace.
    """
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate

    return read_manifest(locate(str(source), Path(workspace) / "cache"))


def torch_dataset(
    manifest: "Manifest",
    side: str,
    transform: Callable[[Any], Any] | None = None,
    workspace: PathLike = WORKSPACE,
    *,
    shards: PathLike | None = None,
    stream: bool = False,
    seed: int | None = None,
) -> "ManifestDataset | ShardStream":
    """Return one side as a data set of torch: each photo, as `transform` makes it, with its label.

    Args:
        manifest: the data set.
        side: `train`, `val` or `test`.
        transform: given a PIL image; None gives uint8 tensors.
        workspace: folder of the workspace.
        shards: folder of `t15 export --shards`, or its address in a store, that photos are taken from.
        stream: shard after shard (an IterableDataset), in place of a photo by its position.
        seed: of a stream's order; None: as the photos lie.
    """
    from benchmark.datasets import ManifestDataset, ShardStream
    from collector.workspace import Workspace

    place = Workspace(Path(workspace), shards)
    if stream:
        return ShardStream(manifest, side, place, transform, seed)
    return ManifestDataset(manifest, side, place, transform)


def collect(
    cities: Sequence[str] = (),
    *,
    region: str = "turkiye15",
    provider: str | None = None,
    root: PathLike | None = None,
    root_licence: str = "LicenseRef-Unknown",
    table: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    target: int | None = None,
    seed: int = 0,
    workspace: PathLike = WORKSPACE,
    progress: bool = False,
) -> "Summary":
    """Bring photos of cities into the workspace, and return what came and what did not.

    Args:
        cities: names in any spelling; none for all of the region.
        region: a built-in one, or the path of a region file.
        provider: a service, or `folder` for photos on one's own disk; None for `folder` with a root, else Commons.
        root: the folder of photos.
        root_licence: SPDX id of their licence, or `LicenseRef-NAME` for one of one's own.
        table: file with a row for each photo of the folder: file, city, latitude, longitude, author, license, …
        columns: what its columns are called where that is not guessed, such as `{"city": "stadt"}`.
        target: photos that a city has in the end; None for 300 of a service and all of a folder, 0 for all.
        seed: of the choice among photos.
        workspace: folder of the workspace; made when it is missing.
        progress: show it on stderr.
    """
    from collector.collecting import collect as collecting
    from collector.collecting.select import SelectionCriteria
    from collector.images.validate import Limits
    from collector.licences import licence_of
    from collector.providers.base import Query, Survey
    from collector.providers.registry import Settings, make_provider
    from collector.records import TARGET
    from collector.regions import find_city
    from collector.regions import region as find_region
    from collector.workspace import create_workspace

    known = find_region(region)
    chosen = [find_city(known, name) for name in cities] or list(known.cities)
    paths = (Path(path) if path else None for path in (root, table))
    settings = Settings(known, next(paths), licence_of(root_licence).id, next(paths), columns or {})
    source = make_provider(provider or ("folder" if root else "commons"), settings)
    wanted = (TARGET if isinstance(source, Survey) else 0) if target is None else target
    place, query = create_workspace(Path(workspace)), Query(None, wanted or None, seed)
    criteria = SelectionCriteria(wanted or None, seed=seed)
    return collecting.collect(place, known, chosen, source, query, Limits(), _track(progress), criteria=criteria)


def dedup(workspace: PathLike = WORKSPACE, *, dry_run: bool = False) -> "DedupSummary":
    """Leave copies and near-copies out of the workspace's clean photos, set contradicting labels aside; return the counts."""
    from collector.curating.duplicates import dedup as find_duplicates
    from collector.workspace import existing_workspace

    return find_duplicates(existing_workspace(Path(workspace)), dry_run=dry_run)


def split(
    workspace: PathLike = WORKSPACE,
    *,
    seed: int = 0,
    quotas: Mapping[str, int] | None = None,
    fractions: Mapping[str, float] | None = None,
    region: str | None = None,
    name: str | None = None,
    manifests: PathLike = MANIFESTS,
) -> "SplitResult":
    """Split the workspace's clean photos so that no author, place or picture is on two sides; `.manifest` is the data set.

    Args:
        workspace: folder of the workspace.
        seed: of everything random.
        quotas: photos a city of `train`, `val` and `test`, exactly; None for 100, 25 and 25.
        fractions: instead of quotas, the share of each city's photos that each side gets; they sum to 1.
        region: name or region file; None for the one that was collected for.
        name: of the data set; None for the region's.
        manifests: folder that the manifest is written below.
    """
    from collector.records import QUOTAS
    from collector.splitting.split import Recipe
    from collector.splitting.split import split as split_photos
    from collector.workspace import existing_workspace

    recipe = Recipe("fractions" if fractions else "exact")
    asked = fractions or {**QUOTAS, **(quotas or {})}
    return split_photos(
        existing_workspace(Path(workspace)),
        Path(manifests),
        quotas=asked,
        seed=seed,
        region=region,
        name=name,
        recipe=recipe,
    )


def audit(data: "Manifest | PathLike") -> "Audit":
    """Return what leaks between the sides of a manifest, or of a table (CSV, Parquet, JSON Lines) of anybody's split."""
    from collector.manifest.foreign import read_foreign
    from collector.manifest.manifest import Manifest, read_manifest
    from collector.splitting.audit import audit_foreign, audit_manifest

    if isinstance(data, Manifest):
        return audit_manifest(data)
    path = Path(data)
    return audit_manifest(read_manifest(path)) if path.is_dir() else audit_foreign(read_foreign(path))


def bench(
    manifest: "Manifest",
    methods: "Iterable[str | Method]",
    *,
    seeds: Sequence[int] = (0,),
    tier: str = "paper",
    settings: Mapping[str, str] | None = None,
    device: str = "auto",
    level: str = "city",
    shots: Sequence[int] = (0,),
    workspace: PathLike = WORKSPACE,
    shards: PathLike | None = None,
    progress: bool = False,
) -> "list[Outcome]":
    """Run methods on a manifest, save what they predict, and return what became of each run; finished ones are skipped.

    Args:
        manifest: its photos lie in the workspace.
        methods: names as `t15 methods` lists them (`*` matches), or methods of one's own.
        seeds: one run each of methods that draw.
        tier: `paper`, or `smoke` for small and short.
        settings: parameters changed in the methods that have them, as texts.
        device: `auto`, `cpu` or `cuda`.
        level: of the labels to tell apart; photos without one are left out.
        shots: how many training photos of each label, drawn by each seed, for learning curves; 0: all.
        workspace: folder of the workspace.
        shards: folder of `t15 export --shards`, or its address in a store, that photos are taken from.
        progress: show it on stderr.
    """
    from benchmark import planning, runner
    from benchmark.doctor import resolve_device
    from benchmark.methods.registry import choose
    from benchmark.networks.recipe import best_precision
    from benchmark.photos import require_photos
    from collector.workspace import Workspace

    place, on = Workspace(Path(workspace), shards), resolve_device(device)
    require_photos(manifest, place, manifest.header.name)
    chosen = [one for method in methods for one in (choose([method]) if isinstance(method, str) else [method])]
    changed, precision = dict(settings or {}), best_precision(on)
    tasks = planning.plan(manifest, chosen, list(seeds), tier, changed, "none", precision, level, list(shots))
    return list(runner.bench(manifest, place, tasks, on, _track(progress)))


def leaderboard(manifest: "Manifest", workspace: PathLike = WORKSPACE, *, level: str = "city") -> "Leaderboard":
    """Return the runs on a manifest at a level, ranked, with intervals and groups; `.to_pandas()` is the table."""
    from benchmark.leaderboard.table import leaderboard as ranked
    from collector.workspace import existing_workspace

    return ranked(manifest, existing_workspace(Path(workspace)).runs, level=level)


def score(predictions: PathLike, manifest: "Manifest", *, level: str = "city") -> "Scores":
    """Return what predictions made elsewhere (a file as for `t15 score`) are worth; `.flat()` has every number by name."""
    from benchmark.submissions import read_submission
    from benchmark.submissions import scores as scored

    return scored(read_submission(Path(predictions), manifest, level), manifest)


def predict(model: PathLike, photos: PathLike | Sequence[PathLike], *, device: str = "auto") -> "list[Answer]":
    """Return what a model (a file of `t15 export-model`) says of each photo.

    Args:
        model: the file.
        photos: a file, or several.
        device: `auto`, `cpu` or `cuda`.
    """
    from benchmark.doctor import resolve_device
    from benchmark.predicting.answer import Answerer
    from benchmark.predicting.read_image import Source, read_photo

    answerer = Answerer(Path(model), resolve_device(device))
    files = [photos] if isinstance(photos, str | Path) else photos
    return answerer.answer([read_photo(Source(str(file), Path(file)), answerer.side) for file in files])


def main() -> None:
    """Run the command `t15` on the command line's arguments, and leave with its exit code."""
    from collector.front_door import main as run

    run()


def _track(progress: bool) -> "Track":
    from collector.progress import silent, track

    return track if progress else silent


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("t15")
    raise AttributeError(f"module 't15' has no attribute {name!r}")


if __name__ == "__main__":
    main()
