"""The data sets that `t15 import` knows: what their columns are called, under which licence they are, whose photos they hold.

A kind that is a table of rows is data; one that is a tree of folders has a reader in `folders.py`. Columns are as the data
sets' own documentation gives them (`source`); they were tried on small files made by it, and on the files of
docs/importing.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.errors import UsageError, did_you_mean
from collector.imports.folders import fiftyone, imagefolder, msls, webdataset
from collector.imports.records import Records
from collector.imports.vpr import vpr
from collector.manifest.columns import Names
from collector.manifest.photo_table import NAMES
from collector.providers.flickr_answers import LICENCES as FLICKR_LICENCES

_MAPILLARY = "https://www.mapillary.com/app/?pKey={}"
_FLICKR = "https://www.flickr.com/photo.gne?id={}"

# What imports read beside the columns of a table of photos.
_MORE: Names = {
    "country": ("country", "iso2", "country_name", "country_code"),
    "origin_id": (),
    "origin": (),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of data set.

    Attributes:
        title: of the data set.
        source: where it is described.
        names: columns of ours, and how its files call them, before what any table may call them; () where it has none.
        licence: of all photos whose row says none.
        origin: the service whose photos they are; empty where they are of none, or the column `origin` tells.
        origin_words: what the column `origin` calls the services.
        origin_pattern: regular expression whose first group, in a file's name, is the id at the origin.
        page: address of a photo's page, `{}` for its id at the origin.
        licence_codes: what numbers in the column of licences mean.
        reader: reads a tree of folders; None for a table.
    """

    title: str
    source: str
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    licence: str = "LicenseRef-Unknown"
    origin: str = ""
    origin_words: Mapping[str, str] = field(default_factory=dict)
    origin_pattern: str = ""
    page: str = ""
    licence_codes: Mapping[str, str] = field(default_factory=dict)
    reader: Callable[[Path, Path], Records] | None = None

    @property
    def columns(self) -> Names:
        """All columns that are looked for."""
        usual = {**NAMES, **_MORE}
        return {**usual, **{name: (*own, *usual[name]) if own else () for name, own in self.names.items()}}


_LIST_OF_FLICKR = Kind(
    "IM2GPS3k, YFCC4k and other lists of Flickr photos with places",
    "https://github.com/TIBHannover/GeoEstimation",
    {
        "file": ("img_id", "image_id"),
        "author_id": ("author",),
        "author": (),
        "latitude": ("lat",),
        "longitude": ("lon",),
    },
    origin="flickr",
    origin_pattern=r"(?:^|[/_])(\d{6,11})_[0-9a-f]{8,10}_(?:\d+_)?\d+@N\d+",
    page=_FLICKR,
)

KINDS: Mapping[str, Kind] = {
    "osv5m": Kind(
        "OpenStreetView-5M",
        "https://huggingface.co/datasets/osv5m/osv5m",
        {"file": ("id",), "origin_id": ("id",), "city": ("city",), "sequence": ("sequence",)},
        licence="CC-BY-SA-4.0",
        origin="mapillary",
        page=_MAPILLARY,
    ),
    "gldv2": Kind(
        "Google Landmarks v2",
        "https://github.com/cvdfoundation/google-landmark",
        {"file": ("id",), "city": ("landmark_id",), "page": ("url",)},
    ),
    "im2gps3k": _LIST_OF_FLICKR,
    "yfcc4k": _LIST_OF_FLICKR,
    "streetscapes": Kind(
        "Global Streetscapes",
        "https://github.com/ualsg/global-streetscapes",
        {
            "file": ("uuid", "id"),
            "time": ("datetime_local", "taken"),
            "origin_id": ("orig_id", "image_id"),
            "origin": ("source",),
        },
        licence="CC-BY-SA-4.0",
        origin_words={"mapillary": "mapillary", "m": "mapillary"},
        page=_MAPILLARY,
    ),
    "msls": Kind(
        "Mapillary Street-level Sequences",
        "https://www.mapillary.com/dataset/places",
        licence="CC-BY-NC-SA-4.0",
        reader=msls,
    ),
    "vpr": Kind(
        "a folder of place recognition, with UTM in its names (SF-XL, Pitts30k, Tokyo 24/7, MSLS as downloaded)",
        "https://github.com/gmberton/VPR-datasets-downloader",
        reader=vpr,
    ),
    "flickr": Kind(
        "a table of Flickr photos: ids, places, owners",
        "https://www.flickr.com/services/api/flickr.photos.search.html",
        {
            "file": ("photo_id", "id", "photoid"),
            "origin_id": ("photo_id", "id", "photoid"),
            "author": ("ownername", "owner_name", "user_name"),
            "author_id": ("owner", "owner_id", "user_id", "nsid"),
            "time": ("datetaken", "date_taken", "taken"),
        },
        origin="flickr",
        page=_FLICKR,
        licence_codes={str(code): id_ for code, id_ in FLICKR_LICENCES.items()},
    ),
    "fiftyone": Kind(
        "an export of FiftyOne (FiftyOneDataset, or image classification)",
        "https://docs.voxel51.com/user_guide/export_datasets.html",
        reader=fiftyone,
    ),
    "imagefolder": Kind(
        "Hugging Face imagefolder: folders by side and class, with metadata.csv, .jsonl or .parquet",
        "https://huggingface.co/docs/datasets/image_dataset",
        reader=imagefolder,
    ),
    "webdataset": Kind(
        "WebDataset: tar files of pictures, each with .json, .cls or .txt",
        "https://github.com/webdataset/webdataset",
        reader=webdataset,
    ),
}
"""The kinds, by the name that `t15 import` takes."""


def kind_named(name: str) -> Kind:
    """Return a kind.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in KINDS:
        raise UsageError(f"kind {name[:40]!r} is unknown{did_you_mean(name, KINDS)}; there are {', '.join(KINDS)}")
    return KINDS[name]
