"""What each licence allows: the table that every provider and the publisher look licences up in."""

import re
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


OWN_LICENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]{1,80}")
"""How SPDX spells a licence that is not in its list (SPDX 2.3, annex D)."""


def licence_of(text: str) -> Licence:
    """Return the licence that somebody's table means: an id, its address, `CC BY-SA 4.0`, or a `LicenseRef-…` of their own.

    One of their own allows nothing: its photos are passed on by nobody who does not say that they may.

    Raises:
        UsageError: it is none of these.
    """
    plain = re.sub(r"[\s_]+", "-", text.strip()).casefold()
    if found := _by_casefold().get(plain) or _by_address().get(_address(text)) or _by_casefold().get(f"{plain}-1.0"):
        return found
    if OWN_LICENCE.fullmatch(text.strip()):
        return Licence(text.strip(), text.strip(), "", redistributable=False)
    raise UsageError(
        f"licence {text[:80]!r} is unknown{did_you_mean(text, licences())}; give an SPDX id such as CC-BY-4.0, the address "
        "of a Creative Commons licence, or LicenseRef-NAME for one of your own"
    )


@cache
def _by_address() -> Mapping[str, Licence]:
    return {_address(found.url): found for found in licences().values() if found.url}


def _address(url: str) -> str:
    """Return what addresses of one licence share: no scheme, no `www.`, no deed or legal code, no slash at the end."""
    plain = re.sub(r"^(https?:)?//(www\.)?", "", url.strip().casefold())
    return re.sub(r"/(deed|legalcode)[^/]*$", "", plain.rstrip("/")).rstrip("/")
