"""The benchmark's commands: `commands/` holds them."""

import typer

from benchmark.commands import benching, boards

app = typer.Typer(help="Run methods on a manifest and compare them.")
for group in (benching, boards):
    app.add_typer(group.app)
