"""The collector's commands, from the first to the last: `commands/` holds them."""

import typer

from collector.commands import aerial, collecting, curating, geodata, importing, publishing, splitting

app = typer.Typer(help="Collect, clean, split, publish and check photos of cities.")
for group in (collecting, importing, curating, splitting, publishing, geodata, aerial):
    app.add_typer(group.app)
