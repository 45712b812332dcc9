"""What to cite: BibTeX of a data set, its photos' services, the methods, and t15."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import UsageError
from collector.options import JsonOption, WorkspaceOption, show
from collector.records import provider_of
from collector.text_table import counted
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collector.manifest.manifest import Manifest

app = typer.Typer()

_ATTRIBUTION = "ATTRIBUTION.csv"

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

    folder = locate(what, workspace / "cache")
    manifest = read_manifest(folder)
    header = manifest.header
    data = _data(header.title, header.name, header.version, manifest.digest) | _published(folder)
    file = _ATTRIBUTION if (folder / _ATTRIBUTION).is_file() else ""
    return [data, *service_entries(manifest, file)]


def _published(folder: Path) -> dict[str, str]:
    """Return the author and year of a publication, where its publisher gave them to `t15 publish`: no manifest knows them."""
    import json

    try:
        said = json.loads((folder / "croissant.json").read_bytes())
        creator, date = said.get("creator", {}).get("name"), said.get("datePublished")
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    found = {"author": f"{{{creator}}}" if isinstance(creator, str) else "", "year": str(date or "")[:4]}
    return {name: value for name, value in found.items() if value}


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
    "folder": "photographs from a folder",
    "mapillary": "photographs from Mapillary",
    "panoramax": "photographs from Panoramax",
    "sandbox": "pictures of imaginary places, drawn by t15",
    "streetview": "views from Google Street View",
}


def service_entries(manifest: "Manifest", attribution: str = "") -> list[dict[str, str]]:
    """Return an entry for each service that photos came from, and for one's own: their number, years, authors, licences.

    `attribution` is the file beside the manifest that credits each photo; without one the manifest's own rows do.
    """
    columns = ("photo_id", "license", "author_name", "taken_at")
    of: dict[str, list[tuple[Any, ...]]] = {}
    for row in zip(*(manifest.table[name].to_pylist() for name in columns), strict=True):
        of.setdefault(provider_of(str(row[0])), []).append(row[1:])
    return [_photos_entry(manifest.header.name, service, of[service], attribution) for service in sorted(of)]


def _photos_entry(name: str, service: str, rows: "list[tuple[Any, ...]]", attribution: str) -> dict[str, str]:
    """Return the entry of one service's photos, rows of licence, author and time; what is known of none is left out."""
    from collections import Counter

    licences = Counter(str(licence) for licence, _, _ in rows)
    authors = {author for _, author, _ in rows if author}
    years = sorted({taken.year for _, _, taken in rows if taken is not None})
    entry = {
        "key": f"{name}-{service}",
        "type": "misc",
        "title": counted(len(rows), _PHOTOS_OF.get(service, f"photographs from {service}")),
    }
    said = f"licences: {', '.join(f'{licence} ({count})' for licence, count in licences.most_common())}"
    if len(authors) == 1 and all(author for _, author, _ in rows):
        entry["author"] = f"{{{next(iter(authors))}}}"
    elif authors:
        said = f"author of each in {attribution or 'the rows of the data set'}; {said}"
    if years:  # those in which they were taken
        entry["year"] = str(years[0]) if len(years) == 1 else f"{years[0]}--{years[-1]}"
    return {**entry, "note": f"{said[0].upper()}{said[1:]}"}


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
