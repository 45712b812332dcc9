"""The benchmark's commands: `commands/` holds them."""

import typer

from benchmark.commands import bench, predicting, scoring, weights

app = typer.Typer(help="Run methods on a manifest and compare them.")
for group in (bench, scoring, predicting, weights):
    app.add_typer(group.app)
