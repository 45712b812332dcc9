"""The methods that answer with places: their rows, and the row of a kind on any NET: `knn-density:resnet18/places365`."""

from benchmark.methods.cells import CELLS, HAVERSINE, ISN
from benchmark.methods.im2gps import IM2GPS
from benchmark.methods.knn_density import KNN_DENSITY, RELEASED, UNSNAPPED
from benchmark.methods.types import Method
from benchmark.methods.vectors import on_net
from benchmark.methods.vmf import VMF

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
