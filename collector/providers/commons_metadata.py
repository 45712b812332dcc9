"""What the extmetadata of a file on Wikimedia Commons tells of its author, its date, its kind and its licence.

The values are fragments of HTML, written by people and by templates
(https://commons.wikimedia.org/wiki/Commons:Machine-readable_data).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from html import unescape
from urllib.parse import parse_qs, unquote, urlsplit

from collector.errors import DataError, UsageError
from collector.licences import licence, licences
from collector.providers.answers import clean, digest, from_html, plausible

# --- who

_NOBODY = frozenset(
    {"unknown", "unknown author", "author unknown", "anonymous", "anonymous author", "unknown photographer"}
)
# Seen as an Artist: <div class="boilerplate metadata" id="cleanup" …>This file is lacking <b>author</b> information.
_LACKING = "this file is lacking"
_HREF = re.compile(r"""href=["']([^"']{1,500})["']""", re.IGNORECASE)
# Accounts are the same on all of Wikimedia's wikis (unified login), so a link to any of them names one.
_WIKIMEDIA = re.compile(
    r"(?:.+\.)?(?:wiki(?:media|pedia|voyage|data|source|books|news|quote|versity)|wiktionary|mediawiki)\.org"
)
_USER_PAGE = re.compile(r"(?:[a-z-]{2,12}:)?User:([^/#]+)(?:[/#].*)?", re.IGNORECASE | re.DOTALL)


def author(artist: str, uploader: object) -> tuple[str | None, str | None]:
    """Return the id that the files of one author share, and the name to credit.

    An author who is a user of Wikimedia is known by the account, whatever name the file shows: the first user that
    `Artist` links to, or the uploader where it shows the uploader's name or nothing. Anyone else is known by the name as
    shown. Files whose author is unknown share their uploader's id: to take two authors for one does no harm, to miss that
    two photos are one author's does (they could come to both sides of a split).

    Args:
        artist: extmetadata's `Artist`.
        uploader: the name of the account that uploaded the file.
    """
    user = clean(uploader)
    own = f"commons:user:{_account_name(user)}" if user else None
    name = from_html(artist)
    if name is None or name.casefold().startswith(_LACKING):
        return own, user
    if name.casefold() in _NOBODY:
        return own, None
    accounts = [found for href in _HREF.findall(artist) if (found := _account(href))]
    if accounts:
        return f"commons:user:{accounts[0]}", name
    if user and name.casefold() == user.casefold():
        return own, name
    return f"commons:artist:{digest(name.casefold())}", name


def _account(href: str) -> str | None:
    """Return the user whose page, or page to be written, a link leads to."""
    try:
        parts = urlsplit(unescape(href))
        if parts.hostname and not _WIKIMEDIA.fullmatch(parts.hostname):
            return None
    except ValueError:
        return None
    title = parse_qs(parts.query).get("title", [unquote(parts.path.removeprefix("/wiki/"))])[0]
    match = _USER_PAGE.fullmatch(title)
    name = clean(match[1].replace("_", " ")) if match else None
    return _account_name(name) if name else None


def _account_name(name: str) -> str:
    return name[:1].upper() + name[1:]  # as MediaWiki spells it


# --- when

_TIME_ELEMENT = re.compile(r"""<time\b[^>]*\bdatetime=["']([^"']{1,40})["']""", re.IGNORECASE)
_FUZZY = re.compile(
    r"\b(?:circa|c\.|ca\.?|about|before|after|between|until|since|or|upload\w*|publi\w+|century|\d+s|unknown)(?!\w)|\?",
    re.IGNORECASE,
)
_NOTE = re.compile(r"^taken on |\s*\((?:according to exif data|utc)\)$|\s+utc$", re.IGNORECASE)
_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y:%m:%d %H:%M:%S",
    "%d %B %Y, %H:%M:%S",
    "%d %B %Y, %H:%M",
    "%d %B %Y",
    "%B %d, %Y",
)


def taken_at(date: str, uploaded: object) -> datetime | None:
    """Return when a photo was taken, None unless the day is told.

    Years, months and doubtful dates (`1997`, `circa 1617`, `2009-03-17 (original upload date)`) tell none; so does a day
    that is later than the upload's. Where the time is missing it is midnight. Times are the camera's, without a zone, and
    are read as UTC, as those in EXIF are.

    Args:
        date: extmetadata's `DateTimeOriginal`, such as `2015-09-12 10:09:04` or
            `<time class="dtstart" datetime="2010-05-05">5 May 2010</time>`.
        uploaded: the time of upload, as imageinfo's `timestamp` has it.
    """
    shown = from_html(date)
    if shown is None or _FUZZY.search(shown):
        return None
    elements = set(_TIME_ELEMENT.findall(date))
    moment = _parsed(elements.pop() if len(elements) == 1 else _NOTE.sub("", shown))
    if moment is None or (later := _parsed(str(uploaded).removesuffix("Z"))) is None:
        return moment
    return moment if moment <= later + timedelta(days=1) else None


def _parsed(text: str) -> datetime | None:
    for layout in _FORMATS:
        try:
            moment = datetime.strptime(text, layout)
            return plausible(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            continue
    return None


# --- what

_PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
_OLD = r"(?:(?:old|historical|historic|topographic|\d{4}s?|\d+th-century) )*"
_NO_PHOTO = re.compile(
    "|".join(
        (
            r"pd[- ](?:art|scan)\b.*",
            rf"{_OLD}(?:maps|plans|atlases|charts) (?:of|showing|by|from)\b.*",
            rf"{_OLD}(?:paintings|drawings|engravings|etchings|lithographs|woodcuts|illustrations) (?:of|by|from)\b.*",
            rf"{_OLD}(?:watercolou?rs|sketches|posters) (?:of|by|from)\b.*",
            r"scans (?:of|by|from)\b.*|scanned (?:maps|books|documents|drawings|texts)\b.*",
            r"(?:svg )?(?:coats of arms|flags|logos|seals|diagrams)(?: (?:of|by|from|in)\b.*)?",
            r"(?:floor plans|architectural drawings|screenshots|banknotes|stamps)(?: (?:of|by|from|in)\b.*)?",
            r"satellite (?:pictures|images) of\b.*|openstreetmap(?:-based)? maps\b.*",
            r"files from the biodiversity heritage library",
        )
    ),
    re.IGNORECASE,
)
_CAMERA = re.compile(r"\bphotographs?\b|^taken with ", re.IGNORECASE)


def no_photo(mime: str, categories: Sequence[str]) -> str | None:
    """Return why a file is no photograph, None where it may be one.

    By its type: SVG, PDF, DjVu, TIFF (archives' scans), GIF, video and sound are none. By its categories: one that says
    map, scan, painting, coat of arms or the like, unless another says photograph or names the camera (a photo of a map on
    a wall has both). Categories say what is *in* the picture too, so only those are taken that name a kind of picture:
    `Old maps of Halden`, but not `Pages with maps`; `Paintings by Edvard Munch`, but not `Wall paintings in Turkey`.
    Descriptions and assessments are not asked: they tell what is shown, and how well.
    """
    if mime not in _PHOTO_TYPES:
        return mime or "its type is not told"
    if any(_CAMERA.search(category) for category in categories):
        return None
    kinds = [category for category in categories if _NO_PHOTO.fullmatch(category)]
    return f"category {clean(kinds[0])!r}" if kinds else None


def values(extmetadata: Mapping[str, object]) -> dict[str, str]:
    """Return the texts of an extmetadata object by name; other values (`CommonsMetadataExtension` is 1.2) are left out."""
    found = {name: entry.get("value") for name, entry in extmetadata.items() if isinstance(entry, dict)}
    return {name: value for name, value in found.items() if isinstance(value, str)}


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
