"""Fetch the tiles of a region: each asked for once, kept by its content, and entered in a ledger.

`workspace/aerial/` is a workspace of its own: `photos/ab/<sha256>.jpg` holds the original bytes of tiles, and
`ledger/<service>.jsonl` what became of each tile that was asked for, a line each, written after its bytes. A killed run goes
on where it stopped; a tile that a service does not have, or whose picture is of one colour alone, is not asked for
again. Nothing of it is ever published: publications take what a manifest names, and no manifest names tiles.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from collector.aerial.grid import Tile, ground_m, tiles_of
from collector.aerial.services import Service
from collector.aerial.windows import Picture, windows
from collector.errors import DataError, IncompleteError, UsageError, first_few, one_line
from collector.net.client import GONE, Http
from collector.net.types import NetError
from collector.progress import Track, silent
from collector.records import City
from collector.workspace import Workspace, storage_errors, take_lock, write_atomically

_LARGEST = 8 << 20  # bytes of a tile
_SIDES = (64, 2048)  # pixels that a tile may have
_NO = frozenset({401, 403})
_DAY_S = 86_400
_GIVE_UP = 5  # tiles in a row that could not be had


@dataclass(frozen=True)
class Entry:
    """What became of a tile, and when (Unix time): its picture's digest, or why there is none (`absent`, `blank`, `odd`)."""

    tile: Tile
    sha256: str = ""
    why: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What fetching would ask for.

    Attributes:
        tiles: that the region needs.
        here: of these, how many have a picture already.
        without: how many are known to have none.
        ask: how many would be asked for.
        ground_m: how wide a tile is on the ground, in the middle of the region.
        seconds: that asking takes at least, at the service's rate.
        uncovered: cities that the service has no pictures of.
    """

    tiles: int
    here: int
    without: int
    ask: int
    ground_m: float
    seconds: float
    uncovered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a region's tiles: fetched now, here before, and without a picture, by reason."""

    fetched: int
    here: int
    without: Mapping[str, int]


def aerial(workspace: Workspace) -> Workspace:
    """Return where a workspace's aerial pictures lie: a workspace of its own."""
    return Workspace(workspace.root / "aerial")


def ledger(workspace: Workspace, service: Service) -> dict[Tile, Entry]:
    """Return what became of each tile that a service was asked for.

    Raises:
        DataError: a line is damaged.
    """
    path = _ledger(workspace, service)
    entries: dict[Tile, Entry] = {}
    if not path.is_file():
        return entries
    text = path.read_text(encoding="utf-8")
    # A last line without its end was cut off by a full disk or a power cut.
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            of = json.loads(line)
            tile = Tile(*map(int, of["tile"]))
            entries[tile] = Entry(tile, str(of.get("sha256", "")), str(of.get("why", "")), int(of.get("at", 0)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: line {number} is damaged; take it out") from error
    return entries


def wanted(service: Service, cities: Sequence[City], zoom: int) -> list[Tile]:
    """Return the tiles of the cities that a service has pictures of.

    Raises:
        UsageError: it has none of any, or none so fine.
    """
    low, high = service.zooms
    if not low <= zoom <= high:
        raise UsageError(f"--zoom {zoom}: {service.name} has {low} to {high}")
    covered = [city for city in cities if service.covers(city)]
    if not covered:
        names = first_few([city.name for city in cities])
        raise UsageError(f"service {service.name}: has no pictures of {names}; `t15 aerial list` shows others")
    return tiles_of(covered, zoom)


def plan(workspace: Workspace, service: Service, cities: Sequence[City], zoom: int) -> Plan:
    """Return what fetching would ask for; asks nobody.

    Raises:
        UsageError: as `wanted`.
        DataError: the ledger is damaged.
    """
    tiles, known = wanted(service, cities, zoom), ledger(workspace, service)
    here = sum(bool(known[tile].sha256) for tile in tiles if tile in known)
    without = sum(not known[tile].sha256 for tile in tiles if tile in known)
    ask = len(tiles) - here - without
    middle = float(np.mean([city.latitude for city in cities]))
    seconds = 0.0 if not service.remote else ask / service.rate
    uncovered = tuple(city.slug for city in cities if not service.covers(city))
    return Plan(len(tiles), here, without, ask, ground_m(middle, zoom), seconds, uncovered)


def fetch(
    workspace: Workspace,
    service: Service,
    cities: Sequence[City],
    zoom: int,
    most: int | None = None,
    track: Track = silent,
    http: Http | None = None,
) -> Fetched:
    """Fetch the tiles that are not here; those that were asked for are not asked for again.

    Args:
        workspace: whose aerial pictures they become.
        service, cities, zoom: what is wanted.
        most: tiles to ask for within 24 hours at most, by whatever commands; the service's number where it is None.
        track: shows progress.
        http: asks; made from the service where it is None.

    Raises:
        UsageError: as `wanted`, or more tiles are wanted than may be asked for.
        IncompleteError: the service says no, tiles could not be had now, or another process is fetching; what came is kept.
        DataError: the ledger is damaged.
    """
    tiles = wanted(service, cities, zoom)
    with storage_errors(workspace.root), _alone(workspace, service):
        known = ledger(workspace, service)
        missing = [tile for tile in tiles if tile not in known]
        allowed = service.most if most is None else most
        recent = sum(entry.at > time.time() - _DAY_S for entry in known.values())
        if missing and len(missing) + recent > allowed and service.remote:
            also = f", {recent:,} were asked for in the last 24 hours" if recent else ""
            raise UsageError(
                f"{len(missing):,} tiles of {service.name} at zoom {zoom}{also}, more than {allowed:,} a day; take a smaller "
                f"--zoom, fewer cities, or --most {len(missing) + recent} where its terms allow it "
                f"({service.terms[:200] or service.licence})"
            )
        here = sum(bool(known[tile].sha256) for tile in tiles if tile in known)
        asking = http or Http(service.access)
        picture = windows(service, asking) if service.kind == "raster" else _asked(service, asking)
        failures: list[str] = []
        in_a_row = 0
        for tile in track(missing, f"fetching {service.name}", len(missing)):
            try:
                known[tile] = _settled(workspace, tile, picture)
            except NetError as error:
                if error.status in _NO:
                    raise IncompleteError(
                        f"service {service.name}: says no ({one_line(error)}); {len(missing)} tiles were wanted, those that "
                        f"came are kept; read {service.terms[:200] or 'its terms'}"
                    ) from error
                failures.append(f"{'/'.join(map(str, tile))}: {one_line(error)}")
                in_a_row += 1
                if in_a_row == _GIVE_UP:  # the service is down, or gives no pictures at all
                    break
                continue
            in_a_row = 0
            _enter(workspace, service, known[tile])
    if failures:
        stopped = f", {_GIVE_UP} in a row, so that no more were asked for" if in_a_row == _GIVE_UP else ""
        raise IncompleteError(
            f"service {service.name}: {len(failures)} of {len(missing)} tiles could not be had now{stopped} "
            f"({first_few(failures, '; ', 3)}); run the same command again"
        )
    reasons = [known[tile].why for tile in tiles if not known[tile].sha256]
    fetched = sum(bool(known[tile].sha256) for tile in missing)
    return Fetched(fetched, here, {why: reasons.count(why) for why in sorted(set(reasons))})


def _asked(service: Service, http: Http) -> Picture:
    def picture(tile: Tile) -> bytes:
        sink = io.BytesIO()
        try:
            http.fetch(service.address(tile), sink, max_bytes=_LARGEST, robots=False)
        except NetError as error:
            if error.status in GONE or error.status == 204:
                return b""
            raise
        return sink.getvalue()

    return picture


def _settled(workspace: Workspace, tile: Tile, picture: Picture) -> Entry:
    content = picture(tile)
    if not content:
        return Entry(tile, why="absent")
    why = _fault(content)
    if why:
        return Entry(tile, why=why)
    sha256 = hashlib.sha256(content).hexdigest()
    path = aerial(workspace).photo(sha256)
    if not path.is_file():
        write_atomically(path, content)
    return Entry(tile, sha256)


def _fault(content: bytes) -> str:
    """Return why bytes are no tile: `blank` of one colour alone, `odd` where they are no square picture of a usual size."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as picture:
            width, height = picture.size
            if width != height or not _SIDES[0] <= width <= _SIDES[1]:
                return "odd"
            extremes: Any = picture.convert("RGB").getextrema()
    except Exception:  # noqa: BLE001 (Pillow raises whatever its decoders do)
        return "odd"
    return "blank" if all(low == high for low, high in extremes) else ""


def _enter(workspace: Workspace, service: Service, entry: Entry) -> None:
    became = {"sha256": entry.sha256} if entry.sha256 else {"why": entry.why}
    line = {"tile": list(entry.tile), **became, "at": int(time.time())}
    # One write of one short line: the kernel appends it whole.
    with _ledger(workspace, service).open("ab", buffering=0) as file:
        file.write(json.dumps(line).encode() + b"\n")


def _ledger(workspace: Workspace, service: Service) -> Path:
    return aerial(workspace).root / "ledger" / f"{service.name}.jsonl"


@contextmanager
def _alone(workspace: Workspace, service: Service) -> Iterator[None]:
    path = _ledger(workspace, service)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a+", encoding="ascii") as lock:
        if not take_lock(lock, wait=False):
            raise IncompleteError(f"service {service.name}: another process is fetching its tiles; wait for it")
        if path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size:
            text = path.read_bytes()  # a line that was cut off
            write_atomically(path, text[: text.rfind(b"\n") + 1])
        yield


def pictures(workspace: Workspace, service: Service, tiles: Iterable[Tile]) -> list[Entry]:
    """Return those of the tiles that have a picture here."""
    known = ledger(workspace, service)
    return [known[tile] for tile in tiles if tile in known and known[tile].sha256]
