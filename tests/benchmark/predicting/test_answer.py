"""Answers: those of the benchmark, calibrated, from pixels and nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from benchmark.classifiers.probabilities import fit_temperature, with_temperature
from benchmark.methods.features import FEATURES
from benchmark.models import read_model
from benchmark.photos import given_photos
from benchmark.predicting.answer import Answerer
from benchmark.results import read_predictions, read_validation
from benchmark.scoring.calibration import reject_threshold
from collector.errors import DataError
from collector.images.decode import decode
from tests.benchmark.conftest import CITIES, paint
from tests.benchmark.predicting.conftest import Trained, jpeg


def test_the_benchmarks_test_photos_get_the_benchmarks_answers(trained: Trained, answerer: Answerer) -> None:
    """Read, resized and asked as the run did it: the same numbers, at the temperature of validation."""
    world, run = trained.world, trained.run
    said, validation = read_predictions(world.workspace.runs, run), read_validation(world.workspace.runs, run)
    assert validation is not None
    city_of = {photo.photo_id: photo.city for photo in world.photos("val")}
    labels = np.array([run.classes.index(city_of[photo_id]) for photo_id in validation.photo_ids])
    temperature = fit_temperature(validation.probabilities, labels)
    expected = with_temperature(said.probabilities, temperature)
    paths = {photo.photo_id: world.workspace.photo(str(photo.sha256)) for photo in world.photos("test")}
    answers = answerer.answer([decode(paths[photo_id], answerer.side) for photo_id in said.photo_ids])
    for answer, row in zip(answers, expected, strict=True):
        found = {one.slug: one.probability for one in answer.candidates}
        np.testing.assert_allclose([found[slug] for slug in run.classes], row, atol=1e-6)
        assert [one.probability for one in answer.candidates] == sorted(found.values(), reverse=True)
    certainty = answerer.about.certainty
    assert certainty.temperature == temperature
    assert certainty.threshold == reject_threshold(with_temperature(validation.probabilities, temperature), labels)
    assert certainty.photos == 60
    assert answerer.side == 64


@pytest.mark.parametrize("feature", ["tiny", "hog-l1", "gist-lear"])
@pytest.mark.parametrize("classifier", ["knn", "logistic"])
def test_few_photos_are_answered_without_torch(trained: Trained, feature: str, classifier: str) -> None:
    """The same answers, to rounding."""
    rng = np.random.default_rng(0)
    width = FEATURES[feature].width(32)
    labels = np.repeat(np.arange(3), 4)
    spec: dict[str, Any] = {"classes": 3, "link": "softmax"}
    arrays: dict[str, Any] = {
        "weights": rng.normal(size=(3, width)),
        "biases": rng.normal(size=3),
        "labels": np.arange(3),
    }
    if classifier == "knn":
        spec = {"classes": 3, "k": 5, "weights": "distance"}
        arrays = {"vectors": rng.random((12, width), np.float32), "labels": labels}
    described = {"feature": feature, "size": 32, "version": 1, "classifier": classifier, "of_classifier": spec}
    model = replace(trained.model, spec=described, tensors=arrays, arrays={})
    pictures = [paint(7000 + hue, hue) for hue in range(3)]
    few, many = Answerer(model, "auto", few=True), Answerer(model)
    assert [getattr(one.predictor, "device", "") for one in (few, many)] == ["numpy", "cpu"]
    for one, other in zip(few.answer(pictures), many.answer(pictures), strict=True):
        assert [of.slug for of in one.candidates] == [of.slug for of in other.candidates]
        found = [of.probability for of in one.candidates]
        np.testing.assert_allclose(found, [of.probability for of in other.candidates], rtol=1e-3, atol=1e-5)


def test_predict_imports_neither_torch_nor_what_it_does_not_need(trained: Trained, photos: Path) -> None:
    code = f"""if True:
        import sys
        from collector import front_door
        assert front_door.run(["predict", {str(photos / "one.jpg")!r}, "--model", {str(trained.file)!r}]) == 0
        heavy = {{"torch", "torchvision", "sklearn", "scipy", "pandas", "pyarrow", "jinja2"}}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_answer_is_the_centre_of_the_likeliest_city(answerer: Answerer) -> None:
    answers = answerer.answer([paint(5000 + hue, hue) for hue in range(3)])
    for number, (answer, slug) in enumerate(zip(answers, CITIES, strict=True)):
        best = answer.candidates[0]
        assert (best.slug, best.name) == (slug, slug.title())
        assert (answer.latitude, answer.longitude) == (best.latitude, best.longitude) == (number, number)
        assert answer.confidence == best.probability > 0.5
        assert sum(one.probability for one in answer.candidates) == pytest.approx(1)
        assert answer.radius50_km is not None
        assert answer.radius_km is not None
        assert 0 < answer.radius50_km <= answer.radius_km


def test_latitude_and_longitude_are_the_citys(trained: Trained) -> None:
    cities = [{**city, "longitude": city["longitude"] + 100} for city in trained.model.extra["cities"]]
    (answer,) = Answerer(replace(trained.model, extra={**trained.model.extra, "cities": cities})).answer(
        [paint(5002, 2)]
    )
    assert (answer.latitude, answer.longitude) == (2.0, 102.0)
    assert (answer.candidates[0].latitude, answer.candidates[0].longitude) == (2.0, 102.0)


def changed(trained: Trained, **certainty: Any) -> Answerer:
    extra = trained.model.extra
    return Answerer(replace(trained.model, extra={**extra, "certainty": {**extra["certainty"], **certainty}}))


def test_below_the_threshold_it_is_none_of_these(trained: Trained, answerer: Answerer) -> None:
    picture = paint(5000, 0)
    confidence = answerer.answer([picture])[0].confidence
    for threshold, withheld in ((confidence, False), (np.nextafter(confidence, 2), True)):
        (answer,) = changed(trained, threshold=float(threshold)).answer([picture])
        assert answer.none_of_these is withheld
        places = (answer.latitude, answer.longitude, answer.radius50_km, answer.radius_km)
        assert all(one is None for one in places) is withheld
        assert answer.candidates[0].slug == "zulu"


def test_too_few_validation_photos_leave_the_radius_open(trained: Trained) -> None:
    band = {"confidence": 0.0, "photos": 2, "km50": 3.0, "km90": None}
    (answer,) = changed(trained, bands=[band]).answer([paint(5000, 0)])
    assert (answer.radius50_km, answer.radius_km) == (3.0, None)
    (answer,) = changed(trained, bands=[]).answer([paint(5000, 0)])
    assert (answer.radius50_km, answer.radius_km) == (None, None)
    assert answer.latitude == 0


def gps(latitude: float, longitude: float) -> Image.Exif:
    """Return EXIF that says where a photo was taken, who made it, and how it looks."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Alpha"
    exif[ExifTags.Base.ImageDescription] = "alpha"
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLongitudeRef] = "N", "E"
    place[ExifTags.GPS.GPSLatitude] = (latitude, 0.0, 0.0)
    place[ExifTags.GPS.GPSLongitude] = (longitude, 0.0, 0.0)
    return exif


def test_exif_never_reaches_the_model(answerer: Answerer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pixels with the EXIF of each city: the same answer to the last bit, and nothing but pixels is handed over."""
    picture = paint(5000, 0, 160, 120)
    files = [jpeg(picture), *(jpeg(picture, exif=gps(place, place), comment=b"alpha") for place in (0, 1, 2))]
    images = [decode(file, answerer.side) for file in files]
    assert [bool(image.getexif()) for image in images] == [False, True, True, True]
    assert images[1].getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] is not None
    handed: list[Any] = []
    predictor: Any = answerer.predictor
    ask = predictor.predict_labels

    def note(photos: Any) -> Any:
        handed.append(photos)
        return ask(photos)

    monkeypatch.setattr(answerer, "predictor", type("Noting", (), {"predict_labels": staticmethod(note)})())
    alone = [answerer.answer([image])[0] for image in images]
    assert alone[1:] == alone[:1] * 3
    for photos in handed:
        assert (photos.ids, photos.digests) == (("given:0",), ("",))
        assert [(image.info, dict(image.getexif()), image.mode) for image in photos.store.images] == [({}, {}, "RGB")]
        assert type(photos.store.images[0]) is Image.Image  # no file behind it, whose name could tell


def test_orientation_is_of_the_pixels_and_counts(answerer: Answerer) -> None:
    picture = paint(5000, 0, 160, 120)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # "rotate 90 clockwise to display"
    turned = decode(jpeg(picture, exif=exif))
    assert turned.size == (120, 160)
    expected = decode(jpeg(picture)).transpose(Image.Transpose.ROTATE_270)
    assert answerer.answer([turned]) == answerer.answer([expected])


def test_photos_do_not_change_each_others_answers(answerer: Answerer) -> None:
    pictures = [paint(6000 + seed, seed, 30 + seed, 90 - seed) for seed in range(40)]
    for one, together in zip(pictures, answerer.answer(pictures), strict=True):
        alone = answerer.answer([one])[0]
        assert [city.slug for city in alone.candidates] == [city.slug for city in together.candidates]
        assert alone.confidence == pytest.approx(together.confidence, abs=1e-6)
    assert answerer.answer([]) == []


def test_pictures_have_to_be_rgb(answerer: Answerer) -> None:
    with pytest.raises(ValueError, match="mode RGBA; RGB is wanted"):
        answerer.answer([Image.new("RGBA", (5, 5))])


def test_handing_pictures_over_leaves_them_as_they_were() -> None:
    picture = paint(1, 1)
    picture.info["exif"] = b"kept"
    store: Any = given_photos([picture]).store
    assert store.images[0].info == {}
    assert picture.info == {"exif": b"kept"}


def test_an_explanation_has_heat_and_neighbours(trained: Trained, answerer: Answerer) -> None:
    photo = trained.world.photos("train")[3]
    picture = decode(trained.world.workspace.photo(str(photo.sha256)), answerer.side)
    found = answerer.explain(picture)
    assert found.answer == answerer.answer([picture])[0]
    assert found.heat_method == "occlusion"
    assert found.heat.dtype == np.float32
    assert (found.heat >= 0).all()
    assert (found.heat <= 1).all()
    nearest = found.neighbours[0]
    assert (nearest.credit.photo_id, nearest.credit.city) == (photo.photo_id, photo.city)
    assert nearest.distance == pytest.approx(0, abs=0.01)
    assert len(found.neighbours) == 6
    assert Answerer(replace(trained.model, arrays={})).explain(picture).neighbours == ()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"run": "f0"}, "is the bare model of a run; `t15 export-model`"),
        ({}, "what it says of itself is damaged"),
        ({"cities": []}, "the cities are not the predictor's classes"),
        ({"title": 3}, "a name is no text"),
        ({"manifest": "small"}, "no object"),
        ({"certainty": {"temperature": 0}}, "damaged"),
    ],
)
def test_models_that_say_nonsense_of_themselves_are_refused(
    trained: Trained, tmp_path: Path, extra: dict[str, Any], said: str
) -> None:
    whole = {} if not extra or extra == {"run": "f0"} else trained.model.extra
    path = tmp_path / "m.safetensors"
    path.write_bytes(replace(trained.model, extra={**whole, **extra}).to_bytes())
    with pytest.raises(DataError, match=said) as caught:
        Answerer(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"latitude": 91.0}, {"longitude": "east"}, {"radius_km": -1}, {"name": None}])
def test_cities_that_are_none_are_refused(trained: Trained, change: dict[str, Any]) -> None:
    cities = [dict(city) for city in trained.model.extra["cities"]]
    cities[1].update(change)
    with pytest.raises(DataError, match="what it says of itself is damaged"):
        Answerer(replace(trained.model, extra={**trained.model.extra, "cities": cities}))


def test_a_model_that_does_not_answer_for_each_city_is_refused(trained: Trained) -> None:
    spec = trained.model.spec
    more = {**spec, "of_classifier": {**spec["of_classifier"], "classes": 4}}
    with pytest.raises(DataError, match="does not answer with a probability for each city"):
        Answerer(replace(trained.model, spec=more))
    with pytest.raises(DataError, match="the model fails on a plain grey picture"):
        Answerer(replace(trained.model, spec={**spec, "size": 65}))


def test_the_file_says_whom_it_owes_what(trained: Trained) -> None:
    model = read_model(trained.file)
    assert model.extra["photo_licences"] == {"LicenseRef-Unknown": 24}
    assert model.extra["weights_licence"] == ""
    assert model.extra["manifest"] == {
        "name": "small",
        "title": "Small",
        "version": "1.0.0",
        "digest": trained.world.manifest.digest,
        "note": "",
    }
    assert model.extra["inputs"]["method"] == "tiny-64+logreg"
    assert model.extra["run"] == trained.run.inputs.identity
