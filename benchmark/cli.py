"""The benchmark's commands: `commands/` holds them."""

import typer

from benchmark.commands import bench, citing, embedding, predicting, runs, scoring, weights

app = typer.Typer(help="Run methods on a manifest and compare them.")
for group in (bench, runs, scoring, citing, predicting, weights, embedding):
    app.add_typer(group.app)
