"""What makes a fitted method again of what its `save` gave, by the kind that it names."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from benchmark.methods.types import Predictor
from collector.plugins import load_plugins

LOADERS: dict[str, str] = {
    "cross-view": "benchmark.methods.cross_view:load_cross_view",
    "described": "benchmark.methods.features:load_described",
    "fusion": "benchmark.methods.fusion:load_fusion",
    "im2gps": "benchmark.methods.im2gps:load_im2gps",
    "lee2015": "benchmark.methods.lee2015:load_lee2015",
    "network": "benchmark.networks.inference:load_network",
    "network-features": "benchmark.methods.heads:load_features",
    "placing": "benchmark.methods.placing:load_placing",
    "planet": "benchmark.methods.planet:load_planet",
    "scenes": "benchmark.methods.scenes:load_scenes",
}
"""What makes a predictor of each kind again, `load(spec, arrays, device)`: module and function, imported when asked for.
Other packages add theirs in the entry-point group `t15.loaders`, by the name of the kind."""

Arrays = Mapping[str, NDArray[Any]]
Load = Callable[[Mapping[str, Any], Arrays, str], Predictor]


def loaders() -> dict[str, str | Load]:
    """Return what makes a predictor of each kind again: ours by LOADERS, and those of plug-ins, which cannot replace ours."""
    return {**load_plugins("t15.loaders"), **LOADERS}


def loaded(kind: str, spec: Mapping[str, Any], arrays: Arrays, device: str) -> Predictor:
    """Return the predictor of this kind, one of `loaders`.

    Raises:
        KeyError: there is no such kind.
        Exception: whatever its loader raises where the description or the arrays are damaged.
    """
    load = loaders()[kind]
    if isinstance(load, str):
        module, _, function = load.partition(":")
        load = getattr(import_module(module), function)
    predictor: Predictor = load(spec, arrays, device)
    return predictor
