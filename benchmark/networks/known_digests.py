"""Which file of weights was first seen for a network: no other one is taken for it later, unless somebody says so."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from collector.errors import DataError, UsageError
from collector.workspace import write_atomically

_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@contextmanager
def pinned(path: Path) -> Iterator[dict[str, str]]:
    """Give the pins: sha256 of a file by the network that it was first seen for. Changes are written if nothing goes wrong.

    Raises:
        DataError: the file is damaged; it is not overwritten.
    """
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or not all(isinstance(pin, str) for pin in found.values()):
            raise ValueError("no digests by name")  # noqa: TRY301 (one way out for all that can be wrong)
    except FileNotFoundError:
        found = {}
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); repair it, or remove it to pin anew") from error
    pins = dict(found)
    yield pins
    if pins != found:
        write_atomically(path, (json.dumps(pins, indent=1, sort_keys=True) + "\n").encode())


def require(
    file: Path, found: str, name: str, *, asked: str | None, published: str, pins: Mapping[str, str], where: Path
) -> None:
    """Refuse a file that is not the one that is asked for; where none is, the published and the pinned one.

    Args:
        file: for messages.
        found: its sha256.
        name: the network that it is for.
        asked: a digest that somebody named, 8 to 64 hex digits.
        published: the publisher's, or its beginning, or nothing.
        pins: what was first seen; `where` is their file.

    Raises:
        UsageError: what is asked for is no digest.
        DataError: it is another file.
    """
    if asked is not None:
        wanted = asked.strip().lower().removeprefix("sha256:")
        if not _DIGEST.fullmatch(wanted):
            raise UsageError(f"--sha256 {asked[:80]!r}: 8 to 64 hex digits are wanted")
        if not found.startswith(wanted):
            raise DataError(f"{file}: its sha256 is {found}, not {wanted} as asked for; nothing was stored")
    elif not found.startswith(published):
        raise DataError(
            f"{file}: its sha256 is {found}, {name}'s publisher says {published}; nothing was stored: bring the published "
            "file, or name this one with --sha256"
        )
    elif pins.get(name, found) != found:
        raise DataError(
            f"{file}: its sha256 is {found}, but the file first seen for {name} had {pins[name]}; nothing was stored: if you "
            f"trust the new one, name it with --sha256, or remove the line of {name} from {where}"
        )
