"""What the server answers, as the OpenAPI description and clients know it; `benchmark.predicting.formats` makes it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.serving.limits import STATUS

Probability = Annotated[float, Field(ge=0, le=1)]
Latitude = Annotated[float, Field(ge=-90, le=90, description="Degrees, WGS84.")]
Longitude = Annotated[float, Field(ge=-180, le=180, description="Degrees, WGS84.")]
Kilometres = Annotated[float, Field(ge=0)]


class Exact(BaseModel):
    """A JSON object with these members and no other."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Candidate(Exact):
    """A city that the photo may be of; its place is the city's centre."""

    city: Annotated[str, Field(description="Its slug.", examples=["ankara"])]
    name: Annotated[str, Field(examples=["Ankara"])]
    probability: Annotated[Probability, Field(description="Calibrated.")]
    latitude: Latitude
    longitude: Longitude


class Heat(Exact):
    """What in the photo speaks for the likeliest city."""

    image: Annotated[str, Field(description="A PNG as a data: URL, to be laid over the upright photo.")]
    method: str
    strength: Annotated[
        float | None, Field(description="Probability that is lost without the hottest place, where that is known.")
    ]


class Map(Exact):
    """The cities, each with a dot as large as it is likely."""

    svg: str
    credit: str
    density: Annotated[str, Field(description="SVG of the regions that hold the photo; empty without a density.")] = ""


class Near(Exact):
    """A training photo that looks much alike to the model, and whose it is."""

    photo_id: str
    city: Annotated[str, Field(description="Its name.")]
    distance: Annotated[float | None, Field(ge=0, description="1 is the usual distance of two training photos.")]
    vote: Annotated[float | None, Field(ge=0, le=1.001, description="Its share of the answer, where photos vote.")] = (
        None
    )
    title: str
    author: str
    licence: Annotated[str, Field(description="SPDX identifier.")]
    url: Annotated[str, Field(description="Page of the photo; empty where it is not known.")]
    thumbnail: Annotated[str, Field(description="A JPEG as a data: URL; empty where the photo is not on this machine.")]


class Explanation(Exact):
    """Why the model answers so."""

    heat: Heat
    map: Map
    neighbours: list[Near]


class Answered(Exact):
    """The answer about a photo; what is null is not known, or withheld as "none of these"."""

    photo: Annotated[str, Field(description="The file's name that was sent along.", examples=["photo.jpg"])]
    city: Annotated[str | None, Field(examples=["ankara"])]
    name: Annotated[str | None, Field(examples=["Ankara"])]
    confidence: Annotated[Probability, Field(description="Probability of the likeliest city.")]
    none_of_these: Annotated[bool, Field(description="The confidence is below the model's threshold.")]
    latitude: Latitude | None
    longitude: Longitude | None
    radius50_km: Annotated[Kilometres | None, Field(description="The photo was taken so near with a chance of 50 %.")]
    radius90_km: Annotated[Kilometres | None, Field(description="The photo was taken so near with a chance of 90 %.")]
    decimals: Annotated[
        int | None, Field(ge=0, le=4, description="Of the degrees, as validation supports; null: a city's centre.")
    ] = None
    area50_km2: Annotated[float | None, Field(ge=0, description="The smallest area that holds it, chance 50 %.")] = None
    area90_km2: Annotated[float | None, Field(ge=0, description="The smallest area that holds it, chance 90 %.")] = None
    candidates: Annotated[list[Candidate], Field(max_length=5, description="The likeliest first.")]
    training_photo: Annotated[
        str | None,
        Field(description="Id of the training photo with the very same bytes; not there where there is none."),
    ] = None
    explanation: Annotated[Explanation | None, Field(description="Only with `explain=true`.")] = None


class ManifestFacts(Exact):
    """The data set that the model learnt from."""

    name: str
    title: str = ""  # of models that were exported before it was kept
    version: str
    digest: str
    note: str


class ModelFacts(Exact):
    """The model, what it learnt from, and what it may be used for."""

    title: str
    run: str
    digest: str
    manifest: ManifestFacts
    cities: Annotated[int, Field(ge=1)]
    pretraining: str
    weights_licence: str
    photo_licences: dict[str, int]
    temperature: Annotated[float, Field(gt=0)]
    threshold: Annotated[Probability, Field(description="An answer of lower confidence is none of these.")]
    validation_photos: int
    validation_photos_with_place: int
    validation_right: Annotated[int | None, Field(description="Answered right; null where that was not counted.")] = (
        None
    )


class Predictions(Exact):
    """What `t15 predict --json` prints, for one photo."""

    model: ModelFacts
    photos: Annotated[list[Answered], Field(min_length=1, max_length=1)]


class Problem(Exact):
    """Why a request was refused."""

    code: Annotated[Literal[tuple(STATUS)], Field(examples=["not-a-picture"])]  # type: ignore[valid-type]
    error: Annotated[str, Field(description="One line for people.", examples=["the photo is no picture"])]
