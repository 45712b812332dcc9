"""Where the data of layers lie: one file a layer, with what is said of it beside it."""

import json
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from collector.errors import DataError, UsageError
from collector.workspace import data_folder, replacing, write_atomically

FACTS = ("title", "unit", "source", "page", "licence", "resolution", "date")
"""What is said of a layer of one's own."""


def folder() -> Path:
    """Return where the data of layers are kept: T15_GEODATA, else `t15/geodata` in the user's data folder.

    Raises:
        UsageError: this account has no home directory, and nothing else is said.
    """
    return data_folder("geodata", "T15_GEODATA")


def stored(layer: str) -> Path | None:
    """Return a layer's file in the store; None where there is none. `relief` is read from what `elevation` has."""
    name = "elevation" if layer == "relief" else layer
    return next((path for path in sorted(folder().glob(f"{name}.*")) if path.suffix not in (".about", ".part")), None)


def packaged(where: str) -> Path | None:
    """Return the file of an installed package, `package:file`; None where it is not installed. The package is not run."""
    package, _, file = where.partition(":")
    spec = find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / file
    return path if path.is_file() else None


def add(layer: str, source: Path, facts: Mapping[str, str] | None) -> Path:
    """Copy a file into the store as the data of a layer; with `facts` of a layer of one's own.

    Raises:
        UsageError: the file is not there.
        OSError: the store cannot be written.
    """
    if not source.is_file():
        raise UsageError(f"{source}: no such file")
    target = folder() / f"{layer}{source.suffix.lower() or '.bin'}"
    earlier = stored(layer)
    with source.open("rb") as given, replacing(target) as file:
        shutil.copyfileobj(given, file)
    if earlier is not None and earlier != target:
        earlier.unlink()
    about = folder() / f"{layer}.about"
    if facts is not None:
        write_atomically(about, (json.dumps(dict(facts), ensure_ascii=False, indent=1) + "\n").encode())
    return target


def own_layers() -> dict[str, dict[str, Any]]:
    """Return what is said of each layer of one's own, by name.

    Raises:
        DataError: it is damaged.
    """
    found = {}
    for path in sorted(folder().glob("*.about")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = {name: str(facts.get(name, "")) for name in FACTS}
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: is damaged; add the layer again") from error
    return found
