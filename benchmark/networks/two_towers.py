"""Two small towers on frozen vectors, of photos and of pictures from above, brought to unit vectors that agree.

Both are a linear layer, a ReLU and another linear layer. Photos and cells come in pairs. The losses:

- `contrastive` (R. Hadsell, S. Chopra, Y. LeCun, CVPR 2006, as Lin, Cui, Belongie and Hays use it, CVPR 2015): d² for a pair,
  max(0, m - d)² for a photo and another's cell, d the distance of the unit vectors and m a margin;
- `infonce`: the cross-entropy of each photo's cell among those of the batch and of its photo among the photos, halved.

Half of a batch is drawn, the other half are neighbours of these on the ground, in other cells: hard negatives by distance.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

LOSSES = ("contrastive", "infonce")
_START, _MOST = float(np.log(1 / 0.07)), float(np.log(100.0))  # of the logarithm of InfoNCE's scale
_NEAR = 8  # neighbours on the ground that one is drawn from

Layers = tuple[NDArray[np.float32], ...]


def towers(
    photos: NDArray[np.float32],
    cells: NDArray[np.float32],
    own: NDArray[np.int64],
    neighbours: NDArray[np.int64],
    *,
    loss: str,
    hidden: int,
    dimensions: int,
    epochs: int,
    batch: int,
    rate: float,
    margin: float,
    seed: int,
    device: str,
) -> Iterator[tuple[Layers, Layers]]:
    """Train, and yield the layers of both towers after each epoch: weights and biases, in turn.

    Args:
        photos: (N, D) vectors.
        cells: (M, E) vectors of the map.
        own: (N,) the cell of each photo.
        neighbours: (N, K) photos near each on the ground, in other cells; -1 where there are fewer.
        loss: one of LOSSES.
        hidden, dimensions: of the towers.
        epochs, batch, rate, margin: of the training.
        seed: of everything random.
        device: `cpu` or `cuda`.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ground, above = (
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dimensions)).to(device)
            for width in (photos.shape[1], cells.shape[1])
        )
    scale = nn.Parameter(torch.tensor(_START, device=device))
    optimiser = torch.optim.AdamW([*ground.parameters(), *above.parameters(), scale], rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    x, y = (torch.from_numpy(np.array(of, np.float32)).to(device) for of in (photos, cells))
    for _ in range(epochs):
        for drawn in _batches(rng, len(photos), max(2, batch // 2)):
            rows = _with_neighbours(rng, drawn, neighbours)
            numbers = torch.from_numpy(own[rows]).to(device)
            of_photos = functional.normalize(ground(x[torch.from_numpy(rows).to(device)]))
            of_cells = functional.normalize(above(y[numbers]))
            value = contrastive_loss(of_photos, of_cells, numbers, margin)
            if loss == "infonce":
                value = infonce_loss(of_photos, of_cells, numbers, scale)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        schedule.step()
        yield _layers(ground), _layers(above)


def coded(layers: Sequence[NDArray[np.float32]], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a tower makes of vectors: unit vectors (N, dimensions)."""
    inner, inner_biases, outer, outer_biases = layers
    codes = np.maximum(vectors @ inner.T + inner_biases, 0) @ outer.T + outer_biases
    lengths = np.linalg.norm(codes, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (codes / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def _batches(rng: np.random.Generator, count: int, size: int) -> list[NDArray[np.int64]]:
    order = rng.permutation(count)
    return [order[at : at + size] for at in range(0, count, size)]


def _with_neighbours(
    rng: np.random.Generator, drawn: NDArray[np.int64], neighbours: NDArray[np.int64]
) -> NDArray[np.int64]:
    if not neighbours.shape[1]:
        return drawn
    picked = neighbours[drawn, rng.integers(0, min(_NEAR, neighbours.shape[1]), len(drawn))]
    return np.unique(np.concatenate([drawn, picked[picked >= 0]]))


def contrastive_loss(photos: Tensor, cells: Tensor, own: Tensor, margin: float) -> Tensor:
    """Return the contrastive loss of (N, D) photos and cells: squared distances of pairs, and of others within `margin`."""
    apart = torch.cdist(photos, cells)
    same = own[:, None] == own[None]
    together = apart[same].square().mean()
    others = (margin - apart[~same]).clamp(min=0).square()
    return together + (others.mean() if len(others) else 0 * together)


def infonce_loss(photos: Tensor, cells: Tensor, own: Tensor, scale: Tensor) -> Tensor:
    """Return InfoNCE of (N, D) photos and cells, both of length 1; `scale` is the logarithm of the inverse temperature."""
    scores = scale.clamp(max=_MOST).exp() * photos @ cells.T
    # A cell that two photos of a batch share is no negative of either: it counts as right.
    same = own[:, None] == own[None]
    right = torch.where(same, scores, scores.new_tensor(float("-inf")))
    by_photo = torch.logsumexp(scores, 1) - torch.logsumexp(right, 1)
    by_cell = torch.logsumexp(scores, 0) - torch.logsumexp(right, 0)
    return (by_photo.mean() + by_cell.mean()) / 2


def _layers(tower: nn.Sequential) -> Layers:
    return tuple(of.detach().cpu().numpy().copy() for of in tower.parameters())
