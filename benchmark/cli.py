"""The benchmark's commands: `commands/` holds them."""

import typer

from benchmark.commands import bench, leaderboard, predicting, scoring, serving, weights

app = typer.Typer(help="Run methods on a manifest and compare them.")
for group in (bench, leaderboard, scoring, predicting, serving, weights):
    app.add_typer(group.app)
