"""Answering about photos for others: a page and an API on this machine."""

from typing import Annotated

import typer

from benchmark.commands.predicting import DeviceOption, answerer_of
from benchmark.commands.shared import ManifestOption
from collector.options import ManifestsOption, WorkspaceOption
from collector.progress import note
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

app = typer.Typer()


@app.command()
def serve(
    model: Annotated[str, typer.Option(help="A file of `t15 export-model`, or a run: its first digits.")],
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 0,
    max_mb: Annotated[float, typer.Option(min=0.1, max=500, help="The largest photo that is taken, in MB.")] = 20,
    per_second: Annotated[
        float, typer.Option(min=0.01, help="Photos a second that one client may send in the long run.")
    ] = 5,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    device: DeviceOption = "auto",
    manifest: ManifestOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
) -> None:
    """Answer about photos on a page of this machine, and to programs on it: drop a photo, see where it may be from."""
    from benchmark.serving.limits import Limits
    from benchmark.serving.server import serve as serve_model
    from collector.workspace import Workspace

    answerer = answerer_of(model, manifest, device, workspace, manifests, neighbours=True)
    limits = Limits(body=round(1e6 * max_mb), per_second=per_second)
    serve_model(answerer, Workspace(workspace), port, limits, open_browser=open_browser, say=note)
