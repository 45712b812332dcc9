"""GeoCLIP's contrast while it is learnt: photos' vectors and places brought to unit vectors that agree.

See `methods.geoclip` for what it is, and `networks.location_encoder` for how places become vectors.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.networks.location_encoder import LocationEncoder

_DIMENSIONS, _HIDDEN = 512, 768
_START, _MOST = float(np.log(1 / 0.07)), float(np.log(100.0))  # of log s
_ENCODED = 8192  # places at a time


class Contrast:
    """A contrast while it is learnt; every random choice comes from the seed.

    Args:
        vectors: (N, D) of the photos.
        places: (N, 2), latitude and longitude of each in degrees.
        sigmas, width: of the location encoder.
        seed: of everything random.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        places: NDArray[np.float64],
        sigmas: Sequence[float],
        width: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.gallery, own = np.unique(places, axis=0, return_inverse=True)
        self.vectors = torch.from_numpy(np.array(vectors)).float().to(device)
        self.own = torch.from_numpy(own.reshape(-1)).to(device)
        self.places = torch.from_numpy(self.gallery).float().to(device)
        layers = nn.Linear(vectors.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _DIMENSIONS)
        self.image = nn.Sequential(*layers).to(device)
        self.location = LocationEncoder(sigmas, width, _DIMENSIONS).to(device)
        self.scale = nn.Parameter(torch.tensor(_START, device=device))
        self.learnt = [*self.image.parameters(), *self.location.parameters(), self.scale]
        self.optimiser = torch.optim.Adam(self.learnt)
        self.waiting = self.own[:0]

    def epoch(self, queue: int, batch: int, rate: float) -> None:
        """Learn once from all photos."""
        self.optimiser.param_groups[0]["lr"] = rate
        for rows in torch.from_numpy(self.rng.permutation(len(self.vectors))).to(self.own.device).split(batch):
            own = self.own[rows]
            # A place that waits twice says no more than once: the queue is of different places.
            others = torch.unique(torch.cat([own, self.waiting]))
            loss = self.loss(rows, others)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.waiting = torch.cat([self.waiting, own])[-queue:] if queue else self.waiting

    def loss(self, rows: Tensor, others: Tensor) -> Tensor:
        """Return the mean cross-entropy of these photos' places among `others`, ascending numbers of places, theirs too."""
        photos = functional.normalize(self.image(self.vectors[rows]))
        codes = functional.normalize(self.location(self.places[others]))
        scores = self.scale.clamp(max=_MOST).exp() * photos @ codes.T
        return functional.cross_entropy(scores, torch.searchsorted(others, self.own[rows]))

    @torch.no_grad()
    def learnt_so_far(self) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float32], NDArray[np.float64], float]:
        """Return the photos' layers, the codes (G, 512) of the different places, these places (G, 2), and s."""
        codes = [functional.normalize(self.location(part)) for part in self.places.split(_ENCODED)]
        layers = [layer.detach().cpu().numpy().copy() for layer in self.image.state_dict().values()]
        scale = float(self.scale.clamp(max=_MOST).exp())
        return tuple(layers), torch.cat(codes).cpu().numpy(), self.gallery, scale
