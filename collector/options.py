"""What the commands of both packages share: their options, and how a result is shown. Imported by commands only."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.standard_streams import print_json
from collector.text_table import printable

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="T15_WORKSPACE", help="Folder of the catalogue, photos, runs and reports.")
]
ManifestsOption = Annotated[
    Path, typer.Option("--manifests", envvar="T15_MANIFESTS", help="Folder of published manifests.")
]
CityOption = Annotated[
    list[str] | None,
    typer.Option("--city", help="City by name, slug, plate or ISO code; again for more. Default: all of the region."),
]
NAMED = 10
"""How many photos are named in a text; JSON names all."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def show(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print a command's result on stdout: as JSON for programs, or the text for people."""
    if as_json:
        print_json(result)
    else:
        print(printable(text()), flush=True)
