"""What is said of photos by their ids: as a dict says it, in whatever order it is asked."""

import random

import numpy as np
import pytest

from collector.splitting import by_photo
from collector.splitting.by_photo import ByPhoto, Positions


@pytest.mark.parametrize("count", [0, 1, 3, 4, 50])
def test_positions_are_those_of_a_dict(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_photo, "_BLOCK", 4)
    ids = sorted(f"p:{2 * n:03d}" for n in range(count))
    positions = Positions(ids)
    expected = {photo_id: at for at, photo_id in enumerate(ids)}
    assert dict(positions) == expected
    assert list(map(positions.__getitem__, ids)) == list(range(count))
    mixed = random.Random(0).sample(ids, count)
    assert [positions[photo_id] for photo_id in mixed] == [expected[photo_id] for photo_id in mixed]
    for other in ("", "p:001", "p:007", "z", *(f"p:{2 * n + 1:03d}" for n in range(count))):
        with pytest.raises(KeyError):
            positions[other]
        assert other not in positions


def test_texts_by_photo() -> None:
    said = ByPhoto(Positions(["a", "b", "c"]), np.array([1, -1, 0]), ["no", "yes"])
    assert dict(said) == {"a": "yes", "c": "no"}
    assert len(said) == 2
    assert said.get("b") is None
