"""Networks that find and describe keypoints: XFeat, ALIKED, DISK, written anew from papers and the shapes of weights.

Each maps a picture (1, 3, H, W), 0 to 1, to keypoints: (n, 2) x and y in pixels, (n,) strength, (n, D) descriptors of length
1, strongest first. Names of modules are those of the published weights; values that no weight shows (radii, thresholds,
temperatures) are the published defaults. Sides are brought to a multiple of `multiple` first.

XFeat: Potje, Cadar, Araujo, Martins, Nascimento, CVPR 2024. A grey picture of mean 0 and variance 1; features at 1/8 of three
scales added up; a score for each pixel from its cell of 8 × 8, times how reliable the cell's features are.
ALIKED: Zhao et al., IEEE TIM 2023. Four blocks to 1/32, the last two with deformable convolutions; peaks of a score map,
moved to the peak's centre of gravity; a descriptor gathers features at M places that the network shifts (SDDH).
DISK: Tyszkiewicz, Fua, Trulls, NeurIPS 2020. A U-Net that gives a descriptor and a score to each pixel.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

Keypoints = tuple[Tensor, Tensor, Tensor]


def strongest(scores: Tensor, most: int, radius: int, threshold: float) -> Tensor:
    """Return the positions (n, 2), x and y, of the `most` highest local maxima of a map (H, W) above a threshold.

    Of equal ones the first in reading order comes first.
    """
    peaks = F.max_pool2d(scores[None, None], 2 * radius + 1, 1, radius)[0, 0]
    rows, columns = torch.nonzero((scores == peaks) & (scores > threshold), as_tuple=True)
    order = torch.argsort(scores[rows, columns], descending=True, stable=True)[:most]
    return torch.stack([columns[order], rows[order]], dim=1)


def sampled(maps: Tensor, points: Tensor, mode: str, corners: bool) -> Tensor:
    """Return maps (1, C, h, w) at points (n, 2), -1 to 1 across the picture: (n, C)."""
    taken = F.grid_sample(maps, points[None, None].to(maps.dtype), mode=mode, align_corners=corners)
    return taken[0, :, 0].T


def _convolution(inside: int, outside: int, size: int = 3, stride: int = 1) -> nn.Module:
    layer = nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outside, affine=False),
        nn.ReLU(),
    )
    return nn.ModuleDict({"layer": layer})


def _chain(modules: nn.Module, values: Tensor) -> Tensor:
    for module in modules.children():
        values = module["layer"](values) if isinstance(module, nn.ModuleDict) else module(values)
    return values


class XFeat(nn.Module):
    """XFeat; descriptors of 64 values."""

    multiple = 32
    width = 64

    def __init__(self) -> None:
        super().__init__()
        c = _convolution
        self.skip1 = nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 24, 1))
        self.block1 = nn.Sequential(c(1, 4), c(4, 8, stride=2), c(8, 8), c(8, 24, stride=2))
        self.block2 = nn.Sequential(c(24, 24), c(24, 24))
        self.block3 = nn.Sequential(c(24, 64, stride=2), c(64, 64), c(64, 64, 1))
        self.block4 = nn.Sequential(c(64, 64, stride=2), c(64, 64), c(64, 64))
        self.block5 = nn.Sequential(c(64, 128, stride=2), c(128, 128), c(128, 128), c(128, 64, 1))
        self.block_fusion = nn.Sequential(c(64, 64), c(64, 64), nn.Conv2d(64, 64, 1))
        self.heatmap_head = nn.Sequential(c(64, 64, 1), c(64, 64, 1), nn.Conv2d(64, 1, 1))
        self.keypoint_head = nn.Sequential(c(64, 64, 1), c(64, 64, 1), c(64, 64, 1), nn.Conv2d(64, 65, 1))
        # Refines matches of its coarse mode, which is not used here; the weights have it.
        self.fine_matcher = nn.Sequential(
            *(part for inside in (128, 512, 512, 512) for part in _dense(inside)), nn.Linear(512, 64)
        )

    def forward(self, picture: Tensor, most: int) -> Keypoints:
        """Return the keypoints."""
        grey = F.instance_norm(picture.mean(dim=1, keepdim=True))
        first = _chain(self.block2, _chain(self.block1, grey) + self.skip1(grey))
        third = _chain(self.block3, first)
        fourth = _chain(self.block4, third)
        fifth = _chain(self.block5, fourth)
        size = third.shape[-2:]
        larger = [F.interpolate(maps, size, mode="bilinear", align_corners=False) for maps in (fourth, fifth)]
        features = _chain(self.block_fusion, third + larger[0] + larger[1])
        reliable = torch.sigmoid(_chain(self.heatmap_head, features))
        cells = _chain(self.keypoint_head, F.pixel_unshuffle(grey, 8))
        scores = F.pixel_shuffle(cells.softmax(dim=1)[:, :64], 8)[0, 0]
        points = strongest(scores, scores.numel(), 2, 0.05)
        across = 2 * points / (torch.tensor([scores.shape[1], scores.shape[0]], device=points.device) - 1) - 1
        strength = scores[points[:, 1], points[:, 0]] * sampled(reliable, across, "bilinear", False)[:, 0]
        order = torch.argsort(strength, descending=True, stable=True)[:most]
        descriptors = sampled(F.normalize(features, dim=1), across[order], "bicubic", False)
        return points[order].float(), strength[order], F.normalize(descriptors, dim=1)


def _dense(inside: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Linear(inside, 512), nn.BatchNorm1d(512, affine=False), nn.ReLU()


class _Deformable(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.offset_conv = nn.Conv2d(inside, 18, 3, padding=1)
        self.regular_conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        from torchvision.ops import deform_conv2d

        reach = max(maps.shape[-2:]) / 4
        offsets = self.offset_conv(maps).clamp(-reach, reach)
        shifted: Tensor = deform_conv2d(maps, offsets, self.regular_conv.weight, padding=(1, 1))
        return shifted


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, deformable: bool, residual: bool = True) -> None:
        super().__init__()

        def convolution(channels: int) -> nn.Module:
            plain = nn.Conv2d(channels, outside, 3, padding=1, bias=False)
            return _Deformable(channels, outside) if deformable else plain

        self.conv1, self.bn1 = convolution(inside), nn.BatchNorm2d(outside)
        self.conv2, self.bn2 = convolution(outside), nn.BatchNorm2d(outside)
        self.downsample = nn.Conv2d(inside, outside, 1) if residual else None

    def forward(self, maps: Tensor) -> Tensor:
        changed = self.bn2(self.conv2(F.selu(self.bn1(self.conv1(maps)))))
        return F.selu(changed if self.downsample is None else changed + self.downsample(maps))


class _Descriptors(nn.Module):
    """SDDH: features at M shifted places around each keypoint, weighed by place."""

    def __init__(self, width: int, places: int = 16) -> None:
        super().__init__()
        self.agg_weights = nn.Parameter(torch.randn(places, width, width) / width)
        self.offset_conv = nn.Sequential(
            nn.Conv2d(width, 2 * places, 3), nn.SELU(), nn.Conv2d(2 * places, 2 * places, 1)
        )
        self.sf_conv = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, maps: Tensor, points: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        padded = F.pad(maps, (1, 1, 1, 1))
        whole = points.long()
        around = torch.arange(3, device=maps.device)
        rows, columns = whole[:, 1, None, None] + around[:, None], whole[:, 0, None, None] + around
        patches = padded[0][:, rows, columns].permute(1, 0, 2, 3)
        reach = max(height, width) / 4
        offsets = self.offset_conv(patches).clamp(-reach, reach).reshape(len(points), len(self.agg_weights), 2)
        far = torch.tensor([width - 1, height - 1], device=maps.device)
        across = 2 * (points[:, None] + offsets) / far - 1
        taken = F.grid_sample(maps, across[None], mode="bilinear", align_corners=True)  # (1, C, n, M)
        mixed = F.selu(self.sf_conv(taken))[0]
        return F.normalize(torch.einsum("cnp,pcd->nd", mixed, self.agg_weights), dim=1)


class Aliked(nn.Module):
    """ALIKED with `channels` of its four blocks; descriptors of as many values as the last block has."""

    multiple = 32

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        one, two, three, four = channels
        self.width = four
        self.block1 = _Block(3, one, False, residual=False)
        self.block2, self.block3, self.block4 = (
            _Block(one, two, False),
            _Block(two, three, True),
            _Block(three, four, True),
        )
        narrow = [nn.Conv2d(channel, four // 4, 1, bias=False) for channel in channels]
        self.conv1, self.conv2, self.conv3, self.conv4 = narrow
        sizes = ((four, 8, 1), (8, 4, 3), (4, 4, 3), (4, 1, 3))
        layers = [nn.Conv2d(inside, outside, size, padding=size // 2, bias=False) for inside, outside, size in sizes]
        self.score_head = nn.Sequential(*(part for layer in layers for part in (layer, nn.SELU())))[:-1]
        self.desc_head = _Descriptors(four)

    def forward(self, picture: Tensor, most: int) -> Keypoints:
        """Return the keypoints."""
        first = self.block1(picture)
        second = self.block2(F.avg_pool2d(first, 2))
        third = self.block3(F.avg_pool2d(second, 4))
        fourth = self.block4(F.avg_pool2d(third, 4))
        narrow = [
            F.selu(self.conv1(first)),
            F.selu(self.conv2(second)),
            F.selu(self.conv3(third)),
            F.selu(self.conv4(fourth)),
        ]
        size = picture.shape[-2:]
        maps = torch.cat([F.interpolate(of, size, mode="bilinear", align_corners=True) for of in narrow], dim=1)
        scores = torch.sigmoid(self.score_head(maps))[0, 0]
        points = strongest(_inside(scores, 2), most, 2, 0.2)
        points = points + _centres(scores, points)
        across = 2 * points / (torch.tensor([size[1], size[0]], device=points.device) - 1) - 1
        strength = sampled(scores[None, None], across, "bilinear", True)[:, 0]
        order = torch.argsort(strength, descending=True, stable=True)
        points = points[order]
        return points, strength[order], self.desc_head(F.normalize(maps, dim=1), points)


def _inside(scores: Tensor, border: int) -> Tensor:
    """Return the map with 0 along its border."""
    return F.pad(scores[border:-border, border:-border], (border,) * 4)


def _centres(scores: Tensor, points: Tensor) -> Tensor:
    """Return how far the centre of gravity of each point's 5 × 5 scores, softmax at temperature 0.1, is from it: (n, 2)."""
    around = torch.arange(-2, 3, device=scores.device)
    rows, columns = points[:, 1, None, None] + around[:, None], points[:, 0, None, None] + around
    weights = (scores[rows, columns].flatten(1) / 0.1).softmax(dim=1).unflatten(1, (5, 5))
    return torch.stack([(weights.sum(dim=1) * around).sum(dim=1), (weights.sum(dim=2) * around).sum(dim=1)], dim=1)


class Disk(nn.Module):
    """DISK; descriptors of 128 values."""

    multiple = 16
    width = 128

    def __init__(self) -> None:
        super().__init__()
        down, up = (3, 16, 32, 64, 64, 64), ((128, 64), (128, 64), (96, 64), (80, 129))
        blocks = [
            nn.Sequential(nn.Identity() if first else nn.AvgPool2d(2), _unit(*sizes, first))
            for first, sizes in zip((True, False, False, False, False), pairwise(down), strict=True)
        ]
        self.down, self.up = blocks, [_unit(*sizes, False) for sizes in up]
        ups = nn.ModuleList(nn.ModuleDict({"conv": unit}) for unit in self.up)
        self.unet = nn.ModuleDict({"path_down": nn.ModuleList(blocks), "path_up": ups})

    def forward(self, picture: Tensor, most: int) -> Keypoints:
        """Return the keypoints."""
        maps, levels = picture, []
        for block in self.down:
            maps = block(maps)
            levels.append(maps)
        for unit, level in zip(self.up, levels[-2::-1], strict=True):
            larger = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
            maps = unit(torch.cat([larger, level], dim=1))
        scores = maps[0, self.width]
        points = strongest(scores, most, 2, 0.0)
        rows, columns = points[:, 1], points[:, 0]
        descriptors = F.normalize(maps[0, : self.width, rows, columns].T, dim=1)
        return points.float(), scores[rows, columns], descriptors


def _unit(inside: int, outside: int, first: bool) -> nn.Module:
    """Return normalisation, gate and convolution; of the first the convolution alone, at the same place."""
    before = [nn.Identity(), nn.Identity()] if first else [nn.InstanceNorm2d(inside), nn.PReLU(inside)]
    return nn.Sequential(*before, nn.Identity(), nn.Conv2d(inside, outside, 5, padding=2))


NETWORKS: dict[str, Callable[[], "XFeat | Aliked | Disk"]] = {
    "xfeat": XFeat,
    "aliked_n16": lambda: Aliked((16, 32, 64, 128)),
    "aliked_t16": lambda: Aliked((8, 16, 32, 64)),
    "disk": Disk,
}
"""What builds each, by architecture."""
