"""A run's identity leaves a version's defaults out: here they are frozen, for every built-in method and tier.

Whoever changes a default, or code that changes results, raises the method's version and writes a new line: `python -m
tests.benchmark.methods.test_versions` prints the file. What the tier `smoke` changes is named in a run's identity (its
settings): another value there changes the line, and no version. A new parameter whose default changes nothing is added to
NEUTRAL.
"""

import hashlib
import json
from pathlib import Path

import pytest

from benchmark.methods.registry import METHODS, PLACES
from benchmark.methods.types import Method

FILE = Path(__file__).parents[2] / "data" / "method_versions.json"

NEUTRAL: frozenset[str] = frozenset(
    {
        *("pooling", "stored", "computed"),  # of vectors
        *("whiten", "csls"),  # of neighbours
        *("crops_from", "optimiser", "schedule", "warm_up", "layer_decay", "label_smoothing", "mixup", "average"),
        *("adapters", "probe", "interpolate"),  # these, and those above, of training
    }
)
"""Parameters that came after the file was written, whose defaults do what was done before."""


def digest(one: Method) -> str:
    tiers = [{k: v for k, v in one.of_tier(tier).items() if k not in NEUTRAL} for tier in ("paper", "smoke")]
    shape = [dict(one.preprocessing(**one.of_tier(tier))) if one.preprocessing else None for tier in ("paper", "smoke")]
    return hashlib.sha256(json.dumps([tiers, shape], sort_keys=True).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    return {named: digest(one) for named, one in VERSIONS.items()}


VERSIONS = {f"{one.name} {one.version}": one for one in (*METHODS.values(), *PLACES)}


@pytest.mark.parametrize("named", VERSIONS)
def test_the_defaults_of_a_version_do_not_change(named: str) -> None:
    known = json.loads(FILE.read_text())
    assert known.get(named) == digest(VERSIONS[named]), "raise the method's version, see the head of this file"


if __name__ == "__main__":
    print(json.dumps(versions(), indent=1))
