"""What an exported model says of itself: where it comes from, its cities, how sure it is, and whose licences it carries."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.predicting.certainty import Certainty, certainty_from_json
from collector.records import City


@dataclass(frozen=True, slots=True)
class About:
    """What goes into a model file beside the predictor.

    Attributes:
        run: identity of the run that trained it.
        inputs: of that run (`results.RunInputs`), as plain JSON.
        title: of the method, for people.
        manifest: name, version, digest and note of the manifest that it learnt from.
        pretraining, weights_licence: of the weights that it started from; `none` and empty where it started from none.
        photo_licences: how many training photos have which licence.
        cities: the classes, in the order of the probabilities.
        certainty: learnt from the run's validation photos.
    """

    run: str
    inputs: dict[str, Any]
    title: str
    manifest: dict[str, str]
    pretraining: str
    weights_licence: str
    photo_licences: dict[str, int]
    cities: tuple[City, ...]
    certainty: Certainty

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "run": self.run,
            "inputs": self.inputs,
            "title": self.title,
            "manifest": self.manifest,
            "pretraining": self.pretraining,
            "weights_licence": self.weights_licence,
            "photo_licences": self.photo_licences,
            "cities": [{name: getattr(city, name) for name in _OF_CITY} for city in self.cities],
            "certainty": asdict(self.certainty),
        }


_OF_CITY = ("slug", "name", "latitude", "longitude", "radius_km")
_TEXTS = ("run", "title", "pretraining", "weights_licence")


def about_from_json(data: Mapping[str, Any], classes: tuple[str, ...]) -> About:
    """Return what `About.to_json` gave, for a model of these classes.

    Raises:
        ValueError, KeyError, TypeError: it is none, or a value is not of its kind.
    """
    if not all(isinstance(data[name], str) for name in _TEXTS):
        raise TypeError("a name is no text")
    if not all(isinstance(data[name], dict) for name in ("inputs", "manifest", "photo_licences")):
        raise TypeError("the run's inputs, the manifest or the licences are no object")
    cities = tuple(_city(city) for city in data["cities"])
    if tuple(city.slug for city in cities) != classes:
        raise ValueError("the cities are not the predictor's classes")
    return About(
        run=data["run"],
        inputs=data["inputs"],
        title=data["title"],
        manifest={name: str(data["manifest"][name]) for name in ("name", "version", "digest", "note")},
        pretraining=data["pretraining"],
        weights_licence=data["weights_licence"],
        photo_licences=data["photo_licences"],
        cities=cities,
        certainty=certainty_from_json(data["certainty"]),
    )


def _city(data: Mapping[str, Any]) -> City:
    city = City(**{name: data[name] for name in _OF_CITY})
    texts = isinstance(city.slug, str) and isinstance(city.name, str)
    if not texts or not -90 <= city.latitude <= 90 or not -180 <= city.longitude <= 180 or not city.radius_km >= 0:
        raise ValueError(f"the city {str(city.slug)[:40]!r} is damaged")
    return city
