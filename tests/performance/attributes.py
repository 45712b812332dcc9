"""`lee2015:NET` on the imaginary land: AUC of what is drawn and of what is not, in trained and in held-out cities.

    python -m tests.performance.attributes [--net im2gps-colour] [--train 60]

Nine cities, two of them held out; each question beside the baseline that names the city first and answers for it.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmark.leaderboard.table import leaderboard
from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.runner import bench
from collector.text_table import table
from tests.benchmark.land import make_land
from tests.performance.cross_view import HELD_OUT


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="im2gps-colour")
    parser.add_argument("--train", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        land = make_land(Path(root), {"train": asked.train, "val": 10, "test": 10}, HELD_OUT["cities"])
        (outcome,) = bench(
            land.manifest, land.workspace, plan(land.manifest, choose([f"lee2015:{asked.net}"]), [0], "paper"), "cpu"
        )
        assert outcome.state == "done", outcome.reason
        scores = [row.score for row in leaderboard(land.manifest, land.workspace.runs).attributes]
    lines = [
        [of.question, "held out" if of.held_out else "trained", str(of.photos)]
        + [
            "" if value is None else f"{100 * value:.1f}"
            for value in (of.auc, of.city_auc, of.accuracy, of.city_accuracy)
        ]
        for of in scores
    ]
    header = ("question", "cities", "photos", "AUC", "by the city", "balanced accuracy", "by the city")
    print(table(header, lines))
    print(f"{time.process_time():.0f} s of processor time")


if __name__ == "__main__":
    main()
