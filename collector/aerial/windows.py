"""Tiles cut out of one GeoTIFF of whatever projection, here or at an address; only what a tile needs is read."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from collector.aerial.grid import Tile
from collector.aerial.services import Service
from collector.errors import DataError, UsageError, one_line
from collector.net.client import Http
from collector.net.ranges import RangeFile, Ranges

Picture = Callable[[Tile], bytes]
"""Gives the bytes of a tile's picture; empty where there is none. Raises NetError."""

_SIDE = 256


class _Remote:
    """Opens a file at an address for rasterio."""

    def __init__(self, http: Http, url: str) -> None:
        self._http, self._url = http, url
        self._ranges: Ranges | None = None
        self._file: RangeFile | None = None

    def begin(self) -> None:
        """Ask whether it is there, the first time.

        Raises:
            NetError: it cannot be had.
        """
        self._file = None
        self._ranges = self._ranges or Ranges(self._http, self._url)

    def __call__(self, path: str, mode: str = "rb") -> RangeFile:  # noqa: ARG002 (rasterio gives it)
        if path != self._url or self._ranges is None:  # GDAL looks for files beside it
            raise FileNotFoundError(path)
        self._file = RangeFile(self._ranges)
        return self._file

    def check(self) -> None:
        """Raise the NetError that came while it was read."""
        if self._file is not None and self._file.error is not None:
            raise self._file.error


def windows(service: Service, http: Http) -> Picture:
    """Return what cuts tiles out of a service's GeoTIFF.

    Raises:
        UsageError: rasterio, or the file, is not here.
    """
    try:
        import rasterio  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError(
            "services of kind raster need rasterio; install it with: pip install 't15[geodata]'"
        ) from error
    if not service.remote and not Path(service.url).is_file():
        raise UsageError(f"service {service.name}: {service.url}: no such file")
    remote = _Remote(http, service.url) if service.remote else None

    def picture(tile: Tile) -> bytes:
        if remote:
            remote.begin()
        try:
            with (
                rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
                rasterio.open(service.url, opener=remote) as source,
            ):
                bands = _bands(source, tile)
        except rasterio.errors.RasterioError as error:
            if remote:
                remote.check()
            raise DataError(f"{service.url}: cannot be read as a GeoTIFF ({one_line(error)})") from error
        if remote:
            remote.check()
        colours, alpha = bands[:-1], bands[-1]
        if not alpha.any():
            return b""
        shown = colours[:3] if len(colours) >= 3 else np.repeat(colours[:1], 3, axis=0)
        file = io.BytesIO()
        Image.fromarray(np.moveaxis(shown, 0, -1).astype(np.uint8)).save(file, "PNG")
        return file.getvalue()

    return picture


def _bands(source: Any, tile: Tile) -> Any:
    """Return the bands of a tile, the last of which says where there are data."""
    from rasterio.enums import Resampling  # type: ignore[import-untyped]
    from rasterio.transform import from_bounds  # type: ignore[import-untyped]
    from rasterio.vrt import WarpedVRT  # type: ignore[import-untyped]

    with WarpedVRT(
        source,
        crs="EPSG:3857",
        transform=from_bounds(*tile.metres, _SIDE, _SIDE),
        width=_SIDE,
        height=_SIDE,
        resampling=Resampling.bilinear,
        add_alpha=True,
    ) as warped:
        return warped.read()
