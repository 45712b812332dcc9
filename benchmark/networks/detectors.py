"""The networks that find keypoints (`networks.keypoints`), with the weights that they have; `detectors.json` lists them.

Their files are brought as any other network's. None of the addresses was ever fetched from here: the files that were tried
came from packages (docs/local.md).
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.networks.backbone import Backbone, Pretrained

if TYPE_CHECKING:
    from torch import nn


@cache
def detectors() -> dict[str, Backbone]:
    """Return the networks that find keypoints (`networks.keypoints`), by name, as `detectors.json` has them.

    They have weights like any other, and no classifier: no method of vectors or of training knows them.
    """
    rows = json.loads(Path(__file__).with_name("detectors.json").read_text("utf-8"))
    return {row["name"]: _detector(row) for row in rows}


def _detector(row: Mapping[str, Any]) -> Backbone:
    def build(_: int) -> "nn.Module":
        from benchmark.networks.keypoints import NETWORKS

        return NETWORKS[row["name"].partition("/")[0]]()

    facts = {**row, "urls": tuple(row["urls"])}
    name, title = facts.pop("name"), facts.pop("title")
    return Backbone(name, title, build, lambda network: [network], "", pretrained=Pretrained(**facts))
