"""Layers of geodata: agreement with Global Streetscapes, places a second, and memory, each in a process of its own.

    python -m tests.performance.layers [--places 30000]

Needs T15_REAL_DATA for the agreement; layers whose data are not here (`t15 geodata list`) are not asked. Places are random
ones in and around Türkiye. Seconds are of the processor, once the layer is open; memory is what opening and asking added to
the process (resident, with what is mapped of files), and that of a process with all layers, Python and libraries included.
"""

import argparse
import csv
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collector.geodata.layers import layers
from collector.text_table import table

REGION = ((36.0, 42.0), (26.0, 45.0))


def resident_mib() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def asked(names: Sequence[str], count: int) -> tuple[float, float, float]:
    """Return seconds to open layers, places a second of the first, and MiB: of the layers alone, and of all."""
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(*edges, count) for edges in REGION], axis=1)
    before, started = resident_mib(), time.process_time()
    for name in names:
        layers()[name].values(places[:100])
    opened = time.process_time() - started
    started = time.process_time()
    for name in names:
        layers()[name].values(places)
    took = time.process_time() - started
    return opened, count * len(names) / took, resident_mib() - before if len(names) == 1 else resident_mib()


def agreement(rows: list[dict[str, str]], name: str, column: str) -> str:
    """Return how many values of a layer are those of a column."""
    places: NDArray[np.float64] = np.array([[float(row["lat"]), float(row["lon"])] for row in rows])
    same = sum(own == row[column] for own, row in zip(layers()[name].values(places), rows, strict=True))
    return f"{name}: {same} of {len(rows)} as Global Streetscapes has it"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=30_000)
    count = parser.parse_args().places
    ready = [name for name, layer in layers().items() if layer.ready]
    lines = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name in ready:
            opened, a_second, mib = pool.apply(asked, ([name], count))
            lines.append([name, f"{opened:.1f}", f"{a_second:,.0f}", f"{mib:.0f}"])
        opened, a_second, mib = pool.apply(asked, (ready, count))
    print(table(("layer", "s to open", "places a second", "MiB"), lines))
    print(
        f"all {len(ready)}: {opened:.1f} s to open, {a_second:,.0f} values a second, {mib:.0f} MiB with Python and libraries"
    )
    real = Path(os.environ.get("T15_REAL_DATA", ".")) / "new" / "street_attributes" / "stuttgart.csv"
    if real.is_file():
        with real.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        print(*(agreement(rows, *of) for of in (("climate", "koppen"), ("urbanisation", "ghsl_term"))), sep="\n")


if __name__ == "__main__":
    main()
