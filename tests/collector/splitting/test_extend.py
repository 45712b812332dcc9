"""Growing a data set keeps its promise."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from collector.records import Photo
from collector.splitting.extend import Growth, grow

Edges = set[tuple[int, int]]


def photo(number: int, side: str | None = None) -> Photo:
    return Photo(f"made:{number:02}", "van", split=side)


def components(edges: Edges) -> "Grouper":
    return Grouper(edges)


class Grouper:
    """Groups photos by the links between their numbers."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges

    def __call__(self, photos: Sequence[Photo]) -> Mapping[str, str]:
        number = {int(one.photo_id[5:]): one.photo_id for one in photos}
        group = {n: n for n in number}
        for _ in number:
            for a, b in self.edges:
                if a in group and b in group:
                    group[a] = group[b] = min(group[a], group[b])
        return {photo_id: str(group[n]) for n, photo_id in number.items()}


def grown(sides: Mapping[int, str], new: Sequence[int], edges: Edges) -> Growth:
    return grow([photo(n, side) for n, side in sides.items()], [photo(n) for n in new], [], components(edges))


def test_a_new_photo_goes_with_its_group() -> None:
    growth = grown({0: "train", 1: "test"}, [2, 3], {(0, 2), (1, 3)})
    assert growth.fixed == {"made:00": "train", "made:01": "test"}
    assert (growth.bridges, growth.retired) == ((), ())
    assert [one.photo_id for one in growth.photos] == ["made:00", "made:01", "made:02", "made:03"]


def test_a_new_photo_between_two_sides_is_left_out() -> None:
    growth = grown({0: "train", 1: "test"}, [2, 3], {(0, 2), (2, 1), (1, 3)})
    assert growth.bridges == ("made:02",)
    assert growth.retired == ()


def test_a_chain_of_new_photos_between_two_sides_is_left_out() -> None:
    growth = grown({0: "train", 1: "test"}, [2, 3, 4], {(0, 2), (2, 3), (3, 1)})
    assert growth.bridges == ("made:02", "made:03")
    assert "made:04" in {one.photo_id for one in growth.photos}


def test_earlier_photos_that_turn_out_to_be_linked_are_resolved_towards_test() -> None:
    growth = grown({0: "train", 1: "val", 2: "test", 3: "train"}, [], {(0, 1), (1, 2)})
    assert growth.retired == ("made:00", "made:01")
    assert growth.fixed == {"made:02": "test", "made:03": "train"}


@given(
    sides=st.lists(st.sampled_from(["train", "val", "test"]), min_size=1, max_size=6),
    new=st.integers(0, 5),
    edges=st.sets(st.tuples(st.integers(0, 10), st.integers(0, 10)), max_size=14),
)
def test_no_group_has_earlier_photos_of_two_sides_and_none_changes_its_side(
    sides: list[str], new: int, edges: Edges
) -> None:
    before = dict(enumerate(sides))
    growth = grown(before, range(len(sides), len(sides) + new), edges)
    group_of = components(edges)(growth.photos)
    sides_of: dict[str, set[str]] = {}
    for photo_id, side in growth.fixed.items():
        assert before[int(photo_id[5:])] == side
        sides_of.setdefault(group_of[photo_id], set()).add(side)
    assert all(len(found) == 1 for found in sides_of.values())
    assert all(before[int(one[5:])] != "test" for one in growth.retired)
    everything = {one.photo_id for one in growth.photos} | set(growth.bridges) | set(growth.retired)
    assert len(everything) == len(sides) + new == len(growth.photos) + len(growth.bridges) + len(growth.retired)
