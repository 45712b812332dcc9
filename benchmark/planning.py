"""Which runs there are to do: manifest × method × seed, with all that their predictions depend on."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.attributes import surroundings
from benchmark.cross_view import aerial_map, digest_of
from benchmark.label_set import label_set, photos_at, positions
from benchmark.methods.settings import with_settings
from benchmark.methods.types import Method
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.results import RunInputs
from collector.errors import DataError, UsageError, did_you_mean
from collector.manifest.manifest import Manifest
from collector.records import SPLITS, Photo

MODELS = ("first", "all", "none")
"""Whose models are kept for `t15 predict`: of each method's first seed, of all seeds, or of none."""

PRECISIONS = ("float32", "bf16")
"""In which networks are trained."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run to do: a method with its parameters, and a seed.

    Attributes:
        method: which; its parameters are those of the run's inputs.
        inputs: all that the predictions depend on.
        tier: `paper` or `smoke`.
        weights: `none`, `pre-trained`, `random` (the smoke tier does without those that are missing) or `missing`.
        lacks: what the manifest lacks that the method needs, in words; empty where it lacks nothing.
        changed: the parameters that were set otherwise than the tier has them.
        keeps_model: whether the predictor is saved.
    """

    method: Method
    inputs: RunInputs
    tier: str
    weights: str = "none"
    lacks: str = ""
    changed: Mapping[str, Any] = field(default_factory=dict)
    keeps_model: bool = False

    @property
    def can_begin(self) -> bool:
        """Whether it has its weights and its data."""
        return self.weights != "missing" and not self.lacks

    @property
    def title(self) -> str:
        """What a board calls the run."""
        return self.method.titled(self.inputs.parameters)


def plan(
    manifest: Manifest,
    methods: Sequence[Method],
    seeds: Sequence[int],
    tier: str,
    settings: Mapping[str, str] | None = None,
    models: str = "first",
    precision: str = "float32",
    level: str = "city",
    shots: Sequence[int] = (0,),
) -> list[Task]:
    """Return the runs of methods × seeds. Where the seed does not matter, seed 0 stands for all.

    Args:
        manifest: what they learn from.
        methods: which.
        seeds: of everything random.
        tier: `paper` or `smoke`.
        settings: parameters to change, as text, in the methods that have them.
        models: one of MODELS.
        precision: one of PRECISIONS, for methods that train a network.
        level: of the labels.
        shots: how many training photos of each label, 0 for all; of a number every seed draws its own.

    Raises:
        UsageError: no method has a parameter of `settings`, a value is none of its kind, or the manifest has no such level.
        DataError: there is one label of that level (but for galleries, protocol `place`), or a side has no photo with one.
    """
    _require_labels(manifest, level)
    settings = settings or {}
    for name in settings:
        if not any(name in method.parameters for method in methods):
            known = sorted({parameter for method in methods for parameter in method.parameters})
            raise UsageError(f"--set {name}: none of these methods has it{did_you_mean(name, known)}")
    return [
        task
        for method in methods
        for few in shots
        for task in _tasks(
            manifest, with_settings(method, settings), method, seeds, tier, models, precision, level, few
        )
    ]


def _require_labels(manifest: Manifest, level: str) -> None:
    labels = label_set(manifest, level)
    of = f"{manifest.header.name} {manifest.header.version}"
    if len(labels) < 2 and manifest.header.protocol != "place":
        towns = (
            "; `t15 split --protocol place` asks for the very place instead, `t15 cities --grid KM` makes districts of a "
            "town, for --level district"
        )
        raise DataError(f"{of}: has one {level}; a benchmark needs two or more{towns if level == 'city' else ''}")
    empty = [side for side in SPLITS if manifest.photos(side) and not photos_at(manifest, side, level)]
    if empty:
        raise DataError(f"{of}: no photo of {' and '.join(empty)} has a {level}; run it at another --level")


def _tasks(
    manifest: Manifest,
    method: Method,
    unchanged: Method,
    seeds: Sequence[int],
    tier: str,
    models: str,
    precision: str,
    level: str,
    shots: int,
) -> Iterator[Task]:
    # A method without settings for the smoke tier runs with the paper's in both, and that run is a paper run.
    tier = tier if unchanged.smoke else "paper"
    parameters, usual, defaults = method.of_tier(tier), unchanged.of_tier(tier), unchanged.parameters
    changed = {name: value for name, value in parameters.items() if value != usual[name]}
    weights_digest, state = _weights(method, tier)
    lacks = lacking(method.needs, manifest, level) or (_too_few(manifest, level, shots) if shots else "")
    if method.gives == {"labels"} and len(label_set(manifest, level)) < 2:
        lacks = f"the manifest has one {level}, and the method tells these apart and nothing else"
    for number, seed in enumerate(seeds if method.stochastic or state == "random" or shots else [0]):
        inputs = RunInputs(
            manifest_digest=manifest.digest,
            method=method.name,
            parameters=parameters,
            weights_digest=weights_digest,
            seed=seed,
            version=method.version,
            settings={name: value for name, value in parameters.items() if value != defaults[name]},
            preprocessing=_preprocessing(method, parameters),
            precision=precision if method.fit_many else "float32",
            level=level,
            shots=shots,
            beside=_tables_digest(method.needs, manifest),
        )
        keeps = models == "all" or (models == "first" and number == 0 and not shots)
        yield Task(method, inputs, tier, state, lacks, changed, keeps)


def _tables_digest(needs: frozenset[str], manifest: Manifest) -> str:
    """Return a digest of the tables beside a manifest that a method learns from too; empty of none."""
    known = surroundings(manifest) if "attributes" in needs else None
    above = aerial_map(manifest) if "overhead" in needs else None
    return "".join([known.digest[:16] if known else "", digest_of(above)[:16] if above else ""])


def _too_few(manifest: Manifest, level: str, shots: int) -> str:
    labels = label_set(manifest, level)
    counts = np.bincount(positions(manifest, photos_at(manifest, "train", level), level), minlength=len(labels))
    fewest = int(counts.argmin())
    if counts[fewest] >= shots:
        return ""
    return f"{shots} training photos of each {level} ({labels.ids[fewest]} has {counts[fewest]})"


def _weights(method: Method, tier: str) -> tuple[str | None, str]:
    if not method.backbone or find_backbone(method.backbone).pretrained is None:
        return None, "none"
    stored = weights.stored(find_backbone(method.backbone))
    if stored is None:
        return None, "random" if tier == "smoke" else "missing"
    return stored.digest, "pre-trained"


def _preprocessing(method: Method, parameters: Mapping[str, Any]) -> str:
    if method.preprocessing is None:
        return ""
    canonical = json.dumps(method.preprocessing(**parameters), sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


_KNOWN: Mapping[str, Callable[[Photo], object]] = {
    "places": lambda photo: photo.latitude,
    "headings": lambda photo: photo.heading,
    "authors": lambda photo: photo.author_id,
    "sequences": lambda photo: photo.sequence_id,
    "times": lambda photo: photo.taken_at,
}


def lacking(needs: frozenset[str], manifest: Manifest, level: str = "city") -> str:
    """Return in words what a manifest lacks of a method's needs at a level; empty where it lacks nothing.

    `places`, `headings`, `authors`, `sequences` and `times` must be known of one training photo at least, `gallery` asks for
    the place of each, `attributes` and `overhead` for the tables that `t15 geodata add` and `t15 aerial add` write,
    `protocol:place` for the protocol.

    Raises:
        UsageError: a need is none of these.
    """
    photos = photos_at(manifest, "train", level) if needs else []
    return ", ".join(words for need in sorted(needs) if (words := _lacks(need, manifest, photos)))


def _lacks(need: str, manifest: Manifest, photos: Sequence[Photo]) -> str:
    kind, _, name = need.partition(":")
    protocol = manifest.header.protocol
    if kind == "protocol" and name:
        return "" if name == protocol else f"protocol {name} (its protocol is {protocol})"
    if need == "attributes":
        return "" if surroundings(manifest) else "attributes (`t15 geodata add MANIFEST` writes them beside it)"
    if need == "overhead":
        how = "`t15 aerial fetch`, then `t15 aerial add MANIFEST`"
        return "" if aerial_map(manifest) else f"pictures from above ({how})"
    if need == "gallery":
        return "" if all(photo.latitude is not None for photo in photos) else "a place of each training photo"
    if need in _KNOWN:
        return "" if any(_KNOWN[need](photo) is not None for photo in photos) else need
    raise UsageError(
        f"a method needs {need!r}: known needs are {', '.join(_KNOWN)}, attributes, overhead, gallery, protocol:NAME"
    )
