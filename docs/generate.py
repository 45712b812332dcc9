"""Write the generated pages of the documentation; `tests/test_docs.py` fails where they are not up to date."""

import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def cli_reference() -> str:
    """Return the CLI reference in Markdown, made by typer from the commands themselves."""
    command = [sys.executable, "-m", "typer", "t15", "utils", "docs", "--name", "t15"]
    # Options with an environment variable show its value as their default where it is set.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("T15_")}
    made = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return f"<!-- Made by `make docs` from the commands; do not edit. -->\n\n{made.stdout.strip()}\n"


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_reference(), encoding="utf-8")
