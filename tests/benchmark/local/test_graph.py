"""The graph of verified pairs: the cover covers, the dominating set dominates, tracks hold one feature of a photo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from benchmark.local.graph import PhotoGraph, candidate_pairs, dominating_set, k_cover, tracks_of
from benchmark.local.keypoints import Features


def random_links(size: int, share: float, seed: int) -> sparse.csr_array:
    upper = np.triu(np.random.default_rng(seed).random((size, size)) < share, 1)
    return sparse.csr_array((upper | upper.T).astype(float))


@given(size=st.integers(1, 25), share=st.floats(0, 1), seed=st.integers(0, 1000), most=st.integers(1, 30))
def test_the_dominating_set_dominates(size: int, share: float, seed: int, most: int) -> None:
    links = random_links(size, share, seed)
    chosen = dominating_set(links, most)
    assert set(np.concatenate(chosen).tolist()) == set(range(size))
    for around in chosen:
        assert len(around) <= most
        assert all(links[around[0], other] for other in around[1:].tolist())
    assert len({int(around[0]) for around in chosen}) == len(chosen)


@given(tracks=st.integers(0, 30), photos=st.integers(1, 8), k=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_k_cover_covers(tracks: int, photos: int, k: int, seed: int) -> None:
    seen = np.random.default_rng(seed).random((tracks, photos)) < 0.3
    chosen = k_cover(sparse.csr_array(seen.astype(float)), k)
    assert len(set(chosen.tolist())) == len(chosen)
    has, covered = seen.sum(axis=0), seen[chosen].sum(axis=0)
    assert (covered >= np.minimum(k, has)).all()
    # No track was chosen that helped nobody when its turn came.
    for turn, track in enumerate(chosen.tolist()):
        assert (seen[chosen[:turn]].sum(axis=0)[seen[track]] < k).any()


def features(count: int, value: int) -> Features:
    random = np.random.default_rng(value)
    descriptors = random.integers(0, 90, (count, 128)).astype(np.uint8)
    return Features(descriptors, random.random((count, 4)).astype(np.float32), f"{value:064x}")


def test_tracks_are_what_pairs_link_and_one_feature_of_each_photo() -> None:
    photos = [features(4, value) for value in range(3)]
    inliers = [np.array([[0, 0], [1, 1]], np.int32), np.array([[0, 2], [1, 3]], np.int32), np.array([[1, 0]], np.int32)]
    # Photo 0's feature 1, photo 1's feature 1 and photo 2's features 0 and 3 hang together: two of one photo, thrown out.
    graph = PhotoGraph(3, np.array([[0, 1], [1, 2], [1, 2]]), [inliers[0], inliers[1], inliers[2]])
    tracks = tracks_of(photos, graph, 0)
    assert tracks.seen.toarray().tolist() == [[1, 1, 1]]
    mean = photos[0].descriptors[0].astype(float) + photos[1].descriptors[0] + photos[2].descriptors[2]
    cosine = (
        float(mean @ tracks.descriptors[0]) / np.linalg.norm(mean) / np.linalg.norm(tracks.descriptors[0].astype(float))
    )
    assert cosine > 0.999
    more = tracks_of(photos, graph, 2)
    assert more.seen.sum(axis=0).tolist() == [2, 2, 2]
    assert (more.seen.sum(axis=1) >= 1).all()
    assert len(tracks_of([features(0, 5)], PhotoGraph(1, np.empty((0, 2), np.int64), []), 3)) == 0


def test_jaccard_and_neighbours() -> None:
    graph = PhotoGraph(3, np.array([[0, 1], [0, 2]]), [np.array([[0, 0], [1, 1]]), np.array([[1, 4]])])
    assert graph.jaccard().tolist() == [2 / 2, 1 / 2]
    assert graph.neighbours().toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_candidates_are_the_likest_within_reach() -> None:
    likeness = np.array([[1, 0.9, 0.1, 0.5], [0.9, 1, 0.2, 0.3], [0.1, 0.2, 1, 0.6], [0.5, 0.3, 0.6, 1]])
    places = np.array([[0, 0], [0, 0.5], [0, 0], [np.nan, np.nan]])
    assert candidate_pairs(likeness, places, 1, 100).tolist() == [[0, 3], [1, 3], [2, 3]]
    assert candidate_pairs(likeness, places, 1, 1e6).tolist() == [[0, 1], [2, 3]]
    assert candidate_pairs(likeness[:1, :1], places[:1], 1, 100).tolist() == []
    assert candidate_pairs(likeness, places, 9, 1e6).tolist() == [[a, b] for a in range(4) for b in range(a + 1, 4)]


@pytest.mark.parametrize("size", [1, 2])
def test_photos_that_nothing_links(size: int) -> None:
    assert [one.tolist() for one in dominating_set(sparse.csr_array((size, size)), 5)] == [[row] for row in range(size)]
