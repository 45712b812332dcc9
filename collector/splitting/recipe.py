"""How photos are assigned, as a value: what a manifest's header says of it, and reading that again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest
from collector.splitting.allocate import Mode
from collector.splitting.groups import GroupRules, group_photos

_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("near_duplicates", "authors", "panoramas"), (bool,)),
    **dict.fromkeys(("service_authors", "street_views"), (tuple,)),
    "phash_radius": (int,),
    "min_distance_m": (int, float),
    "max_hours": (int, float, type(None)),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How photos are assigned.

    Attributes:
        mode: as in `allocate`.
        groups: what has to stay on one side; not used by the mode `paper`.
        drop_photos: as in `allocate`.
    """

    mode: Mode = "exact"
    groups: GroupRules = field(default_factory=GroupRules)
    drop_photos: bool = False

    def rules(self, radius: int) -> dict[str, Any]:
        """Return what a manifest's header says of it; `radius` is that of dedup."""
        grouped = {} if self.mode == "paper" else {"groups": asdict(self.groups), "drop_photos": self.drop_photos}
        return {"mode": self.mode, **grouped, "left_out": {"near-duplicates": {"phash_radius": radius}}}


def recipe_of(parent: Manifest) -> Recipe:
    """Return how the photos of a manifest were assigned, to assign more in the same way.

    Raises:
        UsageError: in a mode whose promise nobody can keep.
        DataError: its rules are not understood.
    """
    rules, of = parent.header.rules, f"{parent.header.name} {parent.header.version}"
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
    rules = GroupRules(**given)
    for name, value in asdict(rules).items():
        if type(value) not in _KINDS[name] or (isinstance(value, tuple) and not all(type(v) is str for v in value)):
            raise TypeError(f"{name}: {value!r}")
    group_photos((), rules)  # checks what measures may be
    return rules
