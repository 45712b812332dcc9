"""Every way to work on many photos gives what a loop gives: in order, one bad photo one row, resumed where it stopped."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from collector.executors.local import WORKER_DIED, Fault, Processes, Serial, Threads, Work, map_in_order
from collector.executors.photos import MISSING, map_photos
from collector.workspace import Workspace

WAYS = [Serial(), Threads(), Processes(workers=2, many=1)]


class OddError(Exception):
    """Pickles, and cannot be unpickled."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    for number in range(20):
        path = workspace.photo(digest(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]))
    return workspace


def digest(number: int) -> str:
    return f"{number:064x}"


def value(path: Path) -> int:
    number = path.read_bytes()[0]
    if number == 7:
        raise OddError("this", "that\nin two lines")
    return number**2


def killed(signs: Path, number: int) -> int:
    """Die of number 2 always, and of number 0 once."""
    sign = signs / str(number)
    if number == 2 or (number == 0 and not sign.exists()):
        sign.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("work", WAYS, ids=lambda work: type(work).__name__)
def test_all_ways_give_the_same_in_order(workspace: Workspace, work: Work) -> None:
    workspace.photo(digest(4)).unlink()
    digests = [digest(number) for number in range(20)]
    found = list(map_photos(value, digests, workspace, work, holds_gil=True))
    expected = [number**2 for number in range(20)]
    assert [of for number, of in enumerate(found) if number not in (4, 7)] == expected[:4] + expected[5:7] + expected[
        8:
    ]
    missing, odd = found[4], found[7]
    assert isinstance(missing, Fault)
    assert isinstance(odd, Fault)
    assert missing.reason == MISSING
    assert odd.reason == "this and that in two lines"


def test_progress_counts_photos(workspace: Workspace) -> None:
    told: list[tuple[str, int | None, int]] = []

    def track(items: Iterator[object], description: str, total: int | None = None) -> Iterator[object]:
        done = list(items)
        told.append((description, total, len(done)))
        yield from done

    list(map_photos(value, [digest(1)] * 3, workspace, track=track, doing="squaring"))  # type: ignore[arg-type]
    assert told == [("squaring", 3, 3)]


@pytest.mark.slow
def test_a_photo_that_kills_its_process_is_one_row_and_a_lost_process_none(tmp_path: Path) -> None:
    found = list(Processes(workers=2, many=1).outcomes(partial(killed, tmp_path), range(4), at_once=4, holds_gil=True))
    assert [of for of in found if not isinstance(of, Fault)] == [0, 1, 3]
    assert found[2] == Fault(WORKER_DIED)


def test_few_things_and_what_releases_the_lock_need_no_processes() -> None:
    assert list(Processes(workers=2).outcomes(lambda n: n + 1, range(3), holds_gil=True)) == [1, 2, 3]
    assert list(Processes(workers=2, many=1).outcomes(lambda n: n + 1, range(3))) == [1, 2, 3]  # no lambda can be sent


def test_leaving_early_does_no_more_than_was_under_way() -> None:
    begun: list[int] = []
    results = map_in_order(lambda n: begun.append(n) or n, range(1000), at_once=4)  # type: ignore[func-returns-value]
    assert [next(results), next(results)] == [0, 1]
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 8


def test_what_the_function_raises_is_raised_in_its_turn() -> None:
    results = map_in_order(lambda n: 1 // (n - 2), range(5))
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
