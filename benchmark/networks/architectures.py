"""The networks that can be trained, in one visible dict."""

from collections.abc import Callable

import torch
from torchvision.models import alexnet, resnet18

ARCHITECTURES: dict[str, Callable[[int], torch.nn.Module]] = {
    "alexnet": lambda classes: alexnet(num_classes=classes),
    "resnet18": lambda classes: resnet18(num_classes=classes),
}
"""Builders of untrained networks by name; each takes the number of classes. Both work from 64 × 64 pixels on."""
