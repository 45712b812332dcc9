"""Damaged and absurd files, by the hundred: each is read, or refused in one line, in bounded time and memory.

To fuzz another kind of file, add a `Target` to TARGETS: an example that is whole, and a function that reads it as a command
would. `tests/test_fuzz.py` runs each target in a process of its own, whose memory the system bounds. Imports belong into the
functions, so that a target pays for its own only.

    python -m tests.fuzz manifest 7 60 /tmp/fuzz    # another seed, for a minute
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASE_SECONDS = 20
"""What one file may take, on a busy machine."""

MEMORY = 3 << 30
"""Bytes of address space: libraries map some 1.5 GB of it, and use little."""

_LONGEST_MESSAGE = 4000
_FEWEST = 20  # cases, however long the machine takes for them

_TOKENS = (
    *(b"-1", b"0", b"1e999", b"NaN", b"9" * 400, b"18446744073709551616", b"null", b"true", b'""', b"[]", b"{}"),
    *(
        b"x" * 100_000,
        b"\\ud800",
        b"\x00",
        b"\xff\xfe",
        b"\n",
        b"\x1b[2J",
        b"../../x",
        b"[" * 5000,
        b"=cmd()",
        "İ".encode(),
    ),
)
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1e308,
        10**30,
        2**63,
        "",
        "x" * 100_000,
        "\ud800",
        "\x00\n\x1b",
        "../../x",
        [],
        {},
        [[]] * 1000,
    ),
    *({str(n): n for n in range(1000)}, [None], "NaN", -0.5),
)


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        make: writes a whole example into a folder and returns what is read of it (a file, or the folder).
        read: reads it as a command would; a T15Error is a refusal, anything else a defect.
        files: names of the files to damage, below the folder.
        repair: makes a damaged example consistent again, so that it gets past a digest; it may fail.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    files: tuple[str, ...]
    repair: Callable[[Path], object] = lambda _: None


def _make_manifest(folder: Path) -> Path:
    shutil.copytree(Path(__file__).parent / "data" / "manifests" / "format-2", folder, dirs_exist_ok=True)
    return folder


def _read_manifest(folder: Path) -> None:
    from io import BytesIO

    from collector.manifest.diff import as_text, diff
    from collector.manifest.export import export
    from collector.manifest.manifest import read_manifest
    from collector.splitting.audit import audit_manifest
    from collector.splitting.certificate import certificate

    manifest = read_manifest(folder)
    as_text(diff(manifest, manifest))
    export(manifest, BytesIO(), "jsonl")
    certificate(audit_manifest(manifest))


def _repair_manifest(folder: Path) -> None:
    """Compute the digest of a changed header anew, as somebody would who means it."""
    from collector.manifest.digest import summarise
    from collector.manifest.header import defining, read_header
    from collector.manifest.manifest import read_manifest

    whole = read_manifest(Path(__file__).parent / "data" / "manifests" / "format-2")
    data = json.loads((folder / "manifest.json").read_bytes())
    header = read_header(folder).header
    columns = whole.columns
    found = summarise(defining(header, 2), whole.rows.to_batches(), columns, whole.table.num_rows)
    data.update(digest=found.digest, checks=found.checks())
    (folder / "manifest.json").write_text(json.dumps(data), encoding="utf-8")


_REGION = """name = "mine"
title = "Mine"
note = "Drawn."
[[city]]
name = "Paris"
slug = "paris"
code = "FR-75"
country = "FR"
names = { en = "Paris", tr = "Paris" }
latitude = 48.8566
longitude = 2.3522
radius_km = 12
aliases = ["Lutetia"]
[[city.district]]
name = "Louvre"
latitude = 48.86
longitude = 2.34
radius_km = 1
"""


def _read_region(path: Path) -> None:
    from collector.labels import LabelTree
    from collector.regions import find_city, region

    mine = region(str(path))
    LabelTree.of(mine).finest(mine.cities[0].slug, 48.86, 2.34)
    find_city(mine, mine.cities[0].slug)


def _made(name: str, content: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        content(folder / name)
        return folder / name

    return make


def _text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content, encoding="utf-8")


def _parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": [f"a:{n}" for n in range(50)],
        "split": ["train", "test"] * 25,
        "lat": [float(n) for n in range(50)],
    }
    pq.write_table(pa.table({**columns, "lon": columns["lat"]}), path, row_group_size=20)


def _read_foreign(path: Path) -> None:
    from collector.manifest.foreign import read_foreign

    read_foreign(path)


_CSV = "sep=;\nid;split;lat;lon;author\na;train;1.5;2;x\nb;test;;;y\n" + "".join(f"c{n};val;1;2;z\n" for n in range(50))
_JSONL = "".join(
    json.dumps({"id": f"a{n}", "split": "train", "lat": n, "lon": 1.5, "user": None}) + "\n" for n in range(50)
)

TARGETS: dict[str, Target] = {
    "manifest": Target(_make_manifest, _read_manifest, ("manifest.json", "photos.parquet"), _repair_manifest),
    "region": Target(_made("mine.toml", _text(_REGION)), _read_region, ("mine.toml",)),
    "csv": Target(_made("t.csv", _text(_CSV)), _read_foreign, ("t.csv",)),
    "jsonl": Target(_made("t.jsonl", _text(_JSONL)), _read_foreign, ("t.jsonl",)),
    "parquet": Target(_made("t.parquet", _parquet), _read_foreign, ("t.parquet",)),
}
"""What is fuzzed, by name."""


def damaged(content: bytes, numbers: random.Random) -> bytes:
    """Return bytes with one to four faults of the kinds that disks, editors and enemies make."""
    data = bytearray(content)
    for _ in range(numbers.randint(1, 4)):
        at = numbers.randrange(len(data) + 1)
        end = min(len(data), at + numbers.choice((1, 1, 4, 64)))
        kind = numbers.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << numbers.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = numbers.choice(_TOKENS)
        elif kind == 3:
            data[at:end] = numbers.choice(_TOKENS)
        else:
            data[at:at] = data[at:end] * numbers.choice((2, 100))
    return bytes(data[: numbers.randrange(len(data) + 1)] if numbers.random() < 0.05 else data)


def absurd(value: Any, numbers: random.Random) -> Any:
    """Return JSON with one value, anywhere in it, that is of another kind or size, is missing, or is there more often."""
    if numbers.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return numbers.choice(_VALUES)
    if isinstance(value, list):
        changed = list(value)
        at = numbers.randrange(len(changed))
        changed[at : at + 1] = numbers.choice(([absurd(changed[at], numbers)], [], [changed[at]] * 200))
        return changed
    name = numbers.choice(list(value))
    if numbers.random() < 0.1:
        return {key: one for key, one in value.items() if key != name}
    return {**value, name: absurd(value[name], numbers)}


def _damage(path: Path, numbers: random.Random) -> None:
    content = path.read_bytes()
    if path.suffix == ".json" and numbers.random() < 0.7:
        path.write_text(json.dumps(absurd(json.loads(content), numbers)), encoding="utf-8")
    else:
        path.write_bytes(damaged(content, numbers))


def fuzz(name: str, seed: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Read damaged examples of a target for so long; return how many were read and refused, and what was worst.

    Raises:
        AssertionError: one ends in anything but a refusal in one line; its file is left in `folder`.
    """
    from collector.errors import T15Error

    target, numbers = TARGETS[name], random.Random(seed)
    cases, read, worst = 0, 0, 0.0
    end = time.monotonic() + seconds
    while cases < _FEWEST or time.monotonic() < end:
        case = folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir(parents=True)
        path = target.make(case)
        if cases:  # the first one is whole
            _damage(case / numbers.choice(target.files), numbers)
            with suppress(T15Error, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
                target.repair(case)
        start = time.monotonic()
        signal.alarm(CASE_SECONDS)
        try:
            target.read(path)
            read += 1
        except T15Error as error:
            if not cases or "\n" in str(error) or len(str(error)) > _LONGEST_MESSAGE:
                raise AssertionError(f"case {cases} of seed {seed}: the refusal {str(error)[:2000]!r}") from error
        except BaseException as error:
            raise AssertionError(f"case {cases} of seed {seed} ({case}): {type(error).__name__}: {error}") from error
        finally:
            signal.alarm(0)
        worst = max(worst, time.monotonic() - start)
        cases += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"cases": cases, "read": read, "refused": cases - read, "slowest_s": round(worst, 3), "peak_mib": peak}


def main() -> None:
    """Fuzz the target that the command line names, within MEMORY."""
    name, seed, seconds, folder = sys.argv[1:]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {CASE_SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    print(json.dumps(fuzz(name, int(seed), float(seconds), Path(folder))))


if __name__ == "__main__":
    main()
