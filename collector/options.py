"""What the commands of both packages share: their options, and how a result is shown. Imported by commands only."""

import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from collector.errors import UsageError
from collector.standard_streams import print_json
from collector.text_table import shown_on

Options = TypeVar("Options")

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="T15_WORKSPACE", help="Folder of the catalogue, photos, runs and reports.")
]
ManifestsOption = Annotated[
    Path, typer.Option("--manifests", envvar="T15_MANIFESTS", help="Folder of published manifests.")
]
ManifestArgument = Annotated[
    str, typer.Argument(help="A manifest: its folder, name, https:// address or hub:OWNER/NAME.")
]
CityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--city",
        help="City by name, slug, plate or ISO code; commas, or repeat, for several. Default: all of the region.",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=THEIRS", help="What a file's column is, such as latitude=lat; repeat for several."
    ),
]
RegionOption = Annotated[str, typer.Option("--region", help="turkiye15, turkiye81, or a TOML file of your own.")]
PortOption = Annotated[int, typer.Option("--port", help="Port of the server; 0: any free one.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Show the page in your browser.")]
"""Of every command that makes a page or serves one; `collector.web.browser.open_page` does it."""

NAMED = 10
"""How many photos are named in a text; JSON names all."""

ClusterOption = Annotated[
    str, typer.Option("--cluster", metavar="auto|HOST:PORT", help="Work on a Ray cluster, see docs/cluster.md.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def with_options(
    kind: type[Options],
) -> Callable[[Callable[[typer.Context, Options], None]], Callable[..., None]]:
    """Make the fields of a dataclass the options of a command, which is given them as one value.

    A field is written as a command's parameter is: `seed: Annotated[int, typer.Option(help="…")] = 0`.
    """

    def decorated(command: Callable[[typer.Context, Options], None]) -> Callable[..., None]:
        @wraps(command)
        def parsed(context: typer.Context, **values: Any) -> None:
            command(context, kind(**values))

        parameters = [Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        for field in fields(kind):  # type: ignore[arg-type]
            default = Parameter.empty if field.default is MISSING else field.default
            parameters.append(Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.type))
        parsed.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        parsed.__annotations__ = {one.name: one.annotation for one in parameters}
        return parsed

    return decorated


def show(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print a command's result on stdout: as JSON for programs, or the text for people."""
    if as_json:
        print_json(result)
    else:
        print(shown_on(sys.stdout, text()), flush=True)


def parse_columns(given: list[str] | None) -> dict[str, str]:
    """Return the names of `latitude=lat` and the like.

    Raises:
        UsageError: one is not of this form, or names a column twice.
    """
    columns: dict[str, str] = {}
    for pair in given or ():
        ours, sign, theirs = pair.partition("=")
        if not (sign and ours and theirs) or ours in columns:
            raise UsageError(f"--column {pair[:60]!r}: write it as latitude=lat, each once")
        columns[ours] = theirs
    return columns


def listed_cities(given: list[str] | None) -> list[str]:
    """Return the cities of `--city Bolu,Konya --city Van`."""
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]
