"""Asking a trained model about photos, making a file of it, and answering about photos for others."""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from benchmark.commands.shared import DeviceOption, ManifestOption, manifest_folder, run_called
from collector.errors import IncompleteError, UsageError
from collector.options import JsonOption, ManifestsOption, OpenOption, PortOption, WorkspaceOption, show
from collector.progress import note, track
from collector.text_table import counted
from collector.web.browser import open_page
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from benchmark.models import Model
    from benchmark.predicting.answer import Answerer
    from benchmark.predicting.density_file import DensityFile
    from benchmark.predicting.read_image import Source
    from benchmark.results import Run
    from collector.manifest.manifest import Manifest
    from collector.workspace import Workspace

    Records = tuple[Iterator[dict[str, Any]], dict[str, Any]]
    """Records of photos, and the facts of the model."""


T = TypeVar("T")

app = typer.Typer()

_FEW = 200
"""Photos that are answered sooner without torch, where a model can: importing it takes about three seconds."""


@app.command("export-model")
def export_model(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A finished run: the first digits of its identity, or its method's name where that has one run.",
        ),
    ],
    file: Annotated[Path, typer.Argument(help="Where to write the model (.safetensors).")],
    card: Annotated[bool, typer.Option("--card", help="Also write its card beside it, as Markdown (.md).")] = False,
    manifest: ManifestOption = None,
    device: DeviceOption = "auto",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Write a run's model as one file for `t15 predict`: predictor, calibration, and credits of its training photos."""
    from benchmark.doctor import resolve_device
    from benchmark.predicting.exporting import passed_on
    from benchmark.predicting.formats import model_facts
    from benchmark.predicting.model_card import about_from_json, card_of
    from collector.workspace import storage_errors, write_atomically

    model, _ = _of_run(run, manifest, resolve_device(device), workspace, manifests, neighbours=True)
    data = model.to_bytes()
    about = about_from_json(model.extra, model.classes)
    with storage_errors(file):
        write_atomically(file, data)
        if card:
            page = card_of(about, model.digest, file.name)
            write_atomically(file.with_suffix(".md"), page.encode("utf-8", "backslashreplace"))
    facts = model_facts(about, model.digest)
    if warning := passed_on(model):
        note(warning)
    show(
        {"file": str(file), "bytes": len(data), **facts},
        json,
        lambda: (
            f"{file}: {facts['title']}, {counted(facts['cities'], 'cities')}, {len(data) / 2**20:.1f} MiB, digest "
            f"{model.digest[:12]}\n"
            f"{_calibrated(facts)}\n"
            f"pre-trained weights: {facts['weights_licence'] or 'none'}"
        ),
    )


def _calibrated(facts: dict[str, Any]) -> str:
    said = (
        f"calibrated on {counted(facts['validation_photos'], 'validation photos')} (temperature "
        f"{facts['temperature']:.2f})"
    )
    if facts["threshold"] > 0:
        return f'{said}; "none of these" below {facts["threshold"]:.3f}'
    return f'{said}; too few to set a "none of these" threshold'


@app.command()
def predict(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Files, folders, or `-` for one photo's bytes on stdin.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="A file of `t15 export-model`, or a run: its first digits, or its method's name where that has one run. Or "
            "give --url."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of a `t15 serve` that answers instead of a model here.")
    ] = None,
    json: JsonOption = False,
    form: Annotated[
        str, typer.Option("--format", help="text, csv (a line for each photo), geojson (a point for each) or json.")
    ] = "text",
    explain: Annotated[
        Path | None, typer.Option(help="Folder for a page on each photo: heat map, similar training photos, map.")
    ] = None,
    density: Annotated[
        Path | None,
        typer.Option(
            help="File for the areas of 50 and 90 % where the model gives a density: .geojson, or .png of one photo."
        ),
    ] = None,
    city_only: Annotated[
        bool,
        typer.Option("--city-only", help="Keep to the city: its centre in place of coordinates that a model gives."),
    ] = False,
    open_browser: OpenOption = False,
    device: DeviceOption = "auto",
    manifest: ManifestOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
) -> None:
    """Say in which city photos were taken, how sure that is, and when it is none of the cities."""
    from benchmark.predicting.density_file import DensityFile
    from benchmark.predicting.formats import print_records
    from benchmark.predicting.read_image import described, find_photos

    if open_browser and explain is None:
        raise UsageError("predict: --open shows the pages of --explain FOLDER")
    of_models = {"--city-only": city_only, "--explain": explain is not None, "--density": density is not None}
    _check_predict(form, json, model, url, of_models)
    if model is not None and sys.stderr.isatty():  # a person sees at once that it works: the libraries take seconds
        note(f"loading {model} …")
    found = find_photos(photos, sys.stdin.buffer)
    if found.others:
        note(f"passed over in folders, by suffix: {described(found.others)}")
    if not found.photos and not found.unreadable:
        raise UsageError(f"predict: no photo in {', '.join(photos)[:200]}; name files, or folders that hold some")
    file = None if density is None else DensityFile(density, len(found.photos) + len(found.unreadable))
    if model is None:
        records, facts = _asked(str(url), found.photos)
    else:
        with_them = explain is not None
        few = len(found.photos) <= _FEW and not with_them
        answerer = answerer_of(
            model, manifest, device, workspace, manifests, neighbours=with_them, city_only=city_only, few=few
        )
        records, facts = _answered(answerer, found.photos, explain, file, workspace)
    _note_doubts(facts)
    unreadable = ({"photo": name, "error": reason} for name, reason in found.unreadable)
    failed = print_records(chain(unreadable, records), "json" if json else form, facts, note)
    if explain is not None and failed < len(found.photos) + len(found.unreadable):
        note(f"{explain / 'index.html'}: the pages")
        if open_browser:
            open_page(explain / "index.html", note)
    if file is not None:
        file.write(facts)
    if failed:
        asked = len(found.photos) + len(found.unreadable)
        raise IncompleteError(
            f"predict: {failed} of {counted(asked, 'photos')} could not be read, for the reasons above"
        )


def _note_doubts(facts: dict[str, Any]) -> None:
    from benchmark.predicting.formats import doubts

    if doubt := doubts(facts):
        note(doubt)


def _check_predict(form: str, json: bool, model: str | None, url: str | None, of_models: dict[str, bool]) -> None:
    """Make sure that options go together; those of `of_models` need a model here."""
    if form not in ("text", "csv", "geojson", "json"):
        raise UsageError(f"--format {form[:40]!r}: choose text, csv, geojson or json")
    if json and form not in ("text", "json"):
        raise UsageError(f"predict: --json and --format {form}: choose one")
    if (model is None) == (url is None):
        raise UsageError("predict: name a model with --model, or a server with --url")
    if url is not None and of_models["--city-only"]:
        raise UsageError("predict: --city-only is for a model here; a server says itself whether it keeps to the city")
    if url is not None and of_models["--explain"]:
        raise UsageError("predict: --explain needs a model here; the server's own page explains its answers")
    if of_models["--density"] and (url is not None or of_models["--city-only"]):
        other = "--url" if url is not None else "--city-only"
        raise UsageError(f"predict: --density needs a model here that may tell places; leave {other} out")


def _answered(
    answerer: "Answerer", photos: list["Source"], explain: Path | None, file: "DensityFile | None", workspace: Path
) -> "Records":
    from benchmark.predicting.answer import answers
    from benchmark.predicting.formats import model_facts, recorded

    results = _tracked(answers(answerer, photos), len(photos))
    if file is not None:
        results = file.noting(results)
    if explain is None:
        return recorded(answerer, results), model_facts(answerer.about, answerer.digest)
    from benchmark.predicting.page import explained
    from collector.workspace import Workspace

    return explained(answerer, results, explain, Workspace(workspace)), model_facts(answerer.about, answerer.digest)


def _asked(url: str, photos: list["Source"]) -> "Records":
    from benchmark.serving.client import Server

    server = Server(url)
    return _tracked(server.records(photos), len(photos)), server.facts


def _tracked(results: Iterator[T], total: int) -> Iterator[T]:
    return track(results, "predicting", total) if total > 1 else results


def answerer_of(
    model: str,
    manifest: str | None,
    device: str,
    workspace: Path,
    manifests: Path,
    *,
    neighbours: bool,
    city_only: bool = False,
    few: bool = False,
) -> "Answerer":
    """Return the model in a file, or of a run, on a device.

    Args:
        model: the file, or the run, as `run_called` takes it.
        manifest: of a run, where it is not among those in `manifests`.
        device: auto, cpu or cuda.
        workspace, manifests: where a run, its photos and its manifest lie.
        neighbours: whether a run's training photos come along.
        city_only: whether it keeps to the city.
        few: whether it will be asked about few photos only.

    Raises:
        T15Error: there is no such model, or it is damaged.
    """
    from benchmark.doctor import resolve_device
    from benchmark.predicting.answer import Answerer

    if Path(model).is_file():
        return Answerer(Path(model), device, city_only=city_only, few=few)
    if Path(model).suffix or len(Path(model).parts) != 1:
        raise UsageError(f"--model {model[:200]}: there is no such file; `t15 export-model RUN FILE` writes one")
    from benchmark.predicting.exporting import is_unkept, refitted

    finished, data, place = _run(model, manifest, workspace, manifests)
    if is_unkept(finished, place):
        note(f"run {finished.inputs.identity} ({finished.inputs.method}) keeps no model: fitting it anew …")
        found, predictor = refitted(finished, data, place, resolve_device(device), track)
        return Answerer(found, device, _learnt(data), city_only=city_only, predictor=predictor)
    on = resolve_device(device) if neighbours else device  # what embeds their photos
    found, trained_on = _of_run(model, manifest, on, workspace, manifests, neighbours=neighbours)
    return Answerer(found, on, trained_on, city_only=city_only, few=few)


def _of_run(
    run: str, manifest: str | None, device: str, workspace: Path, manifests: Path, *, neighbours: bool
) -> "tuple[Model, dict[str, str]]":
    """Return a run's model, and the ids of its training photos by their files' sha256."""
    from benchmark.predicting.exporting import trained_model

    finished, data, place = _run(run, manifest, workspace, manifests)
    return trained_model(finished, data, place, device, neighbours, track), _learnt(data)


def _learnt(manifest: "Manifest") -> dict[str, str]:
    return {photo.sha256: photo.photo_id for photo in manifest.photos("train") if photo.sha256}


def _run(run: str, manifest: str | None, workspace: Path, manifests: Path) -> "tuple[Run, Manifest, Workspace]":
    """Return a finished run, its manifest, and the workspace."""
    from benchmark.predicting.exporting import manifest_of
    from collector.manifest.manifest import read_manifest
    from collector.workspace import Workspace, existing_workspace

    data = None if manifest is None else read_manifest(manifest_folder(manifest, manifests, workspace))
    finished = run_called(Workspace(workspace).runs, run, data.digest if data else "")
    place = existing_workspace(workspace)
    return finished, data or manifest_of(finished, manifests, place), place


@app.command()
def serve(
    model: Annotated[
        str,
        typer.Option(
            help="A file of `t15 export-model`, or a run: its first digits, or its method's name where that has one run."
        ),
    ],
    port: PortOption = 0,
    max_mb: Annotated[float, typer.Option(min=0.1, max=500, help="The largest photo that is taken, in MB.")] = 20,
    per_second: Annotated[
        float, typer.Option(min=0.01, help="Photos a second that one client may send in the long run.")
    ] = 5,
    city_only: Annotated[
        bool,
        typer.Option(
            "--city-only/--places",
            help="Keep to the city, or show coordinates, where the model gives some: see docs/responsible-use.md.",
        ),
    ] = True,
    open_browser: OpenOption = False,
    device: DeviceOption = "auto",
    manifest: ManifestOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
) -> None:
    """Answer about photos on a page of this machine, and to programs on it: drop a photo, see where it may be from."""
    from benchmark.predicting.formats import model_facts
    from benchmark.serving.app import serve as serve_model
    from benchmark.serving.limits import Limits
    from collector.workspace import Workspace

    answerer = answerer_of(model, manifest, device, workspace, manifests, neighbours=True, city_only=city_only)
    _note_doubts(model_facts(answerer.about, answerer.digest))
    limits = Limits(body=round(1e6 * max_mb), per_second=per_second)
    serve_model(answerer, Workspace(workspace), port, limits, open_browser=open_browser, say=note)
