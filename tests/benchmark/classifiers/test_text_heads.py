"""Heads that begin with text: against slow arithmetic, by hand, and where it is known what the texts are worth."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from benchmark.classifiers.heads import at_temperature, unit
from benchmark.classifiers.text_heads import (
    Hierarchy,
    TipModel,
    fit_clap,
    fit_lp,
    fit_text_probe,
    fit_tip,
    fit_tip_f,
    linear,
    require_text,
)
from benchmark.methods.features import load_classifier
from collector.errors import DataError

C, D, SCALE = 4, 16, 20.0
KINDS = ("informative", "useless", "misleading")


def made(kind: str, count: int = 64, seed: int = 0, spread: float = 0.25) -> tuple[Any, Any, Any]:
    """Return unit vectors around one direction a class, their labels, and texts: at the directions, anywhere, or shifted."""
    draw = np.random.default_rng(seed)
    means = unit(np.random.default_rng(99).normal(size=(C, D)))
    labels = np.arange(count) % C
    vectors = unit(means[labels] + spread * draw.normal(size=(count, D)))
    text = {
        "informative": means,
        "useless": unit(np.random.default_rng(5).normal(size=(C, D))),
        "misleading": np.roll(means, 1, axis=0),
    }[kind]
    return vectors, labels.astype(np.int64), np.ascontiguousarray(text)


def share(head: Any, vectors: Any, labels: Any) -> float:
    return float((head.predict_proba(vectors).argmax(axis=1) == labels).mean())


def test_the_text_alone_by_hand() -> None:
    """Two labels, one photo at 60 degrees to the first and 90 to the second: cosines 1/2 and 0."""
    text = np.array([[1, 0], [0, 1]], np.float32)
    photo = np.array([[0.5, 0.0]], np.float32)
    said = linear(10 * text).predict_proba(photo)
    assert said == pytest.approx(np.array([[1 / (1 + math.exp(-5)), 1 / (1 + math.exp(5))]]), abs=1e-6)
    cooler = at_temperature(linear(10 * text), 5.0).predict_proba(photo)
    assert cooler[0, 0] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)


def test_a_sigmoid_tower_s_bias_changes_no_answer() -> None:
    vectors, _, text = made("informative")
    logits = 112 * vectors @ text.T
    assert np.allclose(softmax(logits - 16.5, axis=1), linear(112 * text).predict_proba(vectors), atol=1e-5)
    # The sigmoid of each label orders them as the softmax does, where it does not saturate.
    sigmoids = 1 / (1 + np.exp(-(logits.astype(np.float64) - 60)))
    assert np.array_equal(sigmoids.argmax(axis=1), linear(112 * text).predict_proba(vectors).argmax(axis=1))


def test_a_hierarchy_by_hand() -> None:
    """Three cities in two countries: the photo is 3 to 1 for the first country, there 4 to 1 for the first city."""
    scores, above = np.log([[4.0, 1.0, 7.0]]), np.log([[3.0, 1.0]])
    whole = Hierarchy(np.diag(scores[0]), np.vstack([np.diag(above[0]), [0, 0]]).T, np.array([0, 0, 1]))
    said = whole.predict_proba(np.ones((1, 3), np.float32))
    assert said[0] == pytest.approx([3 / 4 * 4 / 5, 3 / 4 * 1 / 5, 1 / 4], abs=1e-6)


def slow_tip(photos: Any, text: Any, keys: Any, labels: Any, alpha: float, beta: float) -> Any:
    scores = np.zeros((len(photos), len(text)))
    for i, photo in enumerate(photos):
        for c, name in enumerate(text):
            scores[i, c] = SCALE * photo @ name
            for key, label in zip(keys, labels, strict=True):
                scores[i, c] += alpha * math.exp(-beta * (1 - photo @ key)) * (label == c)
    return scores


def test_tip_is_its_formula_and_its_grid_is_searched_on_validation() -> None:
    vectors, labels, text = made("useless", 24)
    judged, truth, _ = made("useless", 40, seed=1)
    alphas, betas = [0.1, 1.0, 3.0], [0.5, 3.0, 7.0]
    head = fit_tip(vectors, labels, (judged, truth), text, SCALE, alphas, betas)
    right = {
        (a, b): int((slow_tip(judged, text, vectors, labels, a, b).argmax(axis=1) == truth).sum())
        for b, a in itertools.product(betas, alphas)
    }
    assert right[head.alpha, head.beta] == max(right.values())
    slow = slow_tip(judged, text, vectors, labels, head.alpha, head.beta)
    assert np.allclose(head.predict_proba(judged), softmax(slow, axis=1), atol=1e-5)


def test_the_probe_s_gradient_is_nought_where_it_stands() -> None:
    vectors, labels, text = made("useless")
    pull = 0.05
    (head,) = fit_text_probe(vectors, labels, text, SCALE, [pull], 500)
    x, weights = torch.from_numpy(vectors).double(), torch.from_numpy(head.model.weights).double().requires_grad_()
    y = torch.from_numpy(labels)
    change = weights - SCALE * torch.from_numpy(text)
    loss = torch.nn.functional.cross_entropy(x @ weights.T, y) + pull / 2 * change.square().sum()
    loss.backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() < 1e-4


def test_a_strong_pull_leaves_the_text_and_a_weak_one_leaves_it_behind() -> None:
    vectors, labels, text = made("misleading")
    weak, strong = fit_text_probe(vectors, labels, text, SCALE, [1e-6, 1e6], 200)
    assert np.allclose(strong.predict_proba(vectors), linear(SCALE * text).predict_proba(vectors), atol=1e-3)
    assert share(weak, vectors, labels) == 1
    assert share(strong, vectors, labels) == 0


def slow_lp(vectors: Any, labels: Any, text: Any, steps: int) -> Any:
    """LP++ by autograd, weight by weight."""
    x, y, t = torch.from_numpy(vectors).double(), torch.from_numpy(labels), torch.from_numpy(text).double()
    n, shots = len(x), len(x) / len(t)
    weights = torch.stack([x[y == c].mean(dim=0) for c in range(len(t))]).requires_grad_()
    start = 250 / shots * torch.stack([(x[y == c] @ t[c]).mean() for c in range(len(t))]).mean()
    alphas = start.repeat(len(t)).requires_grad_()
    rate = 4 * n / torch.linalg.eigvalsh(x.T @ x).max()
    rate_of_alphas = n / ((x @ t.T).square().sum(dim=0).max() * 4)
    moved = torch.zeros_like(weights)
    for step in range(1, steps + 1):
        loss = torch.nn.functional.cross_entropy(x @ weights.T + alphas * (x @ t.T), y)
        of_weights, of_alphas = torch.autograd.grad(loss, (weights, alphas))
        moved = 0.9 * moved + of_weights
        weights = (weights - rate * moved).detach().requires_grad_()
        if step % 10 == 0:
            alphas = (alphas - rate_of_alphas * of_alphas).detach().requires_grad_()
    return (weights + alphas[:, None] * t).detach().numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_lp_is_what_autograd_does(kind: str) -> None:
    vectors, labels, text = made(kind, 32)
    assert np.allclose(fit_lp(vectors, labels, text, 25).model.weights, slow_lp(vectors, labels, text, 25), atol=1e-2)


def test_clap_s_first_step_by_hand() -> None:
    """One batch, one step: w = t - rate·gradient, with the pull of each class what the text alone gives its own photos."""
    vectors, labels, text = made("useless", 32)
    head = fit_clap(vectors, labels, text, SCALE, 1, 1, 0.05, 0, "cpu")
    w = torch.from_numpy(text).double().requires_grad_()
    scores = SCALE * torch.from_numpy(vectors).double() @ torch.nn.functional.normalize(w).T
    torch.nn.functional.cross_entropy(
        scores, torch.from_numpy(labels)
    ).backward()  # the penalty's slope is 0 at the start
    assert w.grad is not None
    moved = (w - 0.05 * w.grad).detach().numpy()
    assert np.allclose(head.model.weights, SCALE * unit(moved), atol=1e-3)


def test_clap_keeps_a_name_that_tells_and_leaves_one_that_does_not() -> None:
    vectors, labels, text = made("informative", 64, spread=0.7)
    text[[0, 1]] = text[[1, 0]]  # two names exchanged
    weights = fit_clap(vectors, labels, text, SCALE, 300, 600, 0.1, 0, "cpu").model.weights / SCALE
    kept = (weights * text).sum(axis=1)
    assert min(kept[2:]) > max(kept[:2])


FITS: dict[str, Callable[..., Any]] = {
    "text-probe": lambda v, y, judged, t: max(
        fit_text_probe(v, y, t, SCALE, [1, 0.1, 0.01, 0.001, 1e-4], 60), key=lambda one: share(one, *judged)
    ),
    "tip": lambda v, y, judged, t: fit_tip(v, y, judged, t, SCALE, [0.1, 1, 3], [0.1, 3, 7]),
    "tip-f": lambda v, y, judged, t: fit_tip_f(
        v, y, judged, t, SCALE, [0.1, 1, 3], [0.1, 3, 7], 16, 10, 1e-3, 0, "cpu"
    ),
    "lp++": lambda v, y, judged, t: fit_lp(v, y, t, 200),
    "clap": lambda v, y, judged, t: fit_clap(v, y, t, SCALE, 300, 200, 0.1, 0, "cpu"),
}


@pytest.mark.parametrize("name", FITS)
def test_what_texts_are_worth(name: str) -> None:
    """Good names at two photos a class are no worse than names that say nothing; with many photos bad names do not decide."""
    judged, others = made("informative", 80, 7)[:2], made("informative", 200, 8)[:2]
    few = {kind: made(kind, 2 * C) for kind in KINDS}
    many = {kind: made(kind, 30 * C) for kind in KINDS}
    of_few = {kind: share(FITS[name](v, y, judged, t), *others) for kind, (v, y, t) in few.items()}
    of_many = {kind: share(FITS[name](v, y, judged, t), *others) for kind, (v, y, t) in many.items()}
    assert of_few["informative"] >= max(of_few.values()) - 0.02
    assert of_many["informative"] > 0.9
    # Tip-Adapter adds at most α a photo, and the text stays: against one that misleads it may lose. The others unlearn it.
    assert of_many["misleading"] > (0 if name.startswith("tip") else 0.85)


@pytest.mark.parametrize("name", FITS)
def test_a_head_repeats_itself_and_comes_back_from_its_arrays(name: str) -> None:
    vectors, labels, text = made("useless")
    judged = made("useless", 40, 3)[:2]
    head = at_temperature(FITS[name](vectors, labels, judged, text), 2.0)
    again = at_temperature(FITS[name](vectors, labels, judged, text), 2.0)
    said = head.predict_proba(judged[0])
    assert np.array_equal(said, again.predict_proba(judged[0]))
    assert np.allclose(said.sum(axis=1), 1, atol=1e-5)
    kind, spec, arrays = head.save()
    assert np.allclose(load_classifier(kind, spec, arrays, "cpu").predict_proba(judged[0]), said, atol=1e-6)


def test_a_class_without_a_photo_keeps_its_name() -> None:
    vectors, labels, text = made("informative", 63)
    labels = np.where(labels == 3, 2, labels)
    judged = (vectors, labels)
    for name, fit in FITS.items():
        said = fit(vectors, labels, judged, text).predict_proba(vectors)
        assert np.isfinite(said).all(), name
        assert (said[:, 3] > 0).any(), name


def test_the_log_loss_of_a_cooled_head_is_that_of_its_scores() -> None:
    vectors, labels, text = made("useless")
    head = fit_tip(vectors, labels, (vectors, labels), text, SCALE, [1.0], [5.0])
    cooled = head.at_temperature(3.0)
    scores = vectors @ head.text.T + head.alpha * head.votes(vectors, [head.beta])[0]
    assert np.allclose(np.log(cooled.predict_proba(vectors)), log_softmax(scores / 3, axis=1), atol=1e-4)


BAD: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
    ("hierarchy", lambda arrays: arrays.update(parent_of=np.array([0, 0, 2]))),
    ("hierarchy", lambda arrays: arrays.update(parents=np.zeros((2, 9)))),
    ("hierarchy", lambda arrays: arrays.update(children=np.full((3, 2), np.nan))),
    ("tip", lambda arrays: arrays.update(labels=np.array([0, 9]))),
    ("tip", lambda arrays: arrays.update(keys=np.zeros((2, 9), np.float32))),
    ("tip", lambda arrays: arrays.update(text=np.full((3, 2), np.inf))),
]


@pytest.mark.parametrize(("kind", "harm"), BAD)
def test_arrays_that_do_not_fit_are_refused(kind: str, harm: Callable[[dict[str, Any]], None]) -> None:
    head: Any = (
        Hierarchy(np.ones((3, 2)), np.ones((2, 2)), np.array([0, 0, 1]))
        if kind == "hierarchy"
        else TipModel(np.ones((3, 2)), np.ones((2, 2), np.float32), np.array([0, 1]), 1.0, 1.0)
    )
    _, spec, arrays = head.save()
    harm(arrays)
    with pytest.raises(ValueError):  # noqa: PT011 (which of its words does not matter)
        load_classifier(kind, spec, arrays, "cpu")


def test_what_does_not_converge_and_halves_that_do_not_fit_are_said() -> None:
    vectors, labels, text = made("useless")
    with pytest.raises(DataError, match="clap: the head does not converge"):
        fit_clap(vectors * np.float32(1e30), labels, text, SCALE, 5, 50, 1e30, 0, "cpu")
    with pytest.raises(DataError, match="halves do not fit"):
        require_text(text, D + 1)
