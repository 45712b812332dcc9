"""Training: from the seed alone, by the recipe, and the epoch that is kept."""

import copy
import errno
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.methods.training import training_photos
from benchmark.networks import inference as inference_module
from benchmark.networks import train as train_module
from benchmark.networks import train_run as run_module
from benchmark.networks.fast import estimate
from benchmark.networks.inference import embed_photos, scores, standardised
from benchmark.networks.recipe import Recipe
from benchmark.networks.train import DivergedError, Job, TrainedNetwork, load_network, train, train_many
from benchmark.photos import LabelledPhotos, WorkspacePhotos, photos_of
from collector.errors import DataError, T15Error, UsageError
from tests.benchmark.conftest import World
from tests.benchmark.networks.conftest import DOT, Sides, dot


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
    photos = torch.tensor([0, 1, 0.2]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    values = standardised(photos, DOT)
    assert values.dtype == torch.float32
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for photo, level in zip(values, (0.0, 1.0, 0.2), strict=True):
        expected = (level - mean) / std
        assert photo.mean(dim=(1, 2)).numpy() == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_gives_the_same_network(sides: Sides, recipe: Recipe, small_world: World) -> None:
    test = photos_of(small_world.manifest, "test", WorkspacePhotos(small_world.workspace))
    torch.manual_seed(99)  # what came before does not matter
    first = train(*sides, 1, "cpu", recipe)
    torch.rand(7)
    second, other = train(*sides, 1, "cpu", recipe), train(*sides, 2, "cpu", recipe)
    assert same(weights_of(first), weights_of(second))
    assert np.array_equal(first.predict_labels(test), second.predict_labels(test))
    assert not np.array_equal(first.predict_labels(test), other.predict_labels(test))


def test_predictions_are_probabilities(sides: Sides, recipe: Recipe, small_world: World) -> None:
    test = photos_of(small_world.manifest, "test", WorkspacePhotos(small_world.workspace))
    shares = train(*sides, 0, "cpu", recipe).predict_labels(test)
    assert shares.shape == (6, 3)
    assert shares.dtype == np.float32
    assert shares.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_it_learns_colours(sides: Sides, recipe: Recipe) -> None:
    training, _ = sides
    patient = Recipe(recipe.backbone, learning_rate=0.1, epochs=25, size=28, decay_every=20)
    trained = train(*sides, 0, "cpu", patient)
    assert (trained.predict_labels(training).argmax(axis=1) == training.labels).mean() > 0.8


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the weights whenever validation photos are judged."""
    seen: list[dict[str, Any]] = []
    original = scores

    def spy(network: torch.nn.Module, backbone: Any, crops: torch.Tensor, device: str) -> torch.Tensor:
        if len(crops) == 6:  # not the few training photos
            seen.append(copy.deepcopy(network.state_dict()))
        return original(network, backbone, crops, device)

    monkeypatch.setattr(run_module, "scores", spy)
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

    monkeypatch.setattr(run_module, "scores", fake)
    changed = Recipe(recipe.backbone, learning_rate=0.05, epochs=4, size=28)
    trained = train(*sides, 0, "cpu", changed)
    assert len(weights) == 4
    assert same(weights_of(trained), weights[kept])
    assert not same(weights[kept], weights[(kept + 1) % 4])


def test_the_last_epoch_is_kept_when_asked_for(
    sides: Sides, recipe: Recipe, histories: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    long, longer = (
        Recipe(recipe.backbone, learning_rate=0.05, epochs=epochs, size=28, selection="last-epoch") for epochs in (2, 3)
    )
    two, three = train(*sides, 0, "cpu", long), train(*sides, 0, "cpu", longer)
    assert histories == []  # validation photos are not looked at
    train(*sides, 0, "cpu", recipe)
    assert same(weights_of(two), [weight.numpy() for weight in histories[1].values()])
    assert same(weights_of(three), [weight.numpy() for weight in histories[2].values()])


def test_the_network_is_returned_for_evaluation(sides: Sides, recipe: Recipe) -> None:
    for selection in ("best-on-validation", "last-epoch"):
        trained = train(*sides, 0, "cpu", Recipe(recipe.backbone, epochs=1, size=28, selection=selection))
        assert not trained.network.training


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_the_learning_rate_decays_when_it_should(
    sides: Sides, recipe: Recipe, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    settings: list[tuple[float, float]] = []

    class Spy(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            settings.append((self.param_groups[0]["momentum"], self.param_groups[0]["weight_decay"]))
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "SGD", Spy)
    decaying = Recipe(
        recipe.backbone, learning_rate=0.04, momentum=0.8, weight_decay=0.01, batch=6, epochs=5, decay_every=2, size=28
    )
    trained = train(*sides, 0, "cpu", decaying, engine=engine)
    assert rates == pytest.approx([0.04] * 4 + [0.004] * 4 + [0.0004] * 2)
    assert set(settings) == {(0.8, 0.01)}
    assert [epoch.learning_rate for epoch in trained.curve] == pytest.approx(rates[::2])


def test_a_diverging_loss_is_an_error_that_names_the_epoch(sides: Sides, recipe: Recipe) -> None:
    wild = Recipe(recipe.backbone, learning_rate=1e30, batch=12, epochs=3, size=28)  # one step an epoch
    with pytest.raises(DivergedError, match=r"dot: in epoch 1"):
        train(*sides, 0, "cpu", wild)
    wild = Recipe(recipe.backbone, learning_rate=1e30, batch=4, epochs=3, size=28)
    with pytest.raises(DivergedError, match=r"dot: .*epoch 1"):
        train(*sides, 0, "cpu", wild)
    assert issubclass(DivergedError, T15Error)


@pytest.mark.parametrize("selection", ["best-on-validation", "last-epoch"])
def test_diverging_in_the_very_last_step_is_noticed_too(sides: Sides, recipe: Recipe, selection: str) -> None:
    wild = Recipe(recipe.backbone, learning_rate=1e38, batch=12, epochs=1, size=28, selection=selection)
    with pytest.raises(DivergedError, match="epoch 1"):
        train(*sides, 0, "cpu", wild)


def test_an_unknown_selection_is_an_error(sides: Sides, recipe: Recipe) -> None:
    with pytest.raises((ValueError, T15Error)):
        train(*sides, 0, "cpu", Recipe(recipe.backbone, epochs=1, size=28, selection="best"))


def test_a_last_batch_of_one_photo_does_no_harm(sides: Sides, recipe: Recipe) -> None:
    trained = train(*sides, 0, "cpu", Recipe(recipe.backbone, batch=11, epochs=1, size=28))
    assert all(np.isfinite(weight).all() for weight in weights_of(trained))


def test_predicting_does_not_depend_on_the_batch(sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train(*sides, 0, "cpu", recipe)
    whole = trained.predict_labels(sides[0])
    monkeypatch.setitem(inference_module.BATCH, "cpu", 5)
    assert trained.predict_labels(sides[0]) == pytest.approx(whole, abs=1e-5)


def test_the_curve_tells_of_every_epoch(sides: Sides, recipe: Recipe) -> None:
    trained = train(*sides, 0, "cpu", recipe)
    assert [epoch.number for epoch in trained.curve] == [1, 2, 3]
    assert all(epoch.loss > 0 and epoch.seconds > 0 for epoch in trained.curve)
    shares = trained.predict_labels(sides[1])
    kept = max(trained.curve, key=lambda epoch: epoch.validation_accuracy or 0)
    right = shares[np.arange(6), sides[1].labels]
    assert kept.validation_accuracy == pytest.approx((shares.argmax(axis=1) == sides[1].labels).mean())
    assert kept.validation_loss == pytest.approx(-np.log(right).mean(), abs=1e-5)


def test_pre_trained_weights_get_a_new_classifier(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.networks import backbones
    from benchmark.networks.backbones import Pretrained

    pretrained = replace(DOT, name="dot/places", pretrained=Pretrained("Places", 7, "MIT", ""))
    monkeypatch.setitem(backbones.BACKBONES, "dot/places", pretrained)
    torch.manual_seed(5)
    weights = dot(7).state_dict()
    still = Recipe("dot/places", learning_rate=0.0, epochs=1, size=28, selection="last-epoch")
    begun = train(*sides, 0, "cpu", still, weights).network.state_dict()
    assert torch.equal(begun["0.weight"], weights["0.weight"])
    assert begun["4.weight"].shape == (3, 4)
    random = train(*sides, 0, "cpu", still).network.state_dict()
    assert not torch.equal(random["0.weight"], weights["0.weight"])
    with pytest.raises(DataError, match="dot/places: the weights are not this network's"):
        train(*sides, 0, "cpu", still, dot(8).state_dict())


def test_a_network_is_built_again_from_what_it_exports(sides: Sides, recipe: Recipe) -> None:
    trained = train(*sides, 0, "cpu", recipe)
    kind, spec, tensors = trained.save()
    again = load_network(json.loads(json.dumps(spec)), tensors, "cpu")
    assert kind == "network"
    assert np.array_equal(again.predict_labels(sides[1]), trained.predict_labels(sides[1]))
    assert (again.curve, again.recipe, again.classes) == (trained.curve, trained.recipe, 3)
    with pytest.raises(DataError, match="the weights are not this network's"):
        load_network(spec, {**tensors, "4.bias": np.zeros(5, np.float32)}, "cpu")
    for broken in ({}, {**spec, "classes": "x"}, {**spec, "recipe": {"colour": 1}}):
        with pytest.raises(DataError, match="no description of a trained network"):
            load_network(broken, tensors, "cpu")


def test_features_are_what_goes_into_the_classifier(sides: Sides, recipe: Recipe) -> None:
    trained = train(*sides, 0, "cpu", recipe)
    features = trained.embed(sides[1])
    assert features.shape == (6, 4)
    assert features.dtype == np.float32
    # A product of another shape may sum in another order.
    other_batches = embed_photos(trained.network, DOT, sides[1], "cpu", 28, batch=6)
    assert other_batches == pytest.approx(features, rel=1e-5, abs=1e-6)
    classifier = trained.network.get_submodule("4")
    shares = classifier(torch.from_numpy(features)).softmax(dim=1).detach().numpy()
    assert trained.predict_labels(sides[1]) == pytest.approx(shares, abs=1e-6)


def test_inference_takes_smaller_batches_when_memory_runs_out(sides: Sides, recipe: Recipe) -> None:
    network, seen = dot(3), []

    def scarce(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        seen.append(len(given[0]))
        if len(given[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    crops = torch.zeros(10, 3, 28, 28, dtype=torch.uint8)
    expected = scores(network, DOT, crops, "cpu")
    network.register_forward_pre_hook(scarce)
    torch.testing.assert_close(scores(network, DOT, crops, "cpu"), expected)  # other batches may sum in another order
    assert seen == [10, 8, 4, 2, 2, 2, 2, 2]  # 16, 8, 4 and 2 photos at a time


def test_memory_is_given_back_when_the_failed_pass_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[object] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: handled.append(sys.exc_info()[0]))
    network = dot(3)

    def scarce(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if len(given[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    network.register_forward_pre_hook(scarce)
    scores(network, DOT, torch.zeros(7, 3, 28, 28, dtype=torch.uint8), "cpu")
    assert set(handled) == {None}


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_a_trained_network_holds_no_gradients(sides: Sides, recipe: Recipe, engine: str) -> None:
    trained = train(*sides, 0, "cpu", recipe, engine=engine)
    assert all(weight.grad is None for weight in trained.network.parameters())


def test_several_runs_are_what_each_is_alone(sides: Sides, recipe: Recipe) -> None:
    wild = Recipe(recipe.backbone, learning_rate=1e30, size=28, epochs=2)
    jobs = [Job(1, recipe), Job(0, wild), Job(2, recipe), Job(0, Recipe("norm", size=28, epochs=2, frozen="b"))]
    outcomes = train_many(jobs, *sides, "cpu")
    assert isinstance(outcomes[1], DivergedError)
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome is not outcomes[1]:
            assert isinstance(outcome, TrainedNetwork)
            alone = train(*sides, job.seed, "cpu", job.recipe)
            assert np.array_equal(outcome.predict_labels(sides[1]), alone.predict_labels(sides[1]))


def test_a_run_that_finds_no_memory_beside_others_is_done_after_them(
    sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    active: list[int] = []
    most: list[int] = []

    def whole(job: Job, *arguments: Any) -> Iterator[None]:
        active.append(job.seed)
        try:
            for _ in range(3):
                most.append(len(active))
                if len(active) > 2 or job.seed == 9:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                yield
        finally:
            active.remove(job.seed)
        return job.seed  # type: ignore[return-value]

    monkeypatch.setattr(train_module, "whole_run", whole)
    monkeypatch.setattr(train_module, "runs_at_once", lambda device: 4)
    monkeypatch.setattr(train_module, "has_room", lambda running: True)
    outcomes: list[Any] = list(train_many([Job(seed, recipe) for seed in (0, 1, 2, 3, 9)], *sides, "cpu"))
    assert outcomes[:4] == [0, 1, 2, 3]
    assert isinstance(outcomes[4], torch.OutOfMemoryError)  # alone it does not fit either: no other batch is tried
    assert max(most) == 3


def raised_in_a_handler() -> RuntimeError:
    """Return what ends the capture of a CUDA graph in which memory ran out."""
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("capturing failed")  # so does leaving `torch.cuda.graph`
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        raised_in_a_handler(),
    ],
)
def test_whatever_says_that_memory_ran_out_is_tried_again(
    sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tries: list[int] = []

    def whole(job: Job, *arguments: Any) -> Iterator[None]:
        tries.append(job.seed)
        yield
        if job.seed == 1 and tries.count(1) == 1:
            raise error
        yield
        yield
        return job.seed  # type: ignore[return-value]

    monkeypatch.setattr(train_module, "whole_run", whole)
    monkeypatch.setattr(train_module, "runs_at_once", lambda device: 2)
    monkeypatch.setattr(train_module, "has_room", lambda running: True)
    outcomes: list[Any] = list(train_many([Job(0, recipe), Job(1, recipe)], *sides, "cpu"))
    assert outcomes == [0, 1]
    assert tries == [0, 1, 1]


def test_any_error_ends_its_own_run_only_but_a_full_disk_all(
    sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: dict[int, Exception] = {1: ValueError("of a plug-in's"), 2: OSError(errno.ENOSPC, "no space left")}

    def whole(job: Job, *arguments: Any) -> Iterator[None]:
        yield
        if job.seed in errors:
            raise errors[job.seed]
        return job.seed  # type: ignore[return-value]

    monkeypatch.setattr(train_module, "whole_run", whole)
    assert list(train_many([Job(seed, recipe) for seed in (0, 1, 3)], *sides, "cpu")) == [0, errors[1], 3]
    with pytest.raises(OSError, match="no space left"):
        train_many([Job(seed, recipe) for seed in (0, 2, 3)], *sides, "cpu")


def test_runs_side_by_side_never_share_a_stream(sides: Sides, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    made, live, asked = [], list[object](), list[int]()

    class Stream:
        def __init__(self) -> None:
            made.append(self)

        def wait_stream(self, other: object) -> None:
            pass

        def synchronize(self) -> None:
            pass

    current: list[object] = []

    def whole(job: Job, *arguments: Any) -> Iterator[None]:
        mine = current[-1]
        assert mine not in live
        live.append(mine)
        for _ in range(3 + job.seed % 4):
            assert current[-1] is mine
            yield
        live.remove(mine)
        return job.seed  # type: ignore[return-value]

    def room(running: Any) -> bool:
        asked.append(len(running))
        return len(running) < 3

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext(current.append(stream)))  # type: ignore[func-returns-value]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(train_module, "whole_run", whole)
    monkeypatch.setattr(train_module, "runs_at_once", lambda device: 5)
    monkeypatch.setattr(train_module, "has_room", room)
    outcomes: list[Any] = list(train_many([Job(seed, recipe) for seed in range(9)], *sides, "cuda"))
    assert outcomes == list(range(9))
    assert len(made) == 5
    assert len(set(current)) == 3
    assert asked.count(3) <= 9  # once after each start or end, not with every step


def test_what_cannot_be_trained_is_a_usage_error(sides: Sides, recipe: Recipe) -> None:
    nothing = LabelledPhotos((), (), sides[0].store, labels=np.zeros(0, np.int64), classes=sides[0].classes)
    with pytest.raises(UsageError, match=r"no validation photos .* selection last-epoch"):
        train(sides[0], nothing, 0, "cpu", recipe)
    with pytest.raises(UsageError, match="no training photos"):
        train(nothing, sides[1], 0, "cpu", recipe)
    with pytest.raises(UsageError, match="engine 'faster': choose fast or reference"):
        train(*sides, 0, "cpu", recipe, engine="faster")
    with pytest.raises(UsageError, match="batch 1 at 32 pixels: resnet18"):
        train(*sides, 0, "cpu", Recipe("resnet18", size=32, batch=1))


def test_progress_counts_the_epochs(small_world: World, recipe: Recipe) -> None:
    said: list[tuple[str, Any]] = []

    def track(items: Any, description: str, total: int | None = None) -> Any:
        said.append((description, total))
        return items

    manifest, workspace = small_world.manifest, small_world.workspace
    training, validation = (training_photos(manifest, side, WorkspacePhotos(workspace)) for side in ("train", "val"))
    train(training, validation, 5, "cpu", recipe, track=track)
    assert ("training dot, seed 5", None) in said


def test_the_estimate_grows_with_the_work(recipe: Recipe) -> None:
    small, large = estimate(100, 3, "cpu", recipe), estimate(100_000, 3, "cpu", recipe)
    assert 0 < small < large


def test_what_is_as_short_as_a_measurement_is_not_measured(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.networks.fast.FastEngine", lambda *of: pytest.fail("measured"))
    short = replace(recipe, epochs=2, batch=16)
    assert 0 < estimate(16, 3, "cpu", short) < estimate(17, 3, "cpu", short)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_trains_on_the_gpu(sides: Sides, recipe: Recipe, small_world: World) -> None:
    test = photos_of(small_world.manifest, "test", WorkspacePhotos(small_world.workspace))
    shares = train(*sides, 0, "cuda", recipe).predict_labels(test)
    assert shares.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-4)
    assert estimate(100, 3, "cuda", recipe) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_several_runs_on_the_gpu_are_what_each_is_alone(sides: Sides) -> None:
    """Graphs of runs that have ended are gone while those of others are still replayed."""
    jobs = [Job(seed, Recipe("resnet18", size=64, epochs=1 + 3 * (seed % 2), smallest_crop=0.3)) for seed in range(6)]
    for job, outcome in zip(jobs, train_many(jobs, *sides, "cuda"), strict=True):
        assert isinstance(outcome, TrainedNetwork)
        alone = train(*sides, job.seed, "cuda", job.recipe)
        # The first epoch only: later ones differ by rounding that no two runs on a GPU share.
        assert outcome.curve[0].loss == pytest.approx(alone.curve[0].loss, rel=0.05)
        assert len(outcome.curve) == job.recipe.epochs


@pytest.mark.slow
def test_resnet18_trains_at_the_smoke_size(sides: Sides) -> None:
    trained = train(*sides, 0, "cpu", Recipe("resnet18", learning_rate=0.01, batch=4, epochs=1, size=64))
    assert np.isfinite(trained.predict_labels(sides[1])).all()
