"""Pairs of photos that show one picture although their hashes are far apart: proposed by vectors, confirmed by the pixels.

Candidates: of each photo, as it is and turned by 90°, 180° and 270°, the nearest photos by the cosine of their vectors, where
that lies far above what pairs at random have. Confirmed by `pair_verification`, which sees small crops and captions, or,
where OpenCV is there, by `alignment`, which sees heavy crops, any turn and pictures among others. Verified pairs are kept in
the cache by both digests and the versions: a run that was stopped goes on, and only new photos cost anything. Memory: the
vectors, 13 bytes for a candidate, a bounded number of small pictures and features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.curating.alignment import aligner, has_opencv
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


_ROW = np.dtype([("first", "i4"), ("second", "i4"), ("cosine", "f4"), ("turn", "i1")])
"""A `Proposed` in an array: 13 bytes, where 100,000 photos have two million candidates."""


def proposals(
    workspace: Workspace, photos: Sequence[Photo], source: VectorSource, net: str | None, track: Track
) -> tuple[str, NDArray[Any]]:
    """Return the name of what gave the vectors, and the candidates (rows of _ROW), each pair once, with its best turn."""
    name, rows, known = source.vectors(workspace, photos, net, track)
    if known.sum() < 2:
        return name, np.empty(0, _ROW)
    middle, deviation = unrelated(rows[known])
    there = np.flatnonzero(known)
    parts = []
    for turn in range(4):
        turned = rows if turn == 0 else source.vectors(workspace, photos, net, track, turn=turn)[1]
        cosines, found = nearest(rows[there], turned[there], NEAREST + 1)
        at, rank = np.nonzero((cosines >= middle + FAR * deviation) & (found >= 0))
        query, other = there[at], there[found[at, rank]]
        part = np.empty(len(at), _ROW)
        part["first"], part["second"] = np.minimum(query, other), np.maximum(query, other)
        part["cosine"] = cosines[at, rank]
        # The query was turned: it is the one to be turned when both are laid over each other.
        part["turn"] = np.where(other < query, turn, -turn % 4)
        parts.append(part[query != other])
    every = np.concatenate(parts)
    every = every[np.lexsort((-every["cosine"], every["second"], every["first"]))]
    pairs = every[["first", "second"]]
    is_best = np.append(True, pairs[1:] != pairs[:-1])[: len(every)]
    return name, every[is_best]


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
    verify, align = pair_verifier(workspace), aligner(workspace) if has_opencv() else None
    with _verdicts(workspace) as stored_verdicts:

        def wanted() -> Iterator[tuple[Proposed, Any]]:
            """Yield candidates, and the verdict on each that is kept."""
            for row in candidates:
                one = Proposed(*row.tolist())
                if digests[one.first] != digests[one.second]:
                    yield one, stored_verdicts.get(_key(digests, one))

        waiting = sum(verdict is None for _, verdict in wanted())
        rest = track((one for one, verdict in wanted() if verdict is None), "verifying pairs", waiting)
        while block := list(islice(rest, _TOGETHER)):
            pairs = [DoubtfulPair(digests[one.first], digests[one.second], turn=one.turn) for one in block]
            verdicts: dict[str, Any] = {}
            for one, small in zip(block, verify(pairs), strict=True):
                if small is None:  # a file is missing or broken: asked again when it is there
                    continue
                laid = None if small.is_same or align is None else align(digests[one.first], digests[one.second])
                is_same = small.is_same or (laid is not None and laid.is_same)
                evidence = {"same": True, "small": asdict(small), "aligned": laid and asdict(laid)}
                verdicts[_key(digests, one)] = evidence if is_same else False
            stored_verdicts.write(verdicts)
        return [
            DeepPair(one.first, one.second, one.cosine, one.turn, _evidence(name, one, verdict))
            for one, verdict in wanted()
            if verdict and verdict["same"]
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
    """Return what was said of pairs before: False of those that are no copies."""
    how = "aligned" if has_opencv() else "pixels"
    return Kept(
        workspace.cache / "deep-pairs" / f"{_VERSION}-{how}.sqlite",
        lambda verdict: (
            verdict is False or (isinstance(verdict, dict) and verdict.keys() >= {"same", "small", "aligned"})
        ),
    )


def _key(digests: Sequence[str], one: Proposed) -> str:
    return f"{digests[one.first][:32]} {digests[one.second][:32]} {one.turn}"
