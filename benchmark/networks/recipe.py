"""How a network is trained: every value, in one place."""

from dataclasses import dataclass

from benchmark.networks.backbones import FROZEN, find_backbone
from collector.errors import UsageError

SELECTIONS = ("best-on-validation", "last-epoch")
ENGINES = ("fast", "reference")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. The defaults are those of the paper and, where it is silent, of the PyTorch
    transfer-learning tutorial that it follows (docs/methods.md).

    Attributes:
        backbone: a name of `backbones()`; with a slash it starts from pre-trained weights, else from random ones.
        frozen: how much keeps its weights, one of FROZEN. Frozen BatchNorm layers still update their statistics, as in the
            tutorial, whose whole network is in training mode.
        learning_rate, momentum, weight_decay: of SGD.
        batch: photos a step; the last step of an epoch may have fewer.
        epochs: passes over the training photos.
        decay_every, decay: the learning rate is multiplied by `decay` every `decay_every` epochs.
        size: pixels of the square crop that the network sees.
        smallest_crop: least share of the photo's area that a random crop covers (RandomResizedCrop's scale).
        flip: probability that a training photo is mirrored.
        selection: `best-on-validation` keeps the epoch with the highest validation accuracy, the earliest of equals;
            `last-epoch` keeps the last.
    """

    backbone: str
    frozen: str = "none"
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 4
    epochs: int = 25
    decay_every: int = 7
    decay: float = 0.1
    size: int = 224
    smallest_crop: float = 0.08
    flip: float = 0.5
    selection: str = "best-on-validation"

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise UsageError(f"selection {self.selection!r}: choose {' or '.join(SELECTIONS)}")
        if self.frozen not in FROZEN:
            raise UsageError(f"frozen {self.frozen!r}: choose {', '.join(FROZEN)}")
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:  # also of a value that is no number
                raise UsageError(f"{name} {getattr(self, name)}: must be at least {least}")
        if not 0 < self.smallest_crop <= 1 or not 0 <= self.flip <= 1:
            raise UsageError(f"smallest_crop {self.smallest_crop}, flip {self.flip}: shares, from 0 to 1")

    @property
    def resize(self) -> int:
        """The shorter side before any crop: for most backbones 256 for crops of 224, in proportion for others.

        Photos are resized once, those that are learnt from too, and their random crops are cut out of that. The tutorial
        cuts them out of the originals, so that its small crops of large photos are sharper.
        """
        return find_backbone(self.backbone).preprocessing.at(self.size).resize


_LEAST = {
    **{"learning_rate": 0, "momentum": 0, "weight_decay": 0, "decay": 0},
    **{"batch": 1, "epochs": 1, "decay_every": 1, "size": 16},
}
