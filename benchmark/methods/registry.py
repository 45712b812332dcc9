"""The methods that `t15 bench` knows, in one visible dict."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from benchmark.methods.cao2013 import CAO2013
from benchmark.methods.cells import CELLS, CPLANET, HAVERSINE, ISN
from benchmark.methods.cross_view import CROSS_VIEWS
from benchmark.methods.fusion import fusion_of
from benchmark.methods.geoclip import GEOCLIP
from benchmark.methods.head_kinds import HEADS
from benchmark.methods.im2gps import IM2GPS
from benchmark.methods.knn_density import KNN_DENSITY, RELEASED, UNSNAPPED
from benchmark.methods.lee2015 import LEE2015
from benchmark.methods.li2010 import LI2010
from benchmark.methods.li2010_sfm import LI2010_SFM
from benchmark.methods.matching import MATCHING, match_variant
from benchmark.methods.networks import TRANSFER_VARIANTS, can_learn, transfer_variant
from benchmark.methods.oracle import ORACLES
from benchmark.methods.paper import PAPER
from benchmark.methods.planet import planet_variant
from benchmark.methods.qian2015 import QIAN2015
from benchmark.methods.scenes import scene_variant
from benchmark.methods.sift_nbnn import SIFT_NBNN
from benchmark.methods.types import Method
from benchmark.methods.vectors import on_net
from benchmark.methods.visual_retrieval import retrieval_variant
from benchmark.methods.visual_words import VISUAL_WORDS
from benchmark.methods.vmf import VMF
from benchmark.networks import weights
from benchmark.networks.backbones import BACKBONES, Backbone, backbones, towers
from collector.errors import DataError, UsageError, did_you_mean, first_few
from collector.plugins import load_plugins

ON_NETS = (KNN_DENSITY, UNSNAPPED, RELEASED, CELLS, ISN, CPLANET, HAVERSINE, VMF, GEOCLIP)
"""Methods of vectors: the name of each is a form, `{net}` stands for NET."""

ON_TABLES = (LEE2015, *CROSS_VIEWS)
"""Such methods that need a table beside the manifest, which few have: they run by name, and not where all are asked for."""

LISTED = ("gist", "resnet18/places365")
"""NETs whose rows `t15 methods` lists; any other is had by its name."""

FUSED = ("tiny-64+logreg@modern", "hog-32+logreg@modern", "gist-64+logreg@modern")
"""What `fusion` without a name behind it fuses: features that need no weights and no places."""


def place_variant(name: str) -> Method | None:
    """Return the method of this name; None where it has no such form, or there is no such NET."""
    for form in (*ON_NETS, *ON_TABLES):
        before, _, behind = form.name.partition("{net}")
        if (
            name.startswith(before)
            and name.endswith(behind)
            and "@" not in (net := name[len(before) : len(name) - len(behind)])
        ):
            return on_net(form, net)
    return planet_variant(name) or scene_variant(name)


def _listed_places() -> Iterator[Method]:
    yield from IM2GPS
    names = [form.name.replace("{net}", net) for net in LISTED for form in ON_NETS]
    for name in (*names, "isn:resnet18/places365@scenes", "planet:resnet18", "planet:resnet18/places365"):
        if method := place_variant(name):
            yield method


PLACES = tuple(_listed_places())
"""The listed rows that answer with places, in the order in which they are run."""

VERY_PLACE = (*SIFT_NBNN, *VISUAL_WORDS, LI2010, LI2010_SFM, CAO2013, QIAN2015, *MATCHING)
"""Rows that compare a photo with those of a gallery."""

METHODS: dict[str, Method] = {method.name: method for method in (*PAPER, *VERY_PLACE, *PLACES)}
METHODS["fusion"] = fusion_of([METHODS[name] for name in FUSED], "fusion")


def methods() -> dict[str, Method]:
    """Return all methods by name: the built-in ones, and those that packages add in the group `t15.methods`."""
    known = dict(METHODS)
    for name, method in load_plugins("t15.methods").items():
        if not isinstance(method, Method):
            raise UsageError(f"plug-in {name!r} (group t15.methods) is no benchmark.methods.types.Method: repair it")
        known.setdefault(method.name, method)
    return known


SHOWN = ("scratch", "features", "finetune-classifier", "finetune", "retrieval")
"""Of the methods of networks that are here, those that have a row in lists; patterns find all of them."""


def listed() -> dict[str, Method]:
    """Return all that `t15 methods` lists: those of `methods`, the usual ones of the networks that are here, those
    that need a table beside the manifest or a gallery, and the oracles, which are no methods.
    """
    known = methods() | {oracle.name: oracle for oracle in ORACLES}
    on_tables = [place_variant(form.name.replace("{net}", LISTED[0])) for form in ON_TABLES]
    on_tables.append(retrieval_variant(f"retrieval:{LISTED[0]}"))
    known |= {one.name: one for one in on_tables if one}
    here = {name: one for name, one in of_networks_here().items() if name.partition(":")[0] in SHOWN}
    return known | {name: one for name, one in here.items() if name not in known}


def of_networks_here() -> dict[str, Method]:
    """Return the methods of networks whose weights are on this machine, and of those that packages add: each head on their
    vectors, each way of fine-tuning, retrieval by their vectors, and each answer with places on them.
    """
    learnt = (*(kind for kind in HEADS if kind != "concat"), *TRANSFER_VARIANTS)
    names = [
        f"{kind}:{of.name}"
        for of in _networks_here()
        for kind in (learnt if of.pretrained else ("scratch",))
        if can_learn(of, kind)
    ]
    nets = [of.name for of in _networks_here() if of.pretrained]
    likest = [f"retrieval:{net}" for net in nets]
    forms = [*(form.name for form in (*ON_NETS, *ON_TABLES)), "isn:{net}@scenes"]
    placed = [form.replace("{net}", net) for form in forms for net in nets]
    placed += [f"planet:{of.name}" for of in _networks_here() if of.pretrained and can_learn(of, "finetune")]
    found = [*map(transfer_variant, names), *map(retrieval_variant, likest), *map(place_variant, placed)]
    return {method.name: method for method in found if method}


def _networks_here() -> Iterator[Backbone]:
    ours = {*BACKBONES, *(tower.name for tower in towers())}
    for name, backbone in backbones().items():
        with suppress(DataError):  # damaged ones are told by `t15 weights list`, and by the run that needs them
            if (backbone.pretrained is None and name not in ours) or weights.stored(backbone):
                yield backbone


def choose(patterns: Sequence[str]) -> list[Method]:
    """Return the methods that any of the patterns names (`*` and `?` as in file names), each once, in their own order.

    A pattern with a colon, such as `features:*`, also finds the methods of all networks whose weights are here or that
    packages add. What stands on any other network or feature is a method too, by its name: a variant of transfer learning
    such as `finetune-c:resnet50/imagenet`, retrieval such as `retrieval:gist-lear-64+verify`, an answer with places such as
    `cells:hog`; and so is a fusion of any others, `fusion:cells:hog,im2gps+1nn`. Oracles come where a pattern begins with
    `oracle`.

    Raises:
        UsageError: a pattern names none.
    """
    known = methods()
    here: dict[str, Method] = {}
    names: set[str] = set()
    for pattern in patterns:
        if pattern.startswith("oracle"):
            known |= {oracle.name: oracle for oracle in ORACLES}
        if ":" in pattern and not here:
            here = of_networks_here()
        matching = {*_named(known, pattern), *(_named(here, pattern) if ":" in pattern else ())}
        if not matching:
            variants = (transfer_variant, retrieval_variant, match_variant, place_variant, _fusion)
            method = next((one for variant in variants if (one := variant(pattern))), None)
            if not method:
                everything = listed()
                begin = [name for name in everything if pattern and name.startswith(pattern)]
                words = [name for name in begin if not name[len(pattern)].isalnum()]
                meant = f" (did you mean '{pattern}*', that is {first_few(words or begin, most=3)}?)" if begin else ""
                near = "" if words else did_you_mean(pattern, everything)
                raise UsageError(f"no method {pattern!r}{near or meant}; `t15 methods` lists all {len(everything)}")
            known[method.name] = method
            matching = {method.name}
        names |= matching
    known |= {name: one for name, one in here.items() if name not in known}
    return [method for name, method in known.items() if name in names]


def _fusion(name: str) -> Method | None:
    kind, _, members = name.partition(":")
    if kind != "fusion" or not members:
        return None
    chosen = {one.name: one for member in members.split(",") for one in choose([member.strip()])}
    if len(chosen) < len(members.split(",")):
        raise UsageError(f"{name}: a member is there twice; name each once")
    return fusion_of(list(chosen.values()), name)


def _named(known: Mapping[str, Method], pattern: str) -> list[str]:
    return [name for name in known if fnmatchcase(name.lower(), pattern.lower())]
