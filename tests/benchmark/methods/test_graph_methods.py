"""What li2010 and cao2013 are made of, against brute force and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from benchmark.local.graph import Tracks
from benchmark.local.keypoints import Features
from benchmark.methods.cao2013 import diversified, learnt_plane, platt
from benchmark.methods.li2010 import PrioritisedMatching
from benchmark.photos import given_photos


def world(tracks: int = 300, photos: int = 12) -> tuple[Tracks, Features]:
    random = np.random.default_rng(0)
    seen = sparse.csr_array((random.random((tracks, photos)) < 0.3).astype(float))
    descriptors = random.integers(0, 120, (tracks, 128)).astype(np.uint8)
    query = np.concatenate([descriptors[::5], random.integers(0, 120, (40, 128)).astype(np.uint8)])
    return Tracks(seen, descriptors), Features(query, np.zeros((len(query), 4), np.float32))


def test_without_an_end_all_tracks_in_the_query_are_found() -> None:
    tracks, query = world()
    search = PrioritisedMatching(tracks, np.zeros(300, bool), 0.7, 10.0, 10_000, 10_000)
    found = search.search(query)
    assert sorted(found[:, 0].tolist()) == list(range(0, 300, 5))
    assert np.array_equal(query.descriptors[found[:, 1]], tracks.descriptors[found[:, 0]])
    scores = search.scores(given_photos([Image.new("RGB", (8, 8))]), [query])[0]
    hits = tracks.seen.toarray()[::5].sum(axis=0)
    assert scores == pytest.approx(hits / np.sqrt(tracks.seen.toarray().sum(axis=0)))


def test_the_search_ends_and_begins_with_the_seed() -> None:
    tracks, query = world()
    seed = np.zeros(300, bool)
    seed[[5, 10, 11]] = True
    search = PrioritisedMatching(tracks, seed, 0.7, 10.0, 3, 10_000)
    assert len(search.search(query)) == 3
    few = PrioritisedMatching(tracks, seed, 0.7, 10.0, 100, 3)
    assert few.search(query)[:, 0].tolist() == [5, 10]
    assert len(search.search(Features(np.empty((0, 128), np.uint8), np.empty((0, 4), np.float32)))) == 0


def test_what_is_seen_together_with_a_hit_comes_sooner() -> None:
    """Two rooms that share no photo; the query shows the second, whose tracks fewer photos see."""
    random = np.random.default_rng(1)
    descriptors = random.integers(0, 120, (400, 128)).astype(np.uint8)
    seen = np.zeros((400, 8))
    seen[:300, :5] = 1
    seen[300:, 5:] = 1
    query = Features(descriptors[300:], np.zeros((100, 4), np.float32))
    seed = np.zeros(400, bool)
    seed[300] = True
    tracks = Tracks(sparse.csr_array(seen), descriptors)
    assert len(PrioritisedMatching(tracks, seed, 0.7, 1000.0, 400, 192).search(query)) > 90
    assert len(PrioritisedMatching(tracks, seed, 0.7, 0.0, 400, 192).search(query)) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_re_ranking_permutes(values: list[float], share: float, diversity: float, seed: int) -> None:
    scores = np.array(values)
    size = len(scores)
    upper = np.triu(np.random.default_rng(seed).random((size, size)) < share, 1)
    dealt = diversified(scores, sparse.csr_array((upper | upper.T).astype(float)), diversity)
    assert sorted(dealt.tolist()) == sorted(scores.tolist())
    assert dealt.argmax() == scores.argmax() or dealt.max() == dealt[scores.argmax()]
    if not diversity:
        assert np.array_equal(dealt, scores)


def test_what_is_linked_to_the_first_falls_behind() -> None:
    scores = np.array([0.9, 0.8, 0.7])
    links = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], float))
    assert diversified(scores, links, 1.0).tolist() == [0.9, 0.7, 0.8]
    assert diversified(scores, sparse.csr_array((3, 3)), 1.0).tolist() == scores.tolist()


def test_platt_is_a_logistic_regression_on_softened_targets() -> None:
    random = np.random.default_rng(0)
    distances = np.concatenate([random.normal(1, 1, 60), random.normal(-1, 1, 140)])
    inside = np.arange(200) < 60
    slope, constant = platt(distances, inside)
    wanted = np.where(inside, 61 / 62, 1 / 142)
    oracle = LogisticRegression(C=1e6, tol=1e-10).fit(
        np.tile(distances, 2)[:, None], np.repeat([1, 0], 200), sample_weight=np.concatenate([wanted, 1 - wanted])
    )
    assert slope == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert constant == pytest.approx(oracle.intercept_[0], abs=1e-3)
    assert platt(-distances, inside)[0] == 0


def test_a_neighbourhood_is_told_from_strangers() -> None:
    random = np.random.default_rng(0)
    bags = random.random((40, 30)) * (random.random((40, 30)) < 0.3)
    bags[:6, :5] += 1
    bags /= np.linalg.norm(bags, axis=1, keepdims=True)
    plane, offset = learnt_plane(sparse.csr_array(bags), np.arange(6), np.arange(6, 40), 1.0, 0)
    chances = expit(bags @ plane + offset)
    assert chances[:6].min() > chances[6:].max()
    assert learnt_plane(sparse.csr_array(bags), np.arange(1), np.arange(6, 40), 1.0, 0)[0].max() > 0
