"""Which methods there are, how they are found, and whether the built-in ones keep the contract."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmark.methods import registry
from benchmark.methods.features import FEATURES
from benchmark.methods.paper import BESIDE_TABLE_ONE, PAPER, TABLE_ONE, TABLE_TWO
from benchmark.methods.registry import METHODS, choose, methods
from benchmark.methods.settings import with_settings
from benchmark.methods.types import Method
from benchmark.networks import weights
from benchmark.networks.backbones import BACKBONES
from benchmark.results import RunInputs
from collector.errors import DataError, T15Error, UsageError
from tests.benchmark.conftest import method

# Tables I and II of the paper: accuracy in per cent.
TABLE_I = {
    "tiny-64+knn": 15.47,
    "tiny-64+logreg": 11.00,
    "tiny-128+knn": 16.27,
    "tiny-128+logreg": 13.00,
    "hog-32+knn": 20.27,
    "hog-32+logreg": 13.00,
    "hog-64+knn": 18.93,
    "hog-128+logreg": 18.00,
    "gist-64+knn": 28.53,
    "gist-128+knn": 28.53,
    "gist-256+knn": 28.15,
    "gist-64+logreg": 41.26,
}
NEIGHBOURS = {
    "tiny-64+knn": 11,
    "tiny-128+knn": 1,
    "hog-32+knn": 31,
    "hog-64+knn": 1,
    "gist-64+knn": 71,
    "gist-128+knn": 11,
    "gist-256+knn": 1,
}
TABLE_II = {
    "scratch:alexnet": 10.40,
    "scratch:resnet18": 22.40,
    "scratch:resnet18@lr0.01": 15.73,
    "scratch:resnet18@lr0.005": 21.07,
    "features:resnet18/places365": 46.13,
    "features:resnet18/imagenet": 48.00,
    "finetune-classifier:resnet18/places365": 55.73,
    "finetune:resnet18/places365": 55.73,
    "finetune-classifier:resnet18/imagenet": 52.26,
    "finetune:resnet18/imagenet": 52.26,
    "finetune-classifier:alexnet/places365": 45.06,
    "finetune:alexnet/places365": 45.06,
    "finetune-classifier:alexnet/imagenet": 46.13,
    "finetune:alexnet/imagenet": 46.13,
    "finetune-a:resnet18/places365": 56.80,
    "finetune-b:resnet18/places365": 56.80,
    "finetune-c:resnet18/places365": 57.60,
}
FROZEN = {"a": "a", "b": "b", "c": "c", "classifier": "all but the classifier"}

by_name = pytest.mark.parametrize("one", PAPER, ids=lambda one: one.name)


@dataclass(frozen=True)
class Point:
    """An entry point."""

    load: Callable[[], Any]
    name: str = "plugged"
    value: str = "package.module:METHOD"
    dist: None = None


def plug_in(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    monkeypatch.setattr("collector.plugins.entry_points", lambda group: points if group == "t15.methods" else ())


def names(patterns: list[str]) -> list[str]:
    return [one.name for one in choose(patterns)]


def test_names_and_titles_are_unique() -> None:
    assert set(METHODS) >= {one.name for one in PAPER}
    assert len({one.name for one in PAPER}) == len(PAPER)
    assert all(name == one.name for name, one in METHODS.items())
    for tier in ("paper", "smoke"):
        assert len({one.titled(one.of_tier(tier)) for one in METHODS.values()}) == len(METHODS)


def test_a_title_tells_the_parameters_of_its_run() -> None:
    one = METHODS["gist-64+knn"]
    assert one.titled(one.of_tier("paper")) == "GIST 64×64, 71-NN"
    assert one.titled({**one.parameters, "size": 32, "k": 5}) == "GIST 32×32, 5-NN"
    assert method("drawn").titled({}) == "Drawn"


def plain(one: Method) -> str:
    """Return a method's name without what follows the `@`."""
    return one.name.partition("@")[0]


@pytest.mark.parametrize(("table", "rows"), [("I", TABLE_I), ("II", TABLE_II)])
def test_the_papers_numbers_are_the_papers(table: str, rows: dict[str, float]) -> None:
    for one in PAPER:
        if one.paper and one.paper.table == table:
            assert one.paper.accuracy == rows[one.name if table == "II" else plain(one)]


def test_each_row_of_table_1_is_claimed_by_one_method_without_a_suffix() -> None:
    assert [one.name for one in TABLE_ONE] == list(TABLE_I)  # in the paper's order
    assert len({one.paper for one in TABLE_ONE}) == 12
    assert [one.name for one in TABLE_TWO] == list(TABLE_II)
    assert len({one.paper for one in TABLE_TWO}) == 13  # the four of fine-tuning are read in two ways


@by_name
def test_the_papers_row_is_named_as_in_the_paper(one: Method) -> None:
    if one.paper is None or one.paper.table == "II":
        return
    feature, size = plain(one).split("+")[0].split("-")
    shown = {"tiny": "tiny images", "hog": "HOG", "gist": "GIST"}[feature]
    classifier = "LR" if plain(one).endswith("+logreg") else f"{NEIGHBOURS[plain(one)]}-NN"
    assert one.paper.row == f"{shown} {size}×{size}, {classifier}"


def test_variants_stand_beside_each_row() -> None:
    names = {one.name for one in BESIDE_TABLE_ONE}
    assert len(names) == len(BESIDE_TABLE_ONE)
    assert names == {
        *(f"{name}@modern" for name in TABLE_I),
        *(f"{name}@2018" for name in TABLE_I if name.endswith("+logreg")),
        *(f"{name}@labelme" for name in TABLE_I if name.startswith("gist-")),
    }


@by_name
def test_what_reads_a_row_otherwise_carries_its_number_and_what_is_modern_none(one: Method) -> None:
    if one.name.endswith("@modern"):
        assert one.paper is None
        assert one.selection == "best-on-validation"
    elif one in BESIDE_TABLE_ONE:
        assert one.paper == METHODS[plain(one)].paper
        assert one.selection == "none"


@by_name
def test_parameters_are_those_of_the_paper(one: Method) -> None:
    if plain(one) in TABLE_I:
        feature, size = plain(one).split("+")[0].split("-")
        assert one.parameters["size"] == int(size)
        assert f"{size}×{size}" in one.titled(one.parameters)
        assert str(one.parameters["feature_kind"]).startswith(feature)
        assert not one.stochastic
    if one.name in NEIGHBOURS:
        assert one.parameters["k"] == NEIGHBOURS[one.name]
        assert f"{NEIGHBOURS[one.name]}-NN" in one.titled(one.parameters)
    if "+logreg" in one.name:
        assert one.parameters["iterations"] == 500
    if one.name in TABLE_II and not one.name.startswith("features:"):
        rate = float(one.name.partition("@lr")[2] or 0.001)
        paper = {"learning_rate": rate, "momentum": 0.9, "batch": 4, "decay_every": 7, "decay": 0.1, "size": 224}
        tutorial = {"epochs": 25, "weight_decay": 0.0, "selection": "best-on-validation"}
        assert {**paper, **tutorial}.items() <= dict(one.parameters).items()


@pytest.mark.parametrize("one", TABLE_TWO, ids=lambda one: one.name)
def test_a_row_of_table_2_begins_with_its_network_and_freezes_what_it_says(one: Method) -> None:
    kind, _, network = one.name.partition("@")[0].partition(":")
    assert one.backbone == one.parameters["backbone"] == network
    data = {"": "none", "imagenet": "ImageNet", "places365": "Places365"}[network.partition("/")[2]]
    assert one.pretraining == data
    assert (kind == "scratch") == (data == "none")
    if kind != "features":
        assert one.parameters["frozen"] == FROZEN.get(kind.partition("-")[2], "none")


@by_name
def test_each_variant_is_what_its_suffix_says(one: Method) -> None:
    if plain(one) not in TABLE_I:
        return
    kind, suffix = one.parameters["feature_kind"], one.name.partition("@")[2]
    assert kind in FEATURES
    plainly = {"tiny": "tiny", "hog": "hog-l1", "gist": "gist-lear"}
    today = {**plainly, "hog": "hog-l2hys", "gist": "gist-lear"}
    feature = plain(one).split("-")[0]
    assert kind == (
        "gist-labelme" if suffix == "labelme" else today[feature] if suffix == "modern" else plainly[feature]
    )
    if "+logreg" in one.name and suffix != "modern":
        assert one.parameters["solver"] == ("liblinear-2018" if suffix == "2018" else "multinomial")
        assert one.parameters["c"] == 1.0


@by_name
def test_modern_rows_choose_from_candidates(one: Method) -> None:
    if one.name.endswith("@modern"):
        for tier in ("paper", "smoke"):
            parameters = one.of_tier(tier)
            texts = str(parameters["cs"] if "+logreg" in one.name else parameters["ks"]).split(",")
            candidates = [float(text) for text in texts]
            assert len(candidates) > 1
            assert candidates == sorted(set(candidates))  # of equal ones the first: the plainest
            assert min(candidates) > 0
            if "+knn" in one.name:
                assert 1 in candidates  # however few photos there are


@by_name
def test_smoke_is_smaller_and_otherwise_the_paper(one: Method) -> None:
    paper, smoke = one.of_tier("paper"), one.of_tier("smoke")
    assert smoke["size"] < paper["size"]  # type: ignore[operator]
    for name in ("feature_kind", "solver", "c", "backbone", "frozen", "selection"):
        assert smoke.get(name) == paper.get(name)
    if "k" in paper:
        assert 1 <= smoke["k"] <= paper["k"]  # type: ignore[operator]
    assert f"{smoke['size']}×{smoke['size']}" in one.titled(smoke) or one.name in TABLE_II


@by_name
def test_estimates_are_seconds_that_grow_with_the_photos(one: Method) -> None:
    assert one.estimate is not None
    if one.estimate is not None and plain(one) in TABLE_I:  # those of networks measure, and are tested with them
        for tier in ("paper", "smoke"):
            few, many = (one.estimate(count, 15, "cpu", **one.of_tier(tier)) for count in (100, 1500))
            assert 0 < few < many
            assert 0 < one.estimate(1500, 15, "cuda", **one.of_tier(tier)) <= many


@by_name
def test_parameters_are_json(one: Method) -> None:
    for tier in ("paper", "smoke"):
        parameters = one.of_tier(tier)
        assert json.loads(json.dumps(parameters, allow_nan=False)) == parameters


@by_name
def test_smoke_overrides_what_is_there_and_changes_something(one: Method) -> None:
    assert set(one.smoke) <= set(one.parameters)
    assert one.of_tier("paper") == dict(one.parameters)
    assert one.of_tier("smoke") != one.of_tier("paper")


def test_no_two_rows_are_the_same_run() -> None:
    for tier in ("paper", "smoke"):
        runs = {json.dumps([str(one.fit), one.of_tier(tier)], sort_keys=True) for one in PAPER}
        assert len(runs) == len(PAPER)
        assert len({RunInputs("d", one.name, one.of_tier(tier), None, 0).identity for one in PAPER}) == len(PAPER)


@by_name
def test_fit_and_estimate_take_the_parameters(one: Method) -> None:
    inspect.signature(one.fit).bind(None, None, None, **one.of_tier("smoke"))
    if one.estimate is not None:
        inspect.signature(one.estimate).bind(100, 15, "cpu", **one.of_tier("smoke"))


@by_name
def test_a_network_takes_its_recipe(one: Method) -> None:
    if one in TABLE_TWO and one.stochastic:
        from benchmark.networks.recipe import Recipe

        recipe = Recipe(**one.parameters)  # type: ignore[arg-type]
        assert recipe.selection == one.selection
        assert recipe.backbone == one.backbone


def test_what_starts_from_nothing_says_so() -> None:
    for one in PAPER:
        assert (one.pretraining == "none") == (one.weights_licence == "")


def test_patterns_choose_in_the_methods_own_order_and_each_once() -> None:
    assert names(["tiny-128+knn", "tiny-64+knn"]) == ["tiny-64+knn", "tiny-128+knn"]
    assert names(["tiny-*+knn", "tiny-64*"]) == [
        "tiny-64+knn",
        "tiny-64+logreg",
        "tiny-128+knn",
        "tiny-64+logreg@2018",
        "tiny-64+knn@modern",
        "tiny-64+logreg@modern",
    ]
    assert names(["*@2018"]) == [f"{name}@2018" for name in TABLE_I if name.endswith("+logreg")]
    assert names(["gist*@labelme"]) == [f"{name}@labelme" for name in TABLE_I if name.startswith("gist")]
    assert names(["scratch:resnet?8"]) == ["scratch:resnet18"]
    assert names(["*"]) == list(METHODS)
    assert names([]) == []


@pytest.mark.parametrize(
    ("pattern", "meant"), [("tiny-64+kn", "tiny-64+knn"), ("scratch:resnet", "scratch:resnet18"), ("TINY-64+KN", "")]
)
def test_an_unknown_method_comes_with_a_suggestion(pattern: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(["tiny-64+knn", pattern])
    assert repr(pattern) in str(caught.value)
    assert f"did you mean '{meant or 'tiny-64+knn'}'" in str(caught.value)
    assert "t15 methods" in str(caught.value)


def test_a_word_that_begins_methods_is_offered_with_these() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'gist\*', that is gist-64\+knn"):
        choose(["gist"])


def test_retrieval_is_found_by_the_name_that_other_methods_have_for_a_feature() -> None:
    assert names(["retrieval:gist"]) == names(["retrieval:gist-lear-64"]) == ["retrieval:gist-lear-64"]
    assert names(["retrieval:tiny+verify"]) == ["retrieval:tiny-16+verify"]
    assert "retrieval:gist-lear-64" in registry.listed()


@pytest.mark.parametrize("pattern", ["TINY-64+KNN", "Tiny-64+k*", "tiny-64+KNN"])
def test_patterns_are_the_same_in_capitals(pattern: str) -> None:
    assert names([pattern])[0] == "tiny-64+knn"


@pytest.mark.parametrize("pattern", ["Plugged-CLIP", "plugged-clip", "PLUG*", "*clip"])
def test_a_method_with_capitals_in_its_name_is_found(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    plug_in(monkeypatch, Point(lambda: method("Plugged-CLIP")))
    assert names([pattern]) == ["Plugged-CLIP"]


def test_any_network_stands_transfer_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(["finetune-c:resnet50/imagenet", "features:resnet34/imagenet"]) == [
        "finetune-c:resnet50/imagenet",
        "features:resnet34/imagenet",
    ]
    assert names(["finetune-c:resnet18/places365"]) == ["finetune-c:resnet18/places365"]
    assert names(["scratch:resnet50"]) == ["scratch:resnet50"]
    plugged = replace(BACKBONES["resnet18/imagenet"], name="mine/ours")
    monkeypatch.setattr(
        "collector.plugins.entry_points",
        lambda group: [Point(lambda: plugged)] if group == "t15.backbones" else (),
    )
    (found,) = choose(["finetune-classifier:mine/ours"])
    assert found.parameters["frozen"] == "all but the classifier"
    assert found.paper is None
    with pytest.raises(UsageError, match="no method 'scratch:mine/ours'"):
        choose(["scratch:mine/ours"])
    with pytest.raises(UsageError, match=r"no method .finetune-c:resnet19..*did you mean"):
        choose(["finetune-c:resnet19"])


def test_settings_change_parameters_in_both_tiers() -> None:
    (one,) = choose(["finetune-c:resnet18/places365"])
    changed = with_settings(one, {"epochs": "3", "learning_rate": "1e-2", "selection": "last-epoch", "k": "5"})
    for tier in ("paper", "smoke"):
        assert changed.of_tier(tier)["epochs"] == 3
        assert changed.of_tier(tier)["learning_rate"] == 0.01
        assert changed.of_tier(tier)["selection"] == "last-epoch"
    assert "k" not in changed.parameters
    assert changed.of_tier("smoke")["size"] == one.of_tier("smoke")["size"]
    assert with_settings(one, {"k": "5"}) is one


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"epochs": "many"}, "--set epochs='many': must be a whole number"),
        ({"epochs": "2.5"}, "must be a whole number"),
        ({"momentum": "nan"}, "must be a number"),
        ({"learning_rate": "inf"}, "must be a number"),
    ],
)
def test_a_setting_of_another_kind_is_refused(setting: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        with_settings(METHODS["scratch:resnet18"], setting)


def test_an_unlike_name_has_no_suggestion() -> None:
    with pytest.raises(UsageError, match="no method 'zzz'; `t15 methods`"):
        choose(["zzz"])


def test_packages_add_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = method("plugged")
    plug_in(monkeypatch, Point(lambda: plugged))
    assert methods()["plugged"] is plugged
    assert list(methods()) == [*METHODS, "plugged"]
    assert choose(["plug*"]) == [plugged]
    assert "plugged" not in METHODS


def test_a_package_does_not_replace_a_built_in_method(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, Point(lambda: method("tiny-64+knn")))
    assert methods() == METHODS


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise ImportError("no module named nowhere")

    plug_in(monkeypatch, Point(load, "broken-plug-in"))
    with pytest.raises(T15Error, match="broken-plug-in"):
        methods()


def test_a_package_that_offers_no_method_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, Point(lambda: "no method", "odd-plug-in"))
    with pytest.raises(T15Error, match="odd-plug-in"):
        methods()


def test_networks_that_are_here_are_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"resnet34/imagenet", "mine/ours"}
    stored = weights.Stored(Path("w"), "ab" * 32, "MIT", "page", "ImageNet", "2026-01-01", "00")
    monkeypatch.setattr(weights, "stored", lambda backbone: stored if backbone.name in here else None)
    plugged = [replace(BACKBONES["resnet18/imagenet"], name="mine/ours"), replace(BACKBONES["resnet18"], name="bare")]
    monkeypatch.setattr(
        "collector.plugins.entry_points",
        lambda group: [Point(partial(replace, one), one.name) for one in plugged] if group == "t15.backbones" else (),
    )
    assert {"features:resnet34/imagenet", "features:mine/ours", "scratch:bare"} <= set(registry.listed())
    assert {"features:resnet34/imagenet", "features:mine/ours"} <= set(names(["features:*"]))
    assert names(["knn:*"]) == ["knn:resnet34/imagenet", "knn:mine/ours"]
    for family in ("knn-density", "cells", "vmf", "geoclip-head", "planet", "retrieval", "lee2015"):  # of every family
        assert {f"{family}:resnet34/imagenet", f"{family}:mine/ours"} <= set(names([f"{family}:*"])), family
    assert "features:resnet34/imagenet" not in names(["*"])  # --all stays the paper's rows and those of plug-ins
    for name, one in METHODS.items():
        assert registry.listed()[name] is one  # a row of the paper stays that


def test_patterns_leave_out_what_a_network_cannot_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of timm says nothing of cuts, a convolutional one has no matrices for adapters."""
    here = {"resnet34/imagenet", "tf_efficientnet_lite0/in1k", "vit_small_patch14_dinov2/lvd142m"}
    stored = weights.Stored(Path("w"), "ab" * 32, "MIT", "page", "ImageNet", "2026-01-01", "00")
    monkeypatch.setattr(weights, "stored", lambda backbone: stored if backbone.name in here else None)
    of_paper = {name for name in METHODS if name.startswith("finetune-c:")}
    assert {*names(["finetune-c:*"])} - of_paper == {"finetune-c:resnet34/imagenet"}
    assert names(["finetune-lora:*"]) == ["finetune-lora:vit_small_patch14_dinov2/lvd142m"]
    assert {f"finetune-classifier:{one}" for one in here} <= {*names(["finetune-classifier:*"])}
    assert names(["finetune-c:tf_efficientnet_lite0/in1k"])  # its run says what lacks


def test_damaged_weights_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(backbone: object) -> None:
        raise DataError("damaged")

    monkeypatch.setattr(weights, "stored", damaged)
    assert registry.of_networks_here() == {}
