"""Pairs of photos that show one picture although their hashes are far apart: proposed by vectors, confirmed by the pixels.

Candidates: of each photo, as it is and turned by 90°, 180° and 270°, the nearest photos by the cosine of their vectors, where
that lies far above what pairs at random have. Confirmed by `pair_verification`, which sees small crops and captions, or,
where OpenCV is there, by `alignment`, which sees heavy crops, any turn and pictures among others. Verified pairs are kept in
the cache by both digests and the versions: a run that was stopped goes on, and only new photos cost anything. Memory:
the vectors, and a bounded number of small pictures and features.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from collector.curating.alignment import Aligned, aligner, has_opencv
from collector.curating.kept import Kept
from collector.curating.pair_verification import DoubtfulPair, pair_verifier
from collector.curating.vectors import VectorSource, nearest, unrelated
from collector.progress import Track
from collector.records import Photo
from collector.workspace import Workspace

NEAREST = 8
"""Photos that are proposed for each photo and turn, at most."""

FAR = 3.0
"""Deviations above the middle cosine of pairs at random from which on a pair is proposed."""

_VERSION = 1  # of what is said of a pair
_TOGETHER = 256  # pairs that are written down together


@dataclass(frozen=True, slots=True)
class DeepPair:
    """Two photos of one picture, by position, and what says so.

    Attributes:
        first, second: positions, the first before the second.
        cosine: of their vectors.
        turn: quarter turns against the clock of the one that was turned, 0 to 3.
        evidence: for the catalogue: who proposed it, who confirmed it.
    """

    first: int
    second: int
    cosine: float
    turn: int
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proposed:
    """A candidate: positions, cosine, and by how many quarters the second has to be turned to look like the first."""

    first: int
    second: int
    cosine: float
    turn: int


def proposals(
    workspace: Workspace, photos: Sequence[Photo], source: VectorSource, net: str | None, track: Track
) -> tuple[str, list[Proposed]]:
    """Return the name of what gave the vectors, and the candidates, each pair once, with its best turn."""
    name, rows, known = source.vectors(workspace, photos, net, track)
    if known.sum() < 2:
        return name, []
    middle, deviation = unrelated(rows[known])
    best: dict[tuple[int, int], Proposed] = {}
    there = np.flatnonzero(known)
    for turn in range(4):
        turned = rows if turn == 0 else source.vectors(workspace, photos, net, track, turn=turn)[1]
        cosines, found = nearest(rows[there], turned[there], NEAREST + 1)
        far = cosines >= middle + FAR * deviation
        for at, rank in zip(*np.nonzero(far & (found >= 0)), strict=True):
            query, other = int(there[at]), int(there[found[at, rank]])
            if query == other:
                continue
            # The query was turned: it is the one to be turned when both are laid over each other.
            first, second, quarters = (other, query, turn) if other < query else (query, other, -turn % 4)
            one = Proposed(first, second, float(cosines[at, rank]), quarters)
            if (known_one := best.get((first, second))) is None or one.cosine > known_one.cosine:
                best[first, second] = one
    return name, sorted(best.values(), key=lambda one: (one.first, one.second))


def deep_pairs(
    workspace: Workspace, photos: Sequence[Photo], source: VectorSource, net: str | None, track: Track
) -> list[DeepPair]:
    """Return the pairs of photos of one picture that vectors propose and pixels confirm; `photos` have bytes.

    Raises:
        UsageError: there is no such network.
        ModuleNotFoundError: the extra `bench` is not installed.
    """
    if len(photos) < 2:
        return []
    name, candidates = proposals(workspace, photos, source, net, track)
    digests = [str(photo.sha256) for photo in photos]
    wanted = [one for one in candidates if digests[one.first] != digests[one.second]]
    said = _verdicts(workspace)
    waiting = [one for one in wanted if said.get(_key(digests, one)) is None]
    verify, align = pair_verifier(workspace), aligner(workspace) if has_opencv() else None
    rest = track(iter(waiting), "verifying pairs", len(waiting))
    while block := list(islice(rest, _TOGETHER)):
        pairs = [DoubtfulPair(digests[one.first], digests[one.second], turn=one.turn) for one in block]
        found: dict[str, Any] = {}
        for one, small in zip(block, verify(pairs), strict=True):
            laid: Aligned | None = None
            if align and not (small and small.is_same):
                laid = align(digests[one.first], digests[one.second])
            is_same = bool((small and small.is_same) or (laid and laid.is_same))
            verdict = {"same": is_same, "small": small and asdict(small), "aligned": laid and asdict(laid)}
            found[_key(digests, one)] = verdict
        said.write(found)
    return [
        DeepPair(one.first, one.second, one.cosine, one.turn, _evidence(name, one, verdict))
        for one in wanted
        if (verdict := said.get(_key(digests, one))) and verdict["same"]
    ]


def _evidence(name: str, one: Proposed, verdict: dict[str, Any]) -> dict[str, Any]:
    small = verdict["small"]
    by = "pixels" if small and small["share"] >= 0.7 and not verdict["aligned"] else "aligned"
    return {
        "vectors": name,
        "cosine": round(one.cosine, 4),
        "quarter_turns": one.turn,
        "confirmed_by": by,
        by: small if by == "pixels" else verdict["aligned"],
    }


def _verdicts(workspace: Workspace) -> Kept:
    """Return what was said of pairs before."""
    how = "aligned" if has_opencv() else "pixels"
    return Kept(
        workspace.cache / "deep-pairs" / f"{_VERSION}-{how}.jsonl",
        lambda verdict: isinstance(verdict, dict) and verdict.keys() >= {"same", "small", "aligned"},
    )


def _key(digests: Sequence[str], one: Proposed) -> str:
    return f"{digests[one.first][:32]} {digests[one.second][:32]} {one.turn}"
