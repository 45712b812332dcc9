"""What each licence allows: the table that every provider and the publisher look licences up in."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from collector.errors import UsageError, did_you_mean
from collector.records import Licence


@cache
def licences() -> Mapping[str, Licence]:
    """Return all licences that t15 knows by their id; the mapping cannot be changed."""
    document = tomllib.loads(Path(__file__).with_name("licences.toml").read_text(encoding="utf-8"))
    return MappingProxyType({id_: Licence(id=id_, **fields) for id_, fields in document.items()})


@cache
def _by_casefold() -> Mapping[str, Licence]:
    return {id_.casefold(): found for id_, found in licences().items()}


def licence(id: str) -> Licence:
    """Return the licence with this id. Case does not count: SPDX ids are compared so (SPDX 2.3, annex D).

    An id that is not in the table raises, a `LicenseRef-…` too: no photo passes under a licence that nobody judged.

    Raises:
        UsageError: no such licence.
    """
    try:
        return _by_casefold()[id.strip().casefold()]
    except KeyError:
        raise UsageError(
            f"licence {id!r} is unknown{did_you_mean(id, licences())}; "
            "t15 knows the SPDX ids and LicenseRef-… in collector/licences.toml"
        ) from None
