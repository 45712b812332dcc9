"""Densities that answers state, as a file: GeoJSON of all photos' areas, or the picture of one photo's."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmark.predicting.answer import Answer, Density, Result
from benchmark.retrieval.density import density_map
from benchmark.retrieval.mixture import Mixture
from benchmark.retrieval.picture import to_png
from collector.errors import IncompleteError, UsageError
from collector.workspace import storage_errors, write_atomically

FORMS = (".geojson", ".png")


class DensityFile:
    """A file to be written once all photos are answered."""

    def __init__(self, path: Path, photos: int) -> None:
        """Make sure that the file can hold the densities of so many photos.

        Raises:
            UsageError: it is neither GeoJSON nor PNG, or a picture of more than one photo.
        """
        self._path, self._form = path, path.suffix.lower()
        self._features: list[dict[str, Any]] = []
        self._picture, self._lacking = b"", list[str]()
        if self._form not in FORMS:
            raise UsageError(
                f"--density {str(path)[:200]}: name a file that ends with .geojson or, for one photo, .png"
            )
        if self._form == ".png" and photos != 1:
            raise UsageError(f"--density {str(path)[:200]}: a picture is of one photo, not of {photos}; take .geojson")

    def noting(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results, and keep what the file will say of them.

        GeoJSON (RFC 7946) has a feature for each photo and chance, 50 and 90 %: the smallest area that holds the photo with
        that chance (`Density`), with `photo`, `chance`, `share` of the density and `area_km2`. A photo without a density has
        one feature without geometry, whose `reason` says why.
        """
        for result in results:
            density = result.answer.density if result.answer else None
            stated = None if density is None else Mixture.of(density.places)
            if density is None or stated is None:
                self._lacking.append(_reason(result.answer) if result.answer else str(result.error))
                properties = {"photo": result.source.name, "reason": self._lacking[-1]}
                self._features.append({"type": "Feature", "properties": properties, "geometry": None})
            else:
                drawn, levels = density_map(stated), _levels(density)
                self._features += drawn.features(levels, photo=result.source.name)
                self._picture = to_png(drawn, levels=levels) if self._form == ".png" else b""
            yield result

    def write(self, model: dict[str, Any]) -> None:
        """Write the file; GeoJSON with the model's facts as `model`.

        Raises:
            UsageError: it cannot be written.
            IncompleteError: no photo has a density, and nothing is written.
        """
        if len(self._lacking) == len(self._features):
            reason = next(iter(self._lacking), "none was read")
            raise IncompleteError(f"{self._path}: not written, since no photo has a density: {reason}")
        document = {"type": "FeatureCollection", "model": model, "features": self._features}
        text = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with storage_errors(self._path):
            write_atomically(self._path, self._picture or text)


def _levels(density: Density) -> dict[float, float]:
    levels = {0.5: density.level50, 0.9: density.level90}
    return {chance: level for chance, level in levels.items() if level is not None}


def _reason(answer: Answer) -> str:
    if answer.none_of_these:
        return "none of these: too unsure to be an answer"
    return "the model states none (methods of places do: t15 methods), or too few validation photos support one"
