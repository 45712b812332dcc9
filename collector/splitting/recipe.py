"""How photos are assigned, as a value: what a manifest's header says of it, and reading that again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest
from collector.splitting.allocate import Mode
from collector.splitting.groups import GroupRules, group_photos
from collector.splitting.place_protocol import WITHIN_M

_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("near_duplicates", "authors", "sequences", "panoramas"), (bool,)),
    "service_authors": (tuple,),
    "phash_radius": (int,),
    **dict.fromkeys(("min_distance_m", "panorama_m"), (int, float)),
    "max_hours": (int, float, type(None)),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How photos are assigned.

    Attributes:
        mode: as in `allocate`; `place`: a gallery and queries, as in `place_protocol`.
        groups: what has to stay on one side; not used by the mode `paper`.
        drop_photos: as in `allocate`.
        within_m: in the mode `place`, how near to a query the gallery has another photo.
    """

    mode: Mode = "exact"
    groups: GroupRules = field(default_factory=GroupRules)
    drop_photos: bool = False
    within_m: float = WITHIN_M

    def rules(self, radius: int) -> dict[str, Any]:
        """Return what a manifest's header says of it; `radius` is that of dedup."""
        grouped: dict[str, Any] = {}
        if self.mode == "place":
            grouped = {"groups": asdict(self.groups), "within_m": self.within_m}
        elif self.mode != "paper":
            grouped = {"groups": asdict(self.groups), "drop_photos": self.drop_photos}
        return {"mode": self.mode, **grouped, "left_out": {"near-duplicates": {"phash_radius": radius}}}


def place_rules(**links: Any) -> GroupRules:
    """Return the rules of the protocol `place`: distance joins nothing, neighbouring panoramas neither."""
    return GroupRules(min_distance_m=0.0, panorama_m=0.0, **links)


def recipe_of(parent: Manifest) -> Recipe:
    """Return how the photos of a manifest were assigned, to assign more in the same way.

    Raises:
        UsageError: in a mode whose promise nobody can keep.
        DataError: its rules are not understood.
    """
    rules, of = parent.header.rules, f"{parent.header.name} {parent.header.version}"
    if rules.get("mode") == "place":
        raise UsageError(
            f"--extend: {of} has the protocol place, which cannot be extended; make a new data set of all photos"
        )
    if rules.get("mode") not in ("exact", "fractions"):
        raise UsageError(
            f"--extend: {of} was split by mode {rules.get('mode')!r}, which promises nothing that could be kept; make a new "
            "data set with t15 split"
        )
    try:
        return Recipe(rules["mode"], _group_rules(rules["groups"]), bool(rules.get("drop_photos")))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise DataError(
            f"--extend: {of} states its grouping rules in a way that this t15 does not know ({error})"
        ) from error


def _group_rules(stated: Mapping[str, Any]) -> GroupRules:
    """Return the rules about groups that somebody's manifest states.

    Raises:
        TypeError, ValueError, UsageError: it states no such rules.
    """
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in dict(stated).items()
    }
    # Before format 2 sequences were not known, and services were named by the rules.
    rules = GroupRules(**{"sequences": False, **{of: value for of, value in given.items() if of != "street_views"}})
    for name, value in asdict(rules).items():
        if type(value) not in _KINDS[name] or (isinstance(value, tuple) and not all(type(v) is str for v in value)):
            raise TypeError(f"{name}: {value!r}")
    group_photos((), rules)  # checks what measures may be
    return rules
