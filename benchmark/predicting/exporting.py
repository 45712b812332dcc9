"""A finished run as a model that stands alone: predictor, certainty, and its training photos' credits."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.derivations import gallery_arrays, offered, places_itself
from benchmark.label_set import photos_at, positions
from benchmark.methods.registry import choose
from benchmark.methods.training import few_of_each
from benchmark.methods.training import training_photos as sides_of
from benchmark.methods.types import Context, Predictor
from benchmark.models import Model, build, read_model
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.photos import Photos, WorkspacePhotos, require_photos
from benchmark.predicting.model_card import About, Certainty, learn_certainty
from benchmark.predicting.neighbours import training_photos
from benchmark.results import Run, read_validation
from benchmark.scoring.truth import places_of
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest, read_manifest
from collector.progress import Track, silent
from collector.records import City
from collector.workspace import Workspace


def manifest_of(run: Run, manifests: Path, workspace: Workspace) -> Manifest:
    """Return the manifest that a run learnt from: among the published ones, the rehydrated ones, and those fetched.

    Raises:
        UsageError: it is in none of these folders.
        DataError: it is damaged.
    """
    for root in (manifests, workspace.rehydrated, workspace.cache):
        for path in sorted(root.glob("**/manifest.json")):
            if _stated_digest(path) == run.inputs.manifest_digest:
                return read_manifest(path.parent)
    raise UsageError(
        f"run {run.inputs.identity}: its manifest, {run.manifest} (digest {run.inputs.manifest_digest[:12]}), is not under "
        f"{manifests}; name it with --manifest"
    )


def trained_model(
    run: Run, manifest: Manifest, workspace: Workspace, device: str, neighbours: bool, track: Track = silent
) -> Model:
    """Return a run's predictor with everything that `t15 predict` says beside the city.

    Args:
        run: a finished one.
        manifest: that it learnt from.
        workspace: where it lies, and the photos.
        device: to compute embeddings on.
        neighbours: whether training photos' embeddings and credits come along; those whose bytes are not in the workspace
            are left out.
        track: shows the progress of embedding.

    Raises:
        UsageError: the manifest is another one than the run's, or the run kept no model.
        DataError: the model or the predictions of validation photos are damaged.
    """
    _require_manifest(run, manifest)
    path = workspace.runs / run.inputs.identity / "model.safetensors"
    if not path.is_file():
        if reason := _unkept(run.inputs.method):
            raise UsageError(f"run {run.inputs.identity} ({run.inputs.method}): has no model to export: {reason}")
        raise UsageError(
            f"run {run.inputs.identity} ({run.inputs.method}): its model was not kept; `t15 runs remove "
            f"{run.inputs.identity}`, then `t15 bench --method {run.inputs.method} --models all`"
        )
    model = read_model(path)
    cities = _answers(manifest, run.inputs.level)
    slugs = tuple(city.slug for city in cities)
    if model.classes != slugs or tuple(run.classes) != slugs:
        raise DataError(
            f"{path}: its cities are not those of {run.manifest}; delete its folder and run `t15 bench` again"
        )
    about = _about(run, manifest, workspace, cities)
    arrays = {}
    if neighbours:
        arrays = _training(build(model, device, "the run's model"), run, manifest, WorkspacePhotos(workspace, track))
    # What the run kept beside the predictor, such as the gallery of one that ranks, is needed to ask it.
    return replace(model, extra=about.to_json(), arrays={**model.arrays, **arrays})


def refitted(
    run: Run, manifest: Manifest, workspace: Workspace, device: str, track: Track = silent
) -> tuple[Model, Predictor]:
    """Return what `trained_model` does, with no tensors in it, and the predictor: fitted anew on the photos that are here.

    Of methods whose models cannot be kept (`Method.unkept`): they learn little, and keypoints lie in the cache.

    Args:
        run: a finished one.
        manifest: that it learnt from.
        workspace: where it lies, and all photos.
        device: to compute on.
        track: shows the progress.

    Raises:
        UsageError: the manifest is another one than the run's, or its method's defaults are others today.
        DataError: photos are not here, weights are others, or the predictions of validation photos are damaged.
    """
    _require_manifest(run, manifest)
    require_photos(manifest, workspace)
    inputs, store = run.inputs, WorkspacePhotos(workspace, track)
    (method,) = choose([inputs.method])
    if method.version != inputs.version:
        raise UsageError(f"run {inputs.identity}: {method.name} is another version today; run `t15 bench` again")
    sides = [sides_of(manifest, side, store, inputs.level) for side in ("train", "val")]
    if inputs.shots:
        sides[0] = few_of_each(manifest, sides[0], inputs.shots, inputs.seed)
    given = weights.load(find_backbone(method.backbone), inputs.weights_digest) if inputs.weights_digest else None
    context = Context(
        seed=inputs.seed, device=device, weights=given, weights_digest=inputs.weights_digest, progress=track
    )
    predictor = method.fit(sides[0], sides[1], context, **inputs.parameters)
    cities = _answers(manifest, inputs.level)
    about = _about(run, manifest, workspace, cities)
    arrays = _training(predictor, run, manifest, store)
    slugs = tuple(city.slug for city in cities)
    arrays |= gallery_arrays(offered(predictor), sides[0].labels, sides[0].places)
    return Model("refitted", {"run": inputs.identity}, {}, slugs, about.to_json(), arrays), predictor


def is_unkept(run: Run, workspace: Workspace) -> bool:
    """Return whether a run has no model because its method keeps none."""
    path = workspace.runs / run.inputs.identity / "model.safetensors"
    return not path.is_file() and bool(_unkept(run.inputs.method))


def _require_manifest(run: Run, manifest: Manifest) -> None:
    if manifest.digest != run.inputs.manifest_digest:
        of = f"{manifest.header.name} {manifest.header.version} (digest {manifest.digest[:12]})"
        raise UsageError(f"run {run.inputs.identity}: learnt from {run.manifest}, not from {of}; give its own manifest")


def _about(run: Run, manifest: Manifest, workspace: Workspace, cities: tuple[City, ...]) -> About:
    header, learnt = manifest.header, photos_at(manifest, "train", run.inputs.level)
    return About(
        run=run.inputs.identity,
        inputs=asdict(run.inputs),
        title=run.title,
        manifest={
            **{"name": header.name, "title": header.title, "version": header.version},
            **{"digest": manifest.digest, "note": header.note},
        },
        pretraining=run.pretraining,
        weights_licence=run.weights_licence,
        photo_licences=dict(sorted(Counter(photo.license for photo in learnt).items())),
        cities=cities,
        certainty=_certainty(run, manifest, workspace, cities),
    )


def _unkept(name: str) -> str:
    """Return why models of a method cannot be kept; empty where they can, or where there is no such method any more."""
    try:
        (method,) = choose([name])
    except (UsageError, ValueError):
        return ""
    return method.unkept


def passed_on(model: Model) -> str | None:
    """Return what whoever passes a model on has to know of the training photos in it, None where that is nothing."""
    if model.spec.get("feature") != "tiny":
        return None
    side = model.spec["size"]
    return f"this model holds its training photos at {side} × {side} pixels: pass it on under their licences only"


def _answers(manifest: Manifest, level: str) -> tuple[City, ...]:
    """Return what a model can answer with: the cities, or the labels of another level in their form."""
    if level == "city":
        return manifest.header.cities
    labels = manifest.labels.at(level)
    return tuple(City(one.id, one.name, one.latitude, one.longitude, one.radius_km) for one in labels)


def _certainty(run: Run, manifest: Manifest, workspace: Workspace, cities: Sequence[City]) -> Certainty:
    saved = read_validation(workspace.runs, run)
    if saved is None:
        return Certainty()
    photos = {photo.photo_id: photo for photo in photos_at(manifest, "val", run.inputs.level)}
    if sorted(saved.photo_ids) != sorted(photos):
        folder = workspace.runs / run.inputs.identity
        raise DataError(f"{folder}: validation.parquet is of other photos than {run.manifest}'s; run `t15 bench` again")
    ordered = [photos[photo_id] for photo_id in saved.photo_ids]
    given = ~np.isnan(saved.probabilities).any(axis=1)
    labels, places = positions(manifest, ordered, run.inputs.level), places_of(ordered)
    where = None
    if saved.places is not None and places_itself(run.gives):
        where = saved.places.of(np.flatnonzero(given).tolist())
    return learn_certainty(saved.probabilities[given], labels[given], cities, places[given], where)


def _training(
    predictor: Predictor, run: Run, manifest: Manifest, store: WorkspacePhotos
) -> dict[str, NDArray[np.generic]]:
    learnt = photos_at(manifest, "train", run.inputs.level)
    here = [photo for photo in learnt if store.workspace.photo(str(photo.sha256)).is_file()]
    embed = getattr(predictor, "embed", None)
    if not here or (embed is None and not hasattr(predictor, "rank")):
        return {}
    ids, digests = zip(*((photo.photo_id, str(photo.sha256)) for photo in here), strict=True)
    photos = Photos(ids, digests, store, "train")
    vectors = np.empty((len(here), 0), np.float32) if embed is None else embed(photos)
    position = {photo.photo_id: row for row, photo in enumerate(learnt)}
    rows = [position[photo_id] for photo_id in ids] if hasattr(predictor, "rank") else None
    return training_photos(vectors, here, rows, manifest.header.provider_traits).to_arrays()


def _stated_digest(path: Path) -> str | None:
    try:
        digest = json.loads(path.read_bytes())["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return digest if isinstance(digest, str) else None
