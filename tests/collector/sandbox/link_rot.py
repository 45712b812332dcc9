"""What becomes of photos over the years: some vanish, some are compressed again, some move, some leave a stand-in."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from collector.errors import UsageError
from collector.sandbox.holdings import Holdings, Item, Listing, token
from collector.sandbox.server import Sandbox
from collector.sandbox.streetview_api import Panoramas


@dataclass(frozen=True, slots=True)
class Ageing:
    """Which photos change, by id as in `Holdings.what`, or as t15 names them (`streetview:<panorama>@<heading>`).

    A panorama's views change together, and a photo changes in one way, except that what moves may be repacked too.

    Attributes:
        vanished: gone without a trace: their addresses answer 404, and their services do not know them any more.
        repacked: the same pictures, compressed again.
        placeholder: their addresses lead to a picture that says that there is none. Commons has no such picture.
        moved: their addresses answer 404; their services know the present ones. Panoramas get another id.
    """

    vanished: frozenset[str] = frozenset()
    repacked: frozenset[str] = frozenset()
    placeholder: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()


def age(sandbox: Sandbox, change: Ageing) -> None:
    """Let years pass at a running sandbox."""
    sandbox.hold(aged(sandbox.holdings, change))


def aged(holdings: Holdings, change: Ageing) -> Holdings:
    """Return what the services hold after a change, and what is true of it then.

    Raises:
        UsageError: an id that nothing has, a photo that changes in two ways, or a placeholder at Commons.
    """
    _check(holdings, change)
    return replace(
        holdings,
        flickr=_listing(holdings.flickr, "flickr", change),
        commons=_listing(holdings.commons, "commons", change),
        panoramas=_panoramas(holdings.panoramas, change),
    )


def _check(holdings: Holdings, change: Ageing) -> None:
    everything = change.vanished | change.repacked | change.placeholder | change.moved
    unknown = [id_ for id_ in sorted(everything) if not _is_there(holdings, id_)]
    if unknown:
        raise UsageError(f"sandbox: holds no {unknown[0]}")
    alone = [change.vanished, change.placeholder, change.moved | change.repacked]
    if twice := [id_ for id_ in everything if sum(id_ in ids for ids in alone) > 1]:
        raise UsageError(f"sandbox: {min(twice)} cannot change in two ways")
    if any(id_.startswith("commons:") for id_ in change.placeholder):
        raise UsageError("sandbox: Commons has no picture that stands in for a missing one")


def _is_there(holdings: Holdings, id_: str) -> bool:
    service, _, native = id_.partition(":")
    if service == "streetview":
        return holdings.panoramas.find(native.partition("@")[0]) is not None
    listing = {"flickr": holdings.flickr, "commons": holdings.commons}.get(service)
    return listing is not None and native.isdecimal() and int(native) in listing.by_number


def _listing(listing: Listing, service: str, change: Ageing) -> Listing:
    def now(item: Item) -> Item:
        id_ = f"{service}:{item.number}"
        return replace(
            item,
            kind="unavailable" if id_ in change.placeholder else item.kind,
            moved=item.moved or id_ in change.moved,
            repacked=item.repacked or id_ in change.repacked,
        )

    return Listing([now(item) for item in listing.items if f"{service}:{item.number}" not in change.vanished])


def _panoramas(panoramas: Panoramas, change: Ageing) -> Panoramas:
    first = {new: old for old, new in panoramas.renamed.items()}

    def named(ids: Iterable[str]) -> frozenset[str]:
        natives = (id_.removeprefix("streetview:").partition("@")[0] for id_ in ids if id_.startswith("streetview:"))
        return frozenset(first.get(native, native) for native in natives)

    return replace(
        panoramas,
        vanished=panoramas.vanished | named(change.vanished),
        grey=panoramas.grey | named(change.placeholder),
        repacked=panoramas.repacked | named(change.repacked),
        renamed={**panoramas.renamed, **{pano_id: token(22, "renamed", pano_id) for pano_id in named(change.moved)}},
    )
