"""What to cite: BibTeX of a data set, its photos' services, the methods, and t15."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import UsageError
from collector.options import JsonOption, WorkspaceOption, show
from collector.records import provider_of
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collector.manifest.manifest import Manifest

app = typer.Typer()

_PAPER = {
    "key": "ozkose2018",
    "type": "inproceedings",
    "title": "Finding Location of A Photograph with Deep Learning",
    "author": "Özköse and Yılıkoğlu and Karacan and Erdem",
    "booktitle": "Signal Processing and Communications Applications Conference (SIU)",
    "year": "2018",
}


@app.command()
def cite(
    what: Annotated[
        str,
        typer.Argument(metavar="MANIFEST|MODEL", help="A manifest, or a model file of `t15 export-model`."),
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write the BibTeX of a data set or model: the data, the services of its photos, the method, and t15."""
    path = Path(what)
    entries = _of_model(path) if path.suffix == ".safetensors" or path.is_file() else _of_manifest(what, workspace)
    entries += [_t15(), _PAPER]
    show({"entries": entries}, json, lambda: "\n\n".join(map(_bibtex, entries)))


def _of_manifest(what: str, workspace: Path) -> list[dict[str, str]]:
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate

    manifest = read_manifest(locate(what, workspace / "cache"))
    header = manifest.header
    return [_data(header.title, header.name, header.version, manifest.digest), *service_entries(manifest)]


def _of_model(path: Path) -> list[dict[str, str]]:
    from benchmark.models import read_model
    from benchmark.predicting.model_card import about_from_json

    if not path.is_file():
        raise UsageError(f"{path}: no such file; `t15 export-model RUN FILE` writes one")
    model = read_model(path)
    about = about_from_json(model.extra, model.classes)
    of = about.manifest
    weights = (
        f"; began with weights learnt from {about.pretraining} ({about.weights_licence})"
        if about.weights_licence
        else ""
    )
    return [
        {
            "key": f"t15-run-{about.run}",
            "type": "misc",
            "title": f"{about.title}, learnt from {of['title'] or of['name']} {of['version']}",
            "note": f"Model, run {about.run}, digest {model.digest}{weights}",
        },
        _data(of["title"], of["name"], of["version"], of["digest"]),
    ]


def _data(title: str, name: str, version: str, digest: str) -> dict[str, str]:
    note = f"Data set {name}, digest {digest}"
    return {"key": f"{name}-{version}", "type": "misc", "title": title or name, "version": version, "note": note}


_PHOTOS_OF = {
    "commons": "photographs from Wikimedia Commons",
    "flickr": "photographs from Flickr",
    "folder": "own photographs",
    "mapillary": "photographs from Mapillary",
    "panoramax": "photographs from Panoramax",
    "sandbox": "pictures of imaginary places, drawn by t15",
    "streetview": "views from Google Street View",
}


def service_entries(manifest: "Manifest") -> list[dict[str, str]]:
    """Return an entry for each service that photos came from, and for one's own, with their number and licences."""
    from collections import Counter

    rows = zip(manifest.table["photo_id"].to_pylist(), manifest.table["license"].to_pylist(), strict=True)
    licences: dict[str, Counter[str]] = {}
    for photo_id, licence in rows:
        licences.setdefault(provider_of(str(photo_id)), Counter())[str(licence)] += 1
    return [
        {
            "key": f"{manifest.header.name}-{service}",
            "type": "misc",
            "title": f"{sum(of.values())} {_PHOTOS_OF.get(service, f'photographs from {service}')}",
            "note": f"Authors in ATTRIBUTION.csv; licences: {', '.join(f'{name} ({n})' for name, n in of.most_common())}",
        }
        for service, of in sorted(licences.items())
    ]


def _t15() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    entry = {
        "key": "t15",
        "type": "misc",
        "title": "t15: where was this photograph taken?",
        "author": "{The t15 authors}",
    }
    try:
        return {**entry, "version": version("t15"), "note": "Software, Apache-2.0"}
    except PackageNotFoundError:
        return {**entry, "note": "Software, Apache-2.0"}


def _bibtex(entry: dict[str, Any]) -> str:
    fields = [f"  {name} = {{{bibtex_text(value)}}}" for name, value in entry.items() if name not in ("key", "type")]
    return f"@{entry['type']}{{{entry['key']},\n" + ",\n".join(fields) + "\n}"


def bibtex_text(text: str) -> str:
    """Return a text of anybody's without what BibTeX would take for markup; our own braces around a name stay."""
    own = text.startswith("{") and text.endswith("}") and text.count("{") == text.count("}") == 1
    plain = text if own else text.translate({ord(letter): None for letter in "{}\\"})
    return "".join(f"\\{letter}" if letter in "&%$#_" else letter for letter in plain)
