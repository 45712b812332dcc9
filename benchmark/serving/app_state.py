"""What stands behind the server: the model, the decoders, and how much of both there is for everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

from benchmark.predicting.answer import Answerer, Result
from benchmark.predicting.formats import model_facts, record
from benchmark.predicting.geomap import CREDIT, map_svg
from benchmark.predicting.heatmap import METHODS
from benchmark.predicting.page import data_uri, heat_layer, neighbour_record
from benchmark.predicting.read_image import Source
from benchmark.serving.decoding import Decoder
from benchmark.serving.limits import Limits, Rate, RefusedError
from benchmark.serving.uploads import Upload
from collector.workspace import Workspace

_HEAT = 480  # pixels of the longer side; browsers make it as large as the photo
_SOON = {"Retry-After": "1"}


class Desk:
    """Answers about photos, a bounded number at a time.

    Attributes:
        answerer: the model.
        facts: what goes with its answers.
        workspace: where training photos lie, for their thumbnails.
        limits: of the server.
    """

    def __init__(self, answerer: Answerer, workspace: Workspace, limits: Limits) -> None:
        self.answerer = answerer
        self.facts = model_facts(answerer.about, answerer.digest)
        self.workspace = workspace
        self.limits = limits
        self._rate = Rate(limits.per_second, limits.burst)
        self._taken_in = 0
        self._decoders = [Decoder(limits) for _ in range(limits.decoders)]
        self._free = list(self._decoders)
        self._slots = asyncio.Semaphore(limits.decoders)
        self._asking = asyncio.Lock()

    def close(self) -> None:
        """End the decoders."""
        for decoder in self._decoders:
            decoder.close()

    @asynccontextmanager
    async def admitted(self, client: str) -> AsyncIterator[None]:
        """Hold a place for a photo of this client.

        Raises:
            RefusedError: there is none free, or the client sent too many lately; Retry-After says when to come again.
        """
        if self._taken_in >= self.limits.at_once:
            raise RefusedError("busy", f"{self._taken_in} photos are being answered already; try again soon", _SOON)
        if wait := self._rate.wait(client):
            reason = f"more than {self.limits.per_second:g} photos a second; try again in {wait} s"
            raise RefusedError("too-many-requests", reason, {"Retry-After": str(wait)})
        self._taken_in += 1
        try:
            yield
        finally:
            self._taken_in -= 1

    async def told(self, upload: Upload, *, explain: bool) -> dict[str, Any]:
        """Return what `t15 predict --json` would say of a photo; with `explain` also why.

        Raises:
            RefusedError: it cannot be decoded.
        """
        # A slot is kept until the answer is there, so that few decoded photos wait for the model.
        async with self._slots:
            decoder = self._free.pop()
            try:
                image = await asyncio.to_thread(decoder.decode, upload.data, self.answerer.side)
            finally:
                self._free.append(decoder)
            upload.data.clear()
            async with self._asking:
                answered = await asyncio.to_thread(self._explained if explain else self._answered, upload.name, image)
        return {"model": self.facts, "photos": [answered]}

    def _answered(self, name: str, image: Image.Image) -> dict[str, Any]:
        return record(Result(Source(name), self.answerer.answer([image])[0]))

    def _explained(self, name: str, image: Image.Image) -> dict[str, Any]:
        found = self.answerer.explain(image)
        names = {city.slug: city.name for city in self.answerer.about.cities}
        scale = _HEAT / max(image.size)
        size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
        heat = {
            "image": data_uri(heat_layer(found.heat, size), "PNG"),
            "method": METHODS[found.heat_method],
            "strength": found.strength,
        }
        near = [neighbour_record(one, names, self.workspace) for one in found.neighbours]
        on_map = {"svg": map_svg(found.answer), "credit": CREDIT}
        return record(Result(Source(name), found.answer)) | {
            "explanation": {"heat": heat, "map": on_map, "neighbours": near}
        }
