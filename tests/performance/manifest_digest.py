"""What a manifest's digest takes, by the number of rows: time, and the memory of a process that does nothing else.

python -m tests.performance.manifest_digest              # 10^5 and 10^6 rows, each in a process of its own
python -m tests.performance.manifest_digest 100000       # one of them
"""

import hashlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from collector.manifest.digest import summarise
from collector.manifest.schema import ARROW

_BATCH = 4096


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    """Yield rows that are made up, a batch at a time, none of them kept."""
    for start in range(0, rows, _BATCH):
        numbers = range(start, min(rows, start + _BATCH))
        digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in numbers]
        columns = {
            "photo_id": [f"made:{n:09d}" for n in numbers],
            "city": ["ankara"] * len(numbers),
            "latitude": [39.5 + n / 1e7 for n in numbers],
            "longitude": [32.5 + n / 1e7 for n in numbers],
            "taken_at": [datetime(2019, 5, 1, tzinfo=UTC) + timedelta(seconds=n) for n in numbers],
            "author_id": [f"made:author-{n % 5000}" for n in numbers],
            "title": [f"Kızılay {n}" for n in numbers],
            "license": ["CC-BY-4.0"] * len(numbers),
            "width": [640] * len(numbers),
            "height": [480] * len(numbers),
            "bytes": [50_000 + n for n in numbers],
            "sha256": digests,
            "phash": [text[:16] for text in digests],
            "split": ["train"] * len(numbers),
        }
        arrays = [pa.array(columns.get(of.name, [None] * len(numbers)), of.type) for of in ARROW]
        yield pa.RecordBatch.from_arrays(arrays, schema=ARROW)


def main() -> None:
    """Measure the numbers of rows that the command line names."""
    if len(sys.argv) == 1:
        for rows in (10**5, 10**6):
            subprocess.run([sys.executable, "-m", "tests.performance.manifest_digest", str(rows)], check=True)
        return
    rows = int(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    digest = summarise({"format": 2}, batches(rows), ARROW.names, rows).digest
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = time.process_time() - start
    print(f"{rows} rows: {seconds:.1f} s of CPU, peak {peak >> 10} MiB ({before >> 10} before), digest {digest[:16]}")


if __name__ == "__main__":
    main()
