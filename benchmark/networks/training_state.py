"""Where a training run is, in one file: tensors as safetensors, everything else as JSON in its header. No pickle.

Random choices need no state here: they are drawn from (seed, epoch, step).
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmark.networks.recipe import Recipe
from benchmark.photos import DECODER, LabelledPhotos
from collector.workspace import draft_of

log = logging.getLogger("t15")

VERSION = 1
"""Changes whenever a run would go on differently from the same file."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run has come to after an epoch.

    Attributes:
        facts: plain JSON: the curve, the best epoch so far.
        tensors: by name.
    """

    facts: dict[str, Any]
    tensors: dict[str, Tensor]


def identify(
    recipe: Recipe,
    seed: int,
    engine: str,
    device: str,
    training: LabelledPhotos,
    validation: LabelledPhotos,
    weights: Mapping[str, Tensor] | None,
) -> str:
    """Return the sha256 of everything that the run's result depends on: another run's checkpoint is none of this one."""
    data = [[*side.digests, *map(str, side.labels.tolist())] for side in (training, validation)]
    versions = [VERSION, DECODER, torch.__version__]
    canonical = json.dumps([asdict(recipe), seed, engine, device, training.classes, data, versions], sort_keys=True)
    digest = hashlib.sha256(canonical.encode())
    for name, tensor in sorted((weights or {}).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(path: Path, identity: str, progress: Progress) -> None:
    """Write a checkpoint so that the old one or the new one is there, whole.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in progress.tensors.items()}
    try:
        save_file(tensors, draft, metadata={"identity": identity, "facts": json.dumps(progress.facts)})
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink()
        if isinstance(error, SafetensorError):  # its writer's word for what the system said
            raise OSError(f"{path}: {error}") from error
        raise


def load_checkpoint(path: Path, identity: str) -> Progress | None:
    """Return what was saved for this run; None where nothing was, or, with a warning, by another run, or a damaged file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("identity") != identity:
                log.warning("%s: is the checkpoint of another run; training begins anew", path)
                return None
            return Progress(json.loads(header["facts"]), {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        log.warning("%s: cannot be read (%s); training begins anew", path, " ".join(str(error).split())[:200])
        return None
