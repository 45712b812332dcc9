"""Train networks by a recipe: one run, or several side by side."""

import logging
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from benchmark.networks.inference import Epoch, TrainedNetwork, load_network
from benchmark.networks.recipe import ENGINES, Recipe
from benchmark.networks.train_run import DivergedError, Job, SharedPhotos, TrainingRun
from benchmark.photos import LabelledPhotos
from collector.errors import UsageError
from collector.progress import Track, silent
from collector.workspace import is_storage_fault

__all__ = [
    "DivergedError",
    "Epoch",
    "Job",
    "TrainedNetwork",
    "load_network",
    "train",
    "train_many",
]

log = logging.getLogger("t15")

_SIDE_BY_SIDE = 12
"""Runs at once on a GPU, where memory has room: one thread of Python launches the steps of all."""

_NO_MEMORY = ("out of memory", "ALLOC_FAILED")
"""How the allocator (OutOfMemoryError), CUDA itself (AcceleratorError), cuBLAS and cuDNN say that memory ran out."""

_ROOM = 1.5  # times the memory that a run took: what has to be free for another


def train(
    training: LabelledPhotos,
    validation: LabelledPhotos,
    seed: int,
    device: str,
    recipe: Recipe,
    weights: Mapping[str, Tensor] | None = None,
    engine: str = "fast",
    checkpoint: Path | None = None,
    track: Track = silent,
    precision: str = "",
) -> TrainedNetwork:
    """Train a network and return that of the selected epoch.

    Every random choice comes from `seed`; the same seed on the same CPU build gives the same network, resumed or not.

    Args:
        training: what it learns from.
        validation: what the epoch is selected by.
        seed: of everything random.
        device: `cpu` or `cuda`.
        recipe: how.
        weights: state of the pre-trained network with its own classifier, which is replaced; None for random ones.
        engine: one of ENGINES.
        checkpoint: file that keeps the run while it goes on, so that a killed one is resumed; removed at its end.
        track: shows progress.
        precision: of the fast engine, `float32` or `bf16`; empty for the best that the device has.

    Raises:
        DivergedError: the loss became infinite or no number.
        DataError: the weights are another network's, or photos do not decode.
        UsageError: the recipe cannot be carried out with this data, or there is no such engine.
    """
    _require_engine(engine)
    run = TrainingRun(
        Job(seed, recipe, weights, checkpoint, precision), SharedPhotos(training, validation, device), engine
    )
    for _ in run.steps(track):
        pass
    return run.result


def train_many(
    jobs: Sequence[Job],
    training: LabelledPhotos,
    validation: LabelledPhotos,
    device: str,
    engine: str = "fast",
    track: Track = silent,
) -> list[TrainedNetwork | Exception]:
    """Do several runs on one data set and return, in their order, the networks, or why there is none.

    Photos are on the device once. On a GPU runs go side by side, each on a stream of its own, as many as its memory has room
    for; one that runs out of memory beside others begins again (from its checkpoint) when there are fewer. On a CPU they go
    one after another, with the results that each would have alone.

    Raises:
        UsageError: there is no such engine, or there are no photos.
    """
    _require_engine(engine)
    photos = SharedPhotos(training, validation, device)
    trained: dict[int, TrainedNetwork | Exception] = {}
    waiting = deque(range(len(jobs)))
    running: list[_Running] = []
    most = runs_at_once(device)
    # As many streams as runs at once, each for one run at a time: what ends a CUDA graph frees cuBLAS's workspace of the
    # stream that it was captured on, whoever else uses it (github.com/pytorch/pytorch/issues/193402).
    streams = [torch.cuda.Stream() if device == "cuda" else None for _ in range(most)]
    full = False  # when asked, and nothing has ended since: to ask waits for the whole GPU
    bar = track(range(len(jobs)), f"training {len(jobs)} networks")
    next(bar, None)
    while waiting or running:
        if waiting and len(running) < most and not full:
            full = not has_room(running)
            if not full:
                number = waiting.popleft()
                running.append(_Running(number, whole_run(jobs[number], photos, engine), streams.pop()))
        for one in list(running):
            outcome = one.advance()
            if outcome is None:
                continue
            running.remove(one)
            streams.append(one.stream)
            full = False
            if isinstance(outcome, Exception) and _lacks_memory(outcome) and running:
                most = len(running)
                log.warning("out of GPU memory: from now on %d runs side by side", most)
                waiting.appendleft(one.number)
                continue
            trained[one.number] = outcome
            next(bar, None)
    return [trained[number] for number in range(len(jobs))]


class _Running:
    """A run under way, on a stream of its own where there is a GPU."""

    def __init__(
        self, number: int, steps: Generator[None, None, TrainedNetwork], stream: torch.cuda.Stream | None
    ) -> None:
        self.number, self.stream, self._steps = number, stream, steps
        if stream:
            stream.wait_stream(torch.cuda.current_stream())

    def advance(self) -> TrainedNetwork | Exception | None:
        """Take one step; return the network after the last one, or what went wrong, else None.

        Raises:
            OSError: the disk is full.
        """
        try:
            with torch.cuda.stream(self.stream) if self.stream else nullcontext():
                next(self._steps)
        except StopIteration as end:
            network: TrainedNetwork = end.value
            if self.stream:
                self.stream.synchronize()
            return network
        except Exception as error:  # whatever a network raises, plugged in or not, is the end of its own run only
            if is_storage_fault(error):
                raise
            self._steps.close()
            for one in _chain(error):
                one.with_traceback(None)  # it would keep the run's tensors
            return error
        return None


def whole_run(job: Job, photos: SharedPhotos, engine: str) -> Generator[None, None, TrainedNetwork]:
    """Do a run from beginning to end, and stop after each step, so that others can have theirs."""
    run = TrainingRun(job, photos, engine)
    yield from run.steps(silent)
    return run.result


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Return an error and those that led to it."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _lacks_memory(error: BaseException) -> bool:
    """Return whether the GPU's memory ran out; when that ends the capture of a graph, the last error is another one."""
    return any(isinstance(one, RuntimeError) and any(sign in str(one) for sign in _NO_MEMORY) for one in _chain(error))


def runs_at_once(device: str) -> int:
    """Return how many runs this device does side by side."""
    return _SIDE_BY_SIDE if device == "cuda" else 1


def has_room(running: Sequence[_Running]) -> bool:
    """Return whether another run like these fits into the GPU's memory; the first always may try."""
    if not running:
        return True
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info()[0] > _ROOM * torch.cuda.memory_reserved() / len(running)


def _require_engine(name: str) -> None:
    if name not in ENGINES:
        raise UsageError(f"engine {name!r}: choose {' or '.join(ENGINES)}")
