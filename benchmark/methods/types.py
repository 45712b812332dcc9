"""What a method is: the contract between the runner and everything that learns to name a city."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.photos import Photos
from collector.errors import UsageError

if TYPE_CHECKING:
    import torch

Parameter = str | int | float | bool | None


class Predictor(Protocol):
    """A fitted method."""

    def predict_proba(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C), rows summing to 1."""
        ...


Fit = Callable[..., Predictor]
"""`fit(train: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, **parameters) -> Predictor`: learns from
`train`; `validation` may choose settings or an epoch; nothing else may be looked at. Parameters are the method's own.
A method with a `backbone` is also given `context`, a `Context`."""

Estimate = Callable[..., float]
"""`estimate(photos: int, classes: int, device: str, **parameters) -> float`: seconds that one fit on so many training
photos takes."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a method that uses a network is given beside its parameters. The weights apart, none of it changes the result.

    Attributes:
        weights: the pre-trained weights of the method's backbone by name; None to begin with random ones.
        weights_digest: of these; None without.
        engine: which of the training loops works, `fast` or `reference`.
        checkpoint: file for what a stopped training goes on from; None keeps nothing.
        curve: file for the learning curve, as JSON; None keeps none.
    """

    weights: "Mapping[str, torch.Tensor] | None" = None
    weights_digest: str | None = None
    engine: str = "fast"
    checkpoint: Path | None = None
    curve: Path | None = None


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
        backbone: name of the network that it begins with (`networks.backbones`); empty for methods without. One with weights
            cannot run in the tier `paper` before they are there (`t15 weights`).
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
    backbone: str = ""

    def titled(self, parameters: Mapping[str, Parameter]) -> str:
        """Return the title for these parameters."""
        return self.title.format_map(parameters)

    def of_tier(self, tier: str) -> dict[str, Parameter]:
        """Return the parameters of tier `paper` or `smoke`."""
        return {**self.parameters, **(self.smoke if tier == "smoke" else {})}

    def changed(self, settings: Mapping[str, str]) -> "Method":
        """Return the method with parameters changed in both tiers; settings that it does not have are passed over.

        Raises:
            UsageError: a text is no value of the parameter's kind.
        """
        mine = {
            name: _parsed(name, text, self.parameters[name])
            for name, text in settings.items()
            if name in self.parameters
        }
        smoke = {name: value for name, value in self.smoke.items() if name not in mine}
        return replace(self, parameters={**self.parameters, **mine}, smoke=smoke) if mine else self


def _parsed(name: str, text: str, default: Parameter) -> Parameter:
    if isinstance(default, str):
        return text
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        value = type(default)(text) if default is not None else float(text)
    except (ValueError, KeyError):
        value = math.nan
    if not math.isfinite(value):
        kind = {bool: "true or false", int: "a whole number"}.get(type(default), "a number")
        raise UsageError(f"--set {name}={text[:40]!r}: must be {kind}")
    return value
