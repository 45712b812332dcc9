"""The records that flow through t15: what a photo, a city and a licence are."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime


@dataclass(frozen=True, slots=True)
class City:
    """A city of a region: the label that t15 predicts.

    Attributes:
        slug: lower-case ASCII name, `[a-z0-9-]+`, unique within a region; the label in manifests.
        name: the city's name as its inhabitants write it.
        latitude: of the centre, degrees WGS84, -90 to 90.
        longitude: of the centre, degrees WGS84, -180 to 180.
        radius_km: a photo belongs to the city when it was taken at most this far from the centre.
        code: ISO 3166-2 code of the city's subdivision, such as `TR-50`; empty when there is none.
        plate: the Turkish province number (1 to 81), None elsewhere.
        centre: the town at the centre where its name is not the province's (Antakya in Hatay); else empty.
        aliases: other names by which the city is found.
        country: ISO 3166-1 alpha-2 code, such as `TR`; empty when it is not known.
        names: the name in other languages, by BCP 47 language tag, such as `en`.
    """

    slug: str
    name: str
    latitude: float
    longitude: float
    radius_km: float
    code: str = ""
    plate: int | None = None
    centre: str = ""
    aliases: tuple[str, ...] = ()
    country: str = ""
    names: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Label:
    """A place that a method can answer with: a country, a region, a city or a district. `collector.labels` has the tree.

    Attributes:
        id: unique in its tree: of a city its slug, of a district `city/district`.
        name: as its inhabitants write it.
        names: the name in other languages, by BCP 47 language tag.
        level: one of `collector.labels.LEVELS`.
        parent: id of the label that it lies in, None at the top.
        latitude, longitude: of the centre, degrees WGS84.
        radius_km: a photo belongs to it when it was taken at most this far from the centre.
        polygon: its outline, (latitude, longitude) by corner; None where there is none.
    """

    id: str
    name: str
    names: Mapping[str, str] = field(hash=False)
    level: str
    parent: str | None
    latitude: float
    longitude: float
    radius_km: float
    polygon: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A named set of cities: the classes of a data set, in a fixed order.

    `note` is what every reader of the data set has to know, such as that its pictures are drawn; manifests and
    leaderboards show it. `labels` are the labels beside the cities: their districts, where the region's file gives some.
    `nearest` is whether a photo belongs to the city whose centre is nearest, of those whose radius holds it; where the cities
    are outlines or somebody's labels, it belongs to the one that these say.
    """

    name: str
    title: str
    cities: tuple[City, ...]
    note: str = ""
    labels: tuple[Label, ...] = ()
    nearest: bool = True


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence that a photo is published under.

    Attributes:
        id: the SPDX identifier, or `LicenseRef-…` where SPDX has none.
        name: what people call it.
        url: its text; empty when there is none.
        redistributable: anyone may pass the photo itself on, with credit, within the two limits below.
        noncommercial: passing it on or using it is allowed for non-commercial purposes only.
        no_derivatives: altered copies may not be passed on (a crop is one).
        ids_only_of: a provider whose photos are all under it, whatever a row says, and of which only ids may be published.
    """

    id: str
    name: str
    url: str
    redistributable: bool
    noncommercial: bool = False
    no_derivatives: bool = False
    ids_only_of: str = ""


UNKNOWN_LICENCE = "LicenseRef-Unknown"
"""Of photos about whose rights nothing is said: not to be passed on."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph: a row of the catalogue and of a manifest.

    Attributes:
        photo_id: `provider:native-id`, unique and stable.
        city: slug of the city that the photo is labelled with.
        latitude, longitude: where it was taken, degrees WGS84; both None when unknown.
        taken_at: UTC; None when unknown.
        author_id: `provider:…`, what two photos of one author share; None when unknown.
        author_name: the name to credit. Hostile text, as is `title`.
        license: SPDX id or `LicenseRef-…`.
        page_url, image_url: where to see and where to fetch it; never with a key or a signature.
        width, height: pixels as displayed, after EXIF orientation.
        bytes: length of the original file.
        sha256: of the original bytes, 64 hex digits.
        phash, dhash: perceptual hashes, 16 hex digits; None for pictures with too little content.
        group_id: photos that must stay on one side of a split share it.
        split: `train`, `val` or `test` in a manifest; None before.
        heading: where the camera looked, degrees clockwise from true north, 0 to 360; None when unknown.
        sequence_id: what the photos of one drive, walk or upload batch of a service share; None where there is none.
        position_accuracy_m: how far from the truth the place may be, metres; None when unknown.
        label: id of the finest label that the photo belongs to; None: its city.
    """

    photo_id: str
    city: str
    latitude: float | None = None
    longitude: float | None = None
    taken_at: datetime | None = None
    author_id: str | None = None
    author_name: str | None = None
    license: str = UNKNOWN_LICENCE
    page_url: str | None = None
    image_url: str | None = None
    title: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    phash: str | None = None
    dhash: str | None = None
    group_id: str | None = None
    split: str | None = None
    heading: float | None = None
    sequence_id: str | None = None
    position_accuracy_m: float | None = None
    label: str | None = None

    @property
    def called(self) -> str:
        """What people call it: its title, which is a file's name where nothing else was said, or its id. Hostile text."""
        return self.title or self.photo_id


@dataclass(frozen=True, slots=True)
class ProviderTraits:
    """What the rest of the house has to know of a service, so that nobody asks for a provider's name.

    Attributes:
        author_is_service: its photos have no author of their own: one author says nothing about them.
        panorama: regular expression that a photo_id matches when it is one view of a panorama; its first group is the
            panorama. Empty where there are none.
        pixels_may_be_kept: its terms allow to keep and to publish the pictures.
        rehydratable: a photo can be had again from its photo_id.
        licence: of all its photos, `LicenseRef-…` or an SPDX id; empty where each has its own.
    """

    author_is_service: bool = False
    panorama: str = ""
    pixels_may_be_kept: bool = True
    rehydratable: bool = True
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something a provider holds that is no usable photo.

    Attributes:
        photo_id: as for a photo.
        reason: a short word, the same for all of its kind, such as `truncated`.
        detail: what exactly, with the source's own name for the file. Hostile text.
        city: slug, where it is known.
    """

    photo_id: str
    reason: str
    detail: str
    city: str | None = None


PHOTO_FIELDS = tuple(field.name for field in fields(Photo))
"""The names of a photo's fields, in the order of a manifest's columns."""

SPLITS = ("train", "val", "test")
"""The sides of a split, in the order in which they are reported."""

PROTOCOLS = ("city", "place")
"""What a split asks for: `city`, in which city an unseen place lies; `place`, which photo of a gallery shows the place."""


@dataclass(frozen=True, slots=True)
class UnknownOwners:
    """Whose photos cannot be kept out of a gallery, for not being known.

    Attributes:
        photos: how many ask.
        author: of how many of these the author is unknown.
        sequence: of how many of these the sequence is unknown too: a sequence is one author's, and a known author is enough.
        gallery: photos of the gallery.
        gallery_author: of how many of these the author is unknown.
    """

    photos: int
    author: int
    sequence: int
    gallery: int
    gallery_author: int

    def lines(self, photos: str) -> list[str]:
        """Return it in sentences without a full stop, none where all is known; `photos` is what those that ask are called."""
        told = [
            f"{what} unknown of {count:,} of {self.photos:,} {photos}: the gallery may hold photos that share it"
            for what, count in (("author", self.author), ("sequence", self.sequence))
            if count
        ]
        if self.gallery_author and self.author < self.photos:
            told.append(
                f"author unknown of {self.gallery_author:,} of {self.gallery:,} photos of the gallery: some may be of the "
                f"{photos}' authors"
            )
        return told


ALL_KNOWN = UnknownOwners(0, 0, 0, 0, 0)


def provider_of(photo_id: str) -> str:
    """Return the name of the provider that a photo's id begins with."""
    return photo_id.partition(":")[0]


def normal_id(text: str) -> str:
    """Return an id, or a part of one, in the one spelling that t15 compares: Unicode's NFC, case kept.

    The same name comes decomposed from one system (macOS) and composed from another; they are one author.
    """
    return unicodedata.normalize("NFC", text)


QUOTAS = {"train": 100, "val": 25, "test": 25}
"""Photos a city that a split takes unless it is said: the paper's 1,500, 375 and 375 of 15 cities."""

TARGET = 300
"""Photos a city that are collected from a service unless it is said: twice what a split takes, since groups stay whole.

In simulated cities with 60 % of the photos at sights 180 were too few and 300 enough
(docs/decisions/0005-what-stays-on-one-side.md)."""

PHASH_RADIUS = 8
"""Largest pHash distance, of 64 bits, at which hashes alone can say that two photos are one picture, unless it is said."""

DHASH_SLACK = 6
"""dHash is more easily changed by crops than pHash: its distance may be this much larger than the radius."""

MIN_DISTANCE_M = 50.0
"""Photos taken closer to each other than this stay on one side, unless it is said."""

PANORAMA_M = 15.0
"""Panoramas along a street are about 10 m apart: views from closer than this show the same houses."""

WITHIN_M = 25.0
"""A query is answerable when the gallery has a photo so near: the threshold that visual place recognition is judged by."""

FLAGS_COLUMN = "flags"
"""Column that a manifest may have beside those of its format: flags of what can be read in a photo or beside it, a blank
between; null where nobody looked."""

SCENES_COLUMN = "scene"
"""Column that a manifest may have: what photos of one view share; null where a photo shares its view with none."""

ANSWERS = {
    "name-in-picture": "in the picture", "coordinates-in-picture": "in the picture", "name-in-metadata": "beside it alone",
}  # fmt: skip
"""Flags of photos that name their answer, and where it stands; the first that a photo has counts."""


def where_named(flags: str | None) -> str | None:
    """Return where a photo with these flags (a value of FLAGS_COLUMN) names its answer; None where nobody looked."""
    if flags is None:
        return None
    raised = flags.split(" ")
    return next((where for flag, where in ANSWERS.items() if flag in raised), "not at all")
