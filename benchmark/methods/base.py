"""What a method is: the contract between the runner and everything that learns to name a city."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.photos import Photos

Parameter = str | int | float | bool | None


class Predictor(Protocol):
    """A fitted method."""

    def predict_proba(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C), rows summing to 1."""
        ...


Fit = Callable[..., Predictor]
"""`fit(train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, **parameters) -> Predictor`: learns from
`train`; `validation` may choose settings or an epoch; nothing else may be looked at. Parameters are the method's own."""

Estimate = Callable[..., float]
"""`estimate(photos: int, classes: int, device: str, **parameters) -> float`: seconds that one fit on so many training
photos takes."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """The row of the 2018 paper that a method reproduces; `accuracy` in per cent, as printed there."""

    table: str
    row: str
    accuracy: float


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a leaderboard.

    Attributes:
        name: what `t15 bench --method` calls it.
        title: what a reader calls it; `{name}` stands for the parameter of that name.
        fit: how it learns.
        parameters: every value that the result depends on, with the value of the tier `paper`.
        smoke: what the tier `smoke` changes, so that a whole benchmark takes minutes on a laptop.
        stochastic: whether the seed matters; where it does not, one run stands for all seeds.
        selection: how the kept model is chosen, such as `best-on-validation`.
        paper: the row of the paper, None for methods that it does not have.
        pretraining: the data that its weights were learnt from; `none` when it starts from nothing.
        weights_licence: the licence of those weights; empty without.
        estimate: guesses seconds for one run; None when it is always quick.
    """

    name: str
    title: str
    fit: Fit
    parameters: Mapping[str, Parameter]
    smoke: Mapping[str, Parameter] = field(default_factory=dict)
    stochastic: bool = False
    selection: str = "none"
    paper: PaperRow | None = None
    pretraining: str = "none"
    weights_licence: str = ""
    estimate: Estimate | None = None

    def titled(self, parameters: Mapping[str, Parameter]) -> str:
        """Return the title for these parameters."""
        return self.title.format_map(parameters)

    def of_tier(self, tier: str) -> dict[str, Parameter]:
        """Return the parameters of tier `paper` or `smoke`."""
        return {**self.parameters, **(self.smoke if tier == "smoke" else {})}
