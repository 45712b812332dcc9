"""How completely a city of 20,000 photos is listed through the Flickr client and the planner, and what it costs.

    python -m tests.performance.coverage [--photos 20000] [--seed 0]

The sandbox answers at most 4,000 rows to a question. Of two services the first loses and doubles 3 % of the rows of later
pages, as the real one does; the second 1.5 % of all rows. The goal for the first: 99 % listed for fewer than 1.3 rows each.
No picture is fetched. The server runs in the same process, so the seconds are its work too.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from collector.catalogue.catalogue import open_catalogue
from collector.catalogue.withdrawals import Withdrawn
from collector.collecting.listing import list_city
from collector.progress import silent
from collector.providers import flickr
from collector.providers.base import Query
from collector.records import Region
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import Holdings, deal
from collector.sandbox.scenes import CITIES
from collector.sandbox.server import serving
from collector.workspace import create_workspace

REGION = Region("sandbox", "", CITIES[:1])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""Which rows are lost depends on the question, so this moment stands still; all photos are older."""

SERVICES = {
    "3 % of later pages' rows": Limits(row_loss=0.03),
    "1.5 % of all rows": Limits(row_loss=0.0, uniform_loss=0.015),
    "none": Limits(row_loss=0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    holdings = deal(options.seed, 1, options.photos, {"flickr": 1.0})
    print(
        f"{'rows lost':25s} {'present':>8s} {'listed':>8s} {'share':>8s} {'rows each':>10s} {'calls':>6s} {'seconds':>8s}"
    )
    for name, limits in SERVICES.items():
        present, listed, rows_each, calls, seconds = measured(holdings, limits)
        share = f"{listed / present:.2%}"
        print(f"{name:25s} {present:8d} {listed:8d} {share:>8s} {rows_each:10.3f} {calls:6d} {seconds:8.1f}")


def measured(holdings: Holdings, limits: Limits) -> tuple[int, int, float, int, float]:
    """Return photos that can be collected, those of them that were listed, rows for each thing listed, calls, seconds."""
    city = REGION.cities[0]
    with serving(holdings, limits=limits) as sandbox, tempfile.TemporaryDirectory() as folder:
        os.environ.update(sandbox.environment())
        started = time.perf_counter()
        with open_catalogue(create_workspace(Path(folder))) as catalogue:
            service = flickr.make()
            list_city(catalogue, service, city, REGION, Query(), Withdrawn(()), silent, lambda: NOW)
            seconds = time.perf_counter() - started
            listed = {waiting.photo.photo_id for waiting in catalogue.listing(city.slug, service.name)}
            [ledger] = catalogue.ledger.coverage()
            things = len(catalogue.content())
    present = holdings.what("flickr", city.slug).collectable
    return len(present), len(listed & present), ledger.fetched / things, ledger.calls, seconds


if __name__ == "__main__":
    main()
