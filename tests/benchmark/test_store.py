"""Arrays by digest: what comes back is always whole and right, whatever happened to writers, files and folders."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark import store as store_module
from benchmark.store import ArrayStore

Shape = tuple[int, ...]

KEY = {"what": "numbers", "version": 1, "parameters": {"norm": "L1"}}
RECORD = store_module._RECORD.itemsize


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def value(number: int, shape: Shape, dtype: Any) -> NDArray[Any]:
    """Return the array that belongs to a number: bytes that no other number has, and of no other shape."""
    return np.random.default_rng([number, *shape]).integers(1, 100, shape).astype(dtype)


def values(numbers: Iterable[int], shape: Shape = (3,), dtype: Any = np.float32) -> Iterator[tuple[str, NDArray[Any]]]:
    return ((digest(number), value(number, shape, dtype)) for number in numbers)


def opened(root: Path, dtype: Any = np.float32, **changes: Any) -> ArrayStore:
    return ArrayStore(root, {**KEY, **changes}, np.dtype(dtype))


def digests(numbers: Iterable[int]) -> list[str]:
    return [digest(number) for number in numbers]


def is_whole(store: ArrayStore, numbers: Sequence[int], shape: Shape = (3,)) -> bool:
    """Return whether the store has exactly these, each with its own array."""
    assert store.missing(digests(numbers)) == []
    found = store.each(digests(numbers))
    return all(
        np.array_equal(array, value(number, shape, store.dtype)) for number, array in zip(numbers, found, strict=True)
    )


def entered(store: ArrayStore) -> list[str]:
    """Return the digests in the index, in its order."""
    raw = (store.folder / "index.bin").read_bytes()
    assert len(raw) % RECORD == 0
    return [record["digest"].tobytes().hex() for record in np.frombuffer(raw, dtype=store_module._RECORD)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 5), (3, 4, 5)])
def test_what_is_added_comes_back(tmp_path: Path, dtype: Any, shape: Shape) -> None:
    opened(tmp_path, dtype).add(values(range(5), shape, dtype))
    store = opened(tmp_path, dtype)
    assert store.missing(digests(range(7))) == [5, 6]
    stacked = store.stacked(digests(range(5)))
    assert stacked.dtype == dtype
    assert stacked.shape == (5, *shape)
    assert np.array_equal(stacked, [value(number, shape, dtype) for number in range(5)])
    assert is_whole(store, range(5), shape)


def test_arrays_of_several_shapes_keep_their_own(tmp_path: Path) -> None:
    shapes = [(4,), (2, 3), (3, 2), (1, 1, 5), (5, 1, 1), (6,)]
    store = opened(tmp_path)
    store.add((digest(i), value(i, shape, np.float32)) for i, shape in enumerate(shapes))
    for reader in (store, opened(tmp_path)):
        assert reader.missing(digests(range(len(shapes)))) == []
        for i, (shape, found) in enumerate(zip(shapes, reader.each(digests(range(len(shapes)))), strict=True)):
            assert np.array_equal(found, value(i, shape, np.float32))


def test_arrays_of_another_type_are_converted(tmp_path: Path) -> None:
    store = opened(tmp_path, np.float32)
    store.add(values(range(4), (3,), np.float64))
    store.add(values(range(4, 6), (3,), np.uint8))
    store.add(values(range(6, 9), (3,), np.float32))
    for reader in (store, opened(tmp_path, np.float32)):
        assert is_whole(reader, range(9))


def test_arrays_that_do_not_lie_in_one_piece_are_kept_by_value(tmp_path: Path) -> None:
    turned, strided = np.arange(6, dtype=np.float32).reshape(2, 3).T, np.arange(12, dtype=np.float32)[::2]
    store = opened(tmp_path)
    store.add([(digest(0), turned), (digest(1), strided)])
    assert np.array_equal(store.each([digest(0)])[0], turned)
    assert np.array_equal(store.each([digest(1)])[0], strided)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1, 1, 1), (2, 2, 2, 2)])
def test_what_a_record_cannot_describe_is_refused(tmp_path: Path, shape: Shape) -> None:
    store = opened(tmp_path)
    with pytest.raises(ValueError, match="dimension"):
        store.add([(digest(0), np.ones(shape, np.float32))])
    assert opened(tmp_path).missing([digest(0)]) == [0]


def test_the_order_in_which_they_lie_is_a_view_and_any_other_a_copy(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add(values(range(6)))
    for numbers, is_view in [
        (range(6), True),
        (range(2, 5), True),
        ([4], True),
        ([1, 0], False),
        ([0, 2, 4], False),
        ([0, 1, 1, 2], False),
        ([3, 3], False),
    ]:
        stacked = store.stacked(digests(numbers))
        assert np.array_equal(stacked, [value(number, (3,), np.float32) for number in numbers])
        assert (not stacked.flags.owndata) == is_view
        assert stacked.flags.writeable != is_view


def test_large_copies_are_mapped_to_a_file_that_goes_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    store.add(values(range(6)))
    files = sorted(store.folder.iterdir())
    monkeypatch.setattr(store_module, "MOST_IN_MEMORY", 20)  # one array and a half
    stacked = store.stacked(digests([4, 1, 1, 5]))
    assert isinstance(stacked, np.memmap)
    assert sorted(store.folder.iterdir()) == files
    shutil.rmtree(tmp_path)
    assert np.array_equal(stacked, [value(number, (3,), np.float32) for number in (4, 1, 1, 5)])


def test_views_cannot_be_written_to(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add(values(range(2)))
    for view in (store.stacked(digests(range(2))), store.each([digest(0)])[0]):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0


def test_a_store_that_was_just_opened_finds_everything_without_being_asked_what_is_missing(tmp_path: Path) -> None:
    opened(tmp_path).add(values(range(3)))
    assert np.array_equal(opened(tmp_path).stacked(digests([2]))[0], value(2, (3,), np.float32))
    assert np.array_equal(opened(tmp_path).each(digests([1]))[0], value(1, (3,), np.float32))


def test_a_store_sees_what_another_added_since(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.add(values(range(3)))
    assert second.missing(digests(range(4))) == [3]
    second.add(values(range(2, 5)))
    assert first.missing(digests(range(6))) == [5]
    assert is_whole(first, range(5))
    second.add(values([9]))
    assert np.array_equal(first.stacked(digests([9]))[0], value(9, (3,), np.float32))


def test_a_digest_is_kept_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add([*values([0, 1, 0]), (digest(1), np.zeros(3, np.float32))])
    store.add(values([1, 2]))
    opened(tmp_path).add(values([2, 0]))
    assert entered(store) == digests([0, 1, 2])
    assert (store.folder / "arrays.bin").stat().st_size == 3 * 3 * 4
    assert is_whole(opened(tmp_path), range(3))


def test_of_equal_digests_the_first_is_missing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add(values([1]))
    assert store.missing(digests([5, 1, 3, 5, 3, 1, 0])) == [0, 2, 6]


def test_nothing_is_nothing(tmp_path: Path) -> None:
    for store in (opened(tmp_path / "never-written"), opened(tmp_path)):
        assert store.missing([]) == []
        assert store.each([]) == []
    store.add([])
    assert store.missing(digests([0])) == [0]
    assert store.each([]) == []
    store.add(values([0]))
    assert store.missing(digests([0])) == []
    assert store.each([]) == []


def test_looking_makes_no_files(tmp_path: Path) -> None:
    assert opened(tmp_path / "root").missing(digests(range(3))) == [0, 1, 2]
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("added", [None, [], [0]], ids=["never written", "empty", "one"])
def test_what_is_not_there_is_a_key_error(tmp_path: Path, added: list[int] | None) -> None:
    if added is not None:
        opened(tmp_path).add(values(added))
    with pytest.raises(KeyError):
        opened(tmp_path).stacked([digest(7)])
    with pytest.raises(KeyError):
        opened(tmp_path).each([digest(7)])


@pytest.mark.parametrize("change", [{"what": "x"}, {"version": 2}, {"parameters": {"norm": "L2"}}, {"new": None}])
def test_another_key_is_another_store(tmp_path: Path, change: dict[str, Any]) -> None:
    store, other = opened(tmp_path), opened(tmp_path, **change)
    store.add(values([0]))
    assert other.folder != store.folder
    assert other.folder.parent == store.folder.parent == tmp_path
    assert other.missing([digest(0)]) == [0]


def test_another_dtype_is_another_store(tmp_path: Path) -> None:
    folders = {opened(tmp_path, dtype).folder for dtype in (np.uint8, np.float16, np.float32, ">f4", np.int32)}
    assert len(folders) == 5


def test_the_order_of_a_keys_fields_does_not_matter(tmp_path: Path) -> None:
    turned = ArrayStore(tmp_path, dict(reversed(KEY.items())), np.dtype(np.float32))
    assert turned.folder == opened(tmp_path).folder


def test_the_key_can_be_read_beside_the_arrays(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add(values([0]))
    assert json.loads((store.folder / "key.json").read_text("utf-8")) == [KEY, "<f4"]


class BrokenError(Exception):
    """What a source of arrays raises."""


def breaking(numbers: Iterable[int], shape: Shape = (3,)) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from values(numbers, shape)
    raise BrokenError


@pytest.mark.parametrize("flush_bytes", [1, 40, 1 << 20])
def test_a_source_that_fails_halfway_leaves_only_whole_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush_bytes: int
) -> None:
    monkeypatch.setattr(store_module, "FLUSH_BYTES", flush_bytes)
    store = opened(tmp_path)
    store.add(values(range(2)))
    with pytest.raises(BrokenError):
        store.add(breaking(range(2, 9)))
    for reader in (opened(tmp_path), store):
        missing = reader.missing(digests(range(12)))
        assert set(missing) == {n for n in range(12) if digest(n) not in entered(store)}
        assert is_whole(reader, [number for number in range(12) if number not in missing])
    store.add(values(range(12)))
    assert is_whole(store, range(12))
    assert is_whole(opened(tmp_path), range(12))
    assert sorted(entered(store)) == sorted(digests(range(12)))


def test_what_was_entered_before_a_failure_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FLUSH_BYTES", 24)  # two arrays
    with pytest.raises(BrokenError):
        opened(tmp_path).add(breaking(range(5)))
    assert set(opened(tmp_path).missing(digests(range(5)))) <= {4}


def test_what_takes_long_is_entered_while_more_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, seen = [0.0], list[int]()
    monkeypatch.setattr(store_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow() -> Iterator[tuple[str, NDArray[Any]]]:
        for item, seconds in zip(values(range(5)), (9.0, 0.5, 0.5, 9.0, 30.0), strict=True):
            now[0] += seconds
            yield item
            seen.append(len(entered(opened(tmp_path))))

    opened(tmp_path).add(slow())
    assert seen == [0, 0, 3, 3, 5]  # ten seconds after the beginning, and ten after that
    assert is_whole(opened(tmp_path), range(5))


def test_a_full_disk_leaves_only_whole_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(store_module, "FLUSH_BYTES", 4000)
    store = opened(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_001, before[1]))  # no file may grow beyond this
        with pytest.raises(OSError, match="too large"):
            store.add(values(range(60), (100,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    for reader in (opened(tmp_path), store):
        missing = reader.missing(digests(range(60)))
        assert missing == list(range(missing[0], 60))
        assert 20 <= missing[0] <= 25
        assert is_whole(reader, range(missing[0]), (100,))
    store.add(values(range(60), (100,)))
    assert is_whole(opened(tmp_path), range(60), (100,))
    assert is_whole(store, range(60), (100,))


# The processes below draw their arrays as `value` does, so that this one can tell whether what it reads is right.
_PROGRAM = """
import os, signal, sys
from pathlib import Path
import numpy as np
from benchmark import store as store_module
from tests.benchmark.test_store import digest, opened, value

root, first, last, length, flush, killed_at = Path(sys.argv[1]), *map(int, sys.argv[2:])
store_module.FLUSH_BYTES = flush

def arrays():
    for number in range(first, last):
        if number == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        print(number, flush=True)
        yield digest(number), value(number, (length,), np.float32)

opened(root).add(arrays())
"""


def start_writer(
    root: Path, numbers: range, length: int = 3, flush: int = 1 << 20, killed_at: int = -1
) -> subprocess.Popen[str]:
    """Start a process that adds arrays of so many values, and says which it is about to add."""
    arguments = [str(argument) for argument in (root, numbers.start, numbers.stop, length, flush, killed_at)]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    ("length", "flush"),
    [(3, 1 << 20), (3, 24), (5000, 50_000), (777, 1)],
    ids=["all in a buffer", "small and often", "larger than the buffer", "each"],
)
def test_a_writer_that_kills_itself_leaves_only_whole_arrays(tmp_path: Path, length: int, flush: int) -> None:
    shape = (length,)
    opened(tmp_path).add(values([0, 1], shape))
    with start_writer(tmp_path, range(2, 40), length, flush, killed_at=30) as writer:
        writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    store = opened(tmp_path)
    missing = store.missing(digests(range(40)))
    assert missing == list(range(missing[0], 40))
    assert missing[0] == (2 if flush == 1 << 20 else pytest.approx(30, abs=3))
    assert is_whole(store, range(missing[0]), shape)
    store.add(values(range(40), shape))
    assert is_whole(store, range(40), shape)
    assert is_whole(opened(tmp_path), range(40), shape)
    assert entered(store) == digests(range(40))
    assert (store.folder / "arrays.bin").stat().st_size == 40 * length * 4


def test_a_writer_that_is_killed_at_any_time_leaves_only_whole_arrays(tmp_path: Path) -> None:
    for seen in (1, 57):
        with start_writer(tmp_path, range(100_000), 501, flush=3000) as writer:
            assert writer.stdout is not None
            for _ in range(seen):
                writer.stdout.readline()
            writer.kill()
        store = opened(tmp_path)
        missing = set(store.missing(digests(range(2000))))
        assert is_whole(store, [number for number in range(2000) if number not in missing], (501,))
    store.add(values(range(100), (501,)))
    assert is_whole(opened(tmp_path), range(100), (501,))
    assert len(set(entered(store))) == len(entered(store))


def test_two_writers_at_once_lose_nothing_and_keep_nothing_twice(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, numbers, 100, flush=2000) for numbers in (range(60), range(30, 90))]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    store = opened(tmp_path)
    assert is_whole(store, range(90), (100,))
    assert sorted(entered(store)) == sorted(digests(range(90)))
    assert (store.folder / "arrays.bin").stat().st_size == 90 * 100 * 4


def test_a_reader_beside_a_writer_sees_only_whole_arrays(tmp_path: Path) -> None:
    reader = opened(tmp_path)
    with start_writer(tmp_path, range(400), 333, flush=1) as writer:
        looks = 0
        while writer.poll() is None or looks == 0:
            looks += 1
            missing = reader.missing(digests(range(400)))
            known = range(400 - len(missing))
            assert missing == list(range(len(known), 400))
            assert is_whole(reader, known[-5:], (333,))
        assert writer.stdout is not None
        writer.stdout.read()
    assert is_whole(reader, range(400), (333,))


@settings(max_examples=60)
@given(st.data())
def test_files_that_were_cut_anywhere_lose_their_end_and_nothing_else(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    dtype = data.draw(st.sampled_from([np.uint8, np.float32, np.float64]))
    shape = data.draw(st.sampled_from([(1,), (5,), (2, 3)]))
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with TemporaryDirectory() as folder:
        store = opened(Path(folder), dtype)
        store.add(values(range(count), shape, dtype))
        kept = count
        for name, item in (("index.bin", RECORD), ("arrays.bin", size)):
            length = data.draw(st.one_of(st.just(count * item), st.integers(0, count * item)), label=name)
            os.truncate(store.folder / name, length)
            kept = min(kept, length // item)
        cut = opened(Path(folder), dtype)
        assert cut.missing(digests(range(count + 2))) == list(range(kept, count + 2))
        assert is_whole(cut, range(kept), shape)
        cut.add(values(range(count, count + 2), shape, dtype))
        cut.add(values(range(count), shape, dtype))
        for reader in (cut, opened(Path(folder), dtype)):
            assert is_whole(reader, range(count + 2), shape)
        assert len(set(entered(cut))) == len(entered(cut)) == count + 2


@pytest.mark.parametrize("gone", ["index.bin", "arrays.bin", "key.json", "lock", ""], ids=lambda gone: gone or "all")
def test_files_that_are_gone_are_made_again(tmp_path: Path, gone: str) -> None:
    store = opened(tmp_path)
    store.add(values(range(3)))
    shutil.rmtree(store.folder) if not gone else (store.folder / gone).unlink()
    fresh = opened(tmp_path)
    assert fresh.missing(digests(range(3))) == ([] if gone in ("key.json", "lock") else [0, 1, 2])
    fresh.add(values(range(4)))
    for reader in (fresh, opened(tmp_path)):
        assert is_whole(reader, range(4))
    assert json.loads((store.folder / "key.json").read_text("utf-8")) == [KEY, "<f4"]


def test_an_open_store_notices_that_its_folder_was_deleted(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add(values(range(3)))
    view = store.stacked(digests(range(3)))
    shutil.rmtree(tmp_path)
    assert np.array_equal(view[1], value(1, (3,), np.float32))
    assert store.missing(digests(range(3))) == [0, 1, 2]
    with pytest.raises(KeyError):
        store.stacked(digests(range(3)))
    store.add(values([2, 0]))
    assert store.missing(digests(range(3))) == [1]
    assert is_whole(store, [0, 2])
    assert is_whole(opened(tmp_path), [2, 0])
    assert np.array_equal(view[1], value(1, (3,), np.float32))


@pytest.mark.parametrize("order", [[0], [2], [1, 0, 2], [0, 2, 1], [2, 1, 0], [4, 3, 2, 1, 0], [3, 4, 5, 6]], ids=str)
def test_an_open_store_notices_that_its_folder_was_deleted_and_made_anew(tmp_path: Path, order: list[int]) -> None:
    store = opened(tmp_path)
    store.add(values(range(3)))
    shutil.rmtree(tmp_path)
    opened(tmp_path).add(values(order))  # by another process, as it were
    assert is_whole(store, order)
    assert set(store.missing(digests(range(9)))) == set(range(9)) - set(order)
    store.add(values(range(9)))
    assert is_whole(store, range(9))
    assert is_whole(opened(tmp_path), range(9))


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.integers(0, 11), max_size=5)),
        st.tuples(st.just("reopen"), st.just([])),
        st.tuples(st.just("other"), st.lists(st.integers(0, 11), max_size=5)),
        st.tuples(st.just("break"), st.lists(st.integers(0, 11), max_size=3)),
    ),
    max_size=8,
)


@given(_STEPS, st.sampled_from([1, 20, 1 << 20]), st.lists(st.integers(0, 11), min_size=1, max_size=6))
def test_any_sequence_of_adding_and_opening_keeps_everything(
    steps: list[tuple[str, list[int]]], flush_bytes: int, asked: list[int]
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "FLUSH_BYTES", flush_bytes)
        store, known = opened(Path(folder)), set[int]()
        for step, numbers in steps:
            if step == "reopen":
                store = opened(Path(folder))
            elif step == "break":
                with pytest.raises(BrokenError):
                    store.add(breaking(numbers))
                rest = store.missing(digests(numbers))
                known |= {number for position, number in enumerate(numbers) if position not in rest} - {
                    numbers[position] for position in rest
                }
            else:
                (store if step == "add" else opened(Path(folder))).add(values(numbers))
                known |= set(numbers)
        for reader in (store, opened(Path(folder))):
            missing = reader.missing(digests(range(12)))
            assert set(missing) == set(range(12)) - known
            assert is_whole(reader, sorted(known))
            there = [number for number in asked if number in known]
            if there:
                stacked = reader.stacked(digests(there))
                assert np.array_equal(stacked, [value(number, (3,), np.float32) for number in there])
