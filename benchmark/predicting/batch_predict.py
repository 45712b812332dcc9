"""Answers for many photos, in bounded memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from benchmark.predicting.answer import Answer, Answerer
from benchmark.predicting.read_image import Source, read_photo
from collector.errors import DataError
from collector.images.decode import quiet_decoders

_WORKERS = 4
_MOST_PHOTOS = 32
_MOST_PIXELS = 48_000_000  # of decoded photos that wait for the predictor: 144 MB


@dataclass(frozen=True, slots=True)
class Result:
    """A photo's answer, or the reason why there is none."""

    source: Source
    answer: Answer | None = None
    error: str | None = None


def answers(answerer: Answerer, sources: Sequence[Source]) -> Iterator[Result]:
    """Yield a result for each photo, in their order; a few photos at a time are decoded."""
    waiting: list[tuple[Source, Image.Image | str]] = []
    with quiet_decoders(), ThreadPoolExecutor(_WORKERS) as pool:
        for at in range(0, len(sources), _WORKERS):
            chosen = sources[at : at + _WORKERS]
            waiting += zip(chosen, pool.map(lambda source: _read(source, answerer.side), chosen), strict=True)
            pixels = sum(read.width * read.height for _, read in waiting if not isinstance(read, str))
            if len(waiting) >= _MOST_PHOTOS or pixels >= _MOST_PIXELS or at + _WORKERS >= len(sources):
                yield from _answered(answerer, waiting)
                waiting = []


def _read(source: Source, side: int | None) -> Image.Image | str:
    try:
        return read_photo(source, side)
    except DataError as error:
        return str(error)


def _answered(answerer: Answerer, waiting: Sequence[tuple[Source, Image.Image | str]]) -> Iterator[Result]:
    given = iter(answerer.answer([read for _, read in waiting if not isinstance(read, str)]))
    for source, read in waiting:
        yield Result(source, error=read) if isinstance(read, str) else Result(source, next(given))
