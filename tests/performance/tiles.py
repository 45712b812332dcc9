"""`t15 aerial fetch` of thousands of tiles from this machine with faults, ended by SIGKILL again and again.

    python -m tests.performance.tiles [--tiles 5000] [--faults 0.1] [--kills 5] [--seed 0]

One answer in ten goes wrong: 429, 5xx, a reset or short answer, a page of HTML, nothing at all; one tile in twenty is absent,
of one colour, no square or no picture. Counted are requests, faults and tiles: nothing may be lost, no answer given twice but
for the one that a kill cut off, and nothing asked for beyond the quota of 24 hours, by however many commands.
"""

import argparse
import hashlib
import random
import subprocess
import tempfile
import time
from collections import Counter, deque
from functools import partial
from pathlib import Path

from collector.aerial.fetch import aerial, ledger
from collector.aerial.grid import tiles_of
from collector.aerial.services import find_service
from collector.areas import as_toml
from collector.records import Region
from collector.sandbox.holdings import deal
from collector.sandbox.land import LAND
from collector.sandbox.server import Trouble, serving
from collector.sandbox.tiles_api import lack
from collector.workspace import create_workspace
from tests.collector.aerial.fetching import start_fetching
from tests.collector.collecting.sandboxed import kill

ZOOM = 15
FAULTS = ("rate-limited", "server-error", "reset", "truncated", "html", "empty")
LACKING = 0.05


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=5000)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    cities = next(LAND[:n] for n in range(1, 10) if len(tiles_of(LAND[:n], ZOOM)) >= asked.tiles)
    tiles = tiles_of(cities, ZOOM)
    address = {tile: f"/tiles/{tile.z}/{tile.x}/{tile.y}.png" for tile in tiles}
    trouble = Trouble(asked.faults, asked.seed, kinds=FAULTS)
    with serving(deal(0, 1, 1), trouble, lacking=LACKING) as server, tempfile.TemporaryDirectory() as folder:
        server.log = deque()  # all of it
        service, region = Path(folder, "drawn.toml"), Path(folder, "region.toml")
        service.write_text(server.aerial_service(), encoding="utf-8")
        region.write_text(as_toml(Region("land", "Land", cities)), encoding="utf-8")
        workspace = create_workspace(Path(folder, "workspace"))
        started = time.monotonic()

        def run(most: int) -> subprocess.Popen[bytes]:
            return start_fetching(workspace, service, region, ZOOM, "--most", str(most))

        said = run(len(tiles) - 1).communicate()[0].decode()
        print(f"--most {len(tiles) - 1}: {said.strip()[-220:]}; {len(server.log)} requests")
        assert not server.log

        def reached(moment: int) -> bool:
            return len(server.log) >= moment

        moments = sorted(random.Random(asked.seed).sample(range(50, int(len(tiles) * 0.95)), asked.kills))
        for moment in moments:
            dead = kill(run(len(tiles)), partial(reached, moment))
            kept = len(ledger(workspace, find_service(str(service))))
            print(f"  killed: {dead}, {len(server.log)} requests, {kept} in the ledger")
        last = run(len(tiles))
        print(last.communicate()[0].decode().strip().splitlines()[-1])
        known = ledger(workspace, find_service(str(service)))
        answered = Counter(seen.target for seen in server.log if not seen.trouble)
        twice = sum(times - 1 for times in answered.values())
        faults = Counter(seen.trouble for seen in server.log if seen.trouble)
        without = sum(not of.sha256 for of in known.values())
        print(f"{len(tiles)} tiles, {len(server.log)} requests, {faults.total()} faults {dict(faults)}")
        print(f"{len(known)} in the ledger, {without} without a picture; {twice} answered twice")
        whole = sum(
            hashlib.sha256(aerial(workspace).photo(of.sha256).read_bytes()).hexdigest() == of.sha256
            for of in known.values() if of.sha256
        )  # fmt: skip
        right = sum(bool(known[tile].sha256) == (not lack(address[tile], LACKING)) for tile in tiles)
        print(f"{whole} pictures whole, {right} tiles as the service has them")
        before = len(server.log)
        again = run(len(tiles)).communicate()[0].decode().strip().splitlines()[-1]
        print(f"again: {again}; {len(server.log) - before} requests; {time.monotonic() - started:.0f} s by the clock")
        assert (last.returncode, set(known), right) == (0, set(tiles), len(tiles))
        assert twice <= asked.kills
        assert len(server.log) == before


if __name__ == "__main__":
    main()
