"""`isn:NET@scenes`: cells of three sizes, learnt apart for photos indoors, in nature and in towns.

E. Müller-Budack, K. Pustu-Iren, R. Ewerth, "Geolocation estimation of photos using a hierarchical model and scene
classification", ECCV 2018. NET is a network with the weights of Places365: the probabilities of its 365 categories, summed,
say how much of each scene a photo is. A scene's softmax is fitted on the training photos that are at least `share` of it, so
that one photo may teach several; a photo is answered by that of its likeliest scene. Partitions are those of all photos.
A scene with fewer than `fewest` photos is answered by what was learnt from all.

Which categories are indoors is Places365's own list (github.com/CSAILVision/places365, MIT licence); which of the others
are nature is ours, since the article's table of them is not published with it. The share is a parameter of ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.drawing import files_of
from benchmark.methods.cells import ISN, CellHead, cell_head, cells_of, load_head
from benchmark.methods.placing import Sides, best_spread, described, spread
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.vectors import NetworkVectors, load_describer, on_net, vectors_of
from benchmark.photos import Photos
from benchmark.predictions import Places
from collector.errors import UsageError

SCENES = (
    "uiiiuuiuuiuiuiiiiiuiiiiiuiiiiiniuuiiniiiuuuiiiiunuiiiuiiiuuuiiuiiiuuuiiui"
    "nuiuunuiniuuiuuiiiuiiniiniiiiiunuiuuunnuuiinnnuiiiuiuiuiiiiuiiiuiuinnnuuu"
    "iiiunnnuuiiuuuiuinuiuniiuuinuuiiuinuiuuinniunuuuniiuiuuuiinnuuiuiiiuuiuiu"
    "iuuiuniuuiuuunnniiuiiiiuniuiuiniuuiuiuunuuiiuiuuiuiunuuiuuuuniiiuiiunnnuu"
    "uuuiuiiuiuiiunnuunuiuuuiuiiuiiiniiuuiiuiiuuiiinuunninuiuunnuiuunnninuuuiu"
)
"""Of each category of Places365, in the order of the networks' outputs: `i`ndoors, `n`ature, `u`rban."""

KINDS = "inu"


@dataclass(frozen=True)
class ScenePlacing:
    """A fitted method: `heads` by scene, in the order of KINDS, None where `whole`, learnt from all, stands in; `spread_km`
    around each candidate.
    """

    describing: NetworkVectors
    heads: tuple[CellHead | None, ...]
    whole: CellHead
    spread_km: float = 0.0

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the vector of each photo, (N, D), of length 1."""
        return vectors_of(self.describing, photos)

    def predict_places(self, photos: Photos) -> Places:
        """Return where each photo was taken, as its scene's head has it."""
        return spread(self.placed(self.embed(photos), scene_shares(self.describing, photos)), self.spread_km)

    def placed(self, vectors: NDArray[np.float32], shares: NDArray[np.float32]) -> Places:
        """Return where photos of these vectors (N, D) and shares of scenes (N, 3) were taken."""
        scenes = shares.argmax(axis=1)
        rows = [np.flatnonzero(scenes == number) for number in range(len(KINDS))]
        parts = [(head or self.whole).places(vectors[of]) for head, of in zip(self.heads, rows, strict=True)]
        return _together(parts, rows)

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps beside the model, by file name."""
        return files_of(self.whole.partitions)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_scenes`)."""
        net, arrays = self.describing.save()
        spec: dict[str, Any] = {"net": net, "heads": [], "spread_km": self.spread_km}
        for number, head in enumerate((*self.heads, self.whole)):
            _, of, own = head.save() if head else ("", None, {})
            spec["heads"].append(of)
            arrays |= {f"head-{number}-{name}": array for name, array in own.items()}
        return "scenes", spec, arrays


def _together(parts: Sequence[Places], rows: Sequence[NDArray[np.int64]]) -> Places:
    """Return the answers of several heads, each for the photos in its rows, as one; where one has fewer candidates than
    another, its answer fills with weight 0.
    """
    count, most = sum(map(len, rows)), max(part.weights.shape[1] for part in parts if part.weights is not None)
    answers, candidates, weights = np.zeros((count, 2)), np.zeros((count, most, 2)), np.zeros((count, most))
    for part, of in zip(parts, rows, strict=True):
        answers[of] = np.stack([part.latitude, part.longitude], axis=1)
        candidates[of] = answers[of][:, None]
        if part.candidates is not None and part.weights is not None:
            candidates[of, : part.weights.shape[1]] = part.candidates
            weights[of, : part.weights.shape[1]] = part.weights
    return Places(answers[:, 0], answers[:, 1], candidates, weights)


def load_scenes(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> ScenePlacing:
    """Return the predictor that `ScenePlacing.save` described.

    Raises:
        DataError, UsageError, ValueError, KeyError, TypeError, RuntimeError: as `load_describer`, or a head is none.
    """
    heads = []
    for number, of in enumerate(spec["heads"]):
        start = f"head-{number}-"
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        heads.append(None if of is None else load_head(of, own))
    describing = load_describer(spec["net"], arrays, device)
    if len(heads) != len(KINDS) + 1 or heads[-1] is None or not isinstance(describing, NetworkVectors):
        raise ValueError(f"{len(heads)} heads of scenes")
    return ScenePlacing(describing, tuple(heads[:-1]), heads[-1], float(spec["spread_km"]))


def scene_shares(describing: NetworkVectors, photos: Photos) -> NDArray[np.float32]:
    """Return how much of each scene of KINDS each photo is, (N, 3), rows summing to 1."""
    import torch

    from benchmark.features.extract import Feature, extract
    from benchmark.networks.backbones import find_backbone

    shape = find_backbone(describing.backbone).preprocessing.at(describing.size)
    side, rule, margin = shape.square
    inside = slice(margin, margin + describing.size)
    of = torch.tensor([[float(scene == kind) for kind in KINDS] for scene in SCENES], device=describing.device)
    mean, std = (torch.tensor(v, device=describing.device).view(3, 1, 1) for v in (shape.mean, shape.std))

    @torch.inference_mode()
    def compute(pixels: "torch.Tensor") -> "torch.Tensor":
        if not len(pixels):
            return torch.empty(0, len(KINDS))
        crops = pixels[:, :, inside, inside].to(describing.device).float() / 255
        shares = [describing.network((part - mean) / std).softmax(dim=1) @ of for part in crops.split(16)]
        return torch.cat(shares)

    facts = {"network": describing.backbone, "crop": describing.size, "weights": describing.weights_digest}
    kept = describing.weights_digest is not None
    return extract(
        Feature("scenes", compute, side, 1, rule, {**facts, "kinds": SCENES}, kept), photos, describing.device
    )


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    split: str,
    most: float,
    least: float,
    levels: int,
    cs: str,
    iterations: int,
    share: float,
    fewest: int,
) -> ScenePlacing:
    """Fit a head for each scene, and one for all."""
    if not 0 < share <= 1 or fewest < 1:
        raise UsageError(f"share {share}, fewest {fewest}: a share from 0 to 1, at least one photo")
    describing, sides = described(training, validation, context, net, size)
    if not isinstance(describing, NetworkVectors):
        raise UsageError(f"net {net}: scenes are told by a network with the weights of Places365")
    cells = cells_of(sides, split, most, least, levels)
    of_training, of_validation = (scene_shares(describing, side) for side in (training, validation))
    heads: list[CellHead | None] = []
    for scene in range(len(KINDS)):
        learnt = sides.training.of(of_training[sides.training.rows, scene] >= share)
        judged = sides.validation.of(of_validation[sides.validation.rows].argmax(axis=1) == scene)
        enough = len(learnt) >= fewest and all((one.cell_of(learnt.places) >= 0).any() for one in cells.learnt)
        own = Sides(learnt, judged, sides.labels)
        heads.append(cell_head(own, cells, cs, iterations, context.device) if enough else None)
    whole = cell_head(sides, cells, cs, iterations, context.device)
    fitted, judged = ScenePlacing(describing, tuple(heads), whole), sides.validation
    places = fitted.placed(judged.vectors, of_validation[judged.rows])
    return replace(fitted, spread_km=best_spread(places, judged.places))


_FORM = replace(
    ISN,
    name="isn:{net}@scenes",
    title="{net}, cells of three sizes by scene",
    fit=fit,
    parameters={**ISN.parameters, "share": 0.3, "fewest": 30},
)


def scene_variant(name: str) -> Method | None:
    """Return the method of this name; None where it has no such form, or the network does not have Places365's outputs."""
    from benchmark.networks.backbones import backbones

    kind, _, rest = name.partition(":")
    net, _, suffix = rest.partition("@")
    origin = backbones()[net].pretrained if net in backbones() else None
    if (kind, suffix) != ("isn", "scenes") or not origin or (origin.data, origin.classes) != ("Places365", len(SCENES)):
        return None
    return on_net(_FORM, net)
