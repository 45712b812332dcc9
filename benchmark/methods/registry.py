"""The methods that `t15 bench` knows, in one visible dict."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from benchmark.methods.cells import CELLS, HAVERSINE, ISN
from benchmark.methods.im2gps import IM2GPS
from benchmark.methods.knn_density import KNN_DENSITY, RELEASED, UNSNAPPED
from benchmark.methods.networks import transfer_variant
from benchmark.methods.paper import PAPER
from benchmark.methods.sift_nbnn import SIFT_NBNN
from benchmark.methods.types import Method
from benchmark.methods.vectors import on_net
from benchmark.methods.visual_retrieval import retrieval_variant
from benchmark.methods.visual_words import VISUAL_WORDS
from benchmark.methods.vmf import VMF
from collector.errors import UsageError, did_you_mean
from collector.plugins import load_plugins

ON_NETS = (KNN_DENSITY, UNSNAPPED, RELEASED, CELLS, ISN, HAVERSINE, VMF)
"""Methods of vectors: the name of each is a form, `{net}` stands for NET."""

LISTED = ("gist", "resnet18/places365")
"""NETs whose rows `t15 methods` lists; any other is had by its name."""


def place_variant(name: str) -> Method | None:
    """Return the method of this name; None where it has no such form, or there is no such NET."""
    for form in ON_NETS:
        before, _, behind = form.name.partition("{net}")
        if (
            name.startswith(before)
            and name.endswith(behind)
            and "@" not in (net := name[len(before) : len(name) - len(behind)])
        ):
            return on_net(form, net)
    return None


PLACES = (*IM2GPS, *(method for net in LISTED for form in ON_NETS if (method := on_net(form, net))))
"""The listed rows, in the order in which they are run."""

METHODS: dict[str, Method] = {method.name: method for method in (*PAPER, *SIFT_NBNN, *VISUAL_WORDS)}


def methods() -> dict[str, Method]:
    """Return all methods by name: the built-in ones, and those that packages add in the group `t15.methods`."""
    known = dict(METHODS)
    for name, method in load_plugins("t15.methods").items():
        if not isinstance(method, Method):
            raise UsageError(f"plug-in {name!r} (group t15.methods) is no benchmark.methods.types.Method: repair it")
        known.setdefault(method.name, method)
    return known


def listed() -> dict[str, Method]:
    """Return all methods that have a row of their own: those of `methods`, and those that answer with places."""
    return methods() | {method.name: method for method in PLACES}


def choose(patterns: Sequence[str]) -> list[Method]:
    """Return the methods that any of the patterns names (`*` and `?` as in file names), each once, in their own order.

    A variant of transfer learning of any other network, such as `finetune-c:resnet50/imagenet`, is a method too, and so is
    retrieval by any network's or feature's vectors, such as `retrieval:gist-lear-64+verify`. Methods that answer with places
    come where a pattern names none of the others (`im2gps*`), on any feature or network (`cells:hog`).

    Raises:
        UsageError: a pattern names none.
    """
    known = methods()
    for pattern in patterns:
        if _named(known, pattern):
            continue
        of_places = {method.name: method for method in PLACES}
        method = transfer_variant(pattern) or retrieval_variant(pattern) or place_variant(pattern)
        more = [of_places[name] for name in _named(of_places, pattern)] or ([method] if method else [])
        if not more:
            everything = listed()
            raise UsageError(
                f"no method {pattern!r}{did_you_mean(pattern, everything)}; `t15 methods` lists all {len(everything)}"
            )
        known |= {method.name: method for method in more}
    wanted = {name for pattern in patterns for name in _named(known, pattern)}
    return [method for name, method in known.items() if name in wanted]


def _named(known: Mapping[str, Method], pattern: str) -> list[str]:
    return [name for name in known if fnmatchcase(name.lower(), pattern.lower())]
