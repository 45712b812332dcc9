"""Today's fine-tuning beside the paper's: rates, groups, mixing, averages, adapters, the probe, weights in between."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.methods.networks import RECIPES, fine_tuned
from benchmark.networks import backbones, train_run
from benchmark.networks.augment import shapes_of
from benchmark.networks.backbones import Backbone, Pretrained
from benchmark.networks.inference import embed_photos
from benchmark.networks.optimisation import (
    Average,
    layer_depths,
    mixed,
    parameter_groups,
    rate_at,
    rates_of,
)
from benchmark.networks.recipe import Recipe, starting_network
from benchmark.networks.starting import add_adapters, between, merge_adapters, probe
from benchmark.networks.train import Job, load_network, train
from benchmark.networks.train_run import SharedPhotos, TrainingRun
from collector.errors import DataError, UsageError
from tests.benchmark.networks.conftest import DOT, NORM, Sides, children, norm

TODAY = Recipe(
    "norm", size=28, batch=5, epochs=4, learning_rate=0.01, optimiser="adamw", schedule="cosine", warm_up=1,
    weight_decay=0.05, layer_decay=0.8, label_smoothing=0.1, mixup=0.2, average=0.9,
)  # fmt: skip


def tokens(classes: int) -> nn.Module:
    """Return a network with weight matrices between its layers, as transformers have."""
    body = [nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), nn.ReLU()]
    return nn.Sequential(*body, nn.Linear(6, classes))


TOKENS = Backbone("tokens", "Tokens", tokens, children, "6", patch=4)


@pytest.fixture(autouse=True)
def _known(small_network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, "tokens", TOKENS)


def test_a_cosine_rises_and_falls() -> None:
    recipe = Recipe("dot", learning_rate=2.0, schedule="cosine", warm_up=1, epochs=3)
    assert [rate_at(recipe, at) for at in (0, 0.5, 1, 2, 3)] == pytest.approx([0, 1, 2, 1, 0])
    assert rates_of(recipe, 1, 2) == pytest.approx([0.5, 1.5])
    assert all(a > b for a, b in pairwise(rates_of(recipe, 2, 9) + rates_of(recipe, 3, 9)))
    steps = Recipe("dot", learning_rate=1.0, decay_every=2, decay=0.1)
    assert [rates_of(steps, epoch, 2)[0] for epoch in (1, 2, 3, 4, 5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_photos_and_labels_are_mixed_alike() -> None:
    photos, labels = torch.rand(5, 3, 4, 4), torch.tensor([0, 1, 2, 1, 0])
    blended, shares = mixed(photos, labels, 3, 0.4, seed=7)
    rng = np.random.default_rng(7)
    share, partner = rng.beta(0.4, 0.4), rng.permutation(5)
    for row in range(5):
        torch.testing.assert_close(blended[row], share * photos[row] + (1 - share) * photos[partner[row]])
        expected = torch.zeros(3)
        expected[labels[row]] += share
        expected[labels[partner[row]]] += 1 - share
        torch.testing.assert_close(shares[row], expected)
    torch.testing.assert_close(mixed(photos, labels, 3, 0.4, seed=7)[1], shares, rtol=0, atol=0)


def test_deeper_layers_learn_more_slowly_and_vectors_do_not_decay() -> None:
    network = norm(3)
    groups, shares = parameter_groups(network, NORM, replace(TODAY, layer_decay=0.5))
    names = {id(weight): name for name, weight in network.named_parameters()}
    found = {
        names[id(weight)]: (share, group.get("weight_decay"))
        for group, share in zip(groups, shares, strict=True)
        for weight in group["params"]  # type: ignore[attr-defined]
    }
    assert found["10.weight"] == (1.0, None)
    assert found["10.bias"] == (1.0, 0.0)
    assert found["5.weight"] == (0.5**5, 0.0)  # of normalisation
    assert found["0.weight"] == (0.5**10, None)
    assert len(found) == len(names)
    assert parameter_groups(network, NORM, Recipe("norm"))[1] == [1.0]


def test_timm_says_itself_how_deep_its_layers_lie() -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_vit", num_classes=3)
    depths = layer_depths(network, replace(TOKENS, classifier="head"))
    assert set(depths) == {name for name, _ in network.named_parameters()}
    order = ["patch_embed.proj.weight", "blocks.0.mlp.fc1.weight", "blocks.1.attn.qkv.weight", "norm.weight"]
    assert all(depths[a] < depths[b] for a, b in pairwise(order))
    assert depths["head.weight"] == max(depths.values())


def test_an_average_forgets_its_beginning() -> None:
    tensors = {"a": torch.zeros(2), "n": torch.tensor(0)}
    average, expected = Average(tensors, 0.9), 0.0
    for step in range(1, 30):
        tensors["a"].fill_(step)
        tensors["n"].fill_(step)
        average.update(tensors)
        keep = min(0.9, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * step
    assert average.tensors["a"].tolist() == pytest.approx([expected] * 2)
    assert average.tensors["n"] == 29
    with average.inside(tensors):
        assert tensors["a"].tolist() == pytest.approx([expected] * 2)
    assert tensors["a"].tolist() == [29, 29]


def test_both_engines_train_by_todays_recipe_alike(sides: Sides) -> None:
    reference, fast = (train(*sides, 3, "cpu", TODAY, engine=engine) for engine in ("reference", "fast"))
    assert [e.loss for e in fast.curve] == pytest.approx([e.loss for e in reference.curve], abs=1e-4)
    for name, weight in reference.network.state_dict().items():
        torch.testing.assert_close(weight, fast.network.state_dict()[name], rtol=1e-3, atol=1e-3, msg=name)


def test_a_stopped_training_goes_on_with_its_moments_and_its_average(
    sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "CHECKPOINT_SECONDS", 0.0)
    whole = train(*sides, 0, "cpu", TODAY)
    file = tmp_path / "checkpoint"
    stopped = TrainingRun(Job(0, TODAY, checkpoint=file), SharedPhotos(*sides, "cpu"), "fast")
    for number in (1, 2):
        for _ in stopped.epoch(number):
            pass
        stopped.save()
    resumed = train(*sides, 0, "cpu", TODAY, checkpoint=file)
    assert [epoch.number for epoch in resumed.curve] == [1, 2, 3, 4]
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(tensor, resumed.network.state_dict()[name], rtol=0, atol=0, msg=name)


def test_adapters_begin_at_nothing_learn_alone_and_merge() -> None:
    torch.manual_seed(0)
    network, photos = tokens(3), torch.rand(4, 3, 16, 16)
    before, plain = network(photos), {name: tensor.clone() for name, tensor in network.state_dict().items()}
    add_adapters(network, TOKENS, 2)
    torch.testing.assert_close(network(photos), before)
    learning = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert learning == {"4.parametrizations.weight.0.down", "4.parametrizations.weight.0.up", "6.weight", "6.bias"}
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight.add_(0.3)
    adapted = network(photos)
    merge_adapters(network)
    assert set(network.state_dict()) == set(plain)
    torch.testing.assert_close(network(photos), adapted)
    assert torch.linalg.matrix_rank(network.state_dict()["4.weight"] - plain["4.weight"]) <= 2
    torch.testing.assert_close(network.state_dict()["0.weight"], plain["0.weight"], rtol=0, atol=0)
    with pytest.raises(UsageError, match="finetune-modern:dot"):
        add_adapters(DOT.build(3), DOT, 2)


def test_a_network_with_adapters_is_trained_saved_and_read(sides: Sides) -> None:
    recipe = replace(TODAY, backbone="tokens", layer_decay=1.0, adapters=2, mixup=0.0, epochs=2, interpolate=True)
    trained = train(*sides, 0, "cpu", recipe)
    _, spec, arrays = trained.save()
    again = load_network(spec, arrays, "cpu")
    assert set(arrays) == set(tokens(3).state_dict())
    np.testing.assert_allclose(again.predict_labels(sides[1]), trained.predict_labels(sides[1]), atol=1e-6)


def test_the_probe_is_the_logistic_regression_on_vectors(sides: Sides) -> None:
    training, validation = sides
    network = starting_network(TOKENS, Recipe("tokens", size=28), 3, 0, None)
    vectors = embed_photos(network, TOKENS, training, "cpu", 28)
    probe(network, TOKENS, training, validation, 28, "cpu")
    logits = network.get_submodule("6")(torch.from_numpy(vectors)).detach().numpy()
    best = (logits.argmax(axis=1) == training.labels).mean()
    assert best >= 0.75  # of photos whose colours tell the city
    untouched = starting_network(TOKENS, Recipe("tokens", size=28), 3, 0, None)
    torch.testing.assert_close(network.state_dict()["0.weight"], untouched.state_dict()["0.weight"], rtol=0, atol=0)


def test_a_label_without_a_training_photo_is_never_the_probes_answer(sides: Sides) -> None:
    training, validation = sides
    more = replace(training, classes=(*training.classes, "nowhere"))
    network = starting_network(TOKENS, Recipe("tokens", size=28), 4, 0, None)
    probe(network, TOKENS, more, validation, 28, "cpu")
    vectors = torch.from_numpy(embed_photos(network, TOKENS, training, "cpu", 28))
    assert 3 not in network.get_submodule("6")(vectors).argmax(dim=1)


def test_weights_in_between_are_chosen_on_validation(sides: Sides) -> None:
    start, end = (
        {"w": torch.tensor([0.0, 1.0]), "n": torch.tensor(1)},
        {"w": torch.tensor([1.0, 3.0]), "n": torch.tensor(7)},
    )
    found = between(start, end, 0.25)
    assert found["w"].tolist() == [0.25, 1.5]
    assert found["n"] == 7

    def accuracy(recipe: Recipe) -> float:
        answers = train(*sides, 0, "cpu", recipe).predict_labels(sides[1]).argmax(axis=1)
        return float((answers == sides[1].labels).mean())

    # Steps so large that the end is worth nothing: what was there before is kept.
    wild = replace(
        TODAY,
        backbone="tokens",
        probe=True,
        learning_rate=20.0,
        average=0.0,
        selection="last-epoch",
        epochs=1,
        warm_up=0,
    )
    assert accuracy(replace(wild, interpolate=True)) > accuracy(wild)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_crops_are_cut_out_of_originals(sides: Sides, engine: str) -> None:
    originals = sides[0].originals()
    assert shapes_of(originals).tolist() == [list(picture.shape[1:]) for picture in originals]
    recipe = Recipe("norm", size=20, batch=5, epochs=2, learning_rate=0.02, crops_from="originals")
    found = train(*sides, 0, "cpu", recipe, engine=engine)
    other = train(*sides, 0, "cpu", replace(recipe, crops_from="resized"), engine=engine)
    assert [e.loss for e in found.curve] != pytest.approx([e.loss for e in other.curve], abs=1e-6)
    if engine == "fast":
        reference = train(*sides, 0, "cpu", recipe, engine="reference")
        assert [e.loss for e in found.curve] == pytest.approx([e.loss for e in reference.curve], abs=1e-5)


def test_an_original_that_is_gone_is_named(sides: Sides) -> None:
    lost = replace(sides[0], digests=("0" * 64, *sides[0].digests[1:]))
    with pytest.raises(DataError, match=lost.ids[0]):
        lost.originals()


def test_rows_of_todays_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained = replace(TOKENS, pretrained=Pretrained("Drawn", 3, "CC0-1.0", ""))
    for kind, recipe in RECIPES.items():
        method = fine_tuned(pretrained, kind)
        assert recipe.items() <= method.parameters.items()
        assert method.smoke.keys().isdisjoint({"learning_rate"})
    assert fine_tuned(pretrained, "finetune").parameters["optimiser"] == "sgd"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "adam"}, "choose sgd, adamw"),
        ({"schedule": "linear"}, "choose steps, cosine"),
        ({"crops_from": "thumbnails"}, "choose resized, originals"),
        ({"label_smoothing": 1.0}, "a share"),
        ({"average": -0.1}, "a share"),
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"mixup": float("nan")}, "must be at least 0"),
        ({"adapters": 4, "frozen": "c"}, "adapters keep all weights"),
    ],
)
def test_values_that_are_none(change: dict[str, object], message: str) -> None:
    make: Callable[..., Recipe] = Recipe
    with pytest.raises(UsageError, match=message):
        make("dot", **change)


def test_weights_in_between_need_validation(sides: Sides) -> None:
    empty = replace(sides[1], ids=(), digests=(), labels=np.zeros(0, np.int64))
    recipe = replace(TODAY, interpolate=True, selection="last-epoch")
    with pytest.raises(UsageError, match="interpolate"):
        train(sides[0], empty, 0, "cpu", recipe)
