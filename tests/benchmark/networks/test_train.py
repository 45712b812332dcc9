"""Training: from the seed alone, by the recipe, and the epoch that is kept."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.networks import train as train_module
from benchmark.networks.train import DivergedError, Recipe, TrainedNetwork, estimate, normalised, predict, train
from benchmark.photos import LabelledPhotos, labelled_photos, unlabelled_photos
from collector.errors import T15Error
from tests.benchmark.conftest import World, make_world

Sides = tuple[LabelledPhotos, LabelledPhotos]


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def sides(small_world: World) -> Sides:
    manifest, workspace = small_world.manifest, small_world.workspace
    return labelled_photos(manifest, "train", workspace), labelled_photos(manifest, "val", workspace)


@pytest.fixture
def recipe(small_network: str) -> Recipe:
    return Recipe(small_network, learning_rate=0.05, batch=4, epochs=3, size=28)


def weights_of(trained: TrainedNetwork) -> list[NDArray[Any]]:
    return [weight.numpy() for weight in trained.network.state_dict().values()]


def same(first: list[NDArray[Any]], second: list[NDArray[Any]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (112, 128), (64, 73), (32, 37), (448, 512)])
def test_photos_are_resized_in_proportion_to_the_crop(size: int, resize: int) -> None:
    assert Recipe("resnet18", size=size).resize == resize


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe("resnet18")
    assert (recipe.learning_rate, recipe.momentum, recipe.batch) == (0.001, 0.9, 4)
    assert (recipe.decay_every, recipe.decay, recipe.epochs, recipe.size) == (7, 0.1, 25, 224)
    assert (recipe.weight_decay, recipe.selection) == (0.0, "best-on-validation")


def test_pixels_are_standardised_by_imagenet() -> None:
    photos = torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    values = normalised(photos, "cpu")
    assert values.dtype == torch.float32
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for photo, level in zip(values, (0.0, 1.0, 0.2), strict=True):
        expected = (level - mean) / std
        assert photo.mean(dim=(1, 2)).numpy() == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_gives_the_same_network(sides: Sides, recipe: Recipe, small_world: World) -> None:
    test = unlabelled_photos(small_world.manifest, "test", small_world.workspace)
    torch.manual_seed(99)  # what came before does not matter
    first = train(*sides, 1, "cpu", recipe)
    torch.rand(7)
    second, other = train(*sides, 1, "cpu", recipe), train(*sides, 2, "cpu", recipe)
    assert same(weights_of(first), weights_of(second))
    assert np.array_equal(first.predict_proba(test), second.predict_proba(test))
    assert not np.array_equal(first.predict_proba(test), other.predict_proba(test))


def test_predictions_are_probabilities(sides: Sides, recipe: Recipe, small_world: World) -> None:
    test = unlabelled_photos(small_world.manifest, "test", small_world.workspace)
    shares = train(*sides, 0, "cpu", recipe).predict_proba(test)
    assert shares.shape == (6, 3)
    assert shares.dtype == np.float32
    assert shares.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_it_learns_colours(sides: Sides, recipe: Recipe) -> None:
    training, _ = sides
    patient = Recipe(recipe.network, learning_rate=0.1, epochs=25, size=28, decay_every=20)
    trained = train(*sides, 0, "cpu", patient)
    assert (trained.predict_proba(training).argmax(axis=1) == training.labels).mean() > 0.8


def test_every_photo_is_seen_once_an_epoch(sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    augmented = train_module._augmented

    def spy(picture: NDArray[np.uint8], size: int) -> torch.Tensor:
        seen.append(int(picture.astype(np.int64).sum()))
        return augmented(picture, size)

    monkeypatch.setattr(train_module, "_augmented", spy)
    train(*sides, 0, "cpu", recipe)
    everything = sorted(int(picture.astype(np.int64).sum()) for picture in sides[0].pictures(recipe.resize))
    epochs = [seen[at : at + 12] for at in range(0, 36, 12)]
    assert [sorted(epoch) for epoch in epochs] == [everything] * 3
    assert epochs[0] != epochs[1] != epochs[2]  # in a new order each time


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the weights whenever validation photos are judged."""
    seen: list[dict[str, Any]] = []
    original = predict

    def spy(network: torch.nn.Module, *arguments: Any) -> torch.Tensor:
        seen.append(copy.deepcopy(network.state_dict()))
        return original(network, *arguments)

    monkeypatch.setattr(train_module, "predict", spy)
    return seen


@pytest.mark.parametrize(
    ("right", "kept"),
    [([1, 4, 2, 4], 1), ([3, 3, 3, 3], 0), ([0, 0, 0, 0], 0), ([0, 1, 2, 6], 3), ([6, 1, 2, 5], 0)],
)
def test_the_earliest_of_the_best_epochs_is_kept(
    sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, right: list[int], kept: int
) -> None:
    labels = torch.from_numpy(sides[1].labels)
    answers: Iterator[int] = iter(right)
    weights: list[list[NDArray[Any]]] = []

    def fake(network: torch.nn.Module, *arguments: Any) -> torch.Tensor:
        weights.append([weight.numpy().copy() for weight in network.state_dict().values()])
        number = next(answers)
        named = torch.cat([labels[:number], (labels[number:] + 1) % 3])
        return torch.nn.functional.one_hot(named, 3).float()

    monkeypatch.setattr(train_module, "predict", fake)
    changed = Recipe(recipe.network, learning_rate=0.05, epochs=4, size=28)
    trained = train(*sides, 0, "cpu", changed)
    assert len(weights) == 4
    assert same(weights_of(trained), weights[kept])
    assert not same(weights[kept], weights[(kept + 1) % 4])


def test_the_last_epoch_is_kept_when_asked_for(
    sides: Sides, recipe: Recipe, histories: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    long, longer = (
        Recipe(recipe.network, learning_rate=0.05, epochs=epochs, size=28, selection="last-epoch") for epochs in (2, 3)
    )
    two, three = train(*sides, 0, "cpu", long), train(*sides, 0, "cpu", longer)
    assert histories == []  # validation photos are not looked at
    train(*sides, 0, "cpu", recipe)
    assert same(weights_of(two), [weight.numpy() for weight in histories[1].values()])
    assert same(weights_of(three), [weight.numpy() for weight in histories[2].values()])


def test_the_network_is_returned_for_evaluation(sides: Sides, recipe: Recipe) -> None:
    for selection in ("best-on-validation", "last-epoch"):
        trained = train(*sides, 0, "cpu", Recipe(recipe.network, epochs=1, size=28, selection=selection))
        assert not trained.network.training


def test_the_learning_rate_decays_when_it_should(sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    settings: list[tuple[float, float]] = []

    class Spy(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            settings.append((self.param_groups[0]["momentum"], self.param_groups[0]["weight_decay"]))
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "SGD", Spy)
    decaying = Recipe(
        recipe.network, learning_rate=0.04, momentum=0.8, weight_decay=0.01, batch=6, epochs=5, decay_every=2, size=28
    )
    train(*sides, 0, "cpu", decaying)
    assert rates == pytest.approx([0.04] * 4 + [0.004] * 4 + [0.0004] * 2)
    assert set(settings) == {(0.8, 0.01)}


def test_a_diverging_loss_is_an_error_that_names_the_epoch(sides: Sides, recipe: Recipe) -> None:
    wild = Recipe(recipe.network, learning_rate=1e30, batch=12, epochs=3, size=28)  # one step an epoch
    with pytest.raises(DivergedError, match=r"dot: in epoch 1"):
        train(*sides, 0, "cpu", wild)
    wild = Recipe(recipe.network, learning_rate=1e30, batch=4, epochs=3, size=28)
    with pytest.raises(DivergedError, match=r"dot: .*epoch 1"):
        train(*sides, 0, "cpu", wild)
    assert issubclass(DivergedError, T15Error)


@pytest.mark.parametrize("selection", ["best-on-validation", "last-epoch"])
def test_diverging_in_the_very_last_step_is_noticed_too(sides: Sides, recipe: Recipe, selection: str) -> None:
    wild = Recipe(recipe.network, learning_rate=1e38, batch=12, epochs=1, size=28, selection=selection)
    with pytest.raises(DivergedError, match="epoch 1"):
        train(*sides, 0, "cpu", wild)


def test_an_unknown_selection_is_an_error(sides: Sides, recipe: Recipe) -> None:
    with pytest.raises((ValueError, T15Error)):
        train(*sides, 0, "cpu", Recipe(recipe.network, epochs=1, size=28, selection="best"))


def test_a_last_batch_of_one_photo_does_no_harm(sides: Sides, recipe: Recipe) -> None:
    trained = train(*sides, 0, "cpu", Recipe(recipe.network, batch=11, epochs=1, size=28))
    assert all(np.isfinite(weight).all() for weight in weights_of(trained))


def test_predicting_does_not_depend_on_the_batch(sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train(*sides, 0, "cpu", recipe)
    whole = trained.predict_proba(sides[0])
    monkeypatch.setattr(train_module, "_INFERENCE_BATCH", 5)
    assert trained.predict_proba(sides[0]) == pytest.approx(whole, abs=1e-5)


def test_progress_counts_the_epochs(small_world: World, recipe: Recipe) -> None:
    said: list[tuple[str, Any]] = []

    def track(items: Any, description: str, total: int | None = None) -> Any:
        said.append((description, total))
        return items

    manifest, workspace = small_world.manifest, small_world.workspace
    training = labelled_photos(manifest, "train", workspace, track)
    train(training, labelled_photos(manifest, "val", workspace), 5, "cpu", recipe)
    assert ("training dot, seed 5", None) in said


def test_the_estimate_grows_with_the_work(recipe: Recipe) -> None:
    small, large = estimate(100, 3, "cpu", recipe), estimate(100_000, 3, "cpu", recipe)
    assert 0 < small < large


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_trains_on_the_gpu(sides: Sides, recipe: Recipe, small_world: World) -> None:
    test = unlabelled_photos(small_world.manifest, "test", small_world.workspace)
    shares = train(*sides, 0, "cuda", recipe).predict_proba(test)
    assert shares.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-4)
    assert estimate(100, 3, "cuda", recipe) > 0


@pytest.mark.slow
def test_resnet18_trains_at_the_smoke_size(sides: Sides) -> None:
    trained = train(*sides, 0, "cpu", Recipe("resnet18", learning_rate=0.01, batch=4, epochs=1, size=64))
    assert np.isfinite(trained.predict_proba(sides[1])).all()
