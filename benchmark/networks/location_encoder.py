"""Places as vectors: GeoCLIP's location encoder, and the contrast by which it is learnt with photos (`methods.geoclip`).

V. Vivanco Cepeda, G. K. Nayak, M. Shah, "GeoCLIP: CLIP-inspired alignment between locations and images for effective
worldwide geo-localization", NeurIPS 2023. A place is laid on a plane by the Equal Earth projection (B. Šavrič, T. Patterson,
B. Jenny, International Journal of Geographical Information Science 33, 2019). At each of several scales σ it becomes 256
pairs cos(2πBx), sin(2πBx), the rows of B drawn from a normal distribution of deviation σ (M. Tancik et al., NeurIPS 2020),
and goes through three layers with ReLU and a linear one; the scales' vectors are added. Half the equator is 1 on the plane,
so that the waves of σ are about 20,000 / σ km long.

The names of the weights are those of the package `geoclip` 1.3.0, whose published weights `load_state_dict` takes.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SIGMAS = (1.0, 16.0, 256.0)
"""The article's scales."""

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
"""Of the Equal Earth projection."""
_PLANE = 66.50336 / 180
"""What the package multiplies the projection with."""
_FREQUENCIES = 256

_DIMENSIONS, _HIDDEN = 512, 768
_START, _MOST = float(np.log(1 / 0.07)), float(np.log(100.0))  # of log s
_ENCODED = 8192  # places at a time


def equal_earth(places: Tensor) -> Tensor:
    """Return places (N, 2), latitude and longitude in degrees, on GeoCLIP's plane, (N, 2): -1 to 1 from west to east."""
    latitude, longitude = torch.deg2rad(places).unbind(dim=1)
    t = torch.asin(math.sqrt(3) / 2 * torch.sin(latitude))
    slope = 9 * _A4 * t**8 + 7 * _A3 * t**6 + 3 * _A2 * t**2 + _A1
    x = 2 * math.sqrt(3) * longitude * torch.cos(t) / (3 * slope)
    y = _A4 * t**9 + _A3 * t**7 + _A2 * t**3 + _A1 * t
    return torch.stack([x, y], dim=1) * _PLANE


class FourierFeatures(nn.Module):
    """Cosines, then sines, of 2π·B·x; B (256, 2) is drawn once and not learnt."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.register_buffer("b", torch.randn(_FREQUENCIES, 2) * sigma)

    def forward(self, plane: Tensor) -> Tensor:
        """Return the features (N, 512) of points (N, 2)."""
        waves = 2 * math.pi * plane @ self.get_buffer("b").T
        return torch.cat([waves.cos(), waves.sin()], dim=1)


class Scale(nn.Module):
    """One scale: features, three layers, a linear one."""

    def __init__(self, sigma: float, width: int, dimensions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [FourierFeatures(sigma)]
        for inputs in (2 * _FREQUENCIES, width, width):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
        self.capsule, self.head = nn.Sequential(*layers), nn.Sequential(nn.Linear(width, dimensions))

    def forward(self, plane: Tensor) -> Tensor:
        """Return the vectors (N, D) of points (N, 2)."""
        vectors: Tensor = self.head(self.capsule(plane))
        return vectors


class LocationEncoder(nn.Module):
    """Makes vectors (N, `dimensions`) of places; the article's has a width of 1024 and 512 dimensions."""

    def __init__(self, sigmas: Sequence[float] = SIGMAS, width: int = 1024, dimensions: int = 512) -> None:
        super().__init__()
        for number, sigma in enumerate(sigmas):
            self.add_module(f"LocEnc{number}", Scale(sigma, width, dimensions))

    def forward(self, places: Tensor) -> Tensor:
        """Return the vectors of places (N, 2), latitude and longitude in degrees."""
        plane = equal_earth(places)
        return torch.stack([scale(plane) for scale in self.children()]).sum(dim=0)


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
