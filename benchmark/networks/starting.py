"""What today's fine-tuning does before the first step and after the last one.

Before: adapters beside the weight matrices of a transformer (LoRA, Hu et al. 2022), which learn in place of these; and a
classifier that is fitted on vectors of the network as it begins, so that the first steps do not spoil what it knows (linear
probe, then fine-tuning, Kumar et al. 2022). After: weights between the beginning and the end (WiSE-FT, Wortsman et al. 2022).
"""

import logging
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmark.classifiers.logistic import as_linear, fit_logistic
from benchmark.networks.backbones import Backbone
from benchmark.networks.inference import embed_photos
from benchmark.photos import LabelledPhotos
from collector.errors import UsageError

log = logging.getLogger("t15")

SHARES = tuple(number / 10 for number in range(11))
"""Of the end, between the weights at the beginning (0) and at the end (1) of a training: those that are tried."""

_STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # inverse L2 strengths of the probe; validation chooses
_ITERATIONS = 200


class LowRank(nn.Module):
    """Adds the product of two thin matrices to a weight matrix (out, in); at first it is 0."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.down = nn.Parameter(torch.empty(rank, inputs, device=weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted matrix."""
        return weight + self.up @ self.down


def add_adapters(network: nn.Module, backbone: Backbone, rank: int) -> None:
    """Freeze all weights but the classifier's, and put adapters beside the matrices of a transformer.

    Raises:
        UsageError: the network is none.
    """
    classifier = network.get_submodule(backbone.classifier)
    matrices = [one for one in network.modules() if isinstance(one, nn.Linear) and one is not classifier]
    if backbone.patch == 1 or not matrices:
        raise UsageError(f"{backbone.name}: adapters are for transformers; take finetune-modern:{backbone.name}")
    network.requires_grad_(False)
    classifier.requires_grad_(True)
    for module in matrices:
        smaller = min(rank, *module.weight.shape)
        parametrize.register_parametrization(module, "weight", LowRank(module.weight, smaller))


def merge_adapters(network: nn.Module) -> None:
    """Add the adapters into the weights, so that the network has the shape that it began with."""
    for module in list(network.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def probe(
    network: nn.Module,
    backbone: Backbone,
    training: LabelledPhotos,
    validation: LabelledPhotos,
    size: int,
    device: str,
) -> None:
    """Fit the classifier on vectors of the network as it is, by logistic regression whose strength validation chooses.

    A classifier that is no Linear keeps its random weights: what it is followed by is not linear.
    """
    classifier = network.get_submodule(backbone.classifier)
    if not isinstance(classifier, nn.Linear):
        log.info("%s: its classifier is no linear layer; it begins with random weights", backbone.name)
        return
    vectors, asked = (embed_photos(network, backbone, side, device, size) for side in (training, validation))
    strengths = _STRENGTHS if len(validation) else (1.0,)
    fits = [
        fit_logistic(vectors, training.labels, len(training.classes), strength, _ITERATIONS, standardise=True)
        for strength in strengths
    ]
    fitted = max(fits, key=lambda of: int((of.predict_proba(asked).argmax(axis=1) == validation.labels).sum()))
    model, mean, scale = as_linear(fitted.model), fitted.mean, fitted.scale
    assert mean is not None and scale is not None  # noqa: PT018, S101 (they are standardised)
    weights = model.weights / scale
    biases = model.biases - weights @ mean
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.fill_(float(biases.min()) - 10)  # labels without a training photo are never the answer
        rows = torch.from_numpy(np.asarray(model.classes_))
        classifier.weight[rows] = torch.from_numpy(weights).to(classifier.weight)
        classifier.bias[rows] = torch.from_numpy(biases).to(classifier.bias)


def between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the values that lie at this share of the way; whole numbers are those of the end."""
    return {
        name: torch.lerp(start[name].to(value.device), value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }
