"""What a method is: the whole contract between the runner and everything that learns where photos were taken.

`fit(training, validation, context, **parameters)` learns from `training`; `validation` may choose settings or an epoch. The
predictor that it returns sees photos that are pixels and nothing else. docs/methods.md has a method that is whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.label_set import LabelSet
from benchmark.photos import LabelledPhotos, Photos
from benchmark.predictions import Places, Ranking
from collector.progress import Track, silent

if TYPE_CHECKING:
    import torch

    from benchmark.attributes import Surroundings

Parameter = str | int | float | bool | None


@dataclass(frozen=True)
class Overhead:
    """Pictures of M places from above, and where these are, (M, 2)."""

    photos: Photos
    places: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Training(LabelledPhotos):
    """Photos with all that a method may learn from, a row each; the training side is also the gallery of a ranking.

    `labels` (N,) are positions in `label_set.ids`, which `classes` repeats.
    """

    label_set: LabelSet  # the labels that are to be told apart: ids, centres, radii
    places: NDArray[np.float64]  # (N, 2) latitude and longitude, degrees WGS84; NaN where unknown
    headings: NDArray[np.float64]  # (N,) degrees clockwise from north; NaN where unknown
    authors: NDArray[np.int64]  # (N,) equal for photos of one author; -1 where unknown
    sequences: NDArray[np.int64]  # (N,) equal for photos of one drive, walk or upload; -1 where unknown
    times: NDArray[np.float64]  # (N,) seconds since 1970 UTC; NaN where unknown
    protocol: str  # `city` or `place`, the manifest's
    attributes: "Surroundings | None" = None  # of methods that need `attributes`: what is known of the places
    overhead: "Overhead | None" = None  # of methods that need `overhead`: the region from above


@dataclass(frozen=True, slots=True)
class Context:
    """What every method is given beside its parameters; of these, `seed`, `weights` and `precision` change results."""

    seed: int = 0  # of everything random
    device: str = "cpu"  # or `cuda`
    precision: str = "float32"  # of training a network: or `bfloat16`
    engine: str = "fast"  # which training loop works, or `reference`
    weights: "Mapping[str, torch.Tensor] | None" = (
        None  # of the method's backbone by name; None: begin with random ones
    )
    weights_digest: str | None = None
    checkpoint: Path | None = None  # file that a stopped training goes on from; None keeps nothing
    curve: Path | None = None  # file for the learning curve, as JSON
    prompts: Path | None = None  # file for what is said to a tower's text half, as JSON
    finished: "Callable[[Method], Predictor | None] | None" = (
        None  # gives the kept model of a method's run on these photos
    )
    progress: Track = silent  # shows progress: `for item in context.progress(items, "what is done")`

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator of random numbers from the seed."""
        return np.random.default_rng(self.seed)


class PredictsLabels(Protocol):
    """Offers `labels`."""

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each label for each photo, (N, C), rows summing to 1."""
        ...


class PredictsPlaces(Protocol):
    """Offers `places`."""

    def predict_places(self, photos: Photos) -> Places:
        """Return where each photo was taken."""
        ...


class Ranks(Protocol):
    """Offers `ranking`."""

    def rank(self, photos: Photos, k: int) -> Ranking:
        """Return the k rows of the training photos that are likest to each photo."""
        ...


Predictor = PredictsLabels | PredictsPlaces | Ranks
"""A fitted method: one or more of the three; `benchmark.derivations` makes the others. One that can be exported also has
`save() -> (kind, spec, arrays)`, see `benchmark.models`; one that can show neighbours has `embed(photos) -> (N, D)`.

One that answers from photos of the gallery has `excluding(authors, sequences) -> Predictor`: for N photos of these authors
and sequences (codes as in Training, -1 where unknown) the same predictor, to which the gallery's photos of each photo's own
author or sequence do not exist. A board judges it so, and shows beside it what the own photos would have given."""


class Fit(Protocol):
    """How a method learns; parameters are its own and are given by name."""

    def __call__(
        self, training: Training, validation: Training, context: Context, /, *args: Any, **parameters: Any
    ) -> Predictor:
        """Return the fitted method."""
        ...


FitMany = Callable[
    [Training, Training, Sequence[Context], Sequence[Mapping[str, Parameter]]], "list[Predictor | Exception]"
]
"""Several fits of one kind, done side by side: what became of each, in their order."""

Estimate = Callable[..., float]
"""`estimate(photos: int, classes: int, device: str, **parameters) -> float`: seconds that one fit on so many photos takes."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """The row of the 2018 paper that a method reproduces; `accuracy` in per cent, as printed there."""

    table: str
    row: str
    accuracy: float


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a leaderboard."""

    name: str  # what `t15 bench --method` calls it
    title: str  # what a reader calls it; `{name}` stands for the parameter of that name
    fit: Fit
    parameters: Mapping[str, Parameter]  # all that the result depends on, with the values of the tier `paper`
    smoke: Mapping[str, Parameter] = field(default_factory=dict)  # what the tier `smoke` changes: minutes on a laptop
    version: str = "1"  # of its code and of the defaults above: another one is another run
    gives: frozenset[str] = frozenset({"labels"})  # of `labels`, `places`, `ranking`
    needs: frozenset[str] = frozenset()  # of the training photos, see `planning.lacking`: `places`, `protocol:place`, …
    stochastic: bool = False  # whether the seed matters; where it does not, one run stands for all seeds
    selection: str = "none"  # how the kept model is chosen, such as `best-on-validation`
    paper: PaperRow | None = None  # None for methods that the paper does not have
    pretraining: str = "none"  # the data that its weights were learnt from
    weights_licence: str = ""
    backbone: str = ""  # the network that it begins with (`networks.backbones`); empty without
    keeps_weights: bool = False  # whether it leaves the weights that it is given as they are: then runs share them
    preprocessing: Callable[..., Mapping[str, Any]] | None = None  # (**parameters): how photos become a network's input
    fit_many: FitMany | None = None  # for methods that train a network: several at once share a GPU
    estimate: Estimate | None = None  # None when it is always quick
    unkept: str = ""  # why its models cannot be kept and exported, where that is so
    told: bool = False  # whether it is told the truth of the photos that it is asked about: an oracle, and no method

    def titled(self, parameters: Mapping[str, Parameter]) -> str:
        """Return the title for these parameters."""
        return self.title.format_map(parameters)

    def of_tier(self, tier: str) -> dict[str, Parameter]:
        """Return the parameters of tier `paper` or `smoke`."""
        return {**self.parameters, **(self.smoke if tier == "smoke" else {})}
