"""Two engines, one behaviour: the same photos, the same losses, the same weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.networks import fast as fast_module
from benchmark.networks.backbones import FROZEN
from benchmark.networks.fast import can_be_grouped, seeded_state, step_by_step
from benchmark.networks.recipe import Recipe
from benchmark.networks.train import train
from benchmark.networks.train_run import Job, SharedPhotos, TrainingRun
from tests.benchmark.conftest import make_world
from tests.benchmark.networks.conftest import Sides, norm

STEPS = 50


def losses(engine: str, recipe: Recipe, sides: Sides, steps: int = STEPS, seed: int = 0) -> list[float]:
    run = TrainingRun(Job(seed, recipe), SharedPhotos(*sides, "cpu"), engine)
    found: list[float] = []
    for epoch in range(1, 1 + math.ceil(steps / 3)):
        for loss, _ in run.engine.epoch(epoch):
            found.append(loss.item())
            if len(found) == steps:
                return found
    raise AssertionError(f"{len(found)} steps only")


NETWORKS = [
    (network, frozen) for network in ("resnet18", "alexnet") for frozen in ("none", "c", "all but the classifier")
]


def assert_losses_agree(recipe: Recipe, sides: Sides, steps: int) -> None:
    reference, fast = (losses(engine, recipe, sides, steps) for engine in ("reference", "fast"))
    assert fast == pytest.approx(reference, abs=1e-4)
    assert len(set(reference)) > steps / 2


@pytest.mark.parametrize(("network", "frozen"), NETWORKS)
def test_losses_agree(network: str, frozen: str, sides: Sides) -> None:
    # Longer where small differences grow most; into a second epoch elsewhere, of which AlexNet's take long.
    recipe = Recipe(network, frozen=frozen, size=64 if network == "alexnet" else 40, smallest_crop=0.3)
    assert_losses_agree(recipe, sides, 12 if (network, frozen) == ("resnet18", "none") else 4)


@pytest.mark.parametrize("frozen", FROZEN)
def test_losses_agree_for_fifty_steps(small_network: str, sides: Sides, frozen: str) -> None:
    recipe = Recipe("norm", frozen=frozen, size=28, smallest_crop=0.3, learning_rate=0.02, momentum=0.9)
    assert_losses_agree(recipe, sides, STEPS)


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("batch", [4, 5, 12])
def test_dropout_and_batch_normalisation_agree(small_network: str, sides: Sides, frozen: str, batch: int) -> None:
    recipe = Recipe("norm", frozen=frozen, size=28, batch=batch, epochs=6, learning_rate=0.02, weight_decay=0.01)
    reference, fast = (train(*sides, 3, "cpu", recipe, engine=engine) for engine in ("reference", "fast"))
    for name, weight in reference.network.state_dict().items():
        # Frozen layers see several steps in one matrix product, which may sum in another order: roundings, over 18 steps.
        torch.testing.assert_close(weight, fast.network.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name)
    assert [e.loss for e in fast.curve] == pytest.approx([e.loss for e in reference.curve], abs=1e-6)
    assert [e.validation_accuracy for e in fast.curve] == [e.validation_accuracy for e in reference.curve]


def test_frozen_weights_stay_and_statistics_move(small_network: str, sides: Sides) -> None:
    recipe = Recipe("norm", frozen="b", size=28, epochs=1, selection="last-epoch")
    weights = {name: tensor.clone() for name, tensor in norm(3).state_dict().items()}
    torch.manual_seed(0)
    before = norm(3).state_dict()
    for engine in ("reference", "fast"):
        after = train(*sides, 0, "cpu", recipe, engine=engine).network.state_dict()
        moved = {name for name in weights if not torch.equal(before[name], after[name])}
        kept = {"0.weight", "1.weight", "1.bias", "4.weight", "4.bias"}
        assert moved == set(weights) - kept
        assert after["1.num_batches_tracked"] == 3


def test_frozen_layers_of_unknown_kind_are_not_run_ahead(small_network: str, sides: Sides) -> None:
    class Unknown(nn.Module):
        pass

    assert can_be_grouped(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout()))
    assert not can_be_grouped(nn.Sequential(nn.Conv2d(3, 3, 1), Unknown()))


def test_a_pass_of_steps_is_what_the_steps_give() -> None:
    photos, lengths = torch.rand(11, 3, 28, 28), [4, 4, 3]
    alone, together = norm(3).train(), norm(3).train()
    together.load_state_dict(alone.state_dict())
    states = [seeded_state(number) for number in range(3)]
    expected = []
    for number, part in enumerate(photos.split(lengths)):
        torch.manual_seed(number)
        expected.append(alone(part))
    with step_by_step(together, lengths, states):
        found = together(photos)
    # One matrix product over 11 photos and three over 4, 4 and 3 may sum in another order (seen on an Intel Xeon): a bound of
    # some roundings of float32. What dropout draws and how it leaves the generator is exact.
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-5, atol=1e-6)
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(tensor, together.state_dict()[name], rtol=1e-5, atol=1e-6, msg=name)
    assert torch.equal(found == 0, torch.cat(expected) == 0)
    assert torch.equal(states[2], torch.get_rng_state())
    assert torch.equal(together(photos[:4]), together(photos[:4])) is False  # it is itself again: dropout draws anew


def test_the_size_of_a_pass_changes_nothing(small_network: str, sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe("norm", frozen="c", size=28, learning_rate=0.02)
    many = losses("fast", recipe, sides, 12)
    monkeypatch.setitem(fast_module._PHOTOS_AT_ONCE, "cpu", 1)
    # One matrix product for a pass and one for each step may sum in another order (seen on an Intel Xeon).
    assert losses("fast", recipe, sides, 12) == pytest.approx(many, abs=1e-5)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_every_photo_is_seen_once_an_epoch(
    small_network: str, sides: Sides, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe("dot", size=28, batch=5)
    run = TrainingRun(Job(0, recipe), SharedPhotos(*sides, "cpu"), engine)
    assert [photos for _, photos in run.engine.epoch(1)] == [5, 5, 2]


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_a_last_step_of_one_photo_is_left_out_where_there_is_nothing_to_average(
    small_network: str, sides: Sides, engine: str
) -> None:
    for size, expected in ((64, [11, 1]), (32, [11])):  # ResNet-18's last maps: 2 × 2, and 1 × 1
        run = TrainingRun(Job(0, Recipe("resnet18", size=size, batch=11)), SharedPhotos(*sides, "cpu"), engine)
        assert [photos for _, photos in run.engine.epoch(1)] == expected


class FakeStream:
    def wait_stream(self, other: "FakeStream") -> None:
        pass


@pytest.mark.parametrize("on_the_default_stream", [False, True])
def test_a_step_is_captured_on_its_runs_stream_and_leaves_no_trace(
    small_network: str, sides: Sides, monkeypatch: pytest.MonkeyPatch, on_the_default_stream: bool
) -> None:
    default, own = FakeStream(), FakeStream()
    current = default if on_the_default_stream else own
    captured: list[tuple[FakeStream, list[torch.Tensor]]] = []
    recipe = Recipe("norm", size=28, batch=5, momentum=0.9)
    engine = TrainingRun(Job(0, recipe), SharedPhotos(*sides, "cpu"), "fast").engine
    assert isinstance(engine, fast_module.FastEngine)
    for weight in engine.optimisation.optimiser.param_groups[0]["params"]:
        engine.optimisation.optimiser.state[weight]["momentum_buffer"] += 1.0

    def tensors() -> list[torch.Tensor]:
        buffers = [state["momentum_buffer"] for state in engine.optimisation.optimiser.state.values()]
        return [tensor.clone() for tensor in (*engine.network.state_dict().values(), *buffers)]

    @contextmanager
    def graph(of: object, *, stream: FakeStream) -> Iterator[None]:
        captured.append((stream, tensors()))
        yield

    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda: default)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    before = tensors()
    fast_module._CapturedStep(engine, torch.rand(5, 3, 28, 28), torch.tensor([0, 1, 2, 0, 1]))
    ((stream, restored),) = captured
    assert stream is own if not on_the_default_stream else stream not in (own, default)
    assert all(torch.equal(old, now) for old, now in zip(before, restored, strict=True))
    assert not all(
        torch.equal(old, now) for old, now in zip(before, tensors(), strict=True)
    )  # the fake graph's own step


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("frozen", ["none", "c"])
def test_a_captured_step_is_the_step(small_network: str, sides: Sides, frozen: str) -> None:
    """In float32 the graph's losses are those of the CPU, the decayed rates included."""
    from benchmark.networks.fast import FastEngine
    from benchmark.networks.recipe import starting_network
    from tests.benchmark.networks.conftest import DOT

    recipe = Recipe("dot", frozen="a" if frozen == "c" else "none", size=28, batch=5)
    found = []
    for device in ("cpu", "cuda"):
        shared = SharedPhotos(*sides, device)
        network = starting_network(DOT, recipe, 3, 0, None).to(device)
        resident = shared.resident(DOT.preprocessing.at(recipe.size))
        engine = FastEngine(
            network, DOT, resident, sides[0].labels, len(sides[0].classes), 0, device, recipe, "float32"
        )
        found.append([loss.item() for epoch in (1, 2, 3) for loss, _ in engine.epoch(epoch)])
    assert found[1] == pytest.approx(found[0], abs=1e-4)


@pytest.mark.gpu
@pytest.mark.slow
@needs_gpu
def test_accuracies_agree_on_the_gpu(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Means of both engines over the seeds lie within the interval that the seeds span."""
    from benchmark.methods.training import training_photos
    from benchmark.photos import WorkspacePhotos

    world = make_world(tmp_path_factory.mktemp("gpu"), quotas={"train": 40, "val": 20, "test": 1})
    sides = tuple(
        training_photos(world.manifest, split, WorkspacePhotos(world.workspace)) for split in ("train", "val")
    )
    recipe = Recipe("resnet18", size=64, epochs=4)
    means, spreads = [], []
    for engine in ("reference", "fast"):
        curves = [train(sides[0], sides[1], seed, "cuda", recipe, engine=engine).curve for seed in range(5)]
        best = np.array([max(epoch.validation_accuracy or 0 for epoch in curve) for curve in curves])
        means.append(best.mean())
        spreads.append(2.776 * best.std(ddof=1) / math.sqrt(5))  # Student's t, 4 degrees of freedom, 95 %
    assert abs(means[0] - means[1]) <= sum(spreads) + 0.02
