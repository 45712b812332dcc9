"""Whether two photos show the same thing: matches that one camera's move explains, counted.

A feature of one photo matches its nearest of the other where each is the other's nearest and the second nearest is clearly
farther (Lowe's ratio). RANSAC seeks the fundamental matrix that most matches agree with (poselib; error in pixels of the
resized photo); those are the inliers. Strangers agree by chance too, the more so the laxer the ratio: `least` is how many
inliers verify a pair at it. The photo with the smaller digest always comes first and the seed is fixed, so that (a, b) and
(b, a) give the same. Pairs are kept in a cache by both digests. Cost: one product of (n × 128) and (128 × m), and RANSAC.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import Features, FrontEnd
from benchmark.local.one_thread import one_thread
from benchmark.store import ArrayStore
from collector.errors import UsageError
from collector.progress import Track, silent

LEAST = {0.8: 15, 0.85: 18, 0.9: 20}
"""Inliers that verify a pair, by ratio: of 150 unrelated pairs of street views (320 px, 1,000 keypoints, 2 px) none had so
many at 0.8 and 0.9 (2026-11-30); 0.85 is between them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a pair is judged.

    Attributes:
        ratio: of the distances to the nearest and to the second nearest feature, below which they match.
        pixels: error of an inlier at most.
        seed: of RANSAC.
        trials: of RANSAC at most.
        farthest: squared distance, in bytes, above which features do not match; 0 for no limit.
        needed: how many inliers verify a pair; 0 for what the ratio asks for.

    Raises:
        UsageError: a value makes no sense.
    """

    ratio: float = 0.8
    pixels: float = 2.0
    seed: int = 0
    trials: int = 2000
    farthest: int = 0
    needed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= (1 if self.needed else 0.95):
            raise UsageError(f"ratio={self.ratio}: must be above 0 and at most 0.95; chance matches fill more")
        if self.needed < 0 or self.farthest < 0:
            raise UsageError(f"needed={self.needed}, farthest={self.farthest}: 0 or more are possible")
        if not 0 < self.pixels <= 50 or not 1 <= self.trials <= 1_000_000:
            raise UsageError(f"pixels={self.pixels}, trials={self.trials}: 0 to 50 and 1 to 1000000 are possible")

    @property
    def least(self) -> int:
        """How many inliers verify a pair: `needed`, or LEAST at this ratio, in between on straight lines."""
        return self.needed or int(np.ceil(np.interp(self.ratio, list(LEAST), list(LEAST.values()))))


@dataclass(frozen=True)
class PairVerifier:
    """Verifies pairs, each once.

    Attributes:
        front_end: how the features were found.
        rules: how they are judged.
        cache: folder of arrays, where pairs of photos in a workspace are kept; None keeps nothing on disk.
    """

    front_end: FrontEnd
    rules: Rules = field(default_factory=Rules)
    cache: Path | None = None

    def inliers(self, pairs: Iterable[tuple[Features, Features]], track: Track = silent) -> list[NDArray[np.int32]]:
        """Return the inliers of each pair (n, 2): positions of features in the first and in the second photo.

        There are none where they are fewer than the rules' `least`: the pair is not verified. `track` shows how far it is.

        Raises:
            UsageError: poselib is not installed.
        """
        wanted = list(pairs)
        if self.cache is None or not wanted or not all(side.photo for pair in wanted for side in pair):
            return [self._verified(*pair) for pair in wanted]  # of a photo in no workspace nothing stays
        keys = [_pair_key(*pair) for pair in wanted]
        store = ArrayStore(self.cache, self._key, np.dtype(np.int32))
        missing = store.missing(keys)
        # Behind a row of zeros, since a store keeps no empty array.
        shown = track(missing, "verifying pairs", len(missing))
        store.add((keys[row], np.vstack([np.zeros((1, 2), np.int32), self._ordered(*wanted[row])])) for row in shown)
        found = [np.asarray(array[1:]) for array in store.each(keys)]
        return [inliers[:, :: _direction(*pair)] for inliers, pair in zip(found, wanted, strict=True)]

    def counts(self, features: Features, others: Iterable[Features]) -> NDArray[np.int32]:
        """Return the number of inliers of a photo with each of some others."""
        return np.array([len(inliers) for inliers in self.inliers((features, other) for other in others)], np.int32)

    @property
    def _key(self) -> dict[str, Any]:
        version = getattr(_poselib(), "__version__", "")
        return {**self.front_end.key, "what": "pairs", "rules": asdict(self.rules), "poselib": version}

    def _verified(self, first: Features, second: Features) -> NDArray[np.int32]:
        return self._ordered(first, second)[:, :: _direction(first, second)]

    def _ordered(self, first: Features, second: Features) -> NDArray[np.int32]:
        """Return the inliers, those of the photo with the smaller digest first."""
        first, second = (first, second)[:: _direction(first, second)]
        pairs = matches(first.descriptors, second.descriptors, self.rules.ratio, self.rules.farthest)
        if len(pairs) < self.rules.least:  # they could not verify the pair if all were inliers
            return np.empty((0, 2), np.int32)
        inliers = pairs[_epipolar(first.points[pairs[:, 0], :2], second.points[pairs[:, 1], :2], self.rules)]
        return inliers if len(inliers) >= self.rules.least else inliers[:0]


def matches(first: NDArray[np.uint8], second: NDArray[np.uint8], ratio: float, farthest: int = 0) -> NDArray[np.int32]:
    """Return the mutual nearest descriptors (n, 2) that pass the ratio test in the first photo; a ratio of 1 tests nothing.

    With `farthest`, those alone whose squared distance is at most so large.
    """
    if not len(first) or len(second) < 2:
        return np.empty((0, 2), np.int32)
    squares = squared_distances(first, second)
    nearest, rows = squares.argmin(axis=1), np.arange(len(first))
    best = squares[rows, nearest]
    passed = best <= farthest if farthest else np.ones(len(first), bool)
    if ratio < 1:
        squares[rows, nearest] = np.inf
        passed &= best < ratio**2 * squares.min(axis=1)
        squares[rows, nearest] = best
    kept = np.flatnonzero(passed)
    kept = kept[
        squares[:, nearest[kept]].argmin(axis=0) == kept
    ]  # the way back of these alone: columns are slow to search
    return np.stack([kept, nearest[kept]], axis=1).astype(np.int32)


def squared_distances(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the squared Euclidean distances (n, m) of descriptors, exact whole numbers."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    with one_thread():
        squares: NDArray[np.float32] = a @ b.T
    squares *= -2
    squares += (a * a).sum(axis=1)[:, None]
    squares += (b * b).sum(axis=1)[None]
    return squares


def _poselib() -> Any:
    try:
        import poselib
    except ModuleNotFoundError as error:
        raise UsageError("this needs poselib, of the extra local: pip install 't15[local]'") from error
    return poselib


def _epipolar(first: NDArray[np.float32], second: NDArray[np.float32], rules: Rules) -> NDArray[np.bool_]:
    options = {
        "max_epipolar_error": rules.pixels,
        "seed": rules.seed,
        "max_iterations": rules.trials,
        "min_iterations": min(100, rules.trials),
    }
    _, info = _poselib().estimate_fundamental(first.astype(np.float64), second.astype(np.float64), options, {})
    return np.asarray(info["inliers"], bool)


def _direction(first: Features, second: Features) -> int:
    return 1 if first.digest <= second.digest else -1


def _pair_key(first: Features, second: Features) -> str:
    digests = sorted((first.photo, second.photo))
    return hashlib.sha256("".join(digests).encode()).hexdigest()
