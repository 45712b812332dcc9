"""What a manifest's rules promise about its sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEAKS = {
    "author": "photos by an author of the other side",
    "sequence": "photos of a sequence of the other side",
    "group": "photos of a group of the other side",
    "panorama": "views of a panorama of the other side",
    "bytes": "photos with the bytes of one on the other side",
    "near-duplicate": "photos that show a picture of the other side",
    "distance": "photos taken too near to one of the other side",
}
"""What may pass between the sides, and what is counted of each."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a manifest's rules say that its sides do not share.

    Attributes:
        kinds: names from LEAKS.
        min_distance_m: the distance that photos of two sides keep, None where no rule speaks of one.
        phash_radius: no two photos of different sides are one picture at this radius, None where no rule says so.
        service_authors: author ids that stand for a service and no person, beside those that the traits of a service say;
            a `*` at the end matches anything.
        within_m: the training side has another photo so near to each query, None where no rule says so.
    """

    kinds: tuple[str, ...] = ()
    min_distance_m: float | None = None
    phash_radius: int | None = None
    service_authors: tuple[str, ...] = ()
    within_m: float | None = None


def claims_of(rules: Mapping[str, Any], always: tuple[str, ...] = ()) -> Claims:
    """Return what rules claim; what is not stated, or not understood, is not claimed.

    `groups` holds the fields of splitting.groups.GroupRules: what is kept on one side. `left_out` was taken out before.
    """
    rules = rules if isinstance(rules, Mapping) else {}
    stated = rules.get("groups")
    groups = stated if isinstance(stated, Mapping) else {}
    left_out = _number(rules, "left_out", "near-duplicates", "phash_radius")
    radius = _number(groups, "phash_radius") if groups.get("near_duplicates") is True else None
    radii = [int(r) for r in (left_out, radius) if r is not None]
    # Links that ask for one time too leave photos of other times as near to each other as they like.
    metres = _number(groups, "min_distance_m") if groups.get("max_hours") is None else None
    claimed = {
        "author": groups.get("authors") is True,
        "sequence": groups.get("sequences") is True,
        "panorama": groups.get("panoramas") is True,
        "bytes": bool(radii),
        "near-duplicate": bool(radii),
        "distance": bool(metres),
    }
    services = groups.get("service_authors", ())
    return Claims(
        kinds=tuple(kind for kind in LEAKS if kind in always or claimed.get(kind)),
        min_distance_m=metres or None,
        phash_radius=max(radii, default=None),
        service_authors=tuple(map(str, services)) if isinstance(services, list | tuple) else (),
        within_m=_number(rules, "within_m") if rules.get("mode") == "place" else None,
    )


def _number(rules: Any, *path: str) -> float | None:
    """Return the number at a path of names; None where there is none: a manifest's rules may be anybody's."""
    for name in path:
        rules = rules.get(name) if isinstance(rules, Mapping) else None
    return rules if isinstance(rules, int | float) and not isinstance(rules, bool) else None
