"""What licence a file on Wikimedia Commons is under.

The extension CommonsMetadata tells it four times, each in its own words and each often missing: `LicenseUrl`
(`https://creativecommons.org/licenses/by-sa/3.0/de/deed.en`), `License` (`cc-by-sa-3.0-de`, only for Creative Commons and
public domain), `LicenseShortName` (`CC BY-SA 3.0 de`) and `UsageTerms`. Of 79 recorded files all have a short name, 77 a
`License` and 47 an address. Of several licences the extension tells the one that asks least.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

from collector.errors import DataError, UsageError
from collector.licences import licence, licences
from collector.providers.text import from_html

# By `License` or `LicenseShortName`, lower case, with hyphens for spaces. The templates of these names on Commons say which
# version is meant: {{GFDL}} is 1.2 or later, {{FAL}} is 1.3.
_NAMES: Mapping[str, str] = {
    "attribution": "LicenseRef-Attribution",
    "cc-pd": "CC-PDDC",
    "cc-zero": "CC0-1.0",
    "cc0": "CC0-1.0",
    "copyrighted-free-use": "LicenseRef-CopyrightedFreeUse",
    "fal": "LAL-1.3",
    "gfdl": "GFDL-1.2-or-later",
    "gfdl-1.2": "GFDL-1.2-only",
    "kogl-type-1": "LicenseRef-KOGL-1",
    "no-known-copyright-restrictions": "LicenseRef-NoKnownRestrictions",
    "no-restrictions": "LicenseRef-NoKnownRestrictions",
    "ogl-2": "OGL-UK-2.0",
    "ogl-3": "OGL-UK-3.0",
    "pd": "LicenseRef-PublicDomain",
    "public-domain": "LicenseRef-PublicDomain",
}

_DEED = re.compile(r"/(?:deed|legalcode|rdf)(?:\.[\w-]+)?$")


class UnknownLicenceError(DataError):
    """A file is under a licence that collector/licences.toml does not hold, or says nothing of one."""


def licence_id(metadata: Mapping[str, str]) -> str:
    """Return the SPDX id or `LicenseRef-…` of a file's licence.

    Args:
        metadata: the file's extmetadata, values by name.

    Raises:
        UnknownLicenceError: it is none of licences.toml; the message quotes what was seen.
    """
    if found := _by_address().get(_canonical(metadata.get("LicenseUrl", ""))):
        return found
    for name in ("License", "LicenseShortName", "UsageTerms"):
        words = "-".join((from_html(metadata.get(name)) or "").casefold().split())
        for id_ in (_NAMES.get(words, words), f"LicenseRef-{words}"):
            # Nothing but a licence that anyone may state in words: not our own ids, such as LicenseRef-Unknown.
            if words and (words in _NAMES or words.startswith("cc-")):
                try:
                    return licence(id_).id
                except UsageError:
                    continue
    names = ("License", "LicenseShortName", "LicenseUrl", "UsageTerms")
    seen = ", ".join(f"{name} {from_html(metadata[name])!r}" for name in names if metadata.get(name))
    raise UnknownLicenceError(f"licence unknown: {seen or 'nothing is said of one'}")


@cache
def _by_address() -> Mapping[str, str]:
    """Return the ids of the licences whose address is theirs alone, by canonical address."""
    addresses = {id_: _canonical(one.url) for id_, one in licences().items() if one.url}
    shared = Counter(addresses.values())
    return {address: id_ for id_, address in addresses.items() if shared[address] == 1}


def _canonical(url: str) -> str:
    """Return host and path of an address in one spelling, without the part that names a translation of the text."""
    try:
        parts = urlsplit(url.strip().casefold())
    except ValueError:
        return ""
    return (parts.hostname or "").removeprefix("www.") + _DEED.sub("", parts.path.rstrip("/")).rstrip("/")
