"""Searching by parts finds the pairs that one index finds, each once, and the same candidates in the same order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from collector.curating import duplicates, partitions
from collector.curating.hamming import pairs_in_blocks
from collector.curating.partitions import pairs_in_partitions
from collector.executors.local import Serial, Threads


def hashes(width: int) -> NDArray[np.uint8]:
    """Return hashes of which some are equal, near, or a mirror of others."""
    random = np.random.default_rng(5)
    bits = random.integers(0, 256, (300, width), dtype=np.uint8)
    bits[100:200] = bits[:100]
    bits[100:200, 0] ^= random.integers(0, 16, 100, dtype=np.uint8)
    bits[250:270] = bits[10][::-1]
    bits[299] = bits[0]
    return bits


@pytest.mark.parametrize("block", [70, 1000])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_pairs_are_those_of_one_index(block: int, mirrored: bool) -> None:
    bits = hashes(16)
    seen = bits[:, ::-1].copy() if mirrored else None

    def listed(found: object) -> list[tuple[int, ...]]:
        return [
            tuple(map(int, row))
            for pairs in found  # type: ignore[attr-defined]
            for row in zip(pairs.first, pairs.second, pairs.distance, strict=True)
        ]

    by_parts = listed(pairs_in_partitions(bits, 18, seen, Threads(), block))
    assert sorted(by_parts) == sorted(listed(pairs_in_blocks(bits, 18, seen)))
    assert len(set(by_parts)) == len(by_parts)
    assert len(by_parts) >= 40


def test_candidates_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [[row.tobytes().hex() for row in hashes(8)], [row.tobytes().hex() for row in hashes(8)[:, ::-1].copy()]]
    monkeypatch.setattr(partitions.pairs_in_partitions, "__defaults__", (110,))
    for doubtful in (False, True):
        one = list(duplicates.candidates(texts[0], texts[1], 4, doubtful=doubtful, most_doubts=3))
        parts = list(duplicates.candidates(texts[0], texts[1], 4, doubtful=doubtful, most_doubts=3, work=Serial()))
        assert sorted(map(str, one)) == sorted(map(str, parts))
        assert [of.second for of in parts if not of.mirrored] == sorted(of.second for of in one if not of.mirrored)
