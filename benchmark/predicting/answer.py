"""From pictures to answers: the one place that turns a model and pixels into cities, and says how sure that is."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.derivations import RankedPhotos, offered, places_itself, predict
from benchmark.doctor import resolve_device
from benchmark.label_set import labels_of
from benchmark.methods.features import WITHOUT_TORCH, answers_without_torch
from benchmark.methods.types import Predictor
from benchmark.models import Model, build, read_model
from benchmark.photos import GivenPictures, Photos, given_photos
from benchmark.predicting.model_card import About, Certainty, about_from_json
from benchmark.predicting.neighbours import Credit, Neighbour, Training, training_from_arrays
from benchmark.predicting.read_image import Source, read_photo
from benchmark.predictions import Places
from benchmark.retrieval.mixture import Mixture
from collector.errors import DataError, one_line
from collector.executors.local import map_in_order
from collector.labels import label_of

_AT_ONCE = 32  # pictures that a predictor is asked about together
_LARGEST = 2048  # pixels of a side that a predictor may ask for: what a model file says is not to fill the memory
_WORKERS = 4  # threads that decode
_MOST_PHOTOS = 32  # that wait for the predictor
_NEIGHBOURS = 6
_MOST_PIXELS = 48_000_000  # of decoded photos that wait for the predictor: 144 MB


@dataclass(frozen=True, slots=True)
class Candidate:
    """A city that a photo may be of, its calibrated probability, and its centre in degrees."""

    slug: str
    name: str
    probability: float
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of a photo.

    Attributes:
        candidates: all cities, the likeliest first.
        confidence: probability of the likeliest one.
        none_of_these: the confidence is below the model's threshold. The four fields below are None then.
        latitude, longitude: of the answer: the centre of the likeliest city, or what a predictor of places says, rounded to
            `decimals`.
        radius50_km, radius_km: how far at most the photo was taken from there, with a probability of at least 50 and 90 %;
            None also where the model learnt from too few validation photos to say.
        decimals: of the degrees that a predictor of places answers: as many as its validation supports (`decimals_of`); None
            for a city's centre.
        density: what the predictor states; None where it states none, or none that validation supports.
    """

    candidates: tuple[Candidate, ...]
    confidence: float
    none_of_these: bool
    latitude: float | None
    longitude: float | None
    radius50_km: float | None
    radius_km: float | None
    decimals: int | None = None
    density: "Density | None" = None

    def __repr__(self) -> str:
        said = ", ".join(f"{one.name} {one.probability:.3f}" for one in self.candidates[:3])
        return f"<answer: {'none of these; ' * self.none_of_these}{said}>"


@dataclass(frozen=True)
class Density:
    """A density of where one photo was taken.

    Attributes:
        places: with candidates, weights and spreads, of the one photo.
        level50, level90: which shares of the density hold such photos with a probability of at least 50 and 90 %, from the
            validation photos; None where no region is sure enough.
        area50_km2, area90_km2: of the smallest regions that hold these shares; None likewise.
    """

    places: Places
    level50: float | None
    level90: float | None
    area50_km2: float | None
    area90_km2: float | None


_KM_OF_DEGREE = 111.2
_MOST_DECIMALS = 4


def decimals_of(radius50_km: float | None) -> int:
    """Return with how many decimals of a degree a place is shown of which half of the answers are so far off, 0 to 4.

    The last decimal stands for no more than that radius. Where nothing is known it is none: whole degrees.
    """
    if radius50_km is None:
        return 0
    return int(np.clip(np.ceil(np.log10(_KM_OF_DEGREE / max(radius50_km, 1e-3))), 0, _MOST_DECIMALS))


@dataclass(frozen=True)
class Explanation:
    """Why a model answers so.

    Attributes:
        answer: what it says.
        heat: (H, W) from 0 to 1, over the whole photo: what speaks for the likeliest city.
        heat_method: how that was found, one of `heat.METHODS`.
        strength: how much of the likeliest city's probability hangs on the hottest place, 0 to 1; None where the method
            cannot say.
        neighbours: the training photos that it resembles most, the nearest first; of a model that answers from the gallery's
            photos those that it ranks first, with their votes. Empty where the model has none.
    """

    answer: Answer
    heat: NDArray[np.float32]
    heat_method: str
    strength: float | None
    neighbours: tuple[Neighbour, ...]


class Answerer:
    """A model that answers; one call at a time, since networks are asked with hooks on them.

    Attributes:
        about: what the model says of itself.
        digest: of the model.
        predictor: the fitted method in it.
        side: the fewest pixels on each side of a picture that the predictor makes use of; `images.decode` with this
            size gives pixels as it was trained with. None where it does not ask for any.
    """

    def __init__(
        self,
        model: Path | Model,
        device: str = "cpu",
        trained_on: Mapping[str, str] = MappingProxyType({}),
        *,
        city_only: bool = False,
        predictor: Predictor | None = None,
        few: bool = False,
    ) -> None:
        """Load a model file (or take a model), and ask it about a grey picture to see that it works.

        `predictor` is the fitted method where it is not in the model (`exporting.refitted`).

        `trained_on` are the ids of training photos by their files' sha256, where the model has none of its own. With
        `city_only` the place is the likeliest city's centre, whatever the predictor says of places. With `few` a predictor
        that can answers without torch, on the CPU: for some photos that takes less time than to import it. `device` may be
        `auto`.

        Raises:
            UsageError: there is no such file.
            DataError: it is damaged, no exported model, or does not answer as it should.
        """
        name = str(model) if isinstance(model, Path) else "the run's model"
        self._trained_on = dict(trained_on)
        self.city_only = city_only
        found = read_model(model) if isinstance(model, Path) else model
        self.digest = found.digest
        self.about, self.training, self._gallery = _parsed(found, name)
        plain = few and device in ("auto", "cpu") and answers_without_torch(found.kind, found.spec)
        on = WITHOUT_TORCH if plain else resolve_device(device)
        self.predictor: Predictor = predictor or build(found, on, name)
        self._labels = labels_of([label_of(city) for city in self.about.cities])
        self._places_itself = places_itself(offered(self.predictor)) and self.about.certainty.of_places
        self.side = self._probed(name)

    def training_photo(self, source: Source) -> str | None:
        """Return the id of the training photo that has the very bytes of this one; None where there is none that is known."""
        if not self._trained_on:
            credits = self.training.credits if self.training else ()
            self._trained_on = {credit.sha256: credit.photo_id for credit in credits}
        if not self._trained_on:
            return None
        try:
            data = source.data if source.path is None else source.path.read_bytes()
        except OSError:
            return None
        return self._trained_on.get(hashlib.sha256(data).hexdigest())

    def answer(self, images: Sequence[Image.Image]) -> list[Answer]:
        """Return an answer for each picture. Pictures are upright and RGB, as `images.decode` gives them; pixels
        are all that the predictor sees of them.
        """
        blocks = [self._asked(given_photos(images[at : at + _AT_ONCE])) for at in range(0, len(images), _AT_ONCE)]
        return [self._answer(*row) for block in blocks for row in zip(*block, strict=True)]

    def explain(self, image: Image.Image) -> Explanation:
        """Return the answer for a picture, where in it that comes from, and what it resembles."""
        photo = given_photos([image])
        (calibrated,), (place,) = self._asked(photo)
        from benchmark.predicting.heatmap import heat_of  # here: answers without a picture do without scipy

        heat = heat_of(self.predictor, image, int(calibrated.argmax()), self._probabilities)
        near = self._neighbours(photo, place)
        return Explanation(self._answer(calibrated, place), heat.values, heat.method, heat.strength, near)

    def _neighbours(self, photo: Photos, place: Places | None) -> tuple[Neighbour, ...]:
        embed, rank = getattr(self.predictor, "embed", None), getattr(self.predictor, "rank", None)
        if self.training is None:
            return ()
        if rank is not None and self.training.rows is not None:
            credits = self.training.of_rows(rank(photo, _NEIGHBOURS).rows[0])
            return tuple(Neighbour(credit, None, _vote(credit, place)) for credit in credits)
        return tuple(self.training.nearest(embed(photo)[0], _NEIGHBOURS)) if embed is not None else ()

    def _probabilities(self, photos: Photos) -> NDArray[np.float64]:
        return self._asked(photos)[0]

    def _asked(self, photos: Photos) -> tuple[NDArray[np.float64], Sequence[Places | None]]:
        """Return calibrated probabilities (N, C), and each photo's place, None where it is the likeliest city's centre."""
        answers = predict(self.predictor, photos, self._labels, self._gallery)
        if answers.probabilities is None:
            raise DataError("it gives none")
        # Where it withholds its answer, each city is as likely as any other.
        even = np.float32(1 / len(self._labels))
        probabilities = np.where(np.isnan(answers.probabilities), even, answers.probabilities)
        places: list[Places | None] = [None] * len(photos)
        if answers.places is not None and self._places_itself:
            each = (answers.places.of([row]) for row in range(len(photos)))
            places = [None if np.isnan(one.latitude[0]) else one for one in each]
        return self.about.certainty.calibrated(probabilities), places

    def _answer(self, probabilities: NDArray[np.float64], place: Places | None) -> Answer:
        order = np.argsort(-probabilities, kind="stable")
        cities = self.about.cities
        candidates = tuple(
            Candidate(city.slug, city.name, float(probabilities[row]), city.latitude, city.longitude)
            for row, city in ((row, cities[row]) for row in order)
        )
        best, certainty = candidates[0], self.about.certainty
        answer = Answer(candidates, best.probability, True, None, None, None, None)
        if best.probability < certainty.threshold:
            return answer
        band = certainty.band(best.probability, of_cities=self.city_only and self._places_itself)
        radius50, radius90 = (band.km50, band.km90) if band else (None, None)
        if place is None or self.city_only:
            latitude, longitude, decimals, density = best.latitude, best.longitude, None, None
        else:
            # Where validation says nothing, the only city still does: the photo is in it.
            decimals = decimals_of(cities[0].radius_km if radius50 is None and len(cities) == 1 else radius50)
            latitude, longitude = (round(float(of[0]), decimals) for of in (place.latitude, place.longitude))
            density = _density(place, certainty)
        return replace(
            answer,
            none_of_these=False,
            latitude=latitude,
            longitude=longitude,
            radius50_km=radius50,
            radius_km=radius90,
            decimals=decimals,
            density=density,
        )

    def _probed(self, name: str) -> int | None:
        asked = _Asked((Image.new("RGB", (64, 48), "grey"),))
        try:
            self._asked(Photos(("given:0",), ("",), asked))
        except DataError as error:
            reason = one_line(error)
            message = f"{name}: the model does not answer with a probability for each city ({reason}); export it again"
            raise DataError(message) from error
        except (ValueError, RuntimeError, IndexError, TypeError, MemoryError) as error:
            reason = one_line(error)
            raise DataError(f"{name}: the model fails on a plain grey picture ({reason}); export it again") from error
        return max(asked.sides, default=None)


def _density(place: Places, certainty: Certainty) -> Density | None:
    """Return the density of one photo's place, where one is stated and the validation photos tell what it is worth."""
    stated = None if np.isnan(place.latitude[0]) else Mixture.of(place)
    if stated is None or (certainty.level50 is None and certainty.level90 is None):
        return None
    drawn, levels = stated.drawn(1024), (certainty.level50, certainty.level90)
    areas = [None if level is None else float(drawn.area(level)[0]) for level in levels]
    return Density(place, *levels, *areas)


def _vote(credit: Credit, place: Places | None) -> float | None:
    """Return the share of an answer's weight that lies where a training photo was taken; None where nothing has weights."""
    if place is None or place.candidates is None or place.weights is None or credit.latitude is None:
        return None
    there = np.array([credit.latitude, credit.longitude], np.float64)
    mine = np.isclose(place.candidates[0], there, rtol=0, atol=1e-9).all(axis=1)
    return float(place.weights[0][mine].sum())


@dataclass(frozen=True)
class _Asked(GivenPictures):
    """Pictures that note in which sizes they were asked for."""

    sides: list[int] = field(default_factory=list)

    def squares(self, photos: Photos, size: int, rule: str, rows: Sequence[int] | None) -> NDArray[np.uint8]:
        self._note(size)
        return super().squares(photos, size, rule, rows)

    def pictures(self, photos: Photos, side: int, interpolation: str, enlarge: bool = True) -> list[NDArray[np.uint8]]:
        self._note(side)
        return super().pictures(photos, side, interpolation, enlarge)

    def _note(self, side: int) -> None:
        if not 1 <= side <= _LARGEST:
            raise ValueError(f"it asks for pictures of {side} pixels; {_LARGEST} are the most")
        self.sides.append(side)


def _parsed(model: Model, name: str) -> tuple[About, Training | None, RankedPhotos | None]:
    if "run" in model.extra and "certainty" not in model.extra:
        raise DataError(f"{name}: is the bare model of a run; `t15 export-model` makes one that can answer of it")
    try:
        gallery = RankedPhotos.of_arrays(model.arrays, len(model.classes))
        return about_from_json(model.extra, model.classes), training_from_arrays(model.arrays), gallery
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = one_line(error)
        raise DataError(f"{name}: what it says of itself is damaged ({reason}); export it again") from error


@dataclass(frozen=True, slots=True)
class Result:
    """A photo's answer, or the reason why there is none."""

    source: Source
    answer: Answer | None = None
    error: str | None = None


def answers(answerer: Answerer, sources: Sequence[Source], most_pixels: int = _MOST_PIXELS) -> Iterator[Result]:
    """Yield a result for each photo, in their order; at most 32 photos, or `most_pixels` and a few more, wait decoded."""
    waiting: list[tuple[Source, Image.Image | str]] = []
    pixels = 0
    decoded = map_in_order(lambda source: _read(source, answerer.side), sources, _WORKERS)
    for source, read in zip(sources, decoded, strict=True):
        waiting.append((source, read))
        pixels += 0 if isinstance(read, str) else read.width * read.height
        if len(waiting) >= _MOST_PHOTOS or pixels >= most_pixels:
            yield from _answered(answerer, waiting)
            waiting, pixels = [], 0
    if waiting:
        yield from _answered(answerer, waiting)


def _read(source: Source, side: int | None) -> Image.Image | str:
    try:
        return read_photo(source, side)
    except DataError as error:
        return str(error)


def _answered(answerer: Answerer, waiting: Sequence[tuple[Source, Image.Image | str]]) -> Iterator[Result]:
    given = iter(answerer.answer([read for _, read in waiting if not isinstance(read, str)]))
    for source, read in waiting:
        yield Result(source, error=read) if isinstance(read, str) else Result(source, next(given))
