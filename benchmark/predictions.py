"""What a method may answer: probabilities of labels, places, a ranking of the gallery. Plain arrays, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Places:
    """Where N photos were taken, as a method says it.

    Attributes:
        latitude, longitude: (N,), degrees WGS84; both NaN where the method withholds its answer.
        candidates: (N, K, 2), latitude and longitude of other places that it holds possible; None without.
        weights: (N, K), how probable each candidate is: at least 0, a row sums to 1; None without candidates.
        spread_km: (N, K), the standard deviation around each candidate in either direction, above 0: with it the candidates
            are a density (`retrieval.mixture`). None where the method states none.
    """

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    candidates: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    spread_km: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Check the shapes and ranges.

        Raises:
            ValueError: they are not as described above; the message says which.
        """
        if self.latitude.ndim != 1 or self.latitude.shape != self.longitude.shape:
            raise ValueError(
                f"latitude {self.latitude.shape} and longitude {self.longitude.shape}: both must be (photos,)"
            )
        if (np.isnan(self.latitude) != np.isnan(self.longitude)).any():
            raise ValueError("latitude and longitude must both be numbers or both be NaN")
        if (np.abs(self.latitude) > 90).any() or (np.abs(self.longitude) > 180).any():
            raise ValueError("latitude must be from -90 to 90, longitude from -180 to 180 degrees")
        if (self.candidates is None) != (self.weights is None):
            raise ValueError("candidates need weights, and weights candidates")
        if self.candidates is not None and self.weights is not None:
            if self.weights.ndim != 2 or self.candidates.shape != (*self.weights.shape, 2):
                raise ValueError(
                    f"candidates {self.candidates.shape}, weights {self.weights.shape}: (N, K, 2) and (N, K)"
                )
            if len(self.weights) != len(self) or (self.weights < 0).any():
                raise ValueError("weights: a row for each photo, none below 0")
            if len(self) and not np.allclose(self.weights.sum(axis=1), 1, atol=1e-3):
                raise ValueError("weights: each row must sum to 1")
        if self.spread_km is not None and (
            self.weights is None or self.spread_km.shape != self.weights.shape or not (self.spread_km > 0).all()
        ):
            raise ValueError("spread_km: one above 0 for each weight")

    def __len__(self) -> int:
        return len(self.latitude)

    def of(self, rows: Sequence[int]) -> "Places":
        """Return those of some of the photos, in their order."""
        return Places(
            self.latitude[rows],
            self.longitude[rows],
            None if self.candidates is None else self.candidates[rows],
            None if self.weights is None else self.weights[rows],
            None if self.spread_km is None else self.spread_km[rows],
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """The K photos of the gallery that are likest to each of N photos, best first.

    Attributes:
        rows: (N, K), positions in the gallery; -1 fills a row that has fewer.
        scores: (N, K), falling along a row; NaN where `rows` is -1.
        inliers: (N, K), geometrically verified matches; None where nothing was verified.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    inliers: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ValueError: they differ, or are not (photos, K).
        """
        if self.rows.ndim != 2 or self.scores.shape != self.rows.shape:
            raise ValueError(f"rows {self.rows.shape} and scores {self.scores.shape}: both must be (photos, K)")
        if self.inliers is not None and self.inliers.shape != self.rows.shape:
            raise ValueError(f"inliers {self.inliers.shape}: must be {self.rows.shape}")

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, rows: Sequence[int]) -> "Ranking":
        """Return those of some of the photos, in their order."""
        return Ranking(self.rows[rows], self.scores[rows], None if self.inliers is None else self.inliers[rows])


@dataclass(frozen=True, slots=True)
class Predictions:
    """All that a method answered for N photos; what it did not offer and what cannot be derived is None.

    Attributes:
        probabilities: (N, C), rows summing to 1, columns in the order of the labels; a row of NaN is a withheld answer.
        places: one for each photo.
        ranking: of the gallery, for each photo.
        confidence: (N,), how sure each answer is, 0 to 1, where that was stated apart: `probabilities` are then 1 for the
            answer and 0 elsewhere. NaN where nothing was stated. None: the probabilities say it.
    """

    probabilities: NDArray[np.float32] | None = None
    places: Places | None = None
    ranking: Ranking | None = None
    confidence: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        given = (self.probabilities, self.places, self.ranking)
        return next((len(answers) for answers in given if answers is not None), 0)
